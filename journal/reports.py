"""Reports: one way from a question to rows, for the API, the command line and everything that shows a figure.

A question names dimensions, measures, a span of time and filters. Each measure comes from one kind of rows; the kinds
that are asked for are read, given their dimensions, and added up together. What a notice, bill, click or order does not
say itself (country, device, size, deal) is looked up in the row of its bid. Everything is filed under the moment of the
bid, orders under their own: so one row of a report compares what belongs together.
"""

import datetime
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from core.errors import Fault, InputError
from journal.archive import HOUR_MS, MAX_REPORT_ROWS, Archive
from journal.columnar import Columnar, files_sql
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, KINDS, NOTICE, JournalKind

# Zones change their offset at a quarter of an hour at the latest, and lie whole quarters from UTC: so a quarter lies in
# one hour, day, week and month of any zone, and looking it up costs no arithmetic with time zones for each row.
QUARTER_MS: Final = 900_000
MAX_DAYS: Final = 800
_TOUCH_HOURS: Final = 31 * 24

_TIMES: Final[Mapping[str, Callable[[datetime.datetime], str]]] = {
    "hour": lambda at: at.isoformat(timespec="minutes")[:13] + at.isoformat(timespec="minutes")[16:],
    "day": lambda at: at.date().isoformat(),
    "week": lambda at: (at.date() - datetime.timedelta(days=at.weekday())).isoformat(),
    "month": lambda at: at.strftime("%Y-%m"),
}
TIMES: Final = tuple(_TIMES)

_IDS: Final = ("advertiser", "campaign", "line_item", "creative", "exchange")
_OF_BID: Final[Mapping[str, str]] = {
    "format": "format", "domain": "domain", "app": "app", "publisher": "publisher", "country": "country",
    "region": "region", "city": "city", "device": "device_type", "os": "os", "browser": "browser", "deal": "deal_id",
    "seat": "seat", "placement": "placement", "size": "size",
}  # fmt: skip
_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "answer": {"exchange": "e.exchange_id", "country": "e.country", "device": "e.device_type", "reason": "e.reason"},
    "notice": {"loss_code": "e.loss_code"},
    "conversion": {"credit": "e.credit"},
}
DIMENSIONS: Final = (*TIMES, *_IDS, *_OF_BID, "reason", "loss_code", "credit", "currency")


class ReportMeasure(NamedTuple):
    """A sum over one kind of rows. `money`: it is micros, of the advertiser's currency."""

    kind: JournalKind
    sql: str
    money: bool = False


_SUMS: Final[Mapping[str, ReportMeasure]] = {
    "requests": ReportMeasure(ANSWER, "sum(e.requests)"),
    "bids": ReportMeasure(BID, "count(*)"),
    "bid_cost": ReportMeasure(BID, "sum({rate}e.reserved_micros)", money=True),
    "wins": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'win')"),
    "losses": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'loss')"),
    "viewable": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'view')"),
    "impressions": ReportMeasure(BILL, "sum(e.impressions)"),
    "spend": ReportMeasure(BILL, "sum({rate}e.charge_micros)", money=True),
    "reserved": ReportMeasure(BILL, "sum({rate}e.reserved_micros) FILTER (e.entry = 'bill')", money=True),
    "clicks": ReportMeasure(CLICK, "count(*) FILTER (e.invalid = '')"),
    "invalid_clicks": ReportMeasure(CLICK, "count(*) FILTER (e.invalid <> '')"),
    "orders": ReportMeasure(CONVERSION, "count(*) FILTER (e.entry = 'order')"),
    "click_conversions": ReportMeasure(CONVERSION, "count(*) FILTER (e.entry = 'order' AND e.credit = 'click')"),
    "view_conversions": ReportMeasure(CONVERSION, "count(*) FILTER (e.entry = 'order' AND e.credit = 'view')"),
    "revenue": ReportMeasure(CONVERSION, "sum({rate}e.value_micros) FILTER (e.credit <> 'nobody')", money=True),
    "order_value": ReportMeasure(CONVERSION, "sum({rate}e.value_micros)", money=True),
}


class Ratio(NamedTuple):
    """A measure that is worked out of sums: `above` (added up) times `factor`, by `below`."""

    above: tuple[str, ...]
    below: tuple[str, ...]
    factor: float = 1.0
    money: bool = False


_RATIOS: Final[Mapping[str, Ratio]] = {
    "win_rate": Ratio(("wins",), ("bids",)),
    "ctr": Ratio(("clicks",), ("impressions",)),
    "ecpm": Ratio(("spend",), ("impressions",), 1_000, money=True),
    "average_bid": Ratio(("bid_cost",), ("bids",), 1_000, money=True),
    "cpc": Ratio(("spend",), ("clicks",), money=True),
    "cpa": Ratio(("spend",), ("click_conversions", "view_conversions"), money=True),
    "cost_of_order": Ratio(("spend",), ("orders",), money=True),
    "roas": Ratio(("revenue",), ("spend",)),
}
MEASURES: Final = (*_SUMS, "conversions", "saved", *_RATIOS)
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "conversions": ("click_conversions", "view_conversions"),
    "saved": ("reserved", "spend"),
    **{name: (*ratio.above, *ratio.below) for name, ratio in _RATIOS.items()},
}


class ReportQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked. `since` and `until` are days in `timezone`, both included; `filters` name allowed values.

    `sort` is a column, with `-` in front for descending order. Without a `currency` money is each advertiser's own.
    """

    measures: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    timezone: str = "UTC"
    filters: Mapping[str, tuple[str | int, ...]] = {}
    sort: str = ""
    limit: int = 1_000
    currency: str = ""


class ReportShop(NamedTuple):
    """An advertiser as a report needs it: its currency, and units of the report's currency for one of it."""

    currency: str
    rate: float


class ReportTable(msgspec.Struct, frozen=True):
    """An answer: columns, rows, and until when everything that happened is in it (unix ms; 0 where nobody knows)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    since_ms: int
    until_ms: int
    fresh_until_ms: int


def check(question: ReportQuestion, *, restricted: bool) -> None:
    """Raises InputError with every fault of a question; `restricted`: who asks may not see all advertisers."""
    faults = [
        Fault(f"/{name}/{at}", "unknown", f"there is no {one} '{value}'", "", known)
        for name, one, values, known in (
            ("measures", "measure", question.measures, MEASURES),
            ("dimensions", "dimension", question.dimensions, DIMENSIONS),
            ("filters", "filter", tuple(question.filters), tuple(set(DIMENSIONS) - set(TIMES))),
        )
        for at, value in enumerate(values)
        if value not in known
    ]
    if not question.measures:
        faults.append(Fault("/measures", "empty", "name at least one measure", "", MEASURES))
    try:
        zoneinfo.ZoneInfo(question.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(Fault("/timezone", "unknown", "is no time zone", "a name such as Europe/Warsaw"))
    if not 1 <= question.limit <= MAX_REPORT_ROWS:
        faults.append(Fault("/limit", "range", f"is not between 1 and {MAX_REPORT_ROWS}"))
    faults += _impossible(question, restricted=restricted) if not faults else []
    if question.sort and not faults and question.sort.removeprefix("-") not in columns_of(question):
        faults.append(Fault("/sort", "unknown", "is no column of the report", "", columns_of(question)))
    if faults:
        raise InputError("the report cannot be made", faults=faults)


def _impossible(question: ReportQuestion, *, restricted: bool) -> list[Fault]:
    """Measures that cannot be split or filtered as asked."""
    faults = []
    for measure in question.measures:
        for kind in {_SUMS[name].kind for name in _sums_of(measure)}:
            if kind is ANSWER and restricted:
                faults.append(Fault("/measures", "not_yours", f"{measure} are not an advertiser's: leave them out"))
            faults += [
                Fault("/measures", "not_split", f"{measure} cannot be told by {name}")
                for name in (*question.dimensions, *question.filters)
                if name not in TIMES and _expression(name, kind) is None
            ]
    since, until = question.since, question.until
    if since is not None and until is not None and not 0 <= (until - since).days <= MAX_DAYS:
        faults.append(Fault("/until", "range", f"is not within {MAX_DAYS} days after since"))
    return faults


def columns_of(question: ReportQuestion) -> tuple[str, ...]:
    """The columns of the answer. Money in several currencies is told by currency."""
    own = () if question.currency or not _has_money(question) or "currency" in question.dimensions else ("currency",)
    return (*question.dimensions, *own, *question.measures)


def _has_money(question: ReportQuestion) -> bool:
    return any(_SUMS[name].money for measure in question.measures for name in _sums_of(measure))


def _sums_of(measure: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_NEEDS.get(measure, (measure,))))


def span_of(question: ReportQuestion, now_ms: int) -> tuple[int, int]:
    """Unix milliseconds of the span: from the start of `since` to the end of `until` in the time zone.

    The last seven days without them.
    """
    zone = zoneinfo.ZoneInfo(question.timezone)
    today = datetime.datetime.fromtimestamp(now_ms / 1000, zone).date()
    until = question.until or today
    since = question.since or until - datetime.timedelta(days=6)
    return _midnight(since, zone), _midnight(until + datetime.timedelta(days=1), zone)


def _midnight(day: datetime.date, zone: zoneinfo.ZoneInfo) -> int:
    return round(datetime.datetime.combine(day, datetime.time(), zone).timestamp() * 1000)


class ReportReader:
    """Answers questions from the Parquet files of one archive."""

    def __init__(self, archive: Archive, columnar: Columnar) -> None:
        self._archive, self._columnar = archive, columnar

    def answer(
        self,
        question: ReportQuestion,
        shops: Mapping[int, ReportShop],
        now_ms: int,
        *,
        advertisers: Sequence[int] | None = None,
        fresh_until_ms: int = 0,
    ) -> ReportTable:
        """The report. `advertisers`: the only ones that who asks may see (None: all). Raises InputError."""
        check(question, restricted=advertisers is not None)
        since_ms, until_ms = span_of(question, now_ms)
        if not 0 <= (until_ms - since_ms) // (24 * HOUR_MS) <= MAX_DAYS:
            raise InputError("the report cannot be made", faults=[Fault("/since", "range", "is too far from until")])
        columns = columns_of(question)
        names = tuple(name for name in columns if name not in question.measures)
        sums = tuple(dict.fromkeys(name for measure in question.measures for name in _sums_of(measure)))
        ask = _Asking(question, names, sums, since_ms, until_ms, advertisers)
        self._columnar.set_table("shops", ["INTEGER", "VARCHAR", "DOUBLE"], [
            (number, shop.currency, shop.rate) for number, shop in shops.items()
        ])  # fmt: skip
        for name in (name for name in names if name in TIMES):
            self._columnar.set_table(f"zone_{name}", ["BIGINT", "VARCHAR"], _labels(name, question, since_ms, until_ms))
        parts = [part for kind in KINDS.values() if (part := self._part(kind, ask)) is not None]
        rows = []
        if parts:
            groups = ", ".join(f'"{name}"' for name in names)
            added = ", ".join(f'sum("{name}")' for name in sums)
            sql = f"SELECT {groups + ', ' if names else ''}{added} FROM ({' UNION ALL BY NAME '.join(parts)})"  # noqa: S608 - names of ours
            rows = self._columnar.ask(sql + (f" GROUP BY {groups}" if names else ""), ask.parameters)
        worked = [_worked(row, names, sums, question) for row in rows if any(row[len(names) :]) or not names]
        return ReportTable(columns, tuple(_sorted(worked, columns, question)), since_ms, until_ms, fresh_until_ms)

    def _part(self, kind: JournalKind, ask: "_Asking") -> str | None:
        """The sums of one kind of rows; None where it is not asked for or has no files."""
        wanted = {name: _SUMS[name] for name in ask.sums if _SUMS[name].kind is kind}
        files = self._archive.files(kind.name, self._hours(kind, ask))
        if not wanted or not files:
            return None
        moment = kind.hour_of
        joins = [
            *self._of_bid(kind, ask),
            *(["LEFT JOIN shops s ON s.c0 = e.advertiser_id"] if kind is not ANSWER else []),
        ]
        selected = []
        for name in ask.names:
            if name in TIMES:
                joins.append(f"JOIN zone_{name} z_{name} ON z_{name}.c0 = e.{moment} // {QUARTER_MS}")
                selected.append(f'z_{name}.c1 AS "{name}"')
            else:
                selected.append(f'{_expression(name, kind)} AS "{name}"')
        selected += [f'{_sum(measure, ask)} AS "{name}"' for name, measure in wanted.items()]
        where = [f"e.{moment} >= {ask.since_ms} AND e.{moment} < {ask.until_ms}"]
        for name, values in ask.question.filters.items():
            where.append(f"{_expression(name, kind)}::VARCHAR IN {ask.listed(values)}")
        if ask.advertisers is not None:
            where.append(f"e.advertiser_id::VARCHAR IN {ask.listed(ask.advertisers)}")
        groups = ", ".join(str(at + 1) for at in range(len(ask.names)))
        group = f" GROUP BY {groups}" if groups else ""
        return (
            f"SELECT {', '.join(selected)} FROM {files_sql(files)} e {' '.join(joins)} "  # noqa: S608 - names of ours
            f"WHERE {' AND '.join(where)}{group}"
        )

    def _of_bid(self, kind: JournalKind, ask: "_Asking") -> list[str]:
        """The join with the rows of the bids, where something is asked that only they say."""
        used = [name for name in (*ask.names, *ask.question.filters) if name not in TIMES]
        if not any("b." in (_expression(name, kind) or "") for name in used):
            return []
        # An order is credited to a bid of up to 30 days before.
        first = ask.since_ms // HOUR_MS - (_TOUCH_HOURS if kind is CONVERSION else 0)
        files = self._archive.files(BID.name, self._archive.hours(BID.name, first, -(-ask.until_ms // HOUR_MS)))
        if files:
            return [f"LEFT JOIN {_bids_sql(files)} b ON b.bid_id = e.bid_id"]
        nothing = ", ".join(f"NULL AS {column}" for column in _OF_BID.values())
        return [f"LEFT JOIN (SELECT NULL::UBIGINT AS bid_id, {nothing}) b ON b.bid_id = e.bid_id"]

    def _hours(self, kind: JournalKind, ask: "_Asking") -> list[int]:
        return self._archive.hours(kind.name, ask.since_ms // HOUR_MS, -(-ask.until_ms // HOUR_MS))


class _Asking:
    """A question on its way to SQL: values of filters become parameters."""

    def __init__(
        self,
        question: ReportQuestion,
        names: tuple[str, ...],
        sums: tuple[str, ...],
        since_ms: int,
        until_ms: int,
        advertisers: Sequence[int] | None,
    ) -> None:
        self.question, self.names, self.sums = question, names, sums
        self.since_ms, self.until_ms, self.advertisers = since_ms, until_ms, advertisers
        self.parameters: list[Any] = []

    def listed(self, values: Sequence[str | int]) -> str:
        """`(?, ?)` with the values as parameters."""
        self.parameters += [str(value) for value in values]
        return f"({', '.join('?' * len(values))})" if values else "('')"


def _sum(measure: ReportMeasure, ask: _Asking) -> str:
    """The measure in SQL, converted row by row where a currency is asked for."""
    if not measure.money or not ask.question.currency:
        return measure.sql.replace("{rate}", "")
    return measure.sql.replace("{rate}", "round(coalesce(s.c2, 0) * ").replace("_micros", "_micros)", 1)


def _expression(name: str, kind: JournalKind) -> str | None:
    """How a dimension is read of a row of one kind; None where it has none."""
    own = _OWN.get(kind.name, {}).get(name)
    if own is not None:
        return own
    if kind is ANSWER or name in ("reason", "loss_code", "credit"):
        return None
    if name == "currency":
        return "coalesce(e.currency, s.c1, '')" if kind in (BILL, CONVERSION) else "coalesce(s.c1, '')"
    if name in _IDS:
        return f"e.{name}_id"
    column = _OF_BID[name]
    if kind is BID:
        return "e.width || 'x' || e.height" if name == "size" else f"coalesce(e.{column}::VARCHAR, '')"
    if name == "format" and kind is not BILL:
        return "coalesce(nullif(e.format, ''), b.format, '')"
    return f"coalesce(b.{column}::VARCHAR, '')"


def _bids_sql(files: Sequence[Any]) -> str:
    columns = [column for column in _OF_BID.values() if column != "size"]
    return f"(SELECT bid_id, {', '.join(columns)}, width || 'x' || height AS size FROM {files_sql(files)})"  # noqa: S608 - names of ours


def _labels(name: str, question: ReportQuestion, since_ms: int, until_ms: int) -> list[tuple[Any, ...]]:
    """(quarter of an hour since 1970, its label) of the whole span."""
    zone, label = zoneinfo.ZoneInfo(question.timezone), _TIMES[name]
    return [
        (quarter, label(datetime.datetime.fromtimestamp(quarter * QUARTER_MS / 1000, zone)))
        for quarter in range(since_ms // QUARTER_MS, -(-until_ms // QUARTER_MS))
    ]


def _worked(row: Sequence[Any], names: Sequence[str], sums: Sequence[str], question: ReportQuestion) -> tuple[Any, ...]:
    """Dimensions and measures of a row of sums: counts and micros as whole numbers, ratios as fractions."""
    known = {name: int(value or 0) for name, value in zip(sums, row[len(names) :], strict=True)}
    return (*row[: len(names)], *(_measure(measure, known) for measure in question.measures))


def _measure(measure: str, known: Mapping[str, int]) -> int | float | None:
    if measure == "conversions":
        return known["click_conversions"] + known["view_conversions"]
    if measure == "saved":
        return known["reserved"] - known["spend"]
    ratio = _RATIOS.get(measure)
    if ratio is None:
        return known[measure]
    below = sum(known[name] for name in ratio.below)
    if not below:
        return None
    value = sum(known[name] for name in ratio.above) * ratio.factor / below
    return round(value) if ratio.money else value


def is_money(measure: str) -> bool:
    """Whether a measure is micros of a currency."""
    if measure in _RATIOS:
        return _RATIOS[measure].money
    return measure == "saved" or (measure in _SUMS and _SUMS[measure].money)


def _sorted(rows: list[tuple[Any, ...]], columns: tuple[str, ...], question: ReportQuestion) -> list[tuple[Any, ...]]:
    """By the question's order, otherwise by the dimensions; nothing comes last. Up to its limit."""
    names = len(columns) - len(question.measures)
    ordered = sorted(rows, key=lambda row: tuple((value is None, value) for value in row[:names]))
    if question.sort:
        at, down = columns.index(question.sort.removeprefix("-")), question.sort.startswith("-")
        known = [row for row in ordered if row[at] is not None]
        known.sort(key=lambda row: row[at], reverse=down)
        ordered = known + [row for row in ordered if row[at] is None]
    return ordered[: question.limit]
