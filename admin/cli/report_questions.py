"""Options that a report is asked with, and the question that they make."""

import datetime
from typing import Annotated, Final

import typer

from admin.reports.documents import ReportForm, ReportRequest
from core.errors import InputError

BY: Final = ("day",)
MEASURES: Final = ("impressions", "clicks", "spend", "orders", "revenue", "cost_of_order", "roas")

ByOption = Annotated[list[str], typer.Option("--by", help="A dimension: day, advertiser, country, ...")]
MeasureOption = Annotated[list[str], typer.Option("--measure", help="A measure: spend, cpa, ...")]
OnlyOption = Annotated[
    list[str], typer.Option("--only", help="Rows of these values alone: country=POL,DEU.", show_default=False)
]
SinceOption = Annotated[str, typer.Option(help="First day, YYYY-MM-DD; six days before the last by default.")]
UntilOption = Annotated[str, typer.Option(help="Last day; today by default.")]
ZoneOption = Annotated[str, typer.Option(help="Whose days these are.")]
CurrencyOption = Annotated[str, typer.Option(help="Convert money to this one.")]
PivotOption = Annotated[str, typer.Option(help="A dimension whose values become columns.")]
SortOption = Annotated[str, typer.Option(help="A column; `-spend` for the most first.")]
LimitOption = Annotated[int, typer.Option(help="Rows at most.", min=1)]


def request_of(
    by: list[str],
    measure: list[str],
    only: list[str],
    days: tuple[str, str],
    timezone: str,
    currency: str,
    pivot: str,
    sort: str,
    limit: int,
    form: ReportForm = "json",
) -> ReportRequest:
    """The question. `days` are the first and the last, "" for those of the default. Raises InputError."""
    return ReportRequest(
        tuple(measure), tuple(by), _day(days[0], "--since"), _day(days[1], "--until"), timezone, _filters(only), pivot,
        sort, limit, currency, totals=bool(by), format=form,
    )  # fmt: skip


def _day(text: str, option: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option}: '{text}' is no day", hint="write it as 2026-11-29") from None


def _filters(only: list[str]) -> dict[str, tuple[str | int, ...]]:
    filters: dict[str, tuple[str | int, ...]] = {}
    for text in only:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"--only: '{text}' is no filter", hint="write it as country=POL,DEU")
        filters[name] = (*filters.get(name, ()), *values.split(","))
    return filters
