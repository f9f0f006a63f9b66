"""Figures that pages ask for once they are drawn: the last fortnight of the overview, the day of a line item."""

import datetime
import zoneinfo
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from aiohttp import web

from admin.api import requests
from admin.api.explanations import Explanations
from admin.console.browser import Visitor
from admin.console.charts import Cell, Chart, ChartLine, days_between, moment_of, number_of, pivoted, spark
from admin.console.desk import Desk
from admin.console.fields import N_
from admin.console.rendering import page
from admin.diagnosis.funnels import Hour
from admin.diagnosis.spendable import traffic_until
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportAnswer, ReportRequest
from admin.store.model import Scope
from core.clock import Clock
from core.errors import NotFoundError, UnavailableError
from core.model import Advertiser, LineItem, Pacing
from core.moments import utc_day
from core.money import format_micros

_DAYS: Final = 14
_MEASURES: Final = ("impressions", "clicks", "conversions", "spend", "cpa", "revenue", "roas")
_MICROS: Final = 1_000_000
_HOUR_S: Final = 3_600


class OrdersOfDay(msgspec.Struct, frozen=True):
    """Orders credited to a line item in a day; amounts as the API has them, `cost` of one of them None without any."""

    conversions: int
    cost: dict[str, str] | None
    revenue: dict[str, str]


