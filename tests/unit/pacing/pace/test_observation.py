import struct

import numpy as np
import pytest

from core.model import Advertiser, Budget, Campaign, Catalogue, LineItem
from pacing.ledger.rows import PriceSource, RowHead, RowKind, encode_head
from pacing.pace.messages import DEMAND, Demand, encode_demand
from pacing.pace.observation import FIRST_DELAY_S, REPORT_LIFE_MS, DelayMeter, DemandMeter, LevelReader
from pacing.pace.plan import PacingPlan

NOW_MS = 1_790_000_000_000
DAY = NOW_MS // 86_400_000


def line(number: int, advertiser: int = 1, **changes: object) -> LineItem:
    values: dict[str, object] = {"id": number, "advertiser_id": advertiser, "campaign_id": advertiser, "name": "l"}
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


def plan(*lines: LineItem) -> PacingPlan:
    return PacingPlan(
        Catalogue(
            version=1,
            published_ms=0,
            advertisers=(Advertiser(id=2, name="b", timezone="UTC"), Advertiser(id=1, name="a", timezone="UTC")),
            campaigns=(Campaign(id=1, advertiser_id=1, name="c"), Campaign(id=2, advertiser_id=2, name="c")),
            line_items=lines,
        )
    )


def level(micros: int, impressions: int) -> bytes:
    return struct.pack("<10q", 0, micros, 0, 0, 0, 0, impressions, 0, 0, 0)


def report(
    *pools: tuple[int, int, int, int, int], auctions: int = 0, now_ms: int = NOW_MS, process: bytes = b"p"
) -> list[bytes]:
    return [process, encode_demand(Demand(now_ms, auctions, np.array(list(pools), DEMAND)))]


def test_levels_are_read_by_advertiser_and_put_back_in_the_plans_order() -> None:
    both = plan(line(7, daily_budget=Budget(micros=5, impressions=6)), line(8, 2, daily_budget=Budget(micros=9)))
    reader = LevelReader(both)
    commands = reader.commands(both.period(NOW_MS).day)
    assert [(command[0], command[1], command[2:]) for command in commands] == [
        ("HMGET", "{a:1}:levels", (f"d7@{DAY}", f"d7@{DAY}", "p7.0")),
        ("HMGET", "{a:2}:levels", (f"d8@{DAY}", "p8.0")),
    ]
    spent = reader.spent([[level(3, 4), level(3, 4), level(30, 40)], [None, level(50, 60)]])
    assert spent.rows.tolist() == [3, 4, 0]
    assert spent.pools.tolist() == [[30, 50], [40, 60]]


def test_a_new_day_reads_other_levels() -> None:
    one = plan(line(7, daily_budget=Budget(micros=5)))
    reader = LevelReader(one)
    first = reader.commands(one.period(NOW_MS).day)
    assert reader.commands(one.period(NOW_MS + 1_000).day) is first
    assert reader.commands(one.period(NOW_MS + 86_400_000).day)[0][2] == f"d7@{DAY + 1}"


def test_many_levels_are_read_in_parts() -> None:
    many = plan(*(line(number, daily_budget=Budget(micros=5)) for number in range(1, 401)))
    reader = LevelReader(many)
    commands = reader.commands(many.period(NOW_MS).day)
    assert [len(command) - 2 for command in commands] == [500, 300]
    names = [str(name) for command in commands for name in command[2:]]
    levels = [level(int(name[1:].split("@")[0].split(".")[0]), 0) for name in names]
    replies = [levels[:500], levels[500:]]
    assert reader.spent(replies).rows.tolist() == list(range(1, 401))


def test_demand_is_the_growth_of_every_process_since_the_last_look() -> None:
    one, meter = plan(line(7), line(8)), DemandMeter()
    first, _ = meter.observe(report((7, 0, 100, 5_000, 5), auctions=50), one, NOW_MS)
    assert (first.auctions, first.scored.tolist()) == (0.0, [0.0, 0.0])
    both = [
        *report((7, 0, 130, 6_000, 7), (8, 0, 4, 9, 1), auctions=60),
        *report((8, 0, 10, 100, 2), auctions=5, process=b"q"),
    ]
    bids, dead = meter.observe(both, one, NOW_MS)
    assert (bids.auctions, bids.scored.tolist()) == (15.0, [30.0, 14.0])
    assert bids.reserved.tolist() == [[1_000.0, 109.0], [2.0, 3.0]]
    assert dead == []
    repeated, _ = meter.observe(both, one, NOW_MS)
    assert (repeated.auctions, repeated.scored.sum(), repeated.reserved.sum()) == (0.0, 0.0, 0.0)


def test_a_total_that_began_anew_counts_from_zero() -> None:
    one, meter = plan(line(7)), DemandMeter()
    meter.observe(report((7, 0, 100, 5_000, 5)), one, NOW_MS)
    bids, _ = meter.observe(report((7, 0, 10, 200, 1)), one, NOW_MS)
    assert (bids.scored[0], bids.reserved[0, 0]) == (10.0, 200.0)


def test_pools_that_are_not_paced_any_more_are_left_out() -> None:
    meter = DemandMeter()
    meter.observe([], plan(line(7)), NOW_MS)
    bids, _ = meter.observe(report((9, 0, 10, 200, 1)), plan(line(7)), NOW_MS)
    assert bids.scored.tolist() == [0.0]


def test_reports_of_dead_processes_and_of_other_versions_are_removed() -> None:
    meter, one = DemandMeter(), plan(line(7))
    meter.observe(report((7, 0, 1, 1, 1)), one, NOW_MS)
    stale = [*report((7, 0, 5, 5, 5)), b"other", b"version"]
    bids, dead = meter.observe(stale, one, NOW_MS + REPORT_LIFE_MS + 1)
    assert (bids.scored.tolist(), sorted(dead)) == ([0.0], [b"other", b"p"])


def entry(number: int, settled_ms: int, issued_s: int) -> list[object]:
    head = RowHead(
        RowKind.BILL, "00", 1, 7, 0, DAY, 1, 1, 1, issued_s, "PLN", "PLN", 1, 1, PriceSource.REPORTED
    )  # fmt: skip
    fields = {"row": encode_head(head), "at": settled_ms, "price": 1, "charge": 1, "late": 0, "over": 0, "house": 0}
    flat = [item for name, value in {**fields, "impressions": 1}.items() for item in (name, value)]
    return [f"{number}-0".encode(), [item if isinstance(item, bytes) else str(item).encode() for item in flat]]


def test_the_delay_of_bills_is_averaged_over_new_rows() -> None:
    meter = DelayMeter()
    assert meter.delays([1, 2]).tolist() == [FIRST_DELAY_S, FIRST_DELAY_S]
    for number in range(200):
        meter.observe(1, [entry(number, 60_500 + 1_000 * number, number)])
    assert meter.delays([1, 2]).tolist() == pytest.approx([60.0, FIRST_DELAY_S], rel=0.01)
    for _ in range(50):
        meter.observe(1, [entry(199, 500_000_000, 1)])
    assert meter.delays([1])[0] == pytest.approx(60.0, rel=0.01)  # the same row is no news


def test_a_row_that_is_not_understood_is_left_out() -> None:
    meter = DelayMeter()
    meter.observe(1, [[b"5-0", [b"row", b"\xc1", b"at", b"1"]], [b"4-0", [b"mark", b"1"]]])
    assert meter.delays([1]).tolist() == [FIRST_DELAY_S]
