"""Reports: figures by dimensions over days, as a chart, a table, a file. The address of a report is the report."""

import datetime
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.api.problem import Problem, problem_of, status_of
from admin.console.browser import Visitor
from admin.console.charts import DAY_S, NOTHING, Cell, Chart, days_between, moment_of, pivoted
from admin.console.fields import N_
from admin.console.rendering import HEADERS, page
from admin.console.words import Words
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportAnswer, ReportForm, ReportRequest
from admin.store.model import Scope
from admin.validation.decode import decode
from core.clock import Clock
from core.errors import GroszError, InputError
from journal.figures import IDS, TIMES, ColumnForm
from journal.questions import PIVOTED

DIMENSIONS: Final[Mapping[str, str]] = {
    "hour": N_("Hour"), "day": N_("Day"), "week": N_("Week"), "month": N_("Month"), "advertiser": N_("Advertiser"),
    "campaign": N_("Campaign"), "line_item": N_("Line item"), "creative": N_("Creative"), "exchange": N_("Exchange"),
    "product": N_("Product"), "segment": N_("Segment"), "cart_tier": N_("Value of the cart"), "format": N_("Format"),
    "size": N_("Size"), "placement": N_("Placement"), "deal": N_("Deal"), "seat": N_("Seat"), "domain": N_("Site"),
    "app": N_("App"), "publisher": N_("Publisher"), "country": N_("Country"), "region": N_("Region"),
    "city": N_("City"), "device": N_("Device"), "os": N_("Operating system"), "browser": N_("Browser"),
    "auction": N_("Kind of auction"), "reason": N_("Reason without a bid"), "loss_code": N_("Loss code"),
    "invalid": N_("Why a click does not count"), "credit": N_("Credited to"), "buyer": N_("New or returning buyer"),
    "currency": N_("Currency"),
}  # fmt: skip
MEASURES: Final[Mapping[str, str]] = {
    "impressions": N_("Impressions"), "clicks": N_("Clicks"), "ctr": N_("Click rate"), "spend": N_("Spent"),
    "ecpm": N_("Cost of a thousand impressions"), "cpc": N_("Cost of a click"), "conversions": N_("Conversions"),
    "conversion_rate": N_("Conversion rate"), "cpa": N_("Cost of a conversion"), "revenue": N_("Revenue"),
    "roas": N_("Return on spend"), "average_order": N_("Average order"), "orders": N_("Orders of the shop"),
    "order_value": N_("Value of all orders"), "cost_of_order": N_("Cost of an order"),
    "requests": N_("Bid requests"), "bids": N_("Bids"), "wins": N_("Wins"), "losses": N_("Losses"),
    "win_rate": N_("Win rate"), "viewable": N_("Viewable impressions"), "viewability": N_("Viewability"),
    "completion_rate": N_("Videos seen to the end"), "average_bid": N_("Average bid"),
    "clearing_price": N_("Clearing price of a thousand"), "minimum_to_win": N_("Least price that would have won"),
    "saved": N_("Saved by the auction"), "bid_cost": N_("What all bids would have cost"),
    "reserved": N_("What won bids would have cost"), "invalid_clicks": N_("Clicks that do not count"),
    "click_conversions": N_("Conversions after a click"), "view_conversions": N_("Conversions after a view"),
    "new_buyers": N_("New buyers"), "returning_buyers": N_("Returning buyers"),
}  # fmt: skip
# Ratios that people read in percent. Returns on spend they read as they are.
_SHARES: Final = (
    "ctr", "win_rate", "viewability", "completion_rate", "conversion_rate",
    "purchase_rate", "abandonment_rate",
)  # fmt: skip
# Values of these are numbers where they are filtered by.
_NUMBERED: Final = (*IDS, "segment")
# What only reports that programs have saved are told by or tell.
_FURTHER: Final[Mapping[str, str]] = {
    "order": N_("Order"), "path": N_("Way to the order"), "source": N_("Source"), "phrase": N_("Search phrase"),
    "category": N_("Category"), "arm": N_("Arm of a test"), "not_viewable": N_("Impressions that were not viewable"),
    "starts": N_("Videos begun"), "completions": N_("Videos seen to the end (count)"),
    "assisted_conversions": N_("Assisted conversions"), "assisted_revenue": N_("Assisted revenue"),
    "visits": N_("Visits"), "product_views": N_("Views of products"), "searches": N_("Searches"),
    "carts": N_("Carts"), "abandoned_carts": N_("Abandoned carts"), "abandoned_value": N_("Value of abandoned carts"),
    "purchases": N_("Purchases"), "sales": N_("Sales"), "purchase_rate": N_("Share of visits with a purchase"),
    "abandonment_rate": N_("Share of carts that were abandoned"),
}  # fmt: skip
_LABELS: Final = {**DIMENSIONS, **MEASURES, **_FURTHER}
_REFUSED_SPLIT: Final = N_("By {by} these cannot be told: {figures}. Take out {by}, or these figures.")
# The parts of the form that members of a question come from.
_PLACES: Final = {
    "measures": "figures", "dimensions": "split", "filters": "filters", "since": "days", "until": "days",
    "timezone": "days", "currency": "days",
}  # fmt: skip
_MOST_MOMENTS: Final = 400
# The figures that a report begins with all have one.
_CHARTS: Final = 5
_FILTERS: Final = 3
_ROWS: Final = 500
# What a spreadsheet opens with ease.
_FILE_ROWS: Final = 100_000
_START: Final = (
    ("by", "day"), *(("measure", name) for name in ("spend", "conversions", "cpa", "impressions", "clicks"))
)  # fmt: skip


