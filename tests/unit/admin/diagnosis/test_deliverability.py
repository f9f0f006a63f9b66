from collections.abc import Mapping

import msgspec

from admin.diagnosis.budgets import Levels
from admin.diagnosis.deliverability import LEAST_JUDGED, Scene, examine
from admin.diagnosis.findings import Severity
from admin.diagnosis.funnels import Window, window_of
from core.model import Budget, BudgetShare, Campaign, Catalogue, LineItem, Status, Targeting
from pacing.bank.bank import calendar
from pacing.budgets.levels import Amounts, Level
from tests.kit.catalogues import catalogue, line_item

NOW_MS = 1_790_000_000_000  # Monday 2026-09-21 16:13 in Warsaw
DAY = calendar("Europe/Warsaw", NOW_MS).day
UNLIMITED = Level(Amounts(-1, 0, 0, 0, 0), Amounts(-1, 0, 0, 0, 0))
ENTERED: Levels = {"a": UNLIMITED, "c1": UNLIMITED, "l1": UNLIMITED}
DELIVERING = window_of({"seen": 100, "bids": 30}, {"wins": 9, "impressions": 8, "spend_micros": 1_250_000})


def level(budget: int, spent: int) -> Level:
    return Level(Amounts(budget, spent, 0, budget - spent, 0), Amounts(-1, 0, 0, 0, 0))


def stops(
    value: LineItem,
    *,
    levels: Levels = ENTERED,
    window: Window | None = DELIVERING,
    sizes: Mapping[int, int] | None = None,
    around: Catalogue | None = None,
) -> list[str]:
    windows = {} if window is None else {value.id: window}
    scene = Scene.of(around or catalogue(value), {1: levels}, sizes or {}, windows, NOW_MS)
    return [finding.text for finding in examine(value, scene) if finding.severity is Severity.STOP]


def test_a_line_item_that_delivers_is_not_stopped() -> None:
    assert stops(line_item(1)) == []


def test_whoever_is_paused_is_named() -> None:
    assert stops(line_item(1, status=Status.PAUSED)) == ["the line item is paused"]
    campaign = Campaign(id=1, advertiser_id=1, name="c", status=Status.PAUSED)
    value = line_item(1)
    assert stops(value, around=catalogue(value, campaigns=(campaign,))) == ["the campaign does not bid"]


def test_a_spent_budget_is_named_and_a_tight_one_is_not() -> None:
    value = line_item(1, daily_budget=Budget(micros=100_000_000))
    spent = {**ENTERED, f"d1@{DAY}": level(100_000_000, 100_000_000)}
    assert stops(value, levels=spent) == ["nothing is left to spend: line item daily budget 100.00 of 100.00 PLN spent"]
    assert stops(value, levels={**ENTERED, f"d1@{DAY}": level(100_000_000, 99_000_000)}) == []
    assert stops(value, levels={**ENTERED, f"d1@{DAY - 1}": level(100_000_000, 100_000_000)}) == [], "of yesterday"


def test_a_share_that_is_spent_stops_only_itself() -> None:
    value = line_item(1, total_budget=Budget(micros=100_000_000), budget_shares=(BudgetShare(10, 20),))
    levels = {**ENTERED, "p1.1": level(20_000_000, 20_000_000)}
    assert stops(value, levels=levels) == []
    both = {**levels, "p1.0": level(80_000_000, 80_000_000)}
    assert len(stops(value, levels=both)) == 1


def test_budgets_that_nobody_entered_point_at_the_worker() -> None:
    assert stops(line_item(1), levels={}) == ["its budgets are not in Redis, so no bidder gets money for it"]


def test_an_audience_of_nobody_stops_unless_another_has_somebody() -> None:
    value = line_item(1, targeting=Targeting(segments_any=(10, 11)))
    assert stops(value, sizes={10: 0, 11: 0}) == [
        "nobody is in its audience now: segment 10 has 0 users, segment 11 has 0 users"
    ]
    assert stops(value, sizes={10: 0, 11: 5}) == []
    every = line_item(1, targeting=Targeting(segments_all=(10, 11)))
    assert stops(every, sizes={10: 0, 11: 5}) == ["nobody is in its audience now: segment 10 has 0 users"]


def test_who_has_bought_leaves_a_line_item_that_waits_and_is_not_broken() -> None:
    value = line_item(1, targeting=Targeting(segments_all=(10,)))
    scene = Scene.of(catalogue(value), {1: ENTERED}, {10: 0}, {}, NOW_MS)
    waiting = [one for one in examine(value, scene) if one.severity is Severity.STOP]
    assert [(one.area, one.is_waiting) for one in waiting] == [("audience", True)]
    assert "as buyers do" in waiting[0].advice
    broken = examine(value, Scene.of(catalogue(value), {}, {10: 0}, {}, NOW_MS))
    assert [one.area for one in broken if one.severity is Severity.STOP] == ["budget", "audience"], "what to mend first"


