"""Money, clicks and orders reach the Parquet files exactly once, and agree with the ledger."""

import asyncio
import datetime
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from admin.reports.agreement import agreement
from admin.reports.rolled_up import rollup_faults
from admin.retention.archiving import MIN_DAYS, Archivist
from admin.roles.journal import SHOWN_LATE_MS, NoticeRows
from core import keys
from core.clock import ManualClock, SystemClock
from core.config import JournalSettings
from core.telemetry.metrics import Telemetry
from journal import segment
from journal.archive import HAND_ON_MS
from journal.columnar import files_sql
from journal.folders import unchanged
from journal.people import DAY_MS
from journal.questions import ReportQuestion
from journal.reports import ReportReader, ReportShop
from journal.rollups import CUBES
from journal.rows import BID, BILL, CLICK, CONVERSION, FORMAT_VERSION, NOTICE, SHOWN, JournalKind
from journal.segment import SegmentFrame
from journal.streams import StreamRows, StreamTaker
from pacing.budgets.pools import PoolKey
from pacing.budgets.transitions import StreamEntry, stream_entries
from pacing.ledger.rows import PriceSource, RowHead, RowKind, encode_head
from pacing.notices.signals import Signal, SignalDesk
from tests.integration.journal.conftest import PEOPLE, KeptShop, an_impression, keep_and_die, the_visitor_opts_out
from tests.kit.journal_rows import a_row, counted
from tests.kit.money import ADVERTISER, CAMPAIGN, LANDING, LINE_ITEM, USER


async def test_bills_clicks_and_orders_are_kept_once(kept: KeptShop) -> None:
    first, second = await an_impression(kept, click=True), await an_impression(kept)
    kept.shop.clock.advance(60)
    now_s = kept.shop.clock.now_ms() // 1000
    for _ in range(2):
        await kept.orders.record_conversion([USER], ADVERTISER, "order-1", 120_000_000, now_s, buyer="new")
    await kept.keep()
    await kept.keep()
    assert kept.folder.rows(BILL, "bid_id, charge_micros, line_item_id, entry") == [
        (bid, 8_000, LINE_ITEM, "bill") for bid in sorted((first, second))
    ]
    assert kept.folder.rows(CLICK, "bid_id, line_item_id") == [(first, LINE_ITEM)]
    (order,) = kept.folder.rows(CONVERSION, "bid_id, credit, value_micros, line_item_id, currency, person, buyer")
    assert order == (first, "click", 120_000_000, LINE_ITEM, "PLN", PEOPLE.of(USER, now_s * 1000), "new")
    wins = kept.folder.rows(NOTICE, "bid_id, event, outcome", "event = 'win'")
    assert wins == [(bid, "win", "won") for bid in sorted((first, second))]
    totals = await kept.ledger.totals(ADVERTISER)
    assert sum(pool.charge_micros for pool in totals.pools) == 16_000
    stream = await kept.shop.transitions.command("XLEN", keys.money_journal(ADVERTISER))
    assert stream == 0


async def test_a_view_is_kept_once_and_told_by_reports(kept: KeptShop) -> None:
    book, _client = await kept.shop.bidder()
    claims = kept.shop.claims(book.reserve(0, 10_000, kept.shop.clock.now_ms()))
    token = kept.shop.signer.sign(claims).decode()
    rows = NoticeRows(kept.folder.writer, PEOPLE, kept.shop.clock.now_ms)
    signals = SignalDesk(
        kept.shop.signer, kept.shop.transitions, kept.shop.clock, Telemetry(), on_counted=rows.signal
    )  # fmt: skip
    for _ in range(2):
        await signals.take(token, Signal.VIEWABLE)
        await signals.take(token, Signal.START)
    await kept.keep()
    found = kept.folder.rows(NOTICE, "bid_id, event, outcome")
    assert found == [(claims.nonce, "start", ""), (claims.nonce, "view", "viewable")]
    reader = ReportReader(kept.folder.archive, kept.folder.columnar)
    asked = reader.answer(ReportQuestion(("viewable", "starts")), {}, kept.shop.clock.now_ms())
    assert asked.rows == ((1, 1),)


async def test_only_the_worker_that_has_the_folder_says_that_it_is_behind(kept: KeptShop) -> None:
    lag, telemetry = "grosz_journal_lag_seconds", Telemetry()
    standby = kept.made_keeper(telemetry=telemetry)
    kept.shop.clock.advance(300)
    assert not standby.start()
    assert counted(telemetry, lag) == 0
    kept.keeper.stop()
    assert standby.start()
    kept.shop.clock.advance(300)
    assert counted(telemetry, lag) == 300
    await standby.keep()
    assert counted(telemetry, lag) == HAND_ON_MS / 1000
    await standby.close()
    assert kept.keeper.start()


