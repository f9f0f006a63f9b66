"""A moment of the journal's files is held while the worker goes on."""

from pathlib import Path

import pytest

from core.errors import UnavailableError
from journal.archive import FORGOTTEN_FILE, STATE_FILE
from journal.manifests import MirroredFile
from journal.rollups import RollupWriter
from journal.rows import BID, BILL
from journal.snapshots import forget_links, take_snapshot
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row

HOUR = NOW_MS // 3_600_000


def nothing(_path: str, _size: int, _mtime_ns: int) -> MirroredFile | None:
    return None


@pytest.fixture
def folder(tmp_path: Path) -> JournalFolder:
    return JournalFolder(tmp_path)


async def stored(folder: JournalFolder, *bid_ids: int) -> None:
    """A part for each bid."""
    for bid_id in bid_ids:
        writer = folder.another_writer(f"p{bid_id}")
        writer.append(BID, a_row(BID, bid_id=bid_id))
        await writer.close()
        folder.convert()


async def test_what_is_replaced_and_removed_afterwards_is_held(folder: JournalFolder, tmp_path: Path) -> None:
    await stored(folder, 1, 2)
    taken = take_snapshot(folder.archive, tmp_path / "links", nothing, erased_ms=5)
    assert (len(taken.links), taken.is_whole, taken.erased_ms) == (2, True, 5)
    contents = {path: link.read_bytes() for path, link in taken.links.items()}
    first = folder.archive.parts(BID.name, HOUR)[0].path
    folder.columnar.copy(f"SELECT * FROM '{first}' WHERE false", first)
    folder.archive.remove(BID.name, HOUR)
    assert {path: link.read_bytes() for path, link in taken.links.items()} == contents
    forget_links(tmp_path / "links")
    assert not list((tmp_path / "links").iterdir())


async def test_parts_that_a_merged_file_covers_are_not_in_it(folder: JournalFolder, tmp_path: Path) -> None:
    await stored(folder, 1, 2)
    assert folder.converter.merge(BID, HOUR, NOW_MS / 1000)
    assert len(folder.archive.all_parts(BID.name, HOUR)) == 3
    taken = take_snapshot(folder.archive, tmp_path / "links", nothing)
    assert [Path(path).name for path in taken.links] == ["00000001-00000002.parquet"]


async def test_sums_are_in_it_with_the_file_that_names_them(folder: JournalFolder, tmp_path: Path) -> None:
    await stored(folder, 1)
    RollupWriter(folder.archive, folder.columnar).roll_up(BID, [HOUR])
    (folder.archive.folder / STATE_FILE).write_text('{"batch": 3}', encoding="utf-8")
    taken = take_snapshot(folder.archive, tmp_path / "links", nothing)
    assert sorted(path.split("/")[1] for path in taken.links if path.startswith("rollups/")) == [
        "bid.line", "bid.place", "bid.product",
    ]  # fmt: skip
    assert taken.small.keys() == {"rollups/rollups.json", STATE_FILE}
    assert FORGOTTEN_FILE not in taken.small


async def test_what_the_mirror_has_is_not_held_again(folder: JournalFolder, tmp_path: Path) -> None:
    await stored(folder, 1)
    path = folder.archive.parts(BID.name, HOUR)[0].path
    file = MirroredFile(path.stat().st_size, path.stat().st_mtime_ns, "d")

    def known(_path: str, size: int, mtime_ns: int) -> MirroredFile | None:
        return file if (size, mtime_ns) == (file.size, file.mtime_ns) else None

    taken = take_snapshot(folder.archive, tmp_path / "links", known)
    assert (list(taken.mirrored.values()), taken.links) == ([file], {})


async def test_more_than_fits_is_held_in_several_goes(folder: JournalFolder, tmp_path: Path) -> None:
    await stored(folder, 1, 2, 3)
    taken = take_snapshot(folder.archive, tmp_path / "links", nothing, max_bytes=1)
    assert (len(taken.links), taken.is_whole) == (1, False)


async def test_an_empty_journal_has_an_empty_moment(folder: JournalFolder, tmp_path: Path) -> None:
    taken = take_snapshot(folder.archive, tmp_path / "links", nothing)
    assert (taken.links, taken.mirrored, taken.small, taken.is_whole) == ({}, {}, {}, True)
    assert folder.archive.hours(BILL.name) == []


async def test_a_disk_that_refuses_says_for_whom(folder: JournalFolder, tmp_path: Path) -> None:
    await stored(folder, 1)
    (tmp_path / "links").write_bytes(b"a file in the place of the folder")
    with pytest.raises(UnavailableError, match="cannot be held for the mirror"):
        take_snapshot(folder.archive, tmp_path / "links", nothing)
