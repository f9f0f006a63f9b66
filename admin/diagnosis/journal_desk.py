"""What desks that answer from recorded requests have in common: the journal, and one question at a time."""

from typing import TYPE_CHECKING

from core.clock import Clock
from core.config import Settings
from core.turns import ThreadTurns
from journal.archive import Archive
from journal.catalogues import CatalogueFiles

if TYPE_CHECKING:  # DuckDB is an extra: it is imported where a question is asked
    from journal.columnar import Columnar
    from journal.requests import RequestReader


class JournalDesk:
    """Answers questions from one journal; `archive` and `catalogues` are None where none is kept."""

    def __init__(
        self, archive: Archive | None, catalogues: CatalogueFiles | None, settings: Settings, clock: Clock
    ) -> None:
        self._archive, self._catalogues, self._settings, self._clock = archive, catalogues, settings, clock
        self._columnar: Columnar | None = None
        self._turns = ThreadTurns()

    async def close(self) -> None:
        if self._columnar is not None:
            self._columnar.close()

    def _reader_of(self, archive: Archive) -> "RequestReader":
        """A reader of recorded requests, over a connection that is opened with the first question."""
        from journal.columnar import Columnar
        from journal.requests import RequestReader

        if self._columnar is None:
            self._columnar = Columnar()
        return RequestReader(archive, self._columnar)
