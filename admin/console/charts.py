"""Charts: lines over time. A page draws each from its own table, which stands folded below the chart."""

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from admin.console.words import Words

# As many lines as can be told from each other by colour in both themes.
MAX_LINES: Final = 5
NOTHING: Final = "\u2013"
"""What stands where there is no value."""

DAY_S: Final = 86_400

_MIDNIGHT: Final = datetime.time(tzinfo=datetime.UTC)
_WIDTH, _HEIGHT = 96, 24

Cell = str | int | float | None


class ChartLine(msgspec.Struct, frozen=True):
    """A line: its name, and a value at each moment of the chart; None where there is none."""

    name: str
    values: Sequence[float | None]


class Chart(msgspec.Struct, frozen=True):
    """Lines over the same moments (unix seconds). `step` is what a moment stands for: hour, day, week or month."""

    key: str
    title: str
    moments: Sequence[int]
    lines: Sequence[ChartLine]
    step: str = "day"
    currency: str = ""
    is_share: bool = False
    zone: str = "UTC"
    """The time zone that hours are told in."""

    def shown(self, value: float | None, words: Words) -> str:
        """A value as the language writes it."""
        if value is None:
            return ""
        if self.currency:
            return words.money({"amount": str(round(Decimal(str(value)), 6)), "currency": self.currency})
        return words.percent(value) if self.is_share else words.number(round(value, 4))


def number_of(value: Cell) -> float | None:
    """A cell of a report as a number; amounts are decimal texts there."""
    if value is None or value == "":
        return None
    return float(value)


def moment_of(text: str) -> int:
    """Unix seconds of a report's time (hour with its offset, day, week or month), read as if it were UTC."""
    if len(text) == len("2026-11"):
        text += "-01"
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp())


def days_between(since: datetime.date, until: datetime.date, step_s: int = DAY_S) -> range:
    """Unix seconds of every step of the days from `since` to `until`, both included."""
    first, last = (round(datetime.datetime.combine(day, _MIDNIGHT).timestamp()) for day in (since, until))
    return range(first, last + DAY_S, step_s)


def pivoted(
    rows: Sequence[tuple[Cell, Cell, Cell]], moments: Sequence[int] = (), empty: float | None = None
) -> tuple[list[int], list[ChartLine]]:
    """(moments, lines) of rows (time, name, value): one line a name, the largest sums first.

    `moments` are there in any case, with `empty` where no row has them.
    """
    by_name: dict[str, dict[int, float | None]] = {}
    for time, name, value in rows:
        by_name.setdefault("" if name is None else str(name), {})[moment_of(str(time))] = number_of(value)
    every = sorted({*moments, *(moment for own in by_name.values() for moment in own)})
    sums: Mapping[str, float] = {name: sum(value or 0 for value in own.values()) for name, own in by_name.items()}
    first = sorted(by_name, key=lambda name: -sums[name])[:MAX_LINES]
    return every, [ChartLine(name, [by_name[name].get(moment, empty) for moment in every]) for name in first]


def spark(values: Sequence[float | None]) -> str:
    """The points of a small line without axes, in a box of 96 by 24; "" for fewer than two values."""
    known = [value or 0.0 for value in values]
    if len(known) < 2:
        return ""
    top = max(*known, 0.0) or 1.0
    step = (_WIDTH - 2) / (len(known) - 1)
    return " ".join(
        f"{1 + at * step:.1f},{_HEIGHT - 1 - (_HEIGHT - 2) * value / top:.1f}" for at, value in enumerate(known)
    )
