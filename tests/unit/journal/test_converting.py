import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import UnavailableError
from journal import segment
from journal.archive import HAND_ON_MS, HOUR_MS, Archive
from journal.columnar import Columnar
from journal.converting import LEFTOVER_S, SegmentConverter
from journal.folders import DAMAGED_SUFFIX
from journal.rows import ANSWER, FORMAT_VERSION, NOTICE
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row

HOUR = NOW_MS // HOUR_MS


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFolder]:
    folder = JournalFolder(tmp_path)
    yield folder
    folder.close()


async def written(journal: JournalFolder, *ids: int, hour: int = HOUR) -> Path:
    """One segment with notices."""
    writer = journal.another_writer(f"p{ids[0]}")
    writer.extend(NOTICE, [a_row(NOTICE, bid_id=number, bid_ms=hour * HOUR_MS) for number in ids])
    await writer.close()
    return journal.converter.waiting()[-1]


def ids(journal: JournalFolder) -> list[int]:
    return [int(str(row[0])) for row in journal.rows(NOTICE, "bid_id")]


async def test_rows_are_filed_under_the_hour_of_their_bid(journal: JournalFolder) -> None:
    await written(journal, 1, hour=HOUR - 3)
    await written(journal, 2)
    journal.convert()
    assert journal.archive.hours("notice") == [HOUR - 3, HOUR]
    assert journal.archive.hours("notice", since=HOUR) == [HOUR]


async def test_a_conversion_that_is_done_again_changes_nothing(journal: JournalFolder) -> None:
    path = await written(journal, 1, 2, 3)
    data = path.read_bytes()
    journal.convert()
    path.write_bytes(data)  # killed after the Parquet file was there, before the segment went
    assert journal.convert() == 3
    assert ids(journal) == [1, 2, 3]


async def test_it_changes_nothing_after_a_merge_either(journal: JournalFolder) -> None:
    path = await written(journal, 1, 2)
    data = path.read_bytes()
    journal.convert()
    await written(journal, 3)
    journal.convert()
    assert journal.converter.merge(NOTICE, HOUR, 0)
    path.write_bytes(data)
    journal.convert()
    assert ids(journal) == [1, 2, 3]


async def test_a_torn_tail_is_left_out(journal: JournalFolder) -> None:
    path = await written(journal, 1)
    data = path.read_bytes()
    path.write_bytes(data + data[-40:-7])
    found = journal.converter.convert(path)
    assert (found.rows, found.torn_bytes) == (1, 33)
    assert ids(journal) == [1]


async def test_a_file_that_is_none_of_ours_is_set_aside(journal: JournalFolder) -> None:
    await written(journal, 1)
    strange = journal.segments / "0-x-1.segment"
    strange.write_bytes(os.urandom(64))
    empty = journal.segments / "0-x-2.segment"
    empty.write_bytes(b"")
    assert journal.convert() == 1
    assert ids(journal) == [1]
    assert journal.converter.waiting() == []
    assert strange.with_suffix(DAMAGED_SUFFIX).exists()


