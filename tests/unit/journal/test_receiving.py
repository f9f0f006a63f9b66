import hashlib
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.telemetry.metrics import Telemetry
from journal.folders import COPY_LOCK, unchanged
from journal.receiving import MAX_AGE_DAYS, SegmentInbox, Shipment, ShipmentRefused
from tests.kit.journal_rows import NOW_MS

CONTENT = bytes(range(256)) * 10
NAME = f"{NOW_MS}-host-1a2b-7"
WHOLE = Shipment(NAME, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def inbox(folder: Path, clock: ManualClock | None = None, *, max_bytes: int = 2**20) -> SegmentInbox:
    return SegmentInbox(folder / "segments", clock or ManualClock(NOW_MS), Telemetry(), max_bytes=max_bytes)


def arrived(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "segments").iterdir()}


def test_pieces_become_one_segment_and_the_last_answer_says_so(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    assert box.offset(WHOLE) == (0, False)
    assert box.take(WHOLE, 0, CONTENT[:1000]) == (1000, False)
    assert arrived(tmp_path) == {}
    assert box.take(WHOLE, 1000, CONTENT[1000:]) == (len(CONTENT), True)
    assert arrived(tmp_path) == {f"{NAME}.segment": CONTENT}


def test_what_the_worker_has_taken_and_removed_is_not_taken_again(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    box.take(WHOLE, 0, CONTENT)
    (tmp_path / "segments" / f"{NAME}.segment").unlink()
    assert box.take(WHOLE, 0, CONTENT) == (len(CONTENT), True)
    box.close()
    assert inbox(tmp_path).offset(WHOLE) == (len(CONTENT), True)
    assert arrived(tmp_path) == {}


def test_another_process_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    first = inbox(tmp_path)
    first.take(WHOLE, 0, CONTENT[:700])
    second = inbox(tmp_path)
    with pytest.raises(ShipmentRefused) as busy:
        second.offset(WHOLE)
    assert busy.value.status == 503
    first.close()
    assert second.offset(WHOLE) == (700, False)
    with pytest.raises(ShipmentRefused) as error:
        second.take(WHOLE, 0, CONTENT[:700])
    assert (error.value.status, error.value.offset) == (409, 700)
    assert second.take(WHOLE, 700, CONTENT[700:]) == (len(CONTENT), True)


def test_a_kill_between_writing_the_name_down_and_moving_the_file_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = inbox(tmp_path)

    def killed(path: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        box.take(WHOLE, 0, CONTENT)
    monkeypatch.undo()
    box.close()
    assert inbox(tmp_path).offset(WHOLE) == (len(CONTENT), True)
    assert arrived(tmp_path) == {f"{NAME}.segment": CONTENT}


def test_a_torn_line_of_names_counts_as_not_told(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    box.take(WHOLE, 0, CONTENT)
    box.close()
    with (tmp_path / "incoming" / "received.log").open("ab") as log:
        log.write(f"{NOW_MS}-host-2".encode())
    again = inbox(tmp_path)
    assert again.offset(WHOLE)[1]
    other = WHOLE._replace(name=f"{NOW_MS}-host-2")
    assert again.offset(other) == (0, False)
    assert again.take(other, 0, CONTENT)[1]


def test_content_that_is_not_what_was_announced_begins_again(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    with pytest.raises(ShipmentRefused) as error:
        box.take(WHOLE, 0, CONTENT[:-1] + b"?")
    assert (error.value.status, error.value.offset) == (409, 0)
    assert box.offset(WHOLE) == (0, False)
    assert arrived(tmp_path) == {}


@pytest.mark.parametrize(
    ("shipment", "status"),
    [
        (WHOLE._replace(name="../../etc/passwd"), 400),
        (WHOLE._replace(name=f"{NOW_MS}-a/b-1"), 400),
        (WHOLE._replace(name=f"{NOW_MS}-{'a' * 200}-1"), 400),
        (WHOLE._replace(digest="A" * 64), 400),
        (WHOLE._replace(size=0), 413),
        (WHOLE._replace(size=2**40), 413),
        (WHOLE._replace(name=f"{NOW_MS - (MAX_AGE_DAYS * 24 + 1) * 3_600_000}-host-1"), 410),
        (WHOLE._replace(name=f"{NOW_MS + 7_200_000}-host-1"), 410),
    ],
)
def test_what_is_no_segment_of_these_days_is_refused(tmp_path: Path, shipment: Shipment, status: int) -> None:
    with pytest.raises(ShipmentRefused) as error:
        inbox(tmp_path).take(shipment, 0, CONTENT)
    assert error.value.status == status


def test_more_than_was_announced_and_another_content_under_a_known_name_are_refused(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    with pytest.raises(ShipmentRefused) as error:
        box.take(WHOLE, 0, CONTENT + b"?")
    assert error.value.status == 400
    box.take(WHOLE, 0, CONTENT)
    with pytest.raises(ShipmentRefused) as error:
        box.take(WHOLE._replace(digest="0" * 64), 0, CONTENT)
    assert error.value.status == 422


def test_nothing_is_taken_while_the_journal_is_copied(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    with unchanged(tmp_path):
        with pytest.raises(ShipmentRefused, match="copied for a backup") as asked:
            box.offset(WHOLE)
        with pytest.raises(ShipmentRefused, match="copied for a backup") as sent:
            box.take(WHOLE, 0, CONTENT)
    assert (asked.value.status, sent.value.status) == (503, 503)
    assert box.take(WHOLE, 0, CONTENT) == (len(CONTENT), True)


def test_a_disk_that_refuses_is_told_of_and_tried_again(tmp_path: Path) -> None:
    box = inbox(tmp_path)
    (tmp_path / COPY_LOCK).mkdir()
    with pytest.raises(ShipmentRefused, match="the disk refuses") as asked:
        box.offset(WHOLE)
    with pytest.raises(ShipmentRefused, match="the disk refuses") as sent:
        box.take(WHOLE, 0, CONTENT)
    assert (asked.value.status, sent.value.status) == (507, 507)
    (tmp_path / COPY_LOCK).rmdir()
    assert box.take(WHOLE, 0, CONTENT) == (len(CONTENT), True)


def test_segments_that_wait_for_the_worker_are_bounded(tmp_path: Path) -> None:
    box = inbox(tmp_path, max_bytes=3_000)
    box.take(WHOLE, 0, CONTENT)
    other = WHOLE._replace(name=f"{NOW_MS}-host-8")
    with pytest.raises(ShipmentRefused) as error:
        box.take(other, 0, CONTENT)
    assert error.value.status == 507
    (tmp_path / "segments" / f"{NAME}.segment").unlink()
    assert box.take(other, 0, CONTENT)[1]


def test_names_are_forgotten_when_their_segments_would_be_refused(tmp_path: Path) -> None:
    clock = ManualClock(NOW_MS)
    box = inbox(tmp_path, clock)
    box.take(WHOLE, 0, CONTENT)
    left = WHOLE._replace(name=f"{NOW_MS}-host-9")
    box.take(left, 0, CONTENT[:10])
    box.close()
    clock.advance((MAX_AGE_DAYS + 2) * 86_400)
    newer = WHOLE._replace(name=f"{clock.now_ms()}-host-1")
    inbox(tmp_path, clock).take(newer, 0, CONTENT)
    assert (tmp_path / "incoming" / "received.log").read_text() == f"{newer.name} {newer.digest}\n"
    assert not list((tmp_path / "incoming").glob("*.part"))
