"""Who is erased is in no file any more; what was paid is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.erasing import erase_people
from journal.rows import KINDS, REQUEST, JournalKind
from journal.segment import SegmentFrame
from tests.kit.journal_rows import JournalFolder, a_row

GONE, STAYS = 2**63 + 12_345, 777
WITH_PEOPLE = [kind for kind in KINDS.values() if "person" in kind.names]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFolder]:
    folder = JournalFolder(tmp_path)
    yield folder
    folder.close()


def store(journal: JournalFolder, source: str) -> None:
    """A row of each of two persons and of nobody, of every kind; personal texts name whose they are."""
    for kind in WITH_PEOPLE:
        rows = []
        for person in (GONE, STAYS, 0):
            personal: dict[str, object] = {"person": person}
            for column in kind.columns:
                if column.name in kind.personal and column.sql == "VARCHAR":
                    personal[column.name] = f"of-{person}"
                elif column.name in kind.personal and column.sql == "BLOB":
                    personal[column.name] = f"of-{person}".encode()
            rows.append(list(a_row(kind, **personal)))
        journal.converter.write(f"{source}-{kind.name}", [SegmentFrame(kind.name, kind.names, rows)])


def everything(journal: JournalFolder) -> str:
    """All rows of all files, those that are left over from merges among them, as a text."""
    files = list(journal.archive.folder.rglob("*.parquet"))
    return "\n".join(repr(journal.columnar.ask(f"SELECT * FROM '{path}'")) for path in files)


def test_who_is_erased_is_in_no_file(journal: JournalFolder) -> None:
    store(journal, "a")
    store(journal, "b")
    for kind in WITH_PEOPLE[:2]:
        hour = journal.archive.hours(kind.name)[0]
        journal.converter.merge(kind, hour, 0)
    before = {kind.name: journal.count(kind) for kind in WITH_PEOPLE}
    assert str(GONE) in everything(journal)
    assert erase_people(journal.archive, journal.columnar, [GONE]).files >= len(WITH_PEOPLE)
    text = everything(journal)
    assert str(GONE) not in text
    assert text.count(f"of-{STAYS}") > 0
    for kind in WITH_PEOPLE:
        lost = 2 if kind is REQUEST else 0
        assert journal.count(kind) == before[kind.name] - lost, kind.name
    assert erase_people(journal.archive, journal.columnar, [GONE]).files == 0


@pytest.mark.parametrize("kind", [kind for kind in WITH_PEOPLE if kind is not REQUEST], ids=lambda kind: kind.name)
def test_what_is_not_personal_stays(journal: JournalFolder, kind: JournalKind) -> None:
    store(journal, "a")
    kept = [name for name in kind.names if name not in kind.personal]
    columns = ", ".join(f'"{name}"' for name in kept)
    before = journal.rows(kind, columns)
    erase_people(journal.archive, journal.columnar, [GONE])
    assert journal.rows(kind, columns) == before


def test_nobody_to_erase_touches_nothing(journal: JournalFolder) -> None:
    store(journal, "a")
    times = {path: path.stat().st_mtime_ns for path in journal.archive.folder.rglob("*.parquet")}
    assert erase_people(journal.archive, journal.columnar, []).files == 0
    assert erase_people(journal.archive, journal.columnar, [42]).files == 0
    assert {path: path.stat().st_mtime_ns for path in journal.archive.folder.rglob("*.parquet")} == times
