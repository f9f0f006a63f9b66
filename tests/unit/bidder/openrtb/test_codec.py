"""Bytes to requests: what is refused, what is forgiven, and that nothing else can happen."""

import json
from pathlib import Path

import pytest

from bidder.openrtb.codec import Malformed, MalformedReason, decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from tests.kit.openrtb import body_of, corpus_lines, members_of, raw_request


def refusal(body: bytes) -> MalformedReason:
    with pytest.raises(Malformed) as caught:
        decode_request(body, Tolerances())
    return caught.value.reason


def test_every_recorded_request_decodes(corpus: Path) -> None:
    tolerances = Tolerances()
    lines = list(corpus_lines(corpus / "requests.jsonl"))
    for line in lines:
        raw = line["request"]
        request = decode_request(body_of(raw), tolerances)
        assert request.id == str(raw["id"]), line["name"]
        assert [imp.id for imp in request.imp] == [str(imp["id"]) for imp in raw["imp"]], line["name"]
    assert len(lines) == 500
    # By far the most of what was dropped or turned is named in the corpus's own list of oddities.
    assert tolerances.counts()["dropped"] < 10
    assert tolerances.counts()["unreadable_privacy"] == 0


def test_invalid_bodies_are_refused_exactly_where_they_must_be(corpus: Path) -> None:
    for line in corpus_lines(corpus / "invalid.jsonl"):
        body = line["body"].encode()
        if line["severity"] == "hard":
            assert refusal(body), line["name"]
        else:
            decode_request(body, Tolerances())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", MalformedReason.NOT_JSON),
        (b"{", MalformedReason.NOT_JSON),
        (b'{"id":"1","imp":[{"id":"1"}]} {}', MalformedReason.NOT_JSON),
        (b'{"id":"1","imp":[{"id":"1","bidfloor":NaN}]}', MalformedReason.NOT_JSON),
        (b'{"id":"1","imp":[{"id":"1","bidfloor":1e999}]}', MalformedReason.NOT_JSON),
        (b'{"id":"\xff","imp":[{"id":"1"}]}', MalformedReason.NOT_JSON),
        (b'{"id":"\\ud800","imp":[{"id":"1"}]}', MalformedReason.NOT_JSON),
        (b'{"id":{},"imp":[{"id":"1"}],"x":"\xff"}', MalformedReason.NOT_JSON),
        (b'{"id":"1","tmax":' + b"9" * 5_000 + b',"imp":[{"id":"1"}]}', MalformedReason.NOT_JSON),
        (b'{"id":"1","imp":[{"id":"1"}],"x":' + b"[" * 100_000, MalformedReason.TOO_DEEP),
        (b'{"id":7.5,"imp":[{"id":"1"}],"x":' + b'{"a":' * 100_000, MalformedReason.TOO_DEEP),
        (b"\xef\xbb\xbf" * 100_000, MalformedReason.NOT_JSON),
        (b"[]", MalformedReason.NOT_AN_OBJECT),
        (b"null", MalformedReason.NOT_AN_OBJECT),
        (b'"text"', MalformedReason.NOT_AN_OBJECT),
        (b'{"imp":[{"id":"1"}]}', MalformedReason.NO_ID),
        (b'{"id":null,"imp":[{"id":"1"}]}', MalformedReason.NO_ID),
        (b'{"id":"","imp":[{"id":"1"}]}', MalformedReason.NO_ID),
        (b'{"id":true,"imp":[{"id":"1"}]}', MalformedReason.NO_ID),
        (b'{"id":{},"imp":[{"id":"1"}]}', MalformedReason.NO_ID),
        (b'{"id":"1"}', MalformedReason.NO_IMPRESSION),
        (b'{"id":"1","imp":null}', MalformedReason.NO_IMPRESSION),
        (b'{"id":"1","imp":[]}', MalformedReason.NO_IMPRESSION),
        (b'{"id":"1","imp":{"id":"1"}}', MalformedReason.NO_IMPRESSION),
        (b'{"id":"1","imp":[{"id":"1"},7]}', MalformedReason.NO_IMPRESSION),
        (b'{"id":"1","imp":[{"id":"1"},null]}', MalformedReason.NO_IMPRESSION),
        (b'{"id":"1","imp":[{}]}', MalformedReason.IMPRESSION_WITHOUT_ID),
        (b'{"id":"1","imp":[{"id":""}]}', MalformedReason.IMPRESSION_WITHOUT_ID),
        (b'{"id":"1","imp":[{"id":"1"},{"id":""}]}', MalformedReason.IMPRESSION_WITHOUT_ID),
        (b'{"id":"1","imp":[{"id":"1"},{"id":1}]}', MalformedReason.DUPLICATE_IMPRESSION_ID),
        (b'{"id":"1","imp":[{"id":"1"}],"site":{},"app":{}}', MalformedReason.SEVERAL_CHANNELS),
        (b'{"id":"1","imp":[{"id":"1"}],"app":{"cat":"IAB1"},"dooh":{}}', MalformedReason.SEVERAL_CHANNELS),
    ],
)
def test_malformed_bodies_are_refused_with_the_rule_they_broke(body: bytes, reason: MalformedReason) -> None:
    assert refusal(body) is reason


