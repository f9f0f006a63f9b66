"""Erasing people from the Parquet files: what says something of a person goes, what is money stays.

A file with rows of the person is written anew under its own name, with the columns emptied that the kind calls
personal; recorded requests of the person are left out altogether. Sums stay as they were: a bill says what was paid,
not for whom.
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from journal.archive import Archive
from journal.columnar import Columnar, files_sql
from journal.people import NOBODY, PERSON
from journal.rows import BID, KINDS, REQUEST, SHOWN, JournalKind


class ErasedFiles(NamedTuple):
    """How many files were rewritten, and the hours of those with bids: sums made of these hours tell too much now."""

    files: int
    bid_hours: frozenset[int]


def erase_people(archive: Archive, columnar: Columnar, people: Collection[int]) -> ErasedFiles:
    """Erase persons by their pseudonyms from all files.

    Raises UnavailableError; the next call does what is left.
    """
    if not people:
        return ErasedFiles(0, frozenset())
    listed = ", ".join(str(int(person)) for person in people)
    rewritten: list[tuple[JournalKind, int]] = []
    for kind in KINDS.values():
        if PERSON not in kind.names:
            continue
        for hour in archive.hours(kind.name):
            for part in archive.all_parts(kind.name, hour):
                if _holds(columnar, part.path, listed):
                    columnar.copy(_without(kind, part.path, listed), part.path)
                    rewritten.append((kind, hour))
    return ErasedFiles(len(rewritten), frozenset(hour for kind, hour in rewritten if kind in (BID, SHOWN)))


def _holds(columnar: Columnar, path: Path, listed: str) -> bool:
    question = f"SELECT 1 FROM {files_sql([path])} WHERE {PERSON} IN ({listed}) LIMIT 1"  # noqa: S608 - numbers of ours
    return bool(columnar.ask(question))


def _without(kind: JournalKind, path: Path, listed: str) -> str:
    source = files_sql([path])
    if kind is REQUEST:
        return f"SELECT * FROM {source} WHERE {PERSON} IS NULL OR {PERSON} NOT IN ({listed})"  # noqa: S608 - as above
    columns = ", ".join(
        f'CASE WHEN "{PERSON}" IN ({listed}) THEN {NOBODY if column.name == PERSON else "NULL"} ELSE "{column.name}" '
        f'END::{column.sql} AS "{column.name}"'
        if column.name in kind.personal
        else f'"{column.name}"'
        for column in kind.columns
    )
    return f"SELECT {columns} FROM {source}"  # noqa: S608 - as above
