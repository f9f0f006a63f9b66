"""What is told of budgets and flights, and when nobody is told anything."""

import datetime
import zoneinfo

import pytest

from admin.reports.notifying import budget_notes, flight_notes, loud_ms
from core.config import MailSettings
from core.model import Budget, Campaign, Status

DAY_MS = 86_400_000


@pytest.mark.parametrize(("spent", "mark"), [(0, None), (79, None), (80, "80"), (99, "80"), (100, "100"), (120, "100")])
def test_a_budget_is_told_at_its_marks(spent: int, mark: str | None) -> None:
    campaign = Campaign(id=3, advertiser_id=1, name="Winter", total_budget=Budget(micros=100))
    notes = budget_notes(campaign, {"campaign 3": spent}, "PLN")
    assert [note.once.rpartition(":")[2] for note in notes] == ([mark] if mark else [])


def test_a_budget_that_is_raised_is_told_again() -> None:
    told = set()
    for budget in (1_000, 1_100):
        campaign = Campaign(id=3, advertiser_id=1, name="x", total_budget=Budget(micros=budget))
        told.add(budget_notes(campaign, {"campaign 3": 900}, "")[0].once)
    assert len(told) == 2
    assert budget_notes(Campaign(id=3, advertiser_id=1, name="x"), {"campaign 3": 900}, "") == []


@pytest.mark.parametrize(("days", "status", "told"), [
    (1, Status.ACTIVE, True), (4, Status.ACTIVE, False), (-1, Status.ACTIVE, False), (1, Status.PAUSED, False),
])  # fmt: skip
def test_the_end_of_a_flight_is_told_some_days_before(days: int, status: Status, told: bool) -> None:
    campaign = Campaign(id=3, advertiser_id=1, name="x", end_ms=10 * DAY_MS + days * DAY_MS, status=status)
    assert bool(flight_notes(campaign, 10 * DAY_MS)) is told


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ("2026-11-30T12:00", "2026-11-30T12:00"),
        ("2026-11-30T20:59", "2026-11-30T20:59"),
        ("2026-11-30T21:00", "2026-12-01T07:00"),
        ("2026-12-01T03:00", "2026-12-01T07:00"),
        ("2026-12-01T07:00", "2026-12-01T07:00"),
    ],
)
def test_nobody_is_told_in_quiet_hours_of_the_time_zone(now: str, told: str) -> None:
    zone = zoneinfo.ZoneInfo("Europe/Warsaw")
    moments = [
        round(datetime.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000) for text in (now, told)
    ]
    assert loud_ms(moments[0], "Europe/Warsaw", MailSettings()) == moments[1]
    assert loud_ms(moments[0], "Europe/Warsaw", MailSettings(quiet_from=5, quiet_until=5)) == moments[0]
