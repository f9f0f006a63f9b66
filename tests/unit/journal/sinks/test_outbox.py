import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import InputError
from core.telemetry.metrics import Telemetry
from journal.rows import BILL, CLICK, KINDS, REQUEST, JournalKind
from journal.segment import SegmentFrame
from journal.sinks.outbox import SinkOutbox
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row, counted


def bills(*numbers: int) -> list[SegmentFrame]:
    rows = [list(a_row(BILL, bid_id=number)) for number in numbers]
    return [SegmentFrame(BILL.name, BILL.names, rows)]


def given(outbox: SinkOutbox) -> list[tuple[str, list[object]]]:
    batches = [outbox.read(path) for path in outbox.waiting()]
    return [(batch.source, [row[0] for row in batch.rows[BILL]]) for batch in batches]


def outbox_in(folder: Path, telemetry: Telemetry | None = None, *, max_bytes: int = 2**20) -> SinkOutbox:
    return SinkOutbox(folder, telemetry or Telemetry(), max_bytes=max_bytes)


def test_batches_wait_in_the_order_in_which_they_were_stored(tmp_path: Path) -> None:
    journal = JournalFolder(tmp_path)
    outbox = outbox_in(tmp_path / "out")
    outbox.add_streams(1, "w", bills(1, 2), NOW_MS)
    journal.writer.append(BILL, a_row(BILL, bid_id=3))
    journal.writer.flush()
    journal.writer._hand_on()
    (segment,) = journal.converter.waiting()
    outbox.add_segment(segment)
    again = outbox_in(tmp_path / "out")  # another process
    again.add_streams(2, "w", bills(4), NOW_MS)
    assert given(again) == [("stream-00000001", [1, 2]), (segment.stem, [3]), ("stream-00000002", [4])]
    again.forget(again.waiting()[0])
    assert [source for source, _rows in given(again)] == [segment.stem, "stream-00000002"]
    assert journal.converter.waiting() == []
    journal.close()


def test_a_batch_of_streams_that_is_stored_again_is_not_given_again(tmp_path: Path) -> None:
    outbox = outbox_in(tmp_path)
    outbox.add_streams(1, "w", bills(1), NOW_MS)
    outbox.forget(outbox.waiting()[0])
    outbox_in(tmp_path).add_streams(1, "w", bills(1), NOW_MS)
    assert outbox.waiting() == []


def test_a_batch_that_was_cut_short_is_not_seen_and_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = outbox_in(tmp_path)
    outbox.add_streams(1, "w", bills(1), NOW_MS)
    write = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if target.name == "streams":
            raise KeyboardInterrupt
        return write(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        outbox.add_streams(2, "w", bills(2), NOW_MS)
    monkeypatch.undo()
    again = outbox_in(tmp_path)
    assert given(again) == [("stream-00000001", [1])]
    again.add_streams(2, "w", bills(2, 3), NOW_MS)
    assert given(again) == [("stream-00000001", [1]), ("stream-00000002", [2, 3])]


def test_half_a_batch_of_a_killed_process_does_not_stay(tmp_path: Path) -> None:
    half = tmp_path / "0000000001.stream-00000001.batch.tmp"
    half.write_bytes(b"rows of somebody")
    segment = tmp_path / "s.segment"
    segment.write_bytes(b"")
    outbox = outbox_in(tmp_path)
    outbox.add_segment(segment)  # comes first after the start, and takes the number
    outbox.add_streams(1, "w", bills(1), NOW_MS)
    assert not half.exists()
    assert [path.name for path in outbox.waiting()] == ["0000000001.s.batch", "0000000002.stream-00000001.batch"]


def test_rows_of_columns_that_are_missing_are_none_and_empty_batches_are_nothing(tmp_path: Path) -> None:
    outbox = outbox_in(tmp_path)
    outbox.add_streams(1, "w", [], NOW_MS)
    outbox.add_streams(2, "w", [SegmentFrame(CLICK.name, ("at_ms", "bid_id"), [[5, 6]])], NOW_MS)
    (path,) = outbox.waiting()
    (row,) = outbox.read(path).rows[CLICK]
    assert dict(zip(CLICK.names, row, strict=True)) == dict.fromkeys(CLICK.names) | {"at_ms": 5, "bid_id": 6}


def test_beyond_the_bound_the_newest_are_left_out_and_counted(tmp_path: Path) -> None:
    telemetry = Telemetry()
    outbox = outbox_in(tmp_path, telemetry, max_bytes=1)
    outbox.add_streams(1, "w", bills(1), NOW_MS)
    outbox.add_streams(2, "w", bills(2), NOW_MS)
    segment = tmp_path / "s.segment"
    segment.write_bytes(b"x")
    outbox.add_segment(segment)
    assert not segment.exists()
    assert given(outbox) == [("stream-00000001", [1])]
    assert counted(telemetry, "grosz_journal_sink_dropped_total") == 2


def test_who_is_erased_is_in_no_batch_that_waits(tmp_path: Path) -> None:
    gone, stays = 2**63 + 12_345, 777
    kinds = [kind for kind in KINDS.values() if "person" in kind.names]
    outbox = outbox_in(tmp_path)
    for number, people in ((1, (gone, stays)), (2, (stays,))):
        frames = [SegmentFrame(kind.name, kind.names, [rows_of(kind, person) for person in people]) for kind in kinds]
        outbox.add_streams(number, "w", frames, NOW_MS)
    (first, second) = outbox.waiting()
    untouched = second.read_bytes()
    Path(f"{first}.tmp").write_bytes(b"of a process that was killed")
    assert outbox.erase([gone], "w", NOW_MS) == 1
    assert outbox.erase([gone], "w", NOW_MS) == 0
    assert second.read_bytes() == untouched
    assert outbox.waiting() == [first, second]
    assert not Path(f"{first}.tmp").exists()
    batch = outbox.read(first)
    assert str(gone) not in repr(batch)
    for kind in kinds:
        left = [] if kind is REQUEST else [0]
        assert [row[kind.names.index("person")] for row in batch.rows[kind]] == [*left, stays], kind.name
        kept = [row for row in batch.rows[kind] if row[kind.names.index("person")] == stays]
        assert kept == [rows_of(kind, stays)]


def rows_of(kind: JournalKind, person: int) -> list[object]:
    """A row whose personal texts name whose they are."""
    texts = {
        column.name: f"of-{person}"
        for column in kind.columns
        if column.name in kind.personal and column.sql == "VARCHAR"
    }
    return list(a_row(kind, **{**texts, "person": person}))


def test_a_damaged_batch_is_told(tmp_path: Path) -> None:
    (tmp_path / "0000000001.s.batch").write_bytes(b"\x01" * 40)
    outbox = outbox_in(tmp_path)
    with pytest.raises(InputError):
        outbox.read(outbox.waiting()[0])


def test_a_batch_that_goes_while_metrics_are_read_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry()
    outbox = outbox_in(tmp_path / "out", telemetry)
    assert counted(telemetry, "grosz_journal_sink_waiting_bytes") == 0, "before the first batch"
    outbox.add_streams(1, "w", bills(1), NOW_MS)
    outbox.add_streams(2, "w", bills(2), NOW_MS)
    scandir = os.scandir

    @contextlib.contextmanager
    def listed_before(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            if entry.name.endswith(".batch"):
                outbox.forget(Path(entry.path))
        yield found

    monkeypatch.setattr(os, "scandir", listed_before)
    assert 0 < counted(telemetry, "grosz_journal_sink_waiting_bytes") < 10, "the note of the streams is left"
