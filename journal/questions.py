"""Questions to the journal: what is asked, whether it can be answered, and which columns the answer has."""

import datetime
import zoneinfo
from collections.abc import Mapping
from typing import Final

import msgspec

from core.errors import Fault, InputError
from journal.archive import HOUR_MS, MAX_REPORT_ROWS
from journal.figures import DIMENSIONS, MEASURES, SUMS, TIMES, expression, sums_of
from journal.rows import ANSWER

MAX_DAYS: Final = 800
# Outside of these days a time zone's offset, or the week before, would lead outside the range of dates.
FIRST_DAY: Final = datetime.date(1970, 1, 8)
LAST_DAY: Final = datetime.date(9998, 12, 31)
# The most values of a dimension that become columns: nobody reads a wider table.
MAX_PIVOTED: Final = 50
PIVOTED: Final = ":"
"""Separates the measure from the pivot's value in the name of a column."""


class ReportQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked. `since` and `until` are days in `timezone`, both included; `filters` name allowed values.

    `pivot` is a dimension whose values become columns. `sort` is a column, with `-` in front for descending order.
    Without a `currency` money is each advertiser's own. With `totals` the whole is added up as well.
    """

    measures: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    timezone: str = "UTC"
    filters: Mapping[str, tuple[str | int, ...]] = {}
    pivot: str = ""
    sort: str = ""
    limit: int = 1_000
    currency: str = ""
    totals: bool = False

    @property
    def told_by(self) -> tuple[str, ...]:
        """The dimensions that tell rows apart, with the pivot and the currency of money."""
        asked = (*self.dimensions, *((self.pivot,) if self.pivot else ()))
        own = () if self.currency or not has_money(self.measures) or "currency" in asked else ("currency",)
        return (*self.dimensions, *own, *((self.pivot,) if self.pivot else ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the answer before it is pivoted."""
        return (*self.told_by, *self.measures)


def has_money(measures: tuple[str, ...]) -> bool:
    """Whether any of the measures is an amount."""
    return any(SUMS[name].money for measure in measures for name in sums_of(measure))


def check(question: ReportQuestion, *, restricted: bool) -> None:
    """Raises InputError with every fault of a question; `restricted`: the caller may not see all advertisers."""
    faults = [
        Fault(f"/{name}/{at}", "unknown", f"there is no {one} '{value}'", "", known)
        for name, one, values, known in (
            ("measures", "measure", question.measures, MEASURES),
            ("dimensions", "dimension", question.dimensions, DIMENSIONS),
            ("pivot", "dimension", (question.pivot,) if question.pivot else (), DIMENSIONS),
            ("filters", "filter", tuple(question.filters), tuple(name for name in DIMENSIONS if name not in TIMES)),
        )
        for at, value in enumerate(values)
        if value not in known
    ]
    if not question.measures:
        faults.append(Fault("/measures", "empty", "name at least one measure", "", MEASURES))
    for name, values in (("measures", question.measures), ("dimensions", question.dimensions)):
        faults += [
            Fault(f"/{name}/{at}", "repeated", f"'{value}' is there already: take it out")
            for at, value in enumerate(values)
            if value in values[:at]
        ]
    for name, day in (("since", question.since), ("until", question.until)):
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            faults.append(Fault(f"/{name}", "range", f"is not between {FIRST_DAY} and {LAST_DAY}"))
    if question.pivot in question.dimensions:
        faults.append(Fault("/pivot", "repeated", "is a dimension already: take it out of the dimensions"))
    try:
        zoneinfo.ZoneInfo(question.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(Fault("/timezone", "unknown", "is no time zone", "a name such as Europe/Warsaw"))
    if not 1 <= question.limit <= MAX_REPORT_ROWS:
        faults.append(Fault("/limit", "range", f"is not between 1 and {MAX_REPORT_ROWS}"))
    faults += _impossible(question, restricted=restricted) if not faults else []
    if not faults:
        faults += _unsorted(question)
    if faults:
        raise InputError("the report cannot be made", faults=faults)


def _impossible(question: ReportQuestion, *, restricted: bool) -> list[Fault]:
    """Faults for measures that cannot be split or filtered as asked."""
    faults = []
    pivot = (question.pivot,) if question.pivot else ()
    for measure in question.measures:
        for kind in {SUMS[name].kind for name in sums_of(measure)}:
            if kind is ANSWER and restricted:
                faults.append(Fault("/measures", "not_yours", f"{measure} are not an advertiser's: leave them out"))
            faults += [
                Fault(
                    "/measures",
                    "not_split",
                    f"{measure} cannot be told by {name}",
                    parts={"measure": measure, "dimension": name},
                )
                for name in (*question.dimensions, *pivot, *question.filters)
                if name not in TIMES and expression(name, kind) is None
            ]
    since, until = question.since, question.until
    if since is not None and until is not None and not 0 <= (until - since).days <= MAX_DAYS:
        faults.append(Fault("/until", "range", f"is not within {MAX_DAYS} days after since"))
    return faults


def _unsorted(question: ReportQuestion) -> list[Fault]:
    """A fault for a sort by an unknown column. A pivoted report's columns of a measure are `spend:POL` and the like."""
    column = question.sort.removeprefix("-")
    known = question.columns
    if question.pivot:
        known = tuple(name for name in known if name != question.pivot)
        if column.partition(PIVOTED)[0] in question.measures and PIVOTED in column:
            return []
        known = tuple(name for name in known if name not in question.measures)
    return [] if not column or column in known else [Fault("/sort", "unknown", "is no column of the report", "", known)]


def span_of(question: ReportQuestion, now_ms: int) -> tuple[int, int]:
    """Unix milliseconds of the span: from the start of `since` to the end of `until` in the time zone.

    The last seven days without them. Raises InputError for a span that is too long.
    """
    zone = zoneinfo.ZoneInfo(question.timezone)
    today = datetime.datetime.fromtimestamp(now_ms / 1000, zone).date()
    until = question.until or today
    since = question.since or until - datetime.timedelta(days=6)
    since_ms, until_ms = _midnight(since, zone), _midnight(until + datetime.timedelta(days=1), zone)
    if not 0 <= (until_ms - since_ms) // (24 * HOUR_MS) <= MAX_DAYS:
        raise InputError("the report cannot be made", faults=[Fault("/since", "range", "is too far from until")])
    return since_ms, until_ms


def _midnight(day: datetime.date, zone: zoneinfo.ZoneInfo) -> int:
    return round(datetime.datetime.combine(day, datetime.time(), zone).timestamp() * 1000)
