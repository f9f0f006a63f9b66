"""A shop whose money, clicks and orders are kept, and a sink that is fed from it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin.roles.journal import NoticeRows, OrderRows, pseudonyms_kept
from admin.roles.journal_keeping import JournalKeeper
from admin.roles.journal_sink import SinkFeeder
from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import migrate
from core.clock import ManualClock, SystemClock
from core.config import JournalSettings
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from journal.people import Pseudonyms
from journal.sinks.files import FileSink
from journal.streams import StreamTaker
from pacing.ledger.rows import LedgerWriter
from pacing.notices.conversions import ConversionDesk
from pacing.notices.notices import NoticeDesk
from segments.audiences.sizes import SegmentSizes
from segments.identity.persons import Identities
from segments.profiles.store import ProfileStore
from tests.kit.journal_rows import JournalFolder
from tests.kit.money import ADVERTISER, LANDING, USER, Shop

PEOPLE = Pseudonyms(b"k" * 32)


class KeptShop:
    """A shop whose notices, clicks and orders are kept, with the worker's part of it."""

    def __init__(self, shop: Shop, database: Database, folder: Path) -> None:
        self.shop, self.folder = shop, JournalFolder(folder, shop.clock)
        self.database, self.ledger = database, SqlLedgerStore(database)
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

    def new_keeper(self, feeder: SinkFeeder | None = None) -> JournalKeeper:
        keeper = self.made_keeper(feeder)
        assert keeper.start()
        return keeper

    def made_keeper(self, feeder: SinkFeeder | None = None, telemetry: Telemetry | None = None) -> JournalKeeper:
        return JournalKeeper(
            JournalSettings(), self.folder.archive, self.folder.segments, self.shop.transitions, self.ledger,
            lambda: [ADVERTISER], self.shop.clock, telemetry or Telemetry(), feeder=feeder,
        )  # fmt: skip

    async def keep(self) -> None:
        await self.folder.writer.close()
        await self.ledger_writer.drain(ADVERTISER)
        await self.keeper.keep()


@pytest.fixture
async def kept(valkey: str, clock: ManualClock, tmp_path: Path) -> AsyncIterator[KeptShop]:
    shop = await Shop.open(valkey, clock)
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}")
    await migrate(database)
    made = KeptShop(shop, database, tmp_path / "journal")
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


async def keep_and_die(kept: KeptShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does that is killed between files and positions."""
    save, calls = StreamTaker._save, 0

    def killed(taker: StreamTaker) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise UnavailableError("killed")
        save(taker)

    with monkeypatch.context() as patched:
        patched.setattr(StreamTaker, "_save", killed)
        with pytest.raises(UnavailableError):
            await kept.keep()


async def the_visitor_opts_out(kept: KeptShop) -> None:
    """The journal is told of it as the tracker does."""
    store = ProfileStore(kept.shop.redis, SystemClock())
    told = pseudonyms_kept(JournalSettings(people_key=(b"k" * 32).hex(), directory="here"))
    await Identities(store, SegmentSizes(store), kept.shop.clock, told).opt_out(USER, "visitor")


def feeder_of(kept: KeptShop, sink: JournalFolder, folder: Path) -> SinkFeeder:
    to = FileSink(sink.converter, sink.columnar)
    return SinkFeeder(to, folder, kept.shop.transitions, kept.shop.clock, Telemetry(), max_mib=10)


@pytest.fixture
async def elsewhere(kept: KeptShop, tmp_path: Path) -> AsyncIterator[tuple[JournalFolder, SinkFeeder]]:
    """A sink that is another folder, and what feeds it from the shop's journal."""
    sink = JournalFolder(tmp_path / "elsewhere", kept.shop.clock)
    feeder = feeder_of(kept, sink, tmp_path)
    kept.keeper.stop()
    kept.keeper = kept.new_keeper(feeder)
    yield sink, feeder
    await feeder.close()
    sink.close()
