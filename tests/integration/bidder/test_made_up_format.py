"""A format is one module a half and nothing else: a made-up one is added, and bids with it are right to the markup."""

from typing import Any

import pytest

from admin.validation.rules import check_fields
from bidder.openrtb import judge
from bidder.openrtb.formats.table import CODECS
from core.model import Creative, Format, LineItem
from creatives.formats.table import FORMATS
from tests.kit.bidding import TRACK, TestBidder
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.jingle import ads, protocol
from tests.kit.openrtb import raw_request

AUDIO = {"mimes": ["audio/jingle"], "minduration": 5, "maxduration": 15}


@pytest.fixture(autouse=True)
def jingles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format, in the two tables of formats for as long as a test lasts."""
    # It is made up for a place that has a real format, too, which its judge knows.
    monkeypatch.delitem(FORMATS, "audio")
    monkeypatch.delitem(CODECS, "audio")
    monkeypatch.setattr(judge, "faults_of_spot", lambda _spot, _bid: iter(()))
    monkeypatch.setitem(FORMATS, ads.NAME, ads.FORMAT)
    monkeypatch.setitem(CODECS, ads.NAME, protocol.CODEC)


def jingle(number: int, seconds: int) -> Creative:
    return creative(number, 1, width=seconds, height=0, format=ads.NAME, html="")


def bidder(*extra: Creative) -> TestBidder:
    made = (creative(1, 1), *extra)
    line: LineItem = line_item(1, creative_ids=tuple(each.id for each in made))
    return TestBidder(catalogue(line, creatives=made))


def bid(asked: TestBidder, **imp: object) -> dict[str, Any] | None:
    answer = asked.answer(raw_request(imp=[{"id": "1", **imp}], regs={"gdpr": 0}))
    return answer["seatbid"][0]["bid"][0] if answer is not None else None  # type: ignore[index]


def test_an_impression_that_offers_it_is_filled_with_it() -> None:
    found = bid(bidder(jingle(2, 10)), audio=AUDIO)
    assert found is not None
    assert (found["mtype"], found["dur"], found["crid"]) == (3, 10, "2-1")
    assert found["adm"].startswith("<jingle volume=100 heard=" + TRACK + "/t/imp/")
    assert "@TOKEN@" not in found["adm"]
    assert "w" not in found


def test_what_an_offer_changes_in_the_markup_is_not_mixed_up() -> None:
    asked = bidder(jingle(2, 10))
    markups = [bid(asked, audio=AUDIO, instl=instl)["adm"] for instl in (0, 1, 0)]  # type: ignore[index]
    assert [markup.partition(" heard")[0] for markup in markups] == ["<jingle volume=100", "<jingle volume=50"] * 1 + [
        "<jingle volume=100"
    ]


def test_of_two_formats_an_impression_gets_the_one_that_somebody_has() -> None:
    audio_only = bid(bidder(jingle(2, 10)), audio=AUDIO, banner={"w": 728, "h": 90})
    banner_only = bid(bidder(jingle(2, 60)), audio=AUDIO, banner={"w": 300, "h": 250})
    assert audio_only is not None
    assert banner_only is not None
    assert (audio_only["mtype"], banner_only["mtype"]) == (3, 1)
    assert (banner_only["w"], banner_only["h"]) == (300, 250)


@pytest.mark.parametrize(
    ("seconds", "audio"), [(20, AUDIO), (4, AUDIO), (10, AUDIO | {"mimes": ["audio/mpeg"]}), (10, {"maxduration": 0})]
)
def test_it_is_not_shown_where_it_does_not_fit(seconds: int, audio: dict[str, Any]) -> None:
    assert bid(bidder(jingle(2, seconds)), audio=audio) is None


def test_an_impression_that_cannot_be_served_in_it_is_explained() -> None:
    auction = bidder(jingle(2, 10)).screened(raw_request(imp=[{"id": "1", "audio": {}}], regs={"gdpr": 0}))
    assert [(fault.pointer, fault.code) for fault in auction.faults] == [("/imp/0/audio", "no_length")]


def test_who_saves_one_is_told_what_is_wrong_with_it() -> None:
    faults = check_fields(jingle(2, 0), lambda _rule: None)
    assert [fault.code for fault in faults] == ["no_length"]


def test_the_two_halves_have_the_same_formats_and_they_are_those_of_the_model() -> None:
    assert list(FORMATS) == list(CODECS)
    assert [(name, half.name) for name, half in FORMATS.items()] == [(name, name) for name in FORMATS]
    assert [(name, half.name) for name, half in CODECS.items()] == [(name, name) for name in CODECS]
    assert set(FORMATS) - {ads.NAME} <= {each.value for each in Format}
