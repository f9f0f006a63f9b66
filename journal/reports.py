"""Reports: one way from a question to rows, for the API, the command line and everything that shows a figure.

A question names dimensions, measures, a span of time and filters. Each measure comes from one kind of rows; the kinds
that are asked for are read, given their dimensions, and added up together. Everything is filed under the moment of the
bid, orders under their own: so one row of a report compares what belongs together.
"""

import zoneinfo
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from core.errors import Fault, InputError
from journal.archive import HOUR_MS, MAX_REPORT_ROWS, Archive, hour_of_text, size_of
from journal.columnar import Columnar, files_sql
from journal.figures import (
    ASSIST,
    CART_GAP_MS,
    LONGEST_CART_MS,
    QUARTER_MS,
    SUMS,
    TIMES,
    ColumnForm,
    ReportMeasure,
    assist_source,
    bid_source,
    click_source,
    expression,
    form_of,
    in_order,
    label_of,
    measure_sql,
    place_in_order,
    shop_source,
    sums_of,
)
from journal.questions import MAX_PIVOTED, PIVOTED, ReportQuestion, check, span_of
from journal.rollups import (
    QUARTERS_OF_HOUR,
    ROLLED,
    CoveredHours,
    Rollups,
    bids_of_hours,
    cube_for,
    measures_of,
    told_by_bids,
)
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, SHOP, JournalKind

# An order is credited to a bid of up to 30 days before.
_TOUCH_HOURS: Final = 31 * 24
# The most bytes of files of bids that are joined at once. A month of bids at once does not fit into a report's memory,
# and the join would go by the disk: with 100 million bids 18 s of processor time, against 5 in groups of hours.
JOINED_BYTES: Final = 32 << 20


class ReportShop(NamedTuple):
    """An advertiser for a report: its currency, the rate from it to the report's currency, and its segments."""

    currency: str
    rate: float
    segments: Sequence[int] = ()


class ReportTable(msgspec.Struct, frozen=True):
    """An answer: columns, how each is to be read, rows, and how many rows there would be without a limit.

    Everything that happened before `fresh_until_ms` is in every figure (unix ms; 0 where nobody knows). `totals` are
    rows for the whole, whose dimensions are None but for the currency.
    """

    columns: tuple[str, ...]
    forms: tuple[ColumnForm, ...]
    rows: tuple[tuple[Any, ...], ...]
    totals: tuple[tuple[Any, ...], ...]
    row_count: int
    since_ms: int
    until_ms: int
    fresh_until_ms: int


