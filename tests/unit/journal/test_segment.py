import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.errors import InputError
from journal.bid_batches import BidBatch
from journal.rows import ANSWER, CLICK
from journal.segment import Codec, rows_in, whole_bytes
from tests.kit.journal_rows import NOW_MS, a_row

CODEC = Codec()
ROWS = [a_row(ANSWER, exchange_id=number, reason="no_lease", country=None) for number in range(5)]
_ONE = (7).to_bytes(8, "little")
_OF_LINE = (1, 2, 3, 0, 4, 1, "banner", "grosz", 300, 250)
BATCH = BidBatch(
    NOW_MS, [("r1", "news.example", *[None] * 9, "PLN", b"p" * 8, b"s" * 8)],
    [(0, _OF_LINE, 5, "1", None, "", 10_000, 2_000_000, 2, 2_000, ["A", "B"])], _ONE, _ONE, _ONE * 2, b"", (),
    _ONE, b"", b"", b"", (),
)  # fmt: skip
FILE = CODEC.head("p1", NOW_MS) + CODEC.frame(ANSWER.number, ROWS[:3]) + CODEC.frame(ANSWER.number, ROWS[3:])


def test_rows_come_back_with_the_names_of_their_columns() -> None:
    frames = list(CODEC.frames(FILE))
    assert [frame.kind for frame in frames] == ["answer", "answer"]
    assert frames[0].columns == list(ANSWER.names)
    assert [tuple(row) for frame in frames for row in frame.rows] == ROWS
    assert rows_in(FILE) == 5


@given(st.integers(0, len(FILE)))
def test_a_file_cut_anywhere_gives_its_whole_frames(length: int) -> None:
    torn = FILE[:length]
    found = [tuple(row) for frame in CODEC.frames(torn) for row in frame.rows]
    assert found == ROWS[: len(found)]
    assert len(found) in (0, 3, 5)
    assert whole_bytes(torn) <= length
    assert rows_in(torn[: whole_bytes(torn)]) == len(found)


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_damaged_byte_ends_the_file_and_invents_no_row(at: int, change: int) -> None:
    damaged = FILE[:at] + bytes([FILE[at] ^ change]) + FILE[at + 1 :]
    try:
        found = [tuple(row) for frame in CODEC.frames(damaged) for row in frame.rows]
    except InputError:
        found = []
    assert found == ROWS[: len(found)]


def test_a_kind_of_a_later_release_is_left_out() -> None:
    later = CODEC.head("p1", NOW_MS) + CODEC.frame(99, [[1, 2]]) + CODEC.frame(CLICK.number, [a_row(CLICK)])
    assert [frame.kind for frame in CODEC.frames(later)] == ["click"]


def test_a_file_without_a_head_is_refused() -> None:
    with pytest.raises(InputError, match="does not begin with a head"):
        list(CODEC.frames(CODEC.frame(ANSWER.number, ROWS)))
    head = CODEC.head("p1", NOW_MS)
    assert list(CODEC.frames(head)) == []


BATCHES = CODEC.head("p1", NOW_MS) + CODEC.bids_frame([BATCH], 1)


@given(st.integers(0, len(BATCHES) - 1), st.integers(1, 255))
def test_a_damaged_byte_of_a_batch_of_bids_is_seen(at: int, change: int) -> None:
    damaged = BATCHES[:at] + bytes([BATCHES[at] ^ change]) + BATCHES[at + 1 :]
    try:
        found = list(CODEC.frames(damaged))
    except InputError:
        found = []
    assert found == []


@given(st.integers(0, len(BATCHES) - 1), st.integers(1, 4_096))
def test_a_page_of_zeros_in_a_batch_of_bids_is_seen(at: int, length: int) -> None:
    end = min(at + length, len(BATCHES))
    assume(BATCHES[at:end].strip(b"\0"))
    damaged = BATCHES[:at] + bytes(end - at) + BATCHES[end:]
    try:
        found = list(CODEC.frames(damaged))
    except InputError:
        found = []
    assert found == []
