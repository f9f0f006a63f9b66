"""Erasing people from the Parquet files: what says something of a person goes, what is money stays.

A file with rows of the person is written anew under its own name, with the columns emptied that the kind calls
personal; recorded requests of the person are left out altogether. Sums stay as they were: a bill says what was paid,
not for whom.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from journal.archive import Archive
from journal.columnar import Columnar, files_sql
from journal.rows import KINDS, REQUEST, JournalKind

PERSON: Final = "person"
_NOBODY: Final = 0


def erase_people(archive: Archive, columnar: Columnar, people: Collection[int]) -> int:
    """Erase persons by their pseudonyms from all files; how many files were written anew.

    Raises UnavailableError; what was not done is done by the next call.
    """
    if not people:
        return 0
    listed = ", ".join(str(int(person)) for person in people)
    rewritten = 0
    for kind in KINDS.values():
        if PERSON not in kind.names:
            continue
        for hour in archive.hours(kind.name):
            for part in archive.all_parts(kind.name, hour):
                if _holds(columnar, part.path, listed):
                    columnar.copy(_without(kind, part.path, listed), part.path)
                    rewritten += 1
    return rewritten


def _holds(columnar: Columnar, path: Path, listed: str) -> bool:
    question = f"SELECT 1 FROM {files_sql([path])} WHERE {PERSON} IN ({listed}) LIMIT 1"  # noqa: S608 - numbers of ours
    return bool(columnar.ask(question))


def _without(kind: JournalKind, path: Path, listed: str) -> str:
    source = files_sql([path])
    if kind is REQUEST:
        return f"SELECT * FROM {source} WHERE {PERSON} IS NULL OR {PERSON} NOT IN ({listed})"  # noqa: S608 - as above
    columns = ", ".join(
        f'CASE WHEN "{PERSON}" IN ({listed}) THEN {_NOBODY if column.name == PERSON else "NULL"} ELSE "{column.name}" '
        f'END::{column.sql} AS "{column.name}"'
        if column.name in kind.personal
        else f'"{column.name}"'
        for column in kind.columns
    )
    return f"SELECT {columns} FROM {source}"  # noqa: S608 - as above
