"""What every pacing.ledger.rows.LedgerStore must show; run it against each implementation, those of tests included.

Each check gets an empty store. `CHECKS` are all of them, to parametrize a test with.
"""

from collections.abc import Awaitable, Callable

from pacing.ledger.rows import BEFORE, DayLine, LedgerStore, PoolTotal, RowKind
from tests.kit.ledger_rows import a_row

Check = Callable[[LedgerStore], Awaitable[None]]

SHOP, OTHER = 3, 4


async def an_empty_store_knows_nothing(store: LedgerStore) -> None:
    assert await store.last_stream_id(SHOP) == ""
    totals = await store.totals(SHOP)
    assert (totals.last_stream_id, totals.pools) == ("", [])
    assert await store.notices_since(SHOP, 0) == []
    assert await store.days() == []
    assert await store.day_lines(20_717) == []


async def the_last_id_is_the_newest_by_number_not_by_text(store: LedgerStore) -> None:
    await store.append(SHOP, [a_row("9-0"), a_row("10-9"), a_row("10-10")])
    assert await store.last_stream_id(SHOP) == "10-10"
    assert (await store.totals(SHOP)).last_stream_id == "10-10"


async def a_batch_that_comes_again_adds_only_what_is_new(store: LedgerStore) -> None:
    await store.append(SHOP, [a_row("5-0", charge_micros=1), a_row("6-0", charge_micros=2)])
    await store.append(
        SHOP, [a_row("5-0", charge_micros=1), a_row("6-0", charge_micros=2), a_row("7-0", charge_micros=4)]
    )
    (pool,) = (await store.totals(SHOP)).pools
    assert (pool.charge_micros, pool.impressions) == (7, 3)


async def nothing_is_appended_by_an_empty_batch(store: LedgerStore) -> None:
    await store.append(SHOP, [])
    assert await store.last_stream_id(SHOP) == ""


async def advertisers_do_not_see_each_other(store: LedgerStore) -> None:
    await store.append(SHOP, [a_row("5-0")])
    await store.append(OTHER, [a_row("5-0"), a_row("6-0")])
    assert await store.last_stream_id(SHOP) == "5-0"
    assert [pool.impressions for pool in (await store.totals(SHOP)).pools] == [1]
    assert len(await store.notices_since(OTHER, 0)) == 2


async def totals_are_by_pool_and_day(store: LedgerStore) -> None:
    await store.append(
        SHOP,
        [
            a_row("1-0", charge_micros=1),
            a_row("2-0", charge_micros=2, share=1),
            a_row("3-0", charge_micros=4, day=20_718),
            a_row("4-0", charge_micros=8, line_item_id=101),
            a_row("5-0", charge_micros=16, exchange_id=9),
        ],
    )
    assert sorted((await store.totals(SHOP)).pools) == [
        PoolTotal(100, 100, 0, 20_717, 17, 2),
        PoolTotal(100, 100, 0, 20_718, 4, 1),
        PoolTotal(100, 100, 1, 20_717, 2, 1),
        PoolTotal(100, 101, 0, 20_717, 8, 1),
    ]


async def of_early_days_there_is_one_sum_a_pool(store: LedgerStore) -> None:
    rows = [
        (20_000, 1, 100),
        (20_001, 2, 100),
        (20_717, 4, 100),
        (20_718, 8, 100),
        (20_001, 16, 101),
        (20_002, -16, 101),
    ]
    await store.append(
        SHOP,
        [
            a_row(f"{number}-0", day=day, charge_micros=charge, line_item_id=line, exchange_id=number)
            for number, (day, charge, line) in enumerate(rows, 1)
        ],
    )
    assert sorted((await store.totals(SHOP, 20_717)).pools) == [
        PoolTotal(100, 100, 0, BEFORE, 3, 2),
        PoolTotal(100, 100, 0, 20_717, 4, 1),
        PoolTotal(100, 100, 0, 20_718, 8, 1),
        PoolTotal(100, 101, 0, BEFORE, 0, 2),
    ]
    assert await store.check(SHOP) == []


async def sums_are_exact_beyond_floats(store: LedgerStore) -> None:
    await store.append(SHOP, [a_row("1-0", charge_micros=2**53), a_row("2-0", charge_micros=1)])
    assert [pool.charge_micros for pool in (await store.totals(SHOP)).pools] == [2**53 + 1]
    assert [line.charge_micros for line in await store.day_lines(20_717)] == [2**53 + 1]


async def corrections_count_but_are_no_notices(store: LedgerStore) -> None:
    correction = a_row(
        "2-0", kind=RowKind.CORRECTION, notice="invoice 11/2026", charge_micros=-600, impressions=0, issued_s=0
    )
    await store.append(SHOP, [a_row("1-0", charge_micros=1_000), correction])
    assert [(pool.charge_micros, pool.impressions) for pool in (await store.totals(SHOP)).pools] == [(400, 1)]
    assert await store.notices_since(SHOP, 0) == [(a_row().head.notice, a_row().head.issued_s)]


async def notices_are_asked_for_by_when_their_bid_was_made(store: LedgerStore) -> None:
    await store.append(SHOP, [a_row(f"{at}-0", notice=f"{at:02x}" * 18, issued_s=1_000 + at) for at in (1, 2, 3)])
    assert await store.notices_since(SHOP, 1_002) == [("02" * 18, 1_002), ("03" * 18, 1_003)]


async def lines_of_a_day_are_by_exchange_and_currency(store: LedgerStore) -> None:
    await store.append(
        SHOP,
        [
            a_row("1-0", charge_micros=1, exchange_id=2),
            a_row("2-0", charge_micros=2),
            a_row("3-0", charge_micros=4, currency="EUR"),
            a_row("4-0", charge_micros=8),
            a_row("5-0", charge_micros=16, day=20_718),
        ],
    )
    await store.append(OTHER, [a_row("1-0", charge_micros=32, line_item_id=7)])
    assert await store.day_lines(20_717) == [
        DayLine(SHOP, 100, 1, "EUR", 1, 4),
        DayLine(SHOP, 100, 1, "PLN", 2, 10),
        DayLine(SHOP, 100, 2, "PLN", 1, 1),
        DayLine(OTHER, 7, 1, "PLN", 1, 32),
    ]
    assert await store.days() == [20_717, 20_718]


CHECKS: tuple[Check, ...] = (
    an_empty_store_knows_nothing,
    the_last_id_is_the_newest_by_number_not_by_text,
    a_batch_that_comes_again_adds_only_what_is_new,
    nothing_is_appended_by_an_empty_batch,
    advertisers_do_not_see_each_other,
    totals_are_by_pool_and_day,
    of_early_days_there_is_one_sum_a_pool,
    sums_are_exact_beyond_floats,
    corrections_count_but_are_no_notices,
    notices_are_asked_for_by_when_their_bid_was_made,
    lines_of_a_day_are_by_exchange_and_currency,
)
