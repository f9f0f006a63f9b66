"""Where rows go besides the worker's own files: one interface, whatever stands behind it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from journal.people import rows_without
from journal.rows import KINDS, JournalKind
from journal.segment import SegmentFrame


class RowBatch(NamedTuple):
    """Rows of one source, by kind. A source is a segment or a batch of streams; its name is never used again."""

    source: str
    rows: Mapping[JournalKind, Sequence[Sequence[object]]]
    """Values in the order of the kind's columns."""


class EventSink(Protocol):
    """Takes batches one after the other. However often a batch is put, its rows are there once, or not at all."""

    async def put(self, batch: RowBatch) -> None:
        """Return when the batch is durable. Raises UnavailableError; then it may be put again.

        After a start the first batch may be there already, if a process was killed before it could note that.
        """
        ...

    async def erase(self, people: Collection[int]) -> None:
        """Have persons erased, by their pseudonyms. Raises UnavailableError; may be repeated."""
        ...

    async def close(self) -> None:
        """Close connections and files."""
        ...


def batch_without(batch: RowBatch, people: Collection[int]) -> RowBatch:
    """A batch without persons; the same object where it has no rows of them."""
    rows = {kind: rows_without(kind, of_kind, people) for kind, of_kind in batch.rows.items()}
    if all(rows[kind] is of_kind for kind, of_kind in batch.rows.items()):
        return batch
    return RowBatch(batch.source, {kind: of_kind for kind, of_kind in rows.items() if of_kind})


def batch_of(source: str, frames: Sequence[SegmentFrame]) -> RowBatch:
    """What frames hold, by kind; columns that a release before did not write are None, unknown ones are left out."""
    rows: dict[JournalKind, list[Sequence[object]]] = {}
    for frame in frames:
        kind = KINDS.get(frame.kind)
        if kind is None or not frame.rows:
            continue
        places = [frame.columns.index(name) if name in frame.columns else -1 for name in kind.names]
        rows.setdefault(kind, []).extend(
            [row[at] if 0 <= at < len(row) else None for at in places] for row in frame.rows
        )
    return RowBatch(source, rows)
