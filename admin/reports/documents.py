"""Reports in the words of the API: what is asked, and what is answered."""

import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from journal.archive import MAX_REPORT_ROWS

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Value = Annotated[str, Meta(max_length=256)] | int
ReportForm = Literal["json", "csv", "parquet"]


class ReportRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A report. `since` and `until` are days in `timezone`, both included: the last seven days without them.

    `sort` is a column, with `-` in front for descending order. Money is in each advertiser's currency, and told by it,
    unless `currency` names one; then it is converted by the exchange rates of now.
    """

    measures: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=32)]
    dimensions: Annotated[tuple[Name, ...], Meta(max_length=8)] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    filters: dict[Name, Annotated[tuple[Value, ...], Meta(min_length=1, max_length=500)]] = {}
    sort: Annotated[str, Meta(max_length=65)] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_REPORT_ROWS)] = 1_000
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$(?!\n)")] = ""
    format: ReportForm = "json"


class ReportAnswer(msgspec.Struct):
    """Rows in the order of `columns`. Amounts are decimal texts; null where a measure divides by nothing.

    Everything that happened before `fresh_until` is in it; null where no journal has been stored yet.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str | int | float | None, ...]]
    since: str
    until: str
    fresh_until: str | None


REPORT_TYPES: Final = (ReportRequest, ReportAnswer)

EXAMPLE: Final = {
    "dimensions": ["day", "advertiser"],
    "measures": ["impressions", "clicks", "spend", "cost_of_order", "roas"],
    "timezone": "Europe/Warsaw",
    "sort": "-spend",
}