class ReportReader:
    """Answers questions from the Parquet files of one archive; with `rolled` of its roll-ups where they are enough."""

    def __init__(
        self, archive: Archive, columnar: Columnar, *, rolled: bool = True, joined_bytes: int = JOINED_BYTES
    ) -> None:
        """`joined_bytes`: the most bytes of bids' files that bills, notices and clicks are joined with at once."""
        self._archive, self._columnar, self._rolled_up = archive, columnar, rolled
        self._joined_bytes = joined_bytes
        self.rollups = Rollups(archive)

    def answer(
        self,
        question: ReportQuestion,
        shops: Mapping[int, ReportShop],
        now_ms: int,
        *,
        advertisers: Sequence[int] | None = None,
        fresh_until_ms: int = 0,
    ) -> ReportTable:
        """The report. `advertisers`: the only ones that the caller may see (None: all). Raises InputError."""
        check(question, restricted=advertisers is not None)
        since_ms, until_ms = span_of(question, now_ms)
        self._columnar.set_table("shops", ["INTEGER", "VARCHAR", "DOUBLE"], [
            (number, shop.currency, shop.rate) for number, shop in shops.items()
        ])  # fmt: skip
        self._columnar.set_table("owners", ["INTEGER", "UINTEGER[]"], [
            (number, str(list(shop.segments))) for number, shop in shops.items()
        ])  # fmt: skip
        told = question.told_by
        rows, count = self._rows(_Asking(question, told, (since_ms, until_ms, now_ms), advertisers))
        totals: list[tuple[Any, ...]] = []
        if question.totals:
            kept = tuple(name for name in told if name in ("currency", question.pivot))
            added, _count = self._rows(
                _Asking(msgspec.structs.replace(question, sort=""), kept, (since_ms, until_ms, now_ms), advertisers)
            )
            totals = [_spread(told, kept, row) for row in added]
        columns = question.columns
        if question.pivot:
            columns, rows, totals = _pivoted(question, rows, totals)
            count, rows = len(rows), rows[: question.limit]
        forms = tuple(form_of(column.partition(PIVOTED)[0]) for column in columns)
        return ReportTable(columns, forms, tuple(rows), tuple(totals), count, since_ms, until_ms, fresh_until_ms)

    def _rows(self, ask: "_Asking") -> tuple[list[tuple[Any, ...]], int]:
        """The rows with dimensions and measures, and how many there would be without a limit."""
        for name in (name for name in ask.names if name in TIMES):
            self._columnar.set_table(f"zone_{name}", ["BIGINT", "VARCHAR"], _labels(name, ask))
        parts = [part for kind in (*ROLLED, ASSIST, SHOP) for part in self._parts(kind, ask)]
        if not parts:
            return [], 0
        found = self._columnar.ask(ask.added_up(parts), ask.parameters)
        self._columnar.forget(_kept_table(kind) for kind in ROLLED)
        return [row[:-1] for row in found], int(found[0][-1]) if found else 0

    def _parts(self, kind: JournalKind, ask: "_Asking") -> Iterator[str]:
        """SQL for the sums of one kind, from roll-ups and from rows beside them; nothing where none are asked for."""
        wanted = {name: SUMS[name] for name in ask.sums if SUMS[name].kind is kind}
        if not wanted:
            return
        cube = cube_for(kind, ask.used) if self._rolled_up else None
        first, last = ask.since_ms // HOUR_MS, -(-ask.until_ms // HOUR_MS)
        if kind is SHOP:  # a cart of the evening may be paid for after midnight, and be one of weeks
            before_ms = LONGEST_CART_MS if "abandoned_value" in wanted else CART_GAP_MS
            first, last = first - before_ms // HOUR_MS, last + CART_GAP_MS // HOUR_MS
        covered = self.rollups.covered(CONVERSION if kind is ASSIST else kind, cube, first, last)
        for files, excluded in ((covered.whole, []), (covered.partial, covered.excluded)):
            if files:
                yield self._rolled(kind, files, excluded, ask, wanted)
        # Orders are few, and their bids are of any hour of a month before.
        joined = kind is not CONVERSION and self._needs_bids(kind, ask, wanted)
        groups = _groups(self._archive, covered, self._joined_bytes) if joined else []
        if len(groups) > 1:
            yield self._kept(kind, groups, ask, wanted)
        elif covered.rest:
            yield self._raw(kind, covered, ask, wanted)

    def _kept(
        self, kind: JournalKind, groups: Sequence[CoveredHours], ask: "_Asking", wanted: Mapping[str, ReportMeasure]
    ) -> str:
        """The sums of groups of hours, one after the other: a month of bids at once would not fit into memory."""
        table = _kept_table(kind)
        for number, hours in enumerate(groups):
            alone = ask.alone()
            self._columnar.keep(table, self._raw(kind, hours, alone, wanted), alone.parameters, add=number > 0)
        return f"SELECT * FROM {table}"  # noqa: S608 - names of ours

    def _rolled(
        self,
        kind: JournalKind,
        files: Sequence[Path],
        excluded: Sequence[int],
        ask: "_Asking",
        wanted: Mapping[str, ReportMeasure],
    ) -> str:
        """SQL for the sums from roll-ups, by quarters of an hour, without the excluded hours."""
        own = "coalesce(e.currency, s.c1, '')" if kind in (BILL, CONVERSION) else "coalesce(s.c1, '')"
        where = [f"e.quarter >= {ask.since_ms // QUARTER_MS} AND e.quarter < {ask.until_ms // QUARTER_MS}"]
        if excluded:
            where.append(f"e.quarter // {QUARTERS_OF_HOUR} NOT IN ({', '.join(map(str, excluded))})")
        sums = measures_of(kind)
        return ask.summed(
            kind,
            f"{files_sql(files)} e",
            "e.quarter",
            lambda name: own if name == "currency" else f'e."{name}"',
            {name: sums[name] for name in wanted},
            where,
        )

    def _raw(
        self, kind: JournalKind, covered: CoveredHours, ask: "_Asking", wanted: Mapping[str, ReportMeasure]
    ) -> str:
        """SQL for the sums from the rows themselves."""
        moment, rows = kind.hour_of, files_sql(covered.rest)
        source = rows
        if kind is BID:
            source = bid_source(rows, ask.used, whole=True)
        elif kind is CLICK and "product" in ask.used:
            source = click_source(rows)
        elif kind is ASSIST:
            source = assist_source(rows)
        elif kind is SHOP:
            source = shop_source(rows, ask.since_ms, ask.now_ms)
        join = self._of_bid(kind, covered, ask) if self._needs_bids(kind, ask, wanted) else ""
        return ask.summed(
            kind,
            f"{source} e{join}",
            f"e.{moment} // {QUARTER_MS}",
            lambda name: expression(name, kind) or "NULL",
            {name: measure.sql for name, measure in wanted.items()},
            [f"e.{moment} >= {ask.since_ms} AND e.{moment} < {ask.until_ms}"],
        )

    def _needs_bids(self, kind: JournalKind, ask: "_Asking", wanted: Mapping[str, ReportMeasure]) -> bool:
        """Whether the question needs values of a kind that only the rows of the bids have."""
        return bool(told_by_bids(kind, ask.used)) or any(measure.of_bid for measure in wanted.values())

    def _of_bid(self, kind: JournalKind, covered: CoveredHours, ask: "_Asking") -> str:
        """SQL that joins the rows of the bids."""
        hours = covered.rest_hours
        if kind is CONVERSION:
            hours = self._archive.hours(BID.name, min(hours) - _TOUCH_HOURS, max(hours) + 1)
        used = told_by_bids(kind, ask.used)
        return f" LEFT JOIN {bids_of_hours(self._archive, hours, used)} b ON b.bid_id = e.bid_id"


