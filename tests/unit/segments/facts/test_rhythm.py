import datetime

import pytest

from segments.facts.facts import DAY_S, Entry, Facts, Order, Product
from segments.facts.rhythm import next_at_hour, usual_hour, visit_starts

WARSAW = "Europe/Warsaw"


def at(day: int, hour: int, minute: int = 0) -> int:
    """Unix seconds in Warsaw's summer, two hours ahead of UTC."""
    return int(datetime.datetime(2026, 6, day, hour - 2, minute, tzinfo=datetime.UTC).timestamp())


NOW_S = at(20, 12)


def visitor(*starts: int) -> Facts:
    return Facts(entries=[Entry(start) for start in starts])


def test_visits_are_told_by_everything_with_a_time() -> None:
    facts = visitor(at(1, 9))
    facts.products = [Product("a", seen_s=at(1, 9, 20)), Product("b", seen_s=at(2, 21))]
    facts.orders = [Order(1, at(2, 21, 25))]
    facts.events = {"view_item": at(3, 7)}
    assert visit_starts(facts) == [at(1, 9), at(2, 21), at(3, 7)]


def test_somebody_who_always_comes_in_the_evening() -> None:
    found = usual_hour(visitor(*(at(day, 20, day) for day in range(1, 7))), WARSAW, NOW_S)
    assert found is not None
    assert (found.hour, found.minute, found.visits) == (20, 4, 6)
    assert found.confidence == pytest.approx(6 / 9, abs=0.001)


def test_one_visit_says_little() -> None:
    found = usual_hour(visitor(at(1, 8)), WARSAW, NOW_S)
    assert found is not None
    assert (found.hour, found.confidence) == (8, 0.25)


def test_hours_without_a_habit_have_little_confidence() -> None:
    found = usual_hour(visitor(at(1, 3), at(2, 7), at(3, 11), at(4, 15), at(5, 19), at(6, 23)), WARSAW, NOW_S)
    assert found is not None
    assert found.confidence < 0.2


def test_around_midnight_is_one_habit() -> None:
    found = usual_hour(visitor(at(1, 23, 50), at(4, 2) - 7_200, at(5, 23, 55), at(8, 2) - 7_000), WARSAW, NOW_S)
    assert found is not None
    assert found.hour in (23, 0)
    assert found.confidence > 0.5


def test_a_newer_habit_wins() -> None:
    old = [at(1, 8) - DAY_S * ago for ago in (200, 190, 180)]
    found = usual_hour(visitor(*old, at(10, 21), at(11, 21)), WARSAW, NOW_S)
    assert found is not None
    assert found.hour == 21


def test_nobody_has_no_hour() -> None:
    assert usual_hour(Facts(), WARSAW, NOW_S) is None


def test_the_next_time_at_an_hour() -> None:
    assert next_at_hour(20, WARSAW, at(5, 9)) == at(5, 20)
    assert next_at_hour(20, WARSAW, at(5, 20, 15)) == at(5, 20, 15)
    assert next_at_hour(8, WARSAW, at(5, 9)) == at(6, 8)
    assert next_at_hour(20, WARSAW, at(5, 20, 15), 40) == at(5, 20, 40)
    assert next_at_hour(20, WARSAW, at(5, 20, 45), 40) == at(5, 20, 45)
    assert next_at_hour(20, WARSAW, at(5, 21), 40) == at(6, 20, 40)