async def test_nothing_is_changed_while_the_files_are_copied(kept: KeptShop) -> None:
    bid = await an_impression(kept)
    with unchanged(kept.folder.archive.folder.parent):
        await kept.keep()
        assert kept.folder.rows(BILL, "bid_id") == []
        assert kept.folder.converter.waiting()
    await kept.keep()
    assert kept.folder.rows(BILL, "bid_id") == [(bid,)]


async def test_what_a_loaded_ad_shows_is_kept_once_and_reports_tell_it_by_product(kept: KeptShop) -> None:
    book, _client = await kept.shop.bidder()
    claims = kept.shop.claims(book.reserve(0, 10_000, kept.shop.clock.now_ms()))
    rows = NoticeRows(kept.folder.writer, PEOPLE, kept.shop.clock.now_ms)
    for _ in range(3):
        rows.shown(claims, "bestsellers", ("hat",))
        rows.shown(claims, "personal", ("shoe", "hat"))
    rows.shown(msgspec.structs.replace(claims, is_test=True, nonce=claims.nonce + 1), "personal", ("test",))
    of_bid = (claims.nonce, claims.issued_s * 1000, claims.advertiser_id)
    kept.folder.writer.append(BID, a_row(BID, **dict(zip(BID.names, of_bid, strict=False))))
    await kept.desk.bill(kept.shop.signer.sign(claims).decode(), "8.00", "PLN")
    over_ms = (claims.issued_s // 3600 + 1) * 3_600_000
    kept.shop.clock.advance((over_ms + SHOWN_LATE_MS - kept.shop.clock.now_ms()) / 1000)
    rows.shown(msgspec.structs.replace(claims, nonce=claims.nonce + 2), "personal", ("late",))
    await kept.keep()
    person = PEOPLE.of(claims.user_id, claims.issued_s * 1000)
    found = kept.folder.rows(SHOWN, "bid_id, outcome, products, person")
    assert found == [(claims.nonce, "bestsellers", "hat", 0), (claims.nonce, "personal", "shoe\nhat", person)]
    reader = ReportReader(kept.folder.archive, kept.folder.columnar)
    asked = reader.answer(ReportQuestion(("impressions",), ("product",)), {}, kept.shop.clock.now_ms())
    assert sorted(asked.rows) == [("hat", 1), ("shoe", 1)]


async def test_an_hour_that_is_over_is_summed_up_and_late_clicks_are_told_all_the_same(kept: KeptShop) -> None:
    book, _client = await kept.shop.bidder()
    claims = kept.shop.claims(book.reserve(0, 10_000, kept.shop.clock.now_ms()))
    token = kept.shop.signer.sign(claims).decode()
    await kept.desk.bill(token, "8.00", "PLN")
    kept.shop.clock.advance(2 * 3600)
    await kept.keep()
    reader = ReportReader(kept.folder.archive, kept.folder.columnar)
    hour = claims.issued_s // 3600
    covered = reader.rollups.covered(BILL, CUBES[0], hour, hour + 1)
    assert (len(covered.whole), covered.partial, covered.rest) == (1, [], [])
    await kept.desk.click(token, LANDING)
    await kept.keeper.keep()
    cold = reader.rollups.covered(CLICK, CUBES[0], hour, hour + 1)
    assert (cold.whole, cold.partial) == ([], [])
    now_ms = kept.shop.clock.now_ms()
    assert await rollup_faults(kept.folder.archive, ADVERTISER, now_ms) == []
    (sums,) = covered.whole
    changed = f"SELECT * REPLACE (spend + 1 AS spend) FROM {files_sql([sums])}"
    kept.folder.columnar.copy(changed, sums)
    (fault,) = await rollup_faults(kept.folder.archive, ADVERTISER, now_ms)
    assert "roll-ups tell 0.008001 of 1 impressions" in fault
    kept.folder.columnar.copy(changed.replace("+ 1", "- 1"), sums)
    question = ReportQuestion(("impressions", "spend", "clicks"), ("line_item",))
    found = reader.answer(question, {ADVERTISER: ReportShop("PLN", 1.0)}, kept.shop.clock.now_ms())
    assert found.rows == ((LINE_ITEM, "PLN", 1, 8_000, 1),)


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
    await keep_and_die(kept, monkeypatch)
    kept.keeper.stop()
    await an_impression(kept)  # more comes while nobody keeps
    kept.keeper = kept.new_keeper()
    await kept.keep()
    await kept.keep()
    assert len(kept.folder.rows(BILL, "bid_id")) == 2
    assert len(kept.folder.rows(CLICK, "bid_id")) == 1


async def test_who_opts_out_is_in_no_file_also_not_by_a_notice_that_comes_later(kept: KeptShop) -> None:
    book, _client = await kept.shop.bidder()
    late = kept.shop.token(book.reserve(0, 10_000, kept.shop.clock.now_ms()))
    await an_impression(kept, click=True)
    await kept.keep()
    person = PEOPLE.of(USER, kept.shop.clock.now_ms())
    assert person in {row[0] for row in kept.folder.rows(NOTICE, "person")}
    await the_visitor_opts_out(kept)
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


async def test_a_segment_of_a_later_release_is_told_as_lacking_and_its_visitors_are_erased_when_it_is_read(
    kept: KeptShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, archive = kept.shop.clock, kept.folder.archive
    begun_ms, person = clock.now_ms(), PEOPLE.of(USER, clock.now_ms())
    monkeypatch.setattr(segment, "FORMAT_VERSION", FORMAT_VERSION + 1)
    await an_impression(kept)
    await kept.folder.writer.close()
    monkeypatch.undo()
    await the_visitor_opts_out(kept)
    now_s = SystemClock().now_ms() // 1000  # the erasure is stamped by the server
    clock.advance(now_s + 8 * 3_600 - clock.now_ms() // 1000)
    await kept.keep()
    await kept.keeper.erase()
    assert archive.stored_until() < begun_ms
    monkeypatch.setattr(segment, "FORMAT_VERSION", FORMAT_VERSION + 1)  # the worker is upgraded
    kept.keeper.stop()
    kept.keeper = kept.new_keeper()
    await kept.keep()
    await kept.keeper.erase()
    assert archive.stored_until() == clock.now_ms() - HAND_ON_MS
    people = [row[0] for row in kept.folder.rows(NOTICE, "person")]
    assert people
    assert person not in people
    assert not await kept.shop.transitions.command("ZCARD", keys.JOURNAL_ERASURES)


async def differences(kept: KeptShop) -> list[str]:
    return (await agreement(kept.folder.archive, kept.ledger, ADVERTISER)).faults


async def test_the_audit_says_up_to_where_the_journal_is_compared_and_what_waits(kept: KeptShop) -> None:
    assert await agreement(kept.folder.archive, kept.ledger, ADVERTISER) == ([], 0, 0)
    await an_impression(kept)
    await kept.keep()
    last = await kept.ledger.last_stream_id(ADVERTISER)
    await an_impression(kept)
    await kept.ledger_writer.drain(ADVERTISER)
    compared = await agreement(kept.folder.archive, kept.ledger, ADVERTISER)
    assert compared == ([], int(last.partition("-")[0]), 1)
    await kept.keep()
    assert (await agreement(kept.folder.archive, kept.ledger, ADVERTISER)).newer == 0


async def test_figures_are_not_called_fresh_while_bills_or_orders_wait_elsewhere(kept: KeptShop) -> None:
    clock, archive, commands = kept.shop.clock, kept.folder.archive, kept.shop.transitions
    clock.advance(SystemClock().now_ms() / 1000 - clock.now_ms() / 1000 + 60)  # the server numbers what waits
    await kept.keep()
    assert archive.stored_until() == clock.now_ms() - HAND_ON_MS
    await an_impression(kept)
    await kept.keeper.keep()  # before the ledger's writer has moved the bill
    (bill,) = [entry for entry in await a_stream(kept, keys.money_ledger(ADVERTISER)) if b"row" in entry.fields]
    assert archive.stored_until() == int(bill.id.partition("-")[0]) - 1
    await kept.keep()
    assert archive.stored_until() == clock.now_ms() - HAND_ON_MS
    waiting = await commands.command("XADD", keys.event_stream(3), "*", "e", "an order that is not applied")
    await kept.keep()
    assert isinstance(waiting, bytes)
    assert archive.stored_until() == int(waiting.partition(b"-")[0]) - 1
    await commands.command("DEL", keys.event_stream(3))
    await kept.keep()
    assert archive.stored_until() == clock.now_ms() - HAND_ON_MS


async def a_stream(kept: KeptShop, key: str) -> list[StreamEntry]:
    return stream_entries(await kept.shop.transitions.command("XRANGE", key, "-", "+"))


async def test_a_correction_stands_at_its_day_and_stays_as_long_as_its_bills(kept: KeptShop) -> None:
    bid = await an_impression(kept)
    day = kept.shop.clock.now_ms() // DAY_MS
    head = RowHead(
        RowKind.CORRECTION, "invoice 7", CAMPAIGN, LINE_ITEM, 0, day, 0, 0, 0, 0, "PLN", "PLN", 0, 0,
        PriceSource.CORRECTION, "billed twice",
    )  # fmt: skip
    pool = PoolKey(LINE_ITEM, 0)
    booked = await kept.shop.transitions.correct(
        ADVERTISER, "invoice 7", pool, CAMPAIGN, day, -2_000, -1, encode_head(head)
    )
    assert booked == "corrected"
    await kept.keep()
    kept.keeper._tidy()
    rows = kept.folder.rows(BILL, "bid_id, charge_micros, impressions, bid_ms // 86400000")
    assert sorted(rows) == [(0, -2_000, -1, day), (bid, 8_000, 1, day)]
    assert await differences(kept) == []


async def test_a_correction_of_a_day_whose_bids_are_forgotten_leaves_its_countries_as_they_were(kept: KeptShop) -> None:
    now_ms = kept.shop.clock.now_ms()
    of_bid = {"bid_id": 1, "bid_ms": now_ms, "advertiser_id": ADVERTISER}
    bill = {"charge_micros": 8_000, "impressions": 1, "currency": "PLN", "entry": "bill"}
    correction = {"charge_micros": -2_000, "impressions": 0, "currency": "PLN", "entry": "correction"}

    def write(kind: JournalKind, **row: object) -> None:
        rows = [list(a_row(kind, **row))]
        kept.folder.converter.write(f"{kind.name}-{row.get('entry')}", [SegmentFrame(kind.name, kind.names, rows)])

    write(BID, **of_bid, country="POL")
    write(BILL, **of_bid, **bill)
    kept.shop.clock.advance(2 * 3600)
    kept.keeper._tidy()
    kept.shop.clock.advance((JournalSettings().retention_days + 1) * DAY_MS // 1000)
    kept.keeper._tidy()
    assert kept.folder.count(BID) == 0
    write(BILL, **of_bid | {"bid_id": 0}, **correction)
    kept.keeper._tidy()
    day = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).date()
    question = ReportQuestion(("spend",), ("country",), since=day, until=day)
    reader = ReportReader(kept.folder.archive, kept.folder.columnar)
    found = reader.answer(question, {ADVERTISER: ReportShop("PLN", 1.0)}, kept.shop.clock.now_ms())
    assert found.rows == (("", "PLN", -2_000), ("POL", "PLN", 8_000))


async def test_files_that_were_set_aside_are_forgotten_with_old_hours(kept: KeptShop) -> None:
    now_s = kept.shop.clock.now_ms() / 1000
    outgoing = kept.folder.archive.folder.parent / "outgoing"
    outgoing.mkdir(exist_ok=True)
    kept.folder.segments.mkdir(exist_ok=True)
    for folder in (kept.folder.segments, outgoing):
        for name, days in (("old.damaged", 31), ("new.damaged", 29)):
            (folder / name).write_bytes(b"rows of somebody")
            os.utime(folder / name, (now_s - days * 86_400,) * 2)
    kept.keeper._tidy()
    for folder in (kept.folder.segments, outgoing):
        assert [path.name for path in folder.glob("*.damaged")] == ["new.damaged"]


async def test_days_that_the_journal_has_forgotten_are_no_difference(kept: KeptShop) -> None:
    await an_impression(kept)
    await kept.keep()
    kept.shop.clock.advance((JournalSettings().money_retention_days + 2) * DAY_MS // 1000)
    await kept.shop.bank.tick()
    await an_impression(kept)
    await kept.keep()
    kept.keeper._tidy()
    assert len(kept.folder.rows(BILL, "bid_id")) == 1
    assert await differences(kept) == []
    for path in kept.folder.archive.files(BILL.name, kept.folder.archive.hours(BILL.name)):
        path.unlink()
    (text,) = await differences(kept)
    assert "the journal has 0.00 of 0 impressions, the ledger 0.008 of 1" in text


async def test_days_that_have_left_the_ledger_are_no_difference(kept: KeptShop, tmp_path: Path) -> None:
    await an_impression(kept)
    await kept.keep()
    later = ManualClock(SystemClock().now_ms() + 2 * MIN_DAYS * DAY_MS)  # the server numbers the ledger's rows
    archivist = Archivist(kept.database, tmp_path / "archive", kept.folder.columnar, later, Telemetry())
    assert (await archivist.archive(MIN_DAYS)).ledger == 1
    assert await differences(kept) == []


async def test_the_end_waits_for_what_a_thread_is_writing(kept: KeptShop, monkeypatch: pytest.MonkeyPatch) -> None:
    await an_impression(kept, click=True)
    take, began, go_on = StreamTaker.take, threading.Event(), threading.Event()
    running = 0

    def slow(taker: StreamTaker, pieces: Sequence[StreamRows]) -> int:
        nonlocal running
        running += 1
        assert running == 1, "the last pass writes beside the one that was cancelled"
        began.set()
        assert go_on.wait(10)
        try:
            return take(taker, pieces)
        finally:
            running -= 1

    monkeypatch.setattr(StreamTaker, "take", slow)
    loop = asyncio.create_task(kept.keep())
    await asyncio.to_thread(began.wait, 10)
    loop.cancel()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert running == 0
    await kept.keeper.keep()
    assert len(kept.folder.rows(BILL, "bid_id")) == 1
    assert await differences(kept) == []
