"""Times and durations as people read them in explanations; the machine's form is always a number."""

import datetime
from typing import Final

DAY_S: Final = 86_400

# (seconds, sign, least duration told so). Up to two days are told in hours, as caps are ("3 in 24 h").
_UNITS: Final = ((DAY_S, "d", 2 * DAY_S), (3_600, "h", 3_600), (60, "min", 60), (1, "s", 0))


def utc_day(now_ms: int) -> datetime.date:
    """The UTC day of a moment in milliseconds."""
    return datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).date()


def moment_text(at_s: int, now_s: int) -> str:
    """`14:00 UTC` on the UTC day of `now_s`, `2026-12-01 14:00 UTC` on others; the minute is rounded up.

    Rounded up, so that whatever is promised for a time is true at it.
    """
    at = datetime.datetime.fromtimestamp(-(-at_s // 60) * 60, datetime.UTC)
    today = at.date() == datetime.datetime.fromtimestamp(now_s, datetime.UTC).date()
    return at.strftime("%H:%M UTC" if today else "%Y-%m-%d %H:%M UTC")


def duration_text(seconds: int) -> str:
    """`24 h`, `7 d`, `90 min`, `45 s`: exact, in the largest unit that divides it."""
    return next(f"{seconds // size} {unit}" for size, unit, least in _UNITS if seconds % size == 0 and seconds >= least)
