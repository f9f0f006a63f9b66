"""Reports for whoever asks: the API, the command line, the audit. One query path, so that no two show other figures."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import sqlalchemy as sa

from admin.rates.store import BASE
from admin.reports.documents import ReportAnswer, ReportRequest
from admin.reports.files import Names, ReportFile, answer_of, csv_text, parquet_file, xlsx_file
from admin.store import tables
from admin.store.catalogue import CatalogueStore, objects_by_id, rates
from admin.store.kinds import ADVERTISERS, KIND_BY_NAME
from core.clock import Clock
from core.errors import Fault, InputError, NotFoundError
from core.money import FxTable, MoneyError
from core.turns import ThreadTurns
from journal.figures import ColumnForm

if TYPE_CHECKING:
    from journal.archive import Archive
    from journal.columnar import Columnar
    from journal.reports import ReportShop, ReportTable

# Where the names of a dimension's objects are found.
_KIND_OF: Final[Mapping[str, str]] = {
    "advertiser": "advertisers", "campaign": "campaigns", "line_item": "line-items", "creative": "creatives",
    "exchange": "exchanges", "segment": "segments",
}  # fmt: skip
# Ids of one column in one question to the database.
_IDS: Final = 500


class ReportDesk:
    """Answers questions from one archive; None: no journal is kept here. One question at a time."""

    def __init__(self, archive: "Archive | None", store: CatalogueStore, clock: Clock) -> None:
        self._archive, self._store, self._clock = archive, store, clock
        self._columnar: Columnar | None = None
        self._turns = ThreadTurns()

    async def close(self) -> None:
        if self._columnar is not None:
            self._columnar.close()

    def stored_until(self) -> int:
        """The moment before which everything is in the figures, unix ms; 0 where no journal is kept, or none yet."""
        return 0 if self._archive is None else self._archive.stored_until()

    async def answer(self, request: ReportRequest, advertisers: frozenset[int] | None) -> ReportAnswer:
        """The report as JSON has it, of the advertisers that the caller may see (None: all).

        Raises InputError, NotFoundError where no journal is kept, UnavailableError.
        """
        report = await self._report(request, advertisers)
        return answer_of(report, await self._names(report))

    async def file(self, request: ReportRequest, advertisers: frozenset[int] | None, title: str = "") -> ReportFile:
        """The report as a file of the form that is asked for. Raises as `answer`."""
        report = await self._report(request, advertisers)
        names = await self._names(report)
        if request.format == "parquet":
            return await self._turns.run(lambda: parquet_file(report, names, self._opened(), named=request.names))
        answer = answer_of(report, names)
        if request.format == "xlsx":
            return await asyncio.to_thread(xlsx_file, answer, title=title)
        if request.format == "csv":
            return ReportFile("csv", "text/csv", csv_text(answer, names=request.names).encode())
        return ReportFile("json", "application/json", msgspec.json.format(msgspec.json.encode(answer)))

    async def _report(self, request: ReportRequest, advertisers: frozenset[int] | None) -> "ReportTable":
        # Imported where it is used: DuckDB is a tenth of a second and 60 MiB, and not everybody asks for reports.
        from journal.reports import ReportReader

        if self._archive is None:
            raise NotFoundError("no journal is kept here, so there are no reports", hint="set journal.directory")
        question, shops = request.question(), await self._shops(request.currency)
        reader, archive = ReportReader(self._archive, self._opened()), self._archive
        return await self._turns.run(
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

    async def _names(self, report: "ReportTable") -> Names:
        """Names of the objects that occur, by dimension and id."""
        found: Names = {}
        async with self._store.database.read() as connection:
            for at, (column, form) in enumerate(zip(report.columns, report.forms, strict=True)):
                if form is not ColumnForm.ID and column not in _KIND_OF:
                    continue
                table = KIND_BY_NAME[_KIND_OF[column]].table
                ids = sorted({int(row[at]) for row in report.rows if row[at]})
                known: dict[str, str] = {}
                for start in range(0, len(ids), _IDS):
                    chosen = sa.select(table.c.id, table.c.name).where(table.c.id.in_(ids[start : start + _IDS]))
                    known |= {str(number): name for number, name in await connection.execute(chosen)}
                found[column] = known
        return found

    async def _shops(self, currency: str) -> Mapping[int, "ReportShop"]:
        """Currency and segments of every advertiser, and what one of its currency is in the report's."""
        from journal.reports import ReportShop

        async with self._store.database.read() as connection:
            ids = list(await connection.scalars(sa.select(tables.advertisers.c.id)))
            found = await objects_by_id(connection, ADVERTISERS, ids)
            table = FxTable(BASE, await rates(connection))
            segments: dict[int, list[int]] = {}
            owned = sa.select(tables.segments.c.id, tables.segments.c.advertiser_id)
            for segment, advertiser in await connection.execute(owned):
                segments.setdefault(advertiser, []).append(segment)
        known = [stored.value for stored in found.values()]
        try:
            if currency:
                table.rate(BASE, currency)
            return {
                one.id: ReportShop(
                    one.currency, table.rate(one.currency, currency) if currency else 1.0, segments.get(one.id, ())
                )
                for one in known
            }
        except MoneyError as error:
            raise InputError(
                "the report cannot be made", faults=[Fault("/currency", "no_rate", str(error), "`grosz fx show`")]
            ) from error
