import pytest

from bidder.diagnosis.near_misses import clock_detail
from core.model import Targeting
from core.reasons import NoBid
from tests.kit.bidding import NOW_MS, TestBidder
from tests.kit.catalogues import catalogue, line_item

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "text"),
    [
        (NOW_MS + DAY_MS, None, "flight starts 2026-09-22 14:14 UTC"),
        (NOW_MS + 60_000, None, "flight starts 14:15 UTC"),
        (None, NOW_MS - 2 * DAY_MS, "flight ended 2026-09-19 14:14 UTC"),
    ],
)
def test_a_flight_says_when_it_starts_or_ended(start_ms: int | None, end_ms: int | None, text: str) -> None:
    bidder = TestBidder(catalogue(line_item(1, start_ms=start_ms, end_ms=end_ms)))
    assert clock_detail(NoBid.OUTSIDE_FLIGHT, bidder.snapshot.index, 0, NOW_MS) == text


@pytest.mark.parametrize(
    ("hours", "following"),
    [((17,), "Monday 17:00"), ((15,), "Monday 15:00"), ((30, 40), "Tuesday 06:00"), ((167,), "Sunday 23:00")],
)
def test_a_daypart_names_the_hour_and_the_next_targeted_one(hours: tuple[int, ...], following: str) -> None:
    bidder = TestBidder(catalogue(line_item(1, targeting=Targeting(hours_of_week=hours))))
    text = f"it is Monday 16:00 in Europe/Warsaw, next targeted {following}"
    assert clock_detail(NoBid.DAYPART, bidder.snapshot.index, 0, NOW_MS) == text


def test_other_reasons_have_no_clock() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    assert clock_detail(NoBid.FLOOR, bidder.snapshot.index, 0, NOW_MS) == ""
