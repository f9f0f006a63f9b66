import datetime
import zoneinfo

import numpy as np
import pytest

from core.model import Advertiser, Budget, BudgetShare, Campaign, Catalogue, LineItem, Pacing, Targeting
from pacing.budgets.pools import pool_number
from pacing.pace.day_curve import BINS
from pacing.pace.plan import PacingPlan
from pacing.pace.rows import FAR_MS

HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000  # 2026-09-21 13:33:20 UTC


def plan(
    *lines: LineItem, campaign_budget: Budget | None = None, timezone: str = "UTC", end_ms: int | None = None
) -> PacingPlan:
    return PacingPlan(
        Catalogue(
            version=1,
            published_ms=0,
            advertisers=(Advertiser(id=1, name="a", timezone=timezone),),
            campaigns=(
                Campaign(id=3, advertiser_id=1, name="c", total_budget=campaign_budget or Budget(), end_ms=end_ms),
            ),
            line_items=lines,
        )
    )


def line(**changes: object) -> LineItem:
    values: dict[str, object] = {"id": 7, "advertiser_id": 1, "campaign_id": 3, "name": "l", "max_cpm_micros": 10**7}
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


def names(compiled: PacingPlan) -> list[str]:
    return compiled.rows.names()


def ms(text: str, timezone: str = "UTC") -> int:
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(timezone)).timestamp() * 1000)


def test_a_pool_without_a_budget_has_no_row() -> None:
    compiled = plan(line())
    assert (names(compiled), compiled.rows_of_pool.tolist()) == ([], [[-1]])


def test_money_and_impressions_are_rows_of_their_own() -> None:
    compiled = plan(line(daily_budget=Budget(micros=5, impressions=9)))
    assert (names(compiled), compiled.budget.tolist(), compiled.unit.tolist()) == (["d7", "d7i"], [5, 9], [0, 1])
    assert compiled.rows_of_pool.tolist() == [[0, 1]]


def test_as_soon_as_possible_is_not_paced() -> None:
    compiled = plan(line(daily_budget=Budget(micros=5), pacing=Pacing.ASAP), campaign_budget=Budget(micros=9), end_ms=9)
    assert names(compiled) == []


def test_a_total_budget_is_paced_against_the_end_of_its_flight() -> None:
    assert names(plan(line(total_budget=Budget(micros=5)))) == []
    compiled = plan(line(total_budget=Budget(micros=5), start_ms=100, end_ms=NOW_MS))
    period = compiled.period(200)
    assert (names(compiled), period.starts_ms.tolist(), period.ends_ms.tolist()) == (["l7"], [100], [NOW_MS])
    assert compiled.level_names(period.day) == ["l7"]


def test_the_campaign_ends_the_flight_of_its_line_items() -> None:
    compiled = plan(line(total_budget=Budget(micros=5), end_ms=NOW_MS + 9), end_ms=NOW_MS)
    assert compiled.period(200).ends_ms.tolist() == [NOW_MS]


def test_a_campaign_budget_is_one_row_over_all_its_line_items() -> None:
    lines = (line(daily_budget=Budget(micros=5)), line(id=8))
    compiled = plan(*lines, campaign_budget=Budget(micros=9), end_ms=NOW_MS)
    assert (names(compiled), compiled.rows_of_pool.tolist()) == (["d7", "c3"], [[0, 1], [1, -1]])


def test_a_campaign_without_an_end_ends_with_the_last_of_its_line_items() -> None:
    ends = (line(end_ms=NOW_MS), line(id=8, end_ms=NOW_MS + 5))
    assert plan(*ends, campaign_budget=Budget(micros=9)).period(NOW_MS).ends_ms.tolist() == [NOW_MS + 5]
    assert names(plan(*ends, line(id=9), campaign_budget=Budget(micros=9))) == []


def test_shares_have_rows_of_their_own_beside_the_whole() -> None:
    shares = (BudgetShare(segment_id=1, percent=20),)
    compiled = plan(line(daily_budget=Budget(micros=1_000), budget_shares=shares))
    assert names(compiled) == ["d7", "q7.0", "q7.1"]
    assert compiled.budget.tolist() == [1_000, 800, 200]
    assert compiled.rows_of_pool.tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize(
    ("date", "hours"), [("2026-03-29T12:00", 23), ("2026-10-25T12:00", 25), ("2026-06-01T12:00", 24)]
)
def test_a_day_is_as_long_as_the_advertisers_clocks_make_it(date: str, hours: int) -> None:
    compiled = plan(line(daily_budget=Budget(micros=5)), timezone="Europe/Warsaw")
    period = compiled.period(ms(date, "Europe/Warsaw"))
    assert period.ends_ms[0] - period.starts_ms[0] == hours * HOUR_MS
    assert compiled.level_names(period.day) == [f"d7@{datetime.date.fromisoformat(date[:10]).toordinal() - 719_163}"]
    curves, pattern = compiled.curves(np.ones(BINS), NOW_MS)
    after = curves.share(pattern, period.starts_ms, int(period.starts_ms[0]) + HOUR_MS, period.ends_ms)
    assert after[0] == pytest.approx(1 / hours)


def test_a_day_on_which_the_flight_begins_and_ends_is_cut_to_it() -> None:
    starts, ends = ms("2026-09-21T10:00"), ms("2026-09-21T18:00")
    period = plan(line(daily_budget=Budget(micros=5), start_ms=starts, end_ms=ends)).period(NOW_MS)
    assert (period.starts_ms[0], period.ends_ms[0]) == (starts, ends)


def test_only_its_own_hours_count_for_a_line_item() -> None:
    compiled = plan(
        line(daily_budget=Budget(micros=5), targeting=Targeting(hours_of_week=(14, 15))),
        line(id=8, daily_budget=Budget(micros=5)),
    )
    curves, pattern = compiled.curves(np.ones(BINS), NOW_MS)
    period = compiled.period(NOW_MS)
    shares = curves.share(pattern, period.starts_ms, ms("2026-09-21T15:00"), period.ends_ms)
    assert shares.tolist() == pytest.approx([0.5, 15 / 24])


def test_positions_are_found_by_pool_number() -> None:
    compiled = plan(line(id=9), line(id=7), line(id=8))
    assert compiled.pools.find(pool_number([8, 9, 5, 7], [0, 0, 0, 1])).tolist() == [2, 0, -1, -1]
    assert plan().pools.find(pool_number([8], [0])).tolist() == [-1]


def test_a_day_of_an_advertiser_is_numbered_in_its_own_zone() -> None:
    day, age_s = plan(timezone="Europe/Warsaw").day(1, ms("2026-09-21T22:30"))
    assert (day, age_s) == (datetime.date(2026, 9, 22).toordinal() - 719_163, 1_800)


def test_a_far_end_is_a_number_that_the_curves_can_count_to() -> None:
    curves, _ = plan().curves(np.ones(BINS), NOW_MS)
    zero = np.zeros(1, np.int64)
    assert np.isfinite(curves.between(zero, zero, np.array([FAR_MS]))).all()
