"""Ledger rows move once, and the audit finds every counter that is not what they say."""

from collections.abc import AsyncIterator, Sequence

import pytest

from core import keys
from core.clock import ManualClock
from core.errors import UnavailableError
from pacing.budgets.levels import day_of
from pacing.budgets.pools import PoolKey
from pacing.budgets.timing import MS_PER_DAY, lease_day
from pacing.ledger.audit import audit
from pacing.ledger.rows import DayLine, LedgerRow, LedgerWriter, PriceSource, RowHead, RowKind, encode_head
from tests.kit.ledger_store import MemoryLedgerStore
from tests.kit.money import ADVERTISER, CAMPAIGN, EXCHANGE, LINE_ITEM, Shop


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock)
    yield shop
    await shop.close()


async def bill(shop: Shop, count: int) -> int:
    """`count` bills of 1,000 micros each; the day that they are on."""
    book, client = await shop.bidder(f"p{shop.auctions}")
    lease = 0
    for _ in range(count):
        lease = book.reserve(0, 10_000, shop.clock.now_ms())
        assert (await shop.desk.bill(shop.token(lease), "1.00", "PLN")).outcome == "billed"
        await client.tick()
    return lease_day(lease)


async def test_rows_in_the_stream_count_like_rows_in_the_store(shop: Shop) -> None:
    await bill(shop, 3)
    before = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (before.rows_in_stream, before.spent_micros, before.differences) == (3, 3_000, [])
    assert await shop.writer.drain(ADVERTISER) == 3
    after = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (after.rows_in_stream, after.spent_micros, after.differences) == (0, 3_000, [])


class StoreThatDies(MemoryLedgerStore):
    """Keeps the rows and then says that it did not, as a connection lost at the wrong moment does."""

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None:
        await super().append(advertiser_id, rows)
        raise UnavailableError("the store is gone")


async def test_a_crash_between_store_and_stream_moves_nothing_twice(shop: Shop) -> None:
    await bill(shop, 3)
    dying = StoreThatDies()
    dying.rows = shop.store.rows
    writer = LedgerWriter(shop.transitions, dying, lambda: [ADVERTISER], shop.telemetry.__class__())
    with pytest.raises(UnavailableError):
        await writer.drain(ADVERTISER)
    await shop.writer.drain(ADVERTISER)
    assert len(shop.store.rows[ADVERTISER]) == 3
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


async def test_the_stream_keeps_its_newest_entry_only(shop: Shop) -> None:
    await bill(shop, 3)
    await shop.writer.drain(ADVERTISER)
    assert await shop.transitions.command("XLEN", keys.money_ledger(ADVERTISER)) == 1


async def test_a_lost_row_is_found_at_every_level(shop: Shop) -> None:
    await bill(shop, 2)
    await shop.writer.drain(ADVERTISER)
    shop.store.rows[ADVERTISER].pop(0)
    differences = (await audit(shop.transitions, shop.store, ADVERTISER)).differences
    assert {(each.level[0], each.unit, each.counter - each.ledger) for each in differences} == {
        (level, *difference) for level in "acdlpq" for difference in (("micros", 1_000), ("impressions", 1))
    }


async def test_a_broken_counter_is_found(shop: Shop) -> None:
    await bill(shop, 1)
    key = keys.money_levels(ADVERTISER)
    packed = await shop.transitions.command("HGET", key, "a")
    assert isinstance(packed, bytes)
    await shop.transitions.command("HSET", key, "a", packed[:16] + (7).to_bytes(8, "little") + packed[24:])
    texts = [each.text for each in (await audit(shop.transitions, shop.store, ADVERTISER)).differences]
    assert any("exposure is 7 micros" in text for text in texts)


async def test_a_correction_is_booked_once_with_its_row(shop: Shop) -> None:
    day = await bill(shop, 1)
    row = RowHead(
        RowKind.CORRECTION, "invoice 11/2026", CAMPAIGN, LINE_ITEM, 0, day, EXCHANGE, 0, 0, 0, "PLN", "PLN", 0, 0,
        PriceSource.CORRECTION, "billed twice by the exchange",
    )  # fmt: skip
    for expected in ("corrected", "duplicate"):
        outcome = await shop.transitions.correct(
            ADVERTISER, row.notice, PoolKey(LINE_ITEM, 0), CAMPAIGN, day, -400, 0, encode_head(row)
        )
        assert outcome == expected
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).spent_micros == 600
    await shop.writer.drain(ADVERTISER)
    assert shop.store.rows[ADVERTISER][-1].head == row
    assert await shop.store.day_lines(day) == [DayLine(ADVERTISER, LINE_ITEM, EXCHANGE, "PLN", 1, 600)]


async def correct(shop: Shop, name: str, day: int, micros: int) -> None:
    row = RowHead(
        RowKind.CORRECTION, name, CAMPAIGN, LINE_ITEM, 0, day, EXCHANGE, 0, 0, 0, "PLN", "PLN", 0, 0,
        PriceSource.CORRECTION,
    )  # fmt: skip
    key = PoolKey(LINE_ITEM, 0)
    outcome = await shop.transitions.correct(ADVERTISER, name, key, CAMPAIGN, day, micros, 0, encode_head(row))
    assert outcome == "corrected"


