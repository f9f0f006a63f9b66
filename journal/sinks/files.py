"""The worker's own Parquet files as a sink: the default, and what reports are made of."""

import asyncio
from collections.abc import Collection

from journal.columnar import Columnar
from journal.converting import SegmentConverter
from journal.erasing import erase_people
from journal.segment import SegmentFrame
from journal.sinks.sink import RowBatch


class FileSink:
    """Files below the converter's archive, named by the batch's source: a repeat overwrites them."""

    def __init__(self, converter: SegmentConverter, columnar: Columnar) -> None:
        self._converter, self._columnar = converter, columnar

    async def put(self, batch: RowBatch) -> None:
        """See `EventSink`."""
        frames = [SegmentFrame(kind.name, kind.names, [list(row) for row in rows]) for kind, rows in batch.rows.items()]
        await asyncio.to_thread(self._converter.write, batch.source, frames)

    async def erase(self, people: Collection[int]) -> None:
        """See `EventSink`."""
        await asyncio.to_thread(erase_people, self._converter.archive, self._columnar, people)

    async def close(self) -> None:
        """Nothing is open here: the converter has the files."""