class _Asking:
    """A question that is being made into SQL with dimensions `names`: values of filters become parameters."""

    def __init__(
        self,
        question: ReportQuestion,
        names: tuple[str, ...],
        span_and_now_ms: tuple[int, int, int],
        advertisers: Sequence[int] | None,
    ) -> None:
        self.question, self.names = question, names
        self.sums = tuple(dict.fromkeys(name for measure in question.measures for name in sums_of(measure)))
        self.used = tuple(dict.fromkeys(name for name in (*names, *question.filters) if name not in TIMES))
        self.since_ms, self.until_ms, self.now_ms = span_and_now_ms
        self.advertisers = advertisers
        self.parameters: list[Any] = []

    def alone(self) -> "_Asking":
        """The same question for a statement with parameters of its own."""
        return _Asking(self.question, self.names, (self.since_ms, self.until_ms, self.now_ms), self.advertisers)

    def listed(self, values: Sequence[str | int]) -> str:
        """`(?, ?)` with the values as parameters."""
        self.parameters += [str(value) for value in values]
        return f"({', '.join('?' * len(values))})" if values else "('')"

    def summed(
        self,
        kind: JournalKind,
        source: str,
        quarter: str,
        told: Callable[[str], str],
        sums: Mapping[str, str],
        where: list[str],
    ) -> str:
        """SQL for the sums of one source of a kind, by all names. `quarter` and `told` say how to read a row."""
        if kind is not ANSWER:
            source += f" LEFT JOIN shops s ON s.c0 = {told('advertiser')}"
        selected = []
        for name in self.names:
            if name in TIMES:
                source += f" JOIN zone_{name} z_{name} ON z_{name}.c0 = {quarter}"
                selected.append(f'z_{name}.c1 AS "{name}"')
            else:
                selected.append(f'{told(name)} AS "{name}"')
        if self.question.currency:
            selected.append(f"{'NULL' if kind is ANSWER else told('advertiser')} AS payer")
        groups = ", ".join(str(at + 1) for at in range(len(selected)))
        selected += [f'{sql} AS "{name}"' for name, sql in sums.items()]
        for name, values in self.question.filters.items():
            where.append(f"{told(name)}::VARCHAR IN {self.listed(values)}")
        if self.advertisers is not None:
            where.append(f"{told('advertiser')}::VARCHAR IN {self.listed(self.advertisers)}")
        group = f" GROUP BY {groups}" if groups else ""
        return f"SELECT {', '.join(selected)} FROM {source} WHERE {' AND '.join(where)}{group}"  # noqa: S608 - names of ours

    def added_up(self, parts: Sequence[str]) -> str:
        """SQL that adds the parts up, sorts and cuts; the last column counts the rows there would be without a limit.

        Where a currency is asked for, each advertiser's sum is converted and then rounded, whatever it was made of.
        """
        names = [f'"{name}"' for name in self.names]
        # A kind without any file has no columns either, so empty ones are added.
        empty = ", ".join(f'NULL::BIGINT AS "{name}"' for name in self.sums)
        source = f"({' UNION ALL BY NAME '.join((*parts, f'SELECT {empty} WHERE false'))})"
        if self.question.currency:
            keys = ", ".join((*names, "payer"))
            sums = ", ".join(f'sum("{name}") AS "{name}"' for name in self.sums)
            rates = ", ".join(
                f'round_even("{name}" * coalesce(s.c2, 0), 0)::BIGINT AS "{name}"'
                for name in self.sums
                if SUMS[name].money
            )
            source = (
                f"(SELECT * {f'REPLACE ({rates})' if rates else ''} FROM "  # noqa: S608 - names of ours
                f"(SELECT {keys}, {sums} FROM {source} GROUP BY {keys}) LEFT JOIN shops s ON s.c0 = payer)"
            )
        sums = ", ".join(f'coalesce(sum("{name}"), 0)::BIGINT AS "{name}"' for name in self.sums)
        keys = ", ".join(names)
        added = f"SELECT {', '.join((*names, sums))} FROM {source}{f' GROUP BY {keys}' if names else ''}"  # noqa: S608 - names of ours
        chosen = ", ".join(
            (*names, *(f'{measure_sql(name)} AS "={name}"' for name in self.question.measures), "count(*) OVER ()")
        )
        some = " OR ".join(f'"{name}" <> 0' for name in self.sums) if names else "true"
        return f"SELECT {chosen} FROM ({added}) WHERE {some}{self._order()}{self._limit()}"  # noqa: S608 - names of ours

    def _order(self) -> str:
        column = self.question.sort.removeprefix("-")
        keys = [f"{in_order(name, name)} NULLS LAST" for name in self.names]
        if column and not self.question.pivot:
            shown = in_order(column, f"={column}" if column in self.question.measures else column)
            keys.insert(0, f"{shown} {'DESC' if self.question.sort.startswith('-') else 'ASC'} NULLS LAST")
        return f" ORDER BY {', '.join(keys)}" if keys else ""

    def _limit(self) -> str:
        return f" LIMIT {MAX_REPORT_ROWS if self.question.pivot else self.question.limit}"