async def bill_on_days(shop: Shop, days: int) -> int:
    """A bill a day, and on to the day after the last, which is returned."""
    billed = [0]
    for _ in range(days):
        billed.append(await bill(shop, 1))
        shop.clock.advance(MS_PER_DAY / 1000)
        await shop.bank.tick()
    return billed[-1]


@pytest.mark.parametrize("days_ago", [0, 1, 2, 3, 9])
async def test_a_correction_of_any_day_leaves_counters_that_the_ledger_explains(shop: Shop, days_ago: int) -> None:
    day = await bill_on_days(shop, 9)
    await correct(shop, "invoice", day + 1 - days_ago, -400)
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (result.spent_micros, result.differences) == (8_600, [])
    await shop.bank.tick()
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


async def test_a_rebuild_brings_back_only_the_days_that_are_kept(shop: Shop) -> None:
    day = await bill_on_days(shop, 5)
    await shop.writer.drain(ADVERTISER)
    await shop.transitions.command("FLUSHALL")
    await shop.bank.tick()
    levels = (await shop.transitions.snapshot(ADVERTISER, "")).levels
    assert {day_of(name) for name in levels if "@" in name} == {day - 1, day}
    await correct(shop, "invoice", day - 4, -400)
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (result.spent_micros, result.differences) == (4_600, [])


async def test_days_that_are_half_dropped_are_no_difference(shop: Shop) -> None:
    day = await bill(shop, 1)
    for _ in range(3):
        shop.clock.advance(MS_PER_DAY / 1000)
        await shop.bank.tick()
        await bill(shop, 1)
    before = (await shop.transitions.snapshot(ADVERTISER, "")).levels
    assert day not in {day_of(name) for name in before}
    # One level of a past day is back, as between two calls that drop them.
    key = keys.money_levels(ADVERTISER)
    packed = await shop.transitions.command("HGET", key, f"q{LINE_ITEM}.0@{day + 1}")
    assert isinstance(packed, bytes)
    await shop.transitions.command("HSET", key, f"q{LINE_ITEM}.0@{day}", packed)
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
    # A level of a day that is kept must be there.
    await shop.transitions.command("HDEL", key, f"d{LINE_ITEM}@{day + 2}")
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences != []


async def test_a_rebuild_counts_rows_that_the_store_does_not_have_yet(shop: Shop) -> None:
    await bill(shop, 3)
    await shop.transitions.command("HDEL", keys.money_meta(ADVERTISER), "epoch")
    await shop.bank.tick()
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (result.spent_micros, result.differences) == (3_000, [])


async def test_rows_after_a_failover_to_a_clock_behind_are_not_taken_for_old_ones(shop: Shop) -> None:
    await bill(shop, 1)
    await shop.writer.drain(ADVERTISER)
    ahead = f"{int(shop.store.rows[ADVERTISER][-1].stream_id.partition('-')[0]) + 10**9}-0"
    shop.store.rows[ADVERTISER][-1] = _moved(shop.store.rows[ADVERTISER][-1], ahead)
    await shop.transitions.command("HDEL", keys.money_meta(ADVERTISER), "epoch")  # the stream is there, and older
    await shop.bank.tick()
    await bill(shop, 1)
    assert await shop.writer.drain(ADVERTISER) == 1
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


async def test_rows_after_a_loss_are_not_taken_for_old_ones(shop: Shop) -> None:
    await bill(shop, 2)
    await shop.writer.drain(ADVERTISER)
    last = shop.store.rows[ADVERTISER][-1].stream_id
    far = f"{int(last.partition('-')[0]) + 10**9}-0"  # the lost server's clock was days ahead
    shop.store.rows[ADVERTISER][-1] = _moved(shop.store.rows[ADVERTISER][-1], far)
    await shop.transitions.command("FLUSHALL")
    await shop.bank.tick()
    await bill(shop, 1)
    assert await shop.writer.drain(ADVERTISER) == 1
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).spent_micros == 3_000
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


def _moved(row: LedgerRow, stream_id: str) -> LedgerRow:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return LedgerRow(**(fields | {"stream_id": stream_id}))


async def test_a_server_that_lost_its_last_settlements_is_corrected_from_the_ledger(shop: Shop) -> None:
    await bill(shop, 2)
    dump = await shop.transitions.command("DUMP", keys.money_levels(ADVERTISER))
    assert isinstance(dump, bytes)
    await bill(shop, 1)
    await shop.writer.drain(ADVERTISER)
    await shop.transitions.commands(  # what a replica that was behind knows after a failover
        [
            ("RESTORE", keys.money_levels(ADVERTISER), 0, dump, "REPLACE"),
            ("HSET", keys.money_meta(ADVERTISER), "server", "the lost one"),
        ]
    )
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "contradicted") == 1
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (result.spent_micros, result.differences) == (3_000, [])
