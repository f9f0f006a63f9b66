import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import MAX_LINE_ITEM_ID
from core.model import Format
from core.ring import (
    ANY_FORMAT,
    format_of,
    line_item_of,
    pack_record,
    recent_impressions,
    record_number,
    records,
    shown_since,
)
from core.terms import FORMATS_BY_NUMBER

NOW = 1_790_000_000


def test_records_are_pairs_of_little_endian_uint32() -> None:
    assert pack_record(7, NOW) == struct.pack("<II", 7, NOW)


def test_every_format_has_a_number_and_keeps_it() -> None:
    assert FORMATS_BY_NUMBER == ("", "banner", "video", "audio", "native")
    assert set(FORMATS_BY_NUMBER) == {"", *Format}


@given(st.integers(1, MAX_LINE_ITEM_ID + 1), st.integers(0, len(FORMATS_BY_NUMBER) - 1), st.integers(0, 2**32 - 1))
def test_a_record_gives_back_its_line_item_its_format_and_its_moment(line_item: int, number: int, at_s: int) -> None:
    ((found, moment),) = records(pack_record(record_number(line_item, number), at_s))
    assert (line_item_of(found), format_of(found), moment) == (line_item, number, at_s)


def test_a_record_without_a_format_is_the_one_that_earlier_releases_wrote() -> None:
    assert record_number(7, ANY_FORMAT) == 7
    assert format_of(7) == ANY_FORMAT


@pytest.mark.parametrize("number", range(len(FORMATS_BY_NUMBER), 8))
def test_a_format_of_a_later_release_is_one_that_was_not_noted(number: int) -> None:
    assert (line_item_of(record_number(7, number)), format_of(record_number(7, number))) == (7, ANY_FORMAT)


def test_recent_impressions_are_counted_by_line_item_whatever_their_format() -> None:
    ring = b"".join(
        pack_record(number, NOW - ago) for number, ago in ((7, 500), (record_number(7, 2), 9), (7, 5), (8, 5))
    )
    assert recent_impressions(ring, NOW - 100) == {7: 2, 8: 1}


def test_impressions_of_one_number_are_counted_from_a_moment_on() -> None:
    video = record_number(7, 2)
    ring = b"".join(pack_record(number, NOW - ago) for number, ago in ((video, 90), (7, 60), (video, 60), (video, 5)))
    assert [shown_since(ring, number, NOW - 60) for number in (video, 7, 8)] == [2, 1, 0]


def test_a_ring_cut_in_the_middle_of_a_record_is_read_up_to_there() -> None:
    assert list(records(pack_record(7, 5) + b"\1\2\3")) == [(7, 5)]
