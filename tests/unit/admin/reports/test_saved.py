"""When scheduled reports are sent, and which days they are about."""

import datetime
import zoneinfo

import pytest

from admin.reports.documents import ReportRequest
from admin.reports.saved import ReportDraft, ReportSchedule, next_moment, span_before


def moment(text: str, zone: str = "UTC") -> int:
    at = datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return round(at.timestamp() * 1000)


@pytest.mark.parametrize(
    ("every", "after", "zone", "expected"),
    [
        ("day", "2026-11-30T06:59", "UTC", "2026-11-30T07:00"),
        ("day", "2026-11-30T07:00", "UTC", "2026-12-01T07:00"),
        ("day", "2026-10-24T12:00", "Europe/Warsaw", "2026-10-25T07:00"),  # the night in which clocks go back
        ("day", "2026-03-28T12:00", "Asia/Kolkata", "2026-03-29T07:00"),
        ("week", "2026-11-30T08:00", "UTC", "2026-12-07T07:00"),
        ("month", "2026-11-01T06:00", "UTC", "2026-11-01T07:00"),
        ("month", "2026-11-01T08:00", "UTC", "2026-12-01T07:00"),
    ],
)
def test_reports_come_at_their_hour_of_the_time_zone(every: str, after: str, zone: str, expected: str) -> None:
    request = ReportRequest(("spend",), timezone=zone)
    draft = ReportDraft("x", request, 1, ReportSchedule(every, "file"))  # type: ignore[arg-type]
    assert next_moment(draft, moment(after, zone)) == moment(expected, zone)
    assert next_moment(ReportDraft("x", request, 1), 0) is None


@pytest.mark.parametrize(
    ("every", "since", "until"),
    [("day", "2026-11-30", "2026-11-30"), ("week", "2026-11-24", "2026-11-30"), ("month", "2026-11-01", "2026-11-30")],
)
def test_a_report_is_about_what_is_over(every: str, since: str, until: str) -> None:
    found = span_before(every, moment("2026-12-01T07:00"), "UTC")
    assert [day.isoformat() for day in found] == [since, until]