def test_a_refusal_says_where_to_read_on() -> None:
    with pytest.raises(Malformed, match="not a bid request: no_id") as caught:
        decode_request(b'{"imp":[{"id":"1"}]}', Tolerances())
    assert "docs/openrtb.md" in caught.value.hint


def test_a_null_channel_is_no_channel() -> None:
    request = decode_request(body_of(raw_request() | {"site": None, "app": {}}), Tolerances())
    assert request.site is None


def test_a_byte_order_mark_is_skipped_and_counted() -> None:
    tolerances = Tolerances()
    assert decode_request(b"\xef\xbb\xbf" + body_of(raw_request()), tolerances).id == "r1"
    assert tolerances.byte_order_mark == 1


def test_a_repeated_member_counts_as_its_last() -> None:
    request = decode_request(b'{"id":"a","id":"b","imp":[{"id":"1"}]}', Tolerances())
    assert request.id == "b"


def test_a_request_that_keeps_the_rules_is_forgiven_nothing() -> None:
    tolerances = Tolerances()
    decode_request(body_of(raw_request(regs={"gdpr": 1}, user={"consent": "C"}, tmax=120)), tolerances)
    assert not any(tolerances.counts().values())


def test_numbers_as_text_and_integers_with_decimals_are_read_and_counted_once() -> None:
    tolerances = Tolerances()
    request = decode_request(body_of(raw_request(tmax="120", at=1.0)), tolerances)
    assert (request.tmax, request.at) == (120, 1)
    assert tolerances.loose_number == 1


def test_what_the_fast_reader_gives_the_lenient_one_gives_too(corpus: Path) -> None:
    """A member of a wrong type sends the whole request the lenient way: the rest of it must read the same."""
    for line in corpus_lines(corpus / "requests.jsonl"):
        raw = line["request"]
        fast = members_of(decode_request(body_of(raw), Tolerances()))
        lenient = members_of(decode_request(body_of({**raw, "wlangb": "xx"}), Tolerances()))
        lenient.pop("wlangb")
        assert lenient == fast, line["name"]


def test_reading_again_what_was_read_changes_nothing(corpus: Path) -> None:
    for line in corpus_lines(corpus / "requests.jsonl"):
        once = members_of(decode_request(body_of(line["request"]), Tolerances()))
        tolerances = Tolerances()
        assert members_of(decode_request(json.dumps(once).encode(), tolerances)) == once
        assert tolerances.dropped == 0


def test_unknown_members_and_their_order_make_no_difference(corpus: Path) -> None:
    for line in corpus_lines(corpus / "requests.jsonl"):
        raw = line["request"]
        shuffled = {"@new": {"x": [1]}, **dict(reversed(raw.items())), "zz": None}
        assert decode_request(body_of(shuffled), Tolerances()) == decode_request(body_of(raw), Tolerances())


def test_every_optional_member_may_be_null() -> None:
    nulls = dict.fromkeys(BidRequest.__struct_fields__[2:])
    assert decode_request(body_of({**raw_request(), **nulls}), Tolerances()) == decode_request(
        body_of(raw_request()), Tolerances()
    )