class FigurePages:
    """Parts of pages, which are pages of their own for browsers without a script."""

    def __init__(self, desk: Desk, reports: ReportDesk, explanations: Explanations, clock: Clock) -> None:
        self._desk = desk
        self._reports = reports
        self._explanations = explanations
        self._clock = clock

    async def overview(self, _request: web.Request, visitor: Visitor) -> web.Response:
        """GET /figures: what each advertiser spent and got in the last fortnight, by day and in all"""
        caller = visitor.caller
        caller.require(Scope.READ)
        query = [("limit", "100"), ("status", "active"), ("sort", "name")]
        shops = {item["id"]: item for item in (await self._desk.page(caller, "advertisers", query))["items"]}
        zone = visitor.words.zone
        until = datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, zoneinfo.ZoneInfo(zone)).date()
        since = until - datetime.timedelta(days=_DAYS - 1)
        rows = []
        try:
            whole = await self._answer(visitor, ReportRequest(_MEASURES, ("advertiser",), since, until, zone))
            days = await self._answer(
                visitor, ReportRequest(("spend", "impressions"), ("day", "advertiser"), since, until, zone)
            )
        except NotFoundError:  # no journal is kept here
            return page("figures.html", visitor, here="/", rows=None, charts=[])
        by_day = _by_day(days, [(since + datetime.timedelta(days=at)).isoformat() for at in range(_DAYS)])
        for row in whole.rows:
            values = dict(zip(whole.columns, row, strict=True))
            shop = shops.get(values["advertiser"])
            if shop is not None:
                rows.append(values | {"name": shop["name"], "spark": spark(by_day.get(int(shop["id"]), []))})
        charts = [_chart(visitor, shops, days, since, until)] if days.rows else []
        rows.sort(key=lambda row: str(row["name"]))
        return page("figures.html", visitor, here="/", rows=rows, charts=charts)

    async def hours(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /line-items/{id}/hours: what a line item spent of the day's plan, and its impressions by hour"""
        object_id, charts, orders = requests.object_id_of(request), [], None
        item = await self._desk.read(visitor.caller, "line-items", object_id)
        try:
            line_item, advertiser, hours = await self._explanations.hours_of(visitor.caller, object_id)
            charts = delivery_charts(line_item, advertiser, hours, self._clock.now_ms(), visitor)
            orders = await self._orders(visitor, object_id, advertiser.currency, hours)
        except UnavailableError:
            charts = []
        return page("hours.html", visitor, here="/line-items", item=item, charts=charts, orders=orders)

    async def _orders(
        self, visitor: Visitor, line_item_id: int, currency: str, hours: Sequence[Hour]
    ) -> OrdersOfDay | None:
        """What a line item's orders of these hours came to; None where no journal is kept."""
        first_s = hours[0].start_s
        since, until = (utc_day(each.start_s * 1000) for each in (hours[0], hours[-1]))
        filters: dict[str, tuple[str | int, ...]] = {"line_item": (line_item_id,)}
        wanted = ReportRequest(("conversions", "revenue"), ("hour",), since, until, filters=filters)
        try:
            answer = await self._answer(visitor, wanted)
        except NotFoundError:
            return None
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        return orders_of([row for row in rows if moment_of(str(row["hour"])) >= first_s], hours, currency)

    async def _answer(self, visitor: Visitor, wanted: ReportRequest) -> ReportAnswer:
        return await self._reports.answer(wanted, visitor.caller.advertiser_ids)


def orders_of(rows: Sequence[Mapping[str, Cell]], hours: Sequence[Hour], currency: str) -> OrdersOfDay:
    """The sum of a report's rows, and what each order cost of what was spent in the same hours."""
    conversions = sum(int(row["conversions"] or 0) for row in rows)
    revenue = sum((Decimal(str(row["revenue"] or 0)) for row in rows), Decimal())
    spent_micros = sum(hour.spend_micros for hour in hours)
    cost = format_micros(round(spent_micros / conversions)) if conversions and spent_micros else ""
    # Orders may come days after the last impression: what was spent on them lies before the day then.
    return OrdersOfDay(
        conversions, {"amount": cost, "currency": currency} if cost else None,
        {"amount": str(revenue), "currency": currency},
    )  # fmt: skip


def _chart(
    visitor: Visitor,
    shops: Mapping[int, Mapping[str, Any]],
    days: ReportAnswer,
    since: datetime.date,
    until: datetime.date,
) -> Chart:
    """What each advertiser spent by day; impressions where currencies differ, whose amounts no chart compares."""
    currencies = {shop["currency"] for shop in shops.values()}
    measure = "spend" if len(currencies) == 1 else "impressions"
    named = [(day, shops[one]["name"], value) for day, one, value in _columns(days, measure) if one in shops]
    moments, lines = pivoted(named, days_between(since, until), 0.0)
    if measure == "spend":
        return Chart("days", visitor.words.text(N_("Spent by day")), moments, lines, "day", currencies.pop())
    return Chart("days", visitor.words.text(N_("Impressions by day")), moments, lines)


def _columns(days: ReportAnswer, measure: str) -> list[tuple[Cell, int, Cell]]:
    """(day, advertiser, value of the measure) of each row."""
    at = [days.columns.index(name) for name in ("day", "advertiser", measure)]
    return [(row[at[0]], int(row[at[1]] or 0), row[at[2]]) for row in days.rows]


def _by_day(days: ReportAnswer, names: Sequence[str]) -> Mapping[int, list[float | None]]:
    """Advertiser -> what it spent on each of the days."""
    found: dict[int, dict[str, float | None]] = {}
    for day, one, spent in _columns(days, "spend"):
        found.setdefault(one, {})[str(day)] = number_of(spent)
    return {one: [own.get(name) for name in names] for one, own in found.items()}


def delivery_charts(
    line_item: LineItem, advertiser: Advertiser, hours: Sequence[Hour], now_ms: int, visitor: Visitor
) -> list[Chart]:
    """What was spent since the advertiser's midnight against the plan of its day, and the impressions of the last day.

    Both are drawn in the visitor's time zone, as all times are.
    """
    text, zone = visitor.words.text, visitor.words.zone
    today = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(advertiser.timezone)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    midnight_s = round(today.timestamp())
    own = [hour for hour in hours if hour.start_s + _HOUR_S > midnight_s]
    # Each hour's end, the present moment for the hour that is not over.
    ends = [min(hour.start_s + _HOUR_S, now_ms // 1000) for hour in own]
    spent, line = 0, []
    for hour in own:
        spent += hour.spend_micros
        line.append(spent / _MICROS)
    lines = [ChartLine(text(N_("Spent")), [0.0, *line])]
    budget = line_item.daily_budget.micros
    if budget is not None and line_item.pacing is Pacing.EVEN:
        planned = [
            budget / _MICROS * traffic_until(end * 1000, advertiser.timezone, line_item.targeting.hours_of_week)
            for end in ends
        ]
        lines.append(ChartLine(text(N_("Planned")), [0.0, *planned]))
    titles = [f"{text(title)} ({zone})" for title in (N_("Spent today"), N_("Impressions by hour"))]
    shown = [ChartLine(text(N_("Impressions")), [hour.impressions for hour in hours])]
    return [
        Chart("pacing", titles[0], [midnight_s, *ends], lines, "hour", advertiser.currency, zone=zone),
        Chart("impressions", titles[1], [hour.start_s for hour in hours], shown, "hour", zone=zone),
    ]