def test_a_line_item_that_has_just_begun_is_not_told_that_an_hour_went_by_without_it() -> None:
    scene = Scene.of(catalogue(line_item(1)), {1: ENTERED}, {}, {}, NOW_MS)
    texts = [one.text for one in examine(line_item(1), scene) if one.severity is Severity.NOTE]
    assert "no impression was offered to it in the last hour, or since it began" in texts


def test_impressions_for_people_outside_of_its_audience_are_a_note() -> None:
    window = window_of({"seen": 40, "segment": 40, "floor": 3}, {})
    assert stops(line_item(1), window=window) == []
    assert "no bid: none of 40 impressions was for somebody in its audience" in found(window, Severity.NOTE)
    both = window_of({"seen": 40, "segment": 40, "size": 40}, {})
    assert len(stops(line_item(1), window=both)) == 2


def test_hours_of_the_week_are_looked_at_in_the_advertisers_time() -> None:
    assert stops(line_item(1, targeting=Targeting(hours_of_week=(16,)))) == []
    (text,) = stops(line_item(1, targeting=Targeting(hours_of_week=(14,))))
    assert text == "now (Monday 16:00 in Europe/Warsaw) is outside its hours of the week"


def test_a_size_that_no_creative_has_is_said_with_those_that_there_are() -> None:
    window = window_of({"seen": 40, "size": 40, "floor": 3}, {})
    assert stops(line_item(1), window=window) == [
        "no bid: on 40 of 40 impressions no creative fits the offered size (there is 300x250)"
    ]


def test_without_a_reason_that_is_everywhere_the_most_frequent_are_said() -> None:
    window = window_of({"seen": 40, "country": 30, "segment": 20, "floor": 2, "size": 1}, {})
    texts = stops(line_item(1), window=window)
    assert [text.partition(" of ")[0] for text in texts] == ["no bid: on 30", "no bid: on 20", "no bid: on 2"]


def test_reasons_of_money_and_status_are_not_said_twice() -> None:
    window = window_of({"seen": 40, "no_lease": 40, "floor": 3}, {})
    value = line_item(1, daily_budget=Budget(micros=100_000_000))
    spent = {**ENTERED, f"d1@{DAY}": level(100_000_000, 100_000_000)}
    assert len(stops(value, levels=spent, window=window)) == 1


def test_bids_that_never_win_and_silence_are_notes() -> None:
    lost = window_of({"seen": 40, "bids": 40}, {"loss.102": 40})
    assert stops(line_item(1), window=lost) == []
    assert stops(line_item(1), window=None) == []


def test_a_line_item_without_an_active_creative_is_stopped() -> None:
    value = line_item(1)
    base = catalogue(value)
    paused = tuple(msgspec.structs.replace(ad, status=Status.PAUSED) for ad in base.creatives)
    texts = stops(value, around=catalogue(value, creatives=paused))
    assert texts == ["no creative is active: no size can be filled"]


def found(window: Window, severity: Severity) -> list[str]:
    value = line_item(1)
    scene = Scene.of(catalogue(value), {1: ENTERED}, {}, {1: window}, NOW_MS)
    return [one.text for one in examine(value, scene) if one.severity is severity]


def test_losing_to_our_own_better_line_item_is_a_note() -> None:
    window = window_of({"seen": 400, "outranked": 10, "floor": 390, "country": 5}, {})
    assert stops(line_item(1), window=window) == []
    assert "no bid on 400 impressions: where it fits, another of our line items pays more" in found(
        window, Severity.NOTE
    )


def test_a_few_impressions_are_no_ground_to_judge_by() -> None:
    few = window_of({"seen": LEAST_JUDGED - 1, "country": LEAST_JUDGED - 1}, {})
    assert stops(line_item(1), window=few) == []
    assert len(found(few, Severity.NOTE)) == 1
    assert stops(line_item(1), window=window_of({"seen": LEAST_JUDGED, "country": LEAST_JUDGED}, {}))


def test_a_finding_names_its_line_item() -> None:
    value = line_item(1, name="Carts", status=Status.PAUSED)
    scene = Scene.of(catalogue(value), {1: ENTERED}, {}, {}, NOW_MS)
    assert examine(value, scene)[0].where == "line item 1 'Carts', line item"
