"""Reports in the words of the API: what is asked, and what is answered."""

import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from journal.archive import MAX_REPORT_ROWS
from journal.figures import ColumnForm
from journal.questions import ReportQuestion

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Value = Annotated[str, Meta(max_length=256)] | int
ReportForm = Literal["json", "csv", "parquet", "xlsx"]
Cell = str | int | float | None


class ReportRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A report. `since` and `until` are days in `timezone`, both included: the last seven days without them.

    `pivot` is a dimension whose values become columns, named such as `spend:POL`. `sort` is a column, with `-` in
    front for descending order. Money is in each advertiser's currency, and told by it, unless `currency` names one;
    then it is converted by the exchange rates of now. `totals` adds up the whole as well. With `names` files have the
    name of each object beside its id; JSON always has them.
    """

    measures: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=32)]
    dimensions: Annotated[tuple[Name, ...], Meta(max_length=8)] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    filters: dict[Name, Annotated[tuple[Value, ...], Meta(min_length=1, max_length=500)]] = {}
    pivot: Annotated[str, Meta(max_length=64)] = ""
    sort: Annotated[str, Meta(max_length=330)] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_REPORT_ROWS)] = 1_000
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$(?!\n)")] = ""
    totals: bool = False
    names: bool = False
    format: ReportForm = "json"

    def question(self) -> ReportQuestion:
        """What is asked of the journal."""
        return ReportQuestion(
            self.measures, self.dimensions, self.since, self.until, self.timezone,
            {name: tuple(values) for name, values in self.filters.items()}, self.pivot, self.sort, self.limit,
            self.currency, self.totals,
        )  # fmt: skip


class ReportAnswer(msgspec.Struct):
    """Rows in the order of `columns`, and how each column is to be read: text, id, count, money, ratio.

    Amounts are decimal texts; null where a measure divides by nothing. `names` are those of the objects whose ids
    occur. `row_count` is how many rows there would be without the limit. `totals` are rows for the whole.
    Everything that happened before `fresh_until` is in every figure; null where no journal has been stored yet.
    """

    columns: tuple[str, ...]
    forms: tuple[ColumnForm, ...]
    rows: list[tuple[Cell, ...]]
    totals: list[tuple[Cell, ...]]
    row_count: int
    names: dict[str, dict[str, str]]
    since: str
    until: str
    fresh_until: str | None


class ReportTerms(msgspec.Struct):
    """What reports can be asked for: dimensions, measures and how each measure is to be read."""

    dimensions: tuple[str, ...]
    measures: dict[str, ColumnForm]


REPORT_TYPES: Final = (ReportRequest, ReportAnswer, ReportTerms)

EXAMPLE: Final = {
    "dimensions": ["day", "advertiser"],
    "measures": ["impressions", "clicks", "spend", "cost_of_order", "roas"],
    "timezone": "Europe/Warsaw",
    "sort": "-spend",
}
