from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import UnavailableError
from journal.archive import STATE_FILE
from journal.rows import BILL, CLICK
from journal.streams import StreamRows, StreamTaker
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFolder]:
    folder = JournalFolder(tmp_path)
    yield folder
    folder.close()


def bills(*numbers: int) -> StreamRows:
    rows = [dict(zip(BILL.names, a_row(BILL, bid_id=number, charge_micros=10), strict=True)) for number in numbers]
    return StreamRows(BILL.name, rows, f"{NOW_MS}-{numbers[-1]}")


def taken(journal: JournalFolder) -> list[tuple[object, ...]]:
    return journal.rows(BILL, "bid_id")


def test_rows_are_taken_once_however_often_a_batch_is_cut_short(
    journal: JournalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker = StreamTaker(journal.converter)
    batch = bills(1, 2)
    taker.begin({"ledger:1": batch.last})
    save = StreamTaker._save

    def killed(self: StreamTaker) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StreamTaker, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        taker.take([batch])  # the files are there, the positions are not
    monkeypatch.setattr(StreamTaker, "_save", save)
    again = StreamTaker(journal.converter)
    assert again.pending == {"ledger:1": batch.last}
    again.take([batch])
    assert taken(journal) == [(1,), (2,)]
    assert StreamTaker(journal.converter).positions == {"ledger:1": batch.last}
    assert StreamTaker(journal.converter).pending == {}


def test_the_next_batch_goes_into_files_of_its_own(journal: JournalFolder) -> None:
    taker = StreamTaker(journal.converter)
    for batch in (bills(1), bills(2)):
        taker.begin({"ledger:1": batch.last})
        taker.take([batch])
    taker.begin({"events:1": "9-9"})
    taker.take([StreamRows(CLICK.name, [], "9-9")])
    assert taken(journal) == [(1,), (2,)]
    assert taker.positions == {"ledger:1": f"{NOW_MS}-2", "events:1": "9-9"}


def test_positions_that_cannot_be_read_stop_the_taking(journal: JournalFolder) -> None:
    (journal.archive.folder / STATE_FILE).write_bytes(b"{")
    with pytest.raises(UnavailableError, match="restore it from a backup"):
        StreamTaker(journal.converter)