class ReportView(msgspec.Struct):
    """A report as its page shows it."""

    columns: list[str]
    told_by: int
    """How many of the columns, the first ones, say what a row is of; the others are figures."""
    rows: list[list[str]]
    totals: list[list[str]]
    charts: list[Chart]
    row_count: int
    fresh_until: str


class ReportPage:
    """The page of reports, of the advertisers that a caller may see."""

    def __init__(self, reports: ReportDesk, clock: Clock) -> None:
        self._reports = reports
        self._clock = clock

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /reports"""
        visitor.caller.require(Scope.READ)
        asked = self._asked(request, visitor.words.zone)
        view, problem, status = None, None, 200
        try:
            wanted = wanted_of(asked, _ROWS)
            answer = await self._reports.answer(wanted, visitor.caller.advertiser_ids)
            view = report_view(visitor.words, wanted, answer, _charts(visitor, wanted, answer))
        except GroszError as error:
            problem, status = problem_of(error), status_of(error)
        return page(
            "reports.html",
            visitor,
            status,
            here="/reports",
            view=view,
            problem=problem,
            faults=_faults(visitor.words, problem),
            most_charts=_CHARTS,
            chosen=[text for name, text in asked if name == "by"],
            measures=[text for name, text in asked if name == "measure"],
            texts=dict(asked),
            filters=_filters(asked),
            times=TIMES,
            all_dimensions=DIMENSIONS,
            all_measures=_offered(visitor.caller),
            query=urlencode(asked),
        )

    async def csv(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /reports.csv"""
        return await self._file(request, visitor, "csv")

    async def xlsx(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /reports.xlsx"""
        return await self._file(request, visitor, "xlsx")

    async def _file(self, request: web.Request, visitor: Visitor, form: ReportForm) -> web.Response:
        visitor.caller.require(Scope.READ)
        wanted = msgspec.structs.replace(
            wanted_of(self._asked(request, visitor.words.zone), _FILE_ROWS), format=form, names=True
        )
        made = await self._reports.file(wanted, visitor.caller.advertiser_ids, visitor.words.text(N_("Report")))
        # Spreadsheets take a text for UTF-8 where it begins with its mark.
        body = b"\xef\xbb\xbf" + made.body if form == "csv" else made.body
        headers = HEADERS | {"Content-Disposition": f'attachment; filename="report.{made.ending}"'}
        return web.Response(body=body, content_type=made.content_type, headers=headers)

    def _asked(self, request: web.Request, zone: str) -> list[tuple[str, str]]:
        """The fields of the form; the usual figures where none are sent, of the last seven days where no day is.

        Days and hours are those of the visitor's time zone where the form names none.
        """
        asked = list(request.query.items()) or list(_START)
        if not request.query.get("timezone", "").strip():
            asked = [*((name, text) for name, text in asked if name != "timezone"), ("timezone", zone)]
        if not any(request.query.get(name) for name in ("since", "until")):
            today = datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, zoneinfo.ZoneInfo(zone)).date()
            asked = [(name, text) for name, text in asked if name not in ("since", "until")]
            asked += [("since", f"{today - datetime.timedelta(days=6)}"), ("until", f"{today}")]
        return asked


def _faults(words: Words, problem: Problem | None) -> dict[str, list[str]]:
    """What is wrong, in the names that the page has, by the part of the form that it belongs to.

    Figures that cannot be told by the same dimensions are one conflict, and one text.
    """
    found: dict[str, list[str]] = {}
    conflicts: dict[str, list[str]] = {}  # figure -> what it cannot be told by
    for fault in problem.errors if problem else []:
        if fault.code == "not_split":
            conflicts.setdefault(fault.parts["measure"], []).append(fault.parts["dimension"])
            continue
        text = ": ".join(words.text(each) for each in (fault.message, fault.hint) if each)
        found.setdefault(_PLACES.get(fault.pointer.split("/")[1], "rest"), []).append(text)
    alike: dict[tuple[str, ...], list[str]] = {}  # what they cannot be told by -> figures
    for figure, by in conflicts.items():
        alike.setdefault(tuple(dict.fromkeys(by)), []).append(figure)
    for split_by, figures in alike.items():
        text = words.text(_REFUSED_SPLIT).format(by=_listed(words, split_by), figures=_listed(words, figures))
        found.setdefault("figures", []).append(text)
    return found


def _listed(words: Words, names: Sequence[str]) -> str:
    return ", ".join(words.quoted(words.text(_LABELS.get(name, name))) for name in names)


def report_view(words: Words, wanted: ReportRequest, answer: ReportAnswer, charts: Sequence[Chart] = ()) -> ReportView:
    """A report in the words of a language: names instead of ids and members, amounts with their currency."""
    money_at = answer.columns.index("currency") if "currency" in answer.columns else None

    def text(row: Sequence[Cell], at: int) -> str:
        name, form, value = answer.columns[at].partition(PIVOTED)[0], answer.forms[at], row[at]
        if value is None or value == "":
            return NOTHING
        if name in answer.names:
            return answer.names[name].get(str(value), str(value))
        if name in TIMES:
            return words.step(moment_of(str(value)), name)
        if form is ColumnForm.MONEY:
            currency = wanted.currency or (str(row[money_at]) if money_at is not None else "")
            return words.money({"amount": str(value), "currency": currency}) if currency else str(value)
        if name in wanted.measures:
            return words.percent(float(value)) if name in _SHARES else words.number(round(float(value), 4))
        return str(value)

    def shown(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
        return [[text(row, at) for at in range(len(row))] for row in rows]

    told_by = sum(form in (ColumnForm.TEXT, ColumnForm.ID) for form in answer.forms)
    return ReportView(
        [_label(words, wanted, answer, name) for name in answer.columns], told_by, shown(answer.rows),
        shown(answer.totals), list(charts), answer.row_count, answer.fresh_until or "",
    )  # fmt: skip


def _label(words: Words, wanted: ReportRequest, answer: ReportAnswer, column: str) -> str:
    """The head of a column; the value that it is of follows where a dimension was turned into columns."""
    name, is_turned, value = column.partition(PIVOTED)
    label = words.text(_LABELS.get(name) or name.replace("_", " "))
    return f"{label}: {answer.names.get(wanted.pivot, {}).get(value, value or NOTHING)}" if is_turned else label


def _charts(visitor: Visitor, wanted: ReportRequest, answer: ReportAnswer) -> list[Chart]:
    """A chart for each of the first measures where the report is told by one time, and at most one thing beside it.

    There is none of amounts in several currencies, which nobody can compare.
    """
    columns, rows = answer.columns, answer.rows
    times = [name for name in wanted.dimensions if name in TIMES]
    others = [name for name in wanted.dimensions if name not in (*TIMES, "currency")]
    if len(times) != 1 or len(others) > 1 or not rows:
        return []
    currencies = {row[columns.index("currency")] for row in rows} if "currency" in columns else {wanted.currency}
    beside = [columns.index(name) for name in others]
    if len(currencies) > 1 and others[:1] != ["advertiser"]:
        beside.append(columns.index("currency"))  # the same thing is told once a currency

    def name_of(row: Sequence[Cell]) -> str:
        names = [answer.names.get(columns[at], {}).get(str(row[at]), str(row[at] or NOTHING)) for at in beside]
        return ", ".join(names)

    found = []
    for measure in wanted.measures[:_CHARTS]:
        at = columns.index(measure)
        is_money = answer.forms[at] is ColumnForm.MONEY
        if is_money and len(currencies) > 1:
            continue
        points: list[tuple[Cell, Cell, Cell]] = [(row[columns.index(times[0])], name_of(row), row[at]) for row in rows]
        is_sum = answer.forms[at] is ColumnForm.COUNT or measure in ("spend", "revenue", "order_value")
        moments, lines = pivoted(points, _moments(wanted, times[0]), 0.0 if is_sum else None)
        currency = str(next(iter(currencies))) if is_money else ""
        title = visitor.words.text(MEASURES.get(measure, measure))
        found.append(Chart(measure, title, moments, lines, times[0], currency, measure in _SHARES))
    return found


def _moments(wanted: ReportRequest, step: str) -> range:
    """Every hour or day of the report, so that those in which nothing happened are seen; none of very long ones."""
    steps = {"hour": 3_600, "day": DAY_S}
    if wanted.since is None or wanted.until is None or step not in steps:
        return range(0)
    found = days_between(wanted.since, wanted.until, steps[step])
    return found if len(found) <= _MOST_MOMENTS else range(0)


def _offered(caller: Principal) -> dict[str, str]:
    """The measures that a caller may ask for: bid requests are no advertiser's."""
    return {name: label for name, label in MEASURES.items() if name != "requests" or caller.advertiser_ids is None}


def _filters(asked: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(dimension, values with commas) of each line of filters in the form."""
    names = [text for name, text in asked if name == "only"][:_FILTERS]
    values = [text for name, text in asked if name == "values"][:_FILTERS]
    pairs = [(name, value) for name, value in zip(names, values, strict=False) if name]
    return [*pairs, *[("", "")] * (_FILTERS - len(pairs))]


def wanted_of(asked: Sequence[tuple[str, str]], limit: int) -> ReportRequest:
    """The question that a form means. Raises InputError."""
    texts = dict(asked)
    filters: dict[str, list[str | int]] = {}
    for name, value in _filters(asked):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if parts:
            filters[name] = [_number(part) if name in _NUMBERED else part for part in parts]
    raw: dict[str, Any] = {
        "measures": [text for name, text in asked if name == "measure"],
        "dimensions": [text for name, text in asked if name == "by"],
        "filters": filters,
        "limit": limit,
        "totals": True,
    }
    plain = ("since", "until", "timezone", "currency", "sort")
    raw |= {name: texts[name].strip() for name in plain if texts.get(name, "").strip()}
    if not raw["measures"]:
        raise InputError("the report says nothing yet", hint="choose at least one figure")
    return decode(raw, ReportRequest, strict=False)


def _number(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