async def test_a_segment_of_a_later_release_waits_and_holds_up_nothing(
    journal: JournalFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(segment, "FORMAT_VERSION", FORMAT_VERSION + 1)
    later = await written(journal, 1)
    monkeypatch.undo()
    now = await written(journal, 2)
    read, reads = Path.read_bytes, list[Path]()

    def noted(path: Path) -> bytes:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert (journal.convert(), journal.convert()) == (1, 0)
    assert sorted(reads) == sorted([later, now])
    assert journal.converter.later_since_ms() == NOW_MS - HAND_ON_MS
    assert journal.converter.waiting() == [later]
    assert not now.exists()
    assert [
        record.message for record in caplog.records if "waits: the journal's segment is of version" in record.message
    ]
    assert len(caplog.records) == 1
    monkeypatch.setattr(segment, "FORMAT_VERSION", FORMAT_VERSION + 1)  # the worker is upgraded
    journal.converter.stop()
    journal.converter = SegmentConverter(journal.segments, journal.archive, journal.columnar)
    assert journal.convert() == 1
    assert ids(journal) == [1, 2]
    assert journal.converter.later_since_ms() is None


async def test_a_segment_that_was_removed_does_not_hold_up_the_others(journal: JournalFolder) -> None:
    await written(journal, 1)
    await written(journal, 2)
    listed = journal.converter.waiting()
    listed[0].unlink()
    assert [journal.converter.convert(path).rows for path in listed] == [0, 1]
    assert ids(journal) == [2]


async def test_a_segment_whose_process_is_gone_is_converted(journal: JournalFolder) -> None:
    process = os.fork()
    if not process:  # a writer that dies without a word
        journal.writer.extend(NOTICE, [a_row(NOTICE, bid_id=5)])
        journal.writer.flush()
        os.kill(os.getpid(), 9)
    os.waitpid(process, 0)  # noqa: ASYNC222 - it is dead within a moment
    assert [path.suffix for path in journal.converter.waiting()] == [".open"]
    assert journal.convert() == 1
    assert ids(journal) == [5]


async def test_merging_keeps_each_row_once_and_leftovers_go_later(journal: JournalFolder) -> None:
    for number in range(5):
        await written(journal, number)
        journal.convert()
    assert journal.converter.merge(NOTICE, HOUR, 0)
    assert len(journal.archive.parts("notice", HOUR)) == 1
    assert len(journal.archive.all_parts("notice", HOUR)) == 6
    assert ids(journal) == [0, 1, 2, 3, 4]
    made = journal.archive.parts("notice", HOUR)[0].path.stat().st_mtime
    assert not journal.converter.merge(NOTICE, HOUR, made + LEFTOVER_S - 1)
    assert len(journal.archive.all_parts("notice", HOUR)) == 6
    assert not journal.converter.merge(NOTICE, HOUR, made + LEFTOVER_S)
    assert len(journal.archive.all_parts("notice", HOUR)) == 1
    await written(journal, 9)
    journal.convert()
    assert journal.converter.merge(NOTICE, HOUR, 0)
    assert ids(journal) == [0, 1, 2, 3, 4, 9]


async def test_leftovers_go_also_in_an_hour_that_is_merged_again_and_again(journal: JournalFolder) -> None:
    for number in range(3):
        await written(journal, number)
        journal.convert()
    journal.converter.merge(NOTICE, HOUR, 0)
    (first,) = journal.archive.parts("notice", HOUR)
    await written(journal, 3)
    journal.convert()
    journal.converter.merge(NOTICE, HOUR, 0)
    (newest,) = journal.archive.parts("notice", HOUR)
    now_s = newest.path.stat().st_mtime
    os.utime(first.path, (now_s - LEFTOVER_S, now_s - LEFTOVER_S))
    journal.converter.merge(NOTICE, HOUR, now_s)
    left = {part.path.name for part in journal.archive.all_parts("notice", HOUR)}
    assert {first.path.name, newest.path.name} < left, "the newest is too young for what it alone covers"
    assert len(left) == 3
    assert ids(journal) == [0, 1, 2, 3]


def test_one_process_has_a_folder(journal: JournalFolder) -> None:
    other = SegmentConverter(journal.segments, journal.archive, Columnar())
    assert not other.start()
    journal.converter.stop()
    assert other.start()
    other.stop()


async def test_what_a_process_that_died_was_writing_goes_at_the_start(journal: JournalFolder) -> None:
    await written(journal, 1)
    journal.convert()
    half = journal.archive.hour_folder("notice", HOUR) / "00000002.x.parquet.tmp"
    half.write_bytes(b"PAR1")
    journal.converter.stop()
    assert journal.converter.start()
    assert not half.exists()
    assert ids(journal) == [1]


async def test_a_disk_that_refuses_leaves_the_segment(journal: JournalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await written(journal, 1)
    refused = Columnar()

    def refuse(*_arguments: object, **_named: object) -> int:
        raise UnavailableError("no space left on device")

    monkeypatch.setattr(refused, "copy", refuse)
    converter = SegmentConverter(journal.segments, Archive(journal.archive.folder), refused)
    with pytest.raises(UnavailableError):
        converter.convert(path)
    assert path.exists()
    assert journal.convert() == 1
    assert ids(journal) == [1]


async def test_a_column_that_older_files_lack_is_empty(journal: JournalFolder) -> None:
    """What a release before wrote has fewer columns; both are read together."""
    folder = journal.archive.hour_folder("answer", HOUR)
    folder.mkdir(parents=True)
    journal.columnar.write(
        folder / "00000001.before.parquet", {"at_ms": ("BIGINT", [NOW_MS]), "requests": ("BIGINT", [7])}
    )
    writer = journal.another_writer("p")
    writer.append(ANSWER, a_row(ANSWER, requests=1, reason="no_lease"))
    await writer.close()
    journal.convert()
    assert journal.rows(ANSWER, "requests, reason") == [(1, "no_lease"), (7, None)]
