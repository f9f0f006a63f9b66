import pytest

from core.moments import duration_text, moment_text

NOON = 1_790_078_400  # 2026-09-22 12:00 UTC


@pytest.mark.parametrize(
    ("at_s", "text"),
    [
        (NOON, "12:00 UTC"),
        (NOON + 1, "12:01 UTC"),
        (NOON + 7_199, "14:00 UTC"),
        (NOON + 86_400, "2026-09-23 12:00 UTC"),
        (NOON + 12 * 3_600 - 1, "2026-09-23 00:00 UTC"),
    ],
)
def test_a_moment_is_said_to_the_minute_that_it_is_reached_in(at_s: int, text: str) -> None:
    assert moment_text(at_s, NOON) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (86_400, "24 h"), (2 * 86_400, "2 d"), (7 * 86_400, "7 d"), (36 * 3_600, "36 h"), (5_400, "90 min"),
        (45, "45 s"), (0, "0 s"), (3_601, "3601 s"),
    ],
)  # fmt: skip
def test_a_duration_is_exact_in_its_largest_unit(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text
