"""Reports for whoever asks: the API, the command line, the audit. One query path, so that no two show other figures."""

import asyncio
import csv
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from admin.api.reading import moment_text
from admin.rates.store import BASE
from admin.reports.documents import ReportAnswer, ReportRequest
from admin.store import tables
from admin.store.catalogue import CatalogueStore, objects_by_id, rates
from admin.store.kinds import ADVERTISERS
from core.clock import Clock
from core.errors import Fault, InputError, NotFoundError
from core.money import FxTable, MoneyError, format_micros

if TYPE_CHECKING:
    from journal.archive import Archive
    from journal.columnar import Columnar
    from journal.reports import ReportShop, ReportTable

# What spreadsheets take for a formula at the beginning of a cell.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ReportDesk:
    """Answers questions from one archive; None: no journal is kept here. One question at a time."""

    def __init__(self, archive: "Archive | None", store: CatalogueStore, clock: Clock) -> None:
        self._archive, self._store, self._clock = archive, store, clock
        self._columnar: Columnar | None = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        if self._columnar is not None:
            self._columnar.close()

    async def answer(self, request: ReportRequest, advertisers: frozenset[int] | None) -> ReportAnswer:
        """The report as JSON has it, of the advertisers that who asks may see (None: all).

        Raises InputError, NotFoundError where no journal is kept, UnavailableError.
        """
        report = await self._report(request, advertisers)
        return ReportAnswer(
            report.columns,
            [
                tuple(_shown(name, value) for name, value in zip(report.columns, row, strict=True))
                for row in report.rows
            ],
            moment_text(report.since_ms),
            moment_text(report.until_ms),
            moment_text(report.fresh_until_ms) if report.fresh_until_ms else None,
        )

    async def parquet(self, request: ReportRequest, advertisers: frozenset[int] | None) -> bytes:
        """The report as a Parquet file; money stays whole micros, in columns `..._micros`."""
        from journal.reports import is_money

        report, columnar = await self._report(request, advertisers), self._opened()
        columns: dict[str, tuple[str, list[Any]]] = {}
        for at, name in enumerate(report.columns):
            values = [row[at] for row in report.rows]
            if is_money(name):
                columns[f"{name}_micros"] = ("BIGINT", values)
            elif name in request.measures:
                columns[name] = ("DOUBLE", values)
            else:
                columns[name] = ("VARCHAR", [None if value is None else str(value) for value in values])
        async with self._turn:
            with tempfile.TemporaryDirectory(prefix="grosz-report-") as folder:
                path = Path(folder) / "report.parquet"
                await asyncio.to_thread(columnar.write, path, columns)
                return path.read_bytes()

    async def _report(self, request: ReportRequest, advertisers: frozenset[int] | None) -> "ReportTable":
        # Imported where it is used: DuckDB is a tenth of a second and 60 MiB, and not everybody asks for reports.
        from journal.reports import ReportQuestion, ReportReader

        if self._archive is None:
            raise NotFoundError("no journal is kept here, so there are no reports", hint="set journal.directory")
        question = ReportQuestion(
            request.measures, request.dimensions, request.since, request.until, request.timezone,
            {name: tuple(values) for name, values in request.filters.items()}, request.sort, request.limit,
            request.currency,
        )  # fmt: skip
        shops = await self._shops(request.currency)
        reader, archive = ReportReader(self._archive, self._opened()), self._archive
        async with self._turn:
            return await asyncio.to_thread(
                lambda: reader.answer(
                    question, shops, self._clock.now_ms(), fresh_until_ms=archive.stored_until(),
                    advertisers=None if advertisers is None else sorted(advertisers),
                )
            )  # fmt: skip

    def _opened(self) -> "Columnar":
        from journal.columnar import Columnar

        if self._columnar is None:
            self._columnar = Columnar()
        return self._columnar

    async def _shops(self, currency: str) -> Mapping[int, "ReportShop"]:
        """Currency of every advertiser, and what one of it is in the report's currency."""
        from journal.reports import ReportShop

        async with self._store.database.read() as connection:
            ids = list(await connection.scalars(sa.select(tables.advertisers.c.id)))
            found = await objects_by_id(connection, ADVERTISERS, ids)
            table = FxTable(BASE, await rates(connection))
        known = [stored.value for stored in found.values()]
        if not currency:
            return {one.id: ReportShop(one.currency, 1.0) for one in known}
        try:
            table.rate(BASE, currency)
            return {one.id: ReportShop(one.currency, table.rate(one.currency, currency)) for one in known}
        except MoneyError as error:
            raise InputError(
                "the report cannot be made", faults=[Fault("/currency", "no_rate", str(error), "`grosz fx show`")]
            ) from error


def csv_text(answer: ReportAnswer) -> str:
    """The report as CSV (RFC 4180). Texts that a spreadsheet would take for a formula begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(answer.columns)
    writer.writerows([[_cell(value) for value in row] for row in answer.rows])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _shown(name: str, value: Any) -> str | int | float | None:  # noqa: ANN401 - a value of a report
    from journal.reports import is_money

    if value is None or not is_money(name):
        shown: str | int | float | None = value
        return shown
    return format_micros(value)
