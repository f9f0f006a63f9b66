"""Money, clicks and orders reach the Parquet files exactly once, and agree with the ledger."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin.roles.journal import NoticeRows, OrderRows, pseudonyms_kept
from admin.roles.journal_keeping import JournalKeeper
from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import migrate
from core import keys
from core.clock import ManualClock, SystemClock
from core.config import JournalSettings
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from journal.people import Pseudonyms
from journal.rows import BILL, CLICK, CONVERSION, NOTICE
from journal.streams import StreamTaker
from pacing.ledger.rows import LedgerWriter
from pacing.notices.conversions import ConversionDesk
from pacing.notices.notices import NoticeDesk
from segments.audiences.sizes import SegmentSizes
from segments.identity.persons import Identities
from segments.profiles.store import ProfileStore
from tests.kit.journal_rows import JournalFolder
from tests.kit.money import ADVERTISER, LANDING, LINE_ITEM, USER, Shop

PEOPLE = Pseudonyms(b"k" * 32)


class KeptShop:
    """A shop whose notices, clicks and orders are kept, with the worker's part of it."""

    def __init__(self, shop: Shop, database: Database, folder: Path) -> None:
        self.shop, self.folder = shop, JournalFolder(folder, shop.clock)
        self.ledger = SqlLedgerStore(database)
        self.ledger_writer = LedgerWriter(shop.transitions, self.ledger, lambda: [ADVERTISER], Telemetry())
        rows = NoticeRows(self.folder.writer, PEOPLE, shop.clock.now_ms)
        self.desk = NoticeDesk(
            shop.signer, shop.transitions, lambda: shop.present, shop.clock, Telemetry(), shop.delivery,
            on_counted=rows.counted, click_row=rows.click,
        )  # fmt: skip
        orders = OrderRows(PEOPLE, lambda _advertiser: "PLN")
        self.orders = ConversionDesk(shop.transitions, shop.telemetry, journal_row=orders.order)
        self.folder.converter.stop()
        self.keeper = self.new_keeper()

    def new_keeper(self) -> JournalKeeper:
        keeper = JournalKeeper(
            JournalSettings(), self.folder.archive, self.folder.segments, self.shop.transitions, self.ledger,
            lambda: [ADVERTISER], self.shop.clock, Telemetry(),
        )  # fmt: skip
        assert keeper.start()
        return keeper

    async def keep(self) -> None:
        await self.folder.writer.close()
        await self.ledger_writer.drain(ADVERTISER)
        await self.keeper.keep()


@pytest.fixture
async def kept(valkey: str, clock: ManualClock, tmp_path: Path) -> AsyncIterator[KeptShop]:
    shop = await Shop.open(valkey, clock)
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}")
    await migrate(database)
    made = KeptShop(shop, database, tmp_path)
    yield made
    await made.keeper.close()
    made.folder.columnar.close()
    await database.close()
    await shop.close()


async def an_impression(kept: KeptShop, *, click: bool = False) -> int:
    """A bid that is won, billed, and perhaps clicked, each notice twice; its id."""
    book, _client = await kept.shop.bidder()
    claims = kept.shop.claims(book.reserve(0, 10_000, kept.shop.clock.now_ms()))
    token = kept.shop.signer.sign(claims).decode()
    for _ in range(2):
        await kept.desk.win(token, "8.00", "PLN")
        await kept.desk.bill(token, "8.00", "PLN")
        if click:
            await kept.desk.click(token, LANDING)
    return claims.nonce