def _kept_table(kind: JournalKind) -> str:
    return f"kept_{kind.name}"


def _groups(archive: Archive, covered: CoveredHours, joined_bytes: int) -> list[CoveredHours]:
    """Groups of the hours that are read as rows: each is joined with its bids at once."""
    of_hour: dict[int, list[Path]] = {}
    for path in covered.rest:
        of_hour.setdefault(hour_of_text(path.parent.name) or 0, []).append(path)
    groups: list[CoveredHours] = []
    left = 0
    for hour, paths in of_hour.items():
        size = sum(map(size_of, archive.files(BID.name, [hour])))
        if not groups or size > left:
            groups.append(CoveredHours([], [], [], [], []))
            left = joined_bytes
        groups[-1].rest.extend(paths)
        groups[-1].rest_hours.append(hour)
        left -= size
    return groups


def _labels(name: str, ask: _Asking) -> list[tuple[Any, ...]]:
    """(quarter of an hour since 1970, its label) of the whole span."""
    zone = zoneinfo.ZoneInfo(ask.question.timezone)
    return [
        (quarter, label_of(name, quarter, zone))
        for quarter in range(ask.since_ms // QUARTER_MS, -(-ask.until_ms // QUARTER_MS))
    ]


def _spread(told: Sequence[str], kept: Sequence[str], row: Sequence[Any]) -> tuple[Any, ...]:
    """A row of totals with all dimensions of the report; those that the totals do not have are None."""
    values = dict(zip(kept, row, strict=False))
    return (*(values.get(name) for name in told), *row[len(kept) :])


def _pivoted(
    question: ReportQuestion, rows: Sequence[tuple[Any, ...]], totals: Sequence[tuple[Any, ...]]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Columns, rows and totals of a report whose pivot becomes columns: `spend:POL`, `spend:DEU`.

    Raises InputError where these are too many.
    """
    told, measures = question.told_by, question.measures
    at = told.index(question.pivot)
    values = sorted({row[at] for row in rows}, key=lambda value: (value is None, place_in_order(question.pivot, value)))
    if len(values) > MAX_PIVOTED:
        text = f"{question.pivot} has {len(values)} values, and {MAX_PIVOTED} columns are a table: filter some"
        raise InputError("the report cannot be made", faults=[Fault("/pivot", "too_many", text)])

    def turned(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        cells = {((*row[:at], *row[at + 1 : len(told)]), row[at]): row[len(told) :] for row in rows}
        nothing = (None,) * len(measures)
        return [
            (*key, *(figure for value in values for figure in cells.get((key, value), nothing)))
            for key in dict.fromkeys(key for key, _value in cells)
        ]

    names = [f"{measure}{PIVOTED}{'' if value is None else value}" for value in values for measure in measures]
    columns = (*(name for name in told if name != question.pivot), *names)
    return columns, _sorted(turned(rows), columns, question.sort), turned(totals)


def _sorted(rows: list[tuple[Any, ...]], columns: Sequence[str], sort: str) -> list[tuple[Any, ...]]:
    """The rows sorted by a column; those without a value there come last."""
    if sort.removeprefix("-") not in columns:
        return rows
    at = columns.index(sort.removeprefix("-"))
    known = [row for row in rows if row[at] is not None]
    known.sort(key=lambda row: place_in_order(columns[at], row[at]), reverse=sort.startswith("-"))
    return known + [row for row in rows if row[at] is None]
