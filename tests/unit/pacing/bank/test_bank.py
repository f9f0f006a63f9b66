import datetime
import random

import msgspec
import pytest

from core.model import Budget, BudgetShare, Catalogue, Status
from pacing.bank.bank import BudgetBook, BudgetParts, calendar, joined
from pacing.budgets.pools import NO_LIMIT, Limit
from tests.kit.money import catalogue, line_item
from tests.kit.publishing import changed_catalogue
from tests.kit.random_bidding import random_catalogue


def budgets_of(present: Catalogue) -> dict[int, BudgetParts]:
    return {number: joined(parts) for number, parts in BudgetBook().update(present).items()}


def ms(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "ends", "next_ends"),
    [
        ("2026-11-22T12:00+01:00", "2026-11-23T00:00+01:00", "2026-11-24T00:00+01:00"),
        ("2026-11-22T00:00+01:00", "2026-11-23T00:00+01:00", "2026-11-24T00:00+01:00"),
        ("2026-11-22T23:59:59.999+01:00", "2026-11-23T00:00+01:00", "2026-11-24T00:00+01:00"),
        ("2026-10-25T12:00+01:00", "2026-10-26T00:00+01:00", "2026-10-27T00:00+01:00"),
        ("2026-10-24T12:00+02:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),  # 25 hours
        ("2026-03-28T12:00+01:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),  # 23 hours
    ],
)
def test_days_end_at_midnight_of_the_time_zone(now: str, ends: str, next_ends: str) -> None:
    days = calendar("Europe/Warsaw", ms(now))
    assert (days.ends_ms, days.next_ends_ms) == (ms(ends), ms(next_ends))
    assert days.next_day == days.day + 1


def test_days_are_counted_from_1970_in_the_time_zone() -> None:
    late = ms("2026-11-22T23:30+00:00")
    assert calendar("UTC", late).day + 1 == calendar("Europe/Warsaw", late).day
    assert calendar("UTC", 0).day == 0


def test_budgets_name_every_level_and_the_pools_that_may_lease() -> None:
    shares = (BudgetShare(segment_id=1, percent=25),)
    present = catalogue(
        line_item(daily_budget=Budget(micros=1_000), total_budget=Budget(impressions=40), budget_shares=shares),
        line_item(id=8, status=Status.PAUSED),
        balance_micros=5,
        total=Budget(micros=9),
    )
    levels, pools = budgets_of(present)[1]
    assert dict(levels) == {
        "a": Limit(5, -1), "c3": Limit(9, -1), "l7": Limit(-1, 40), "p7.0": Limit(-1, 30), "p7.1": Limit(-1, 10),
        "l8": NO_LIMIT, "p8.0": NO_LIMIT,
    }  # fmt: skip
    assert [(pool.key, pool.daily, pool.share_daily) for pool in pools] == [
        ((7, 0), Limit(1_000, -1), Limit(750, -1)),
        ((7, 1), Limit(1_000, -1), Limit(250, -1)),
    ]


def test_budgets_from_one_catalogue_to_the_next_are_those_of_each() -> None:
    for seed in range(30):
        chance, book = random.Random(seed), BudgetBook()
        present = random_catalogue(chance)
        for _ in range(5):
            budgets = {number: joined(parts) for number, parts in book.update(present).items()}
            assert budgets == budgets_of(present)
            present = changed_catalogue(chance, present)


def test_who_has_not_changed_keeps_the_same_budgets() -> None:
    book, present = BudgetBook(), random_catalogue(random.Random(1))
    before = book.update(present)
    other = msgspec.structs.replace(present.line_items[0], total_budget=Budget(micros=123_456))
    changed = msgspec.structs.replace(present, version=2, line_items=(other, *present.line_items[1:]))
    after = book.update(changed)
    assert {number for number in before if after[number] is not before[number]} == {other.advertiser_id}