async def test_bills_clicks_and_orders_are_kept_once(kept: KeptShop) -> None:
    first, second = await an_impression(kept, click=True), await an_impression(kept)
    kept.shop.clock.advance(60)
    now_s = kept.shop.clock.now_ms() // 1000
    for _ in range(2):
        await kept.orders.record_conversion([USER], ADVERTISER, "order-1", 120_000_000, now_s)
    await kept.keep()
    await kept.keep()
    assert kept.folder.rows(BILL, "bid_id, charge_micros, line_item_id, entry") == [
        (bid, 8_000, LINE_ITEM, "bill") for bid in sorted((first, second))
    ]
    assert kept.folder.rows(CLICK, "bid_id, line_item_id") == [(first, LINE_ITEM)]
    (order,) = kept.folder.rows(CONVERSION, "bid_id, credit, value_micros, line_item_id, currency, person")
    assert order == (first, "click", 120_000_000, LINE_ITEM, "PLN", PEOPLE.of(USER, now_s * 1000))
    wins = kept.folder.rows(NOTICE, "bid_id, event, outcome", "event = 'win'")
    assert wins == [(bid, "win", "won") for bid in sorted((first, second))]
    totals = await kept.ledger.totals(ADVERTISER)
    assert sum(pool.charge_micros for pool in totals.pools) == 16_000
    stream = await kept.shop.transitions.command("XLEN", keys.money_journal(ADVERTISER))
    assert stream == 0


async def test_an_order_of_nobody_and_a_correction_are_kept(kept: KeptShop) -> None:
    bid = await an_impression(kept, click=True)
    kept.shop.clock.advance(60)
    now_s = kept.shop.clock.now_ms() // 1000
    await kept.orders.record_conversion([], ADVERTISER, "order-1", 5, now_s)
    await kept.orders.record_conversion([USER], ADVERTISER, "order-2", 100, now_s)
    await kept.orders.correct_conversion([USER], ADVERTISER, "order-2 corrected", -30, now_s)
    await kept.keep()
    found = kept.folder.rows(CONVERSION, "credit, entry, value_micros, bid_id")
    assert found == [("click", "correction", -30, bid), ("click", "order", 100, bid), ("nobody", "order", 5, 0)]


async def test_a_worker_that_is_killed_between_files_and_positions_takes_nothing_twice(
    kept: KeptShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_impression(kept, click=True)
    save, calls = StreamTaker._save, 0

    def killed(taker: StreamTaker) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise UnavailableError("killed")
        save(taker)

    monkeypatch.setattr(StreamTaker, "_save", killed)
    with pytest.raises(UnavailableError):
        await kept.keep()
    monkeypatch.undo()
    kept.keeper.stop()
    await an_impression(kept)  # more comes while nobody keeps
    kept.keeper = kept.new_keeper()
    await kept.keep()
    await kept.keep()
    assert len(kept.folder.rows(BILL, "bid_id")) == 2
    assert len(kept.folder.rows(CLICK, "bid_id")) == 1


async def test_who_opts_out_is_in_no_file_also_not_by_a_notice_that_comes_later(kept: KeptShop) -> None:
    store = ProfileStore(kept.shop.redis, SystemClock())
    book, _client = await kept.shop.bidder()
    late = kept.shop.token(book.reserve(0, 10_000, kept.shop.clock.now_ms()))
    await an_impression(kept, click=True)
    await kept.keep()
    person = PEOPLE.of(USER, kept.shop.clock.now_ms())
    assert person in {row[0] for row in kept.folder.rows(NOTICE, "person")}
    told = pseudonyms_kept(JournalSettings(people_key=(b"k" * 32).hex(), directory="here"))
    await Identities(store, SegmentSizes(store), kept.shop.clock, told).opt_out(USER, "visitor")
    assert await kept.keeper.erase() > 0
    await kept.desk.win(late, "8.00", "PLN")
    await kept.keep()
    assert person in {row[0] for row in kept.folder.rows(NOTICE, "person")}, "until the next pass"
    await kept.keeper.erase()
    for kind in (NOTICE, CLICK, CONVERSION):
        assert person not in {row[0] for row in kept.folder.rows(kind, "person")}
    assert len(kept.folder.rows(CLICK, "bid_id")) == 1
    waiting = await kept.shop.transitions.command("ZCARD", keys.JOURNAL_ERASURES)
    assert waiting, "until its last notice may have come"
    now_s = SystemClock().now_ms() // 1000  # the erasure is stamped by the server
    kept.shop.clock.advance(now_s + 8 * 3_600 - kept.shop.clock.now_ms() // 1000)
    await kept.keeper.erase()
    assert not await kept.shop.transitions.command("ZCARD", keys.JOURNAL_ERASURES)
