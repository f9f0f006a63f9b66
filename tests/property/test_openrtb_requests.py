"""Whatever a request holds, it becomes an auction or `Malformed`."""

import functools
import json
import operator
import random
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.dialects.table import speaker_of
from bidder.openrtb import lenient
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy, resolve_consent
from bidder.request.identify import identify
from bidder.request.validate import check_request
from core.config import ConsentSettings
from core.money import MAX_CPM_MICROS
from tests.kit.openrtb import EXCHANGE, FX, corpus_lines

POLICY = ConsentPolicy(ConsentSettings(vendor_id=7))
STRICT = msgspec.json.Decoder(BidRequest)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["1", "0", "true", "1.0", "NaN", "inf", "1e999", "-1", "2,7", "1YYN"])
    | st.sampled_from([2**31, -(2**31) - 1, 2**63, 10**30, 10**400, 0.5, 1e308, -0.0])
)  # fmt: skip
NAMES = st.sampled_from(["id", "ext", "gdpr", "w", "h", "x", ""])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def run_stages(body: bytes) -> Auction | None:
    """All that this package does with a request; None where it is malformed."""
    try:
        request = decode_request(body, Tolerances())
    except Malformed:
        return None
    # What was forgiven is gone: the request as it was understood passes the strict types.
    assert STRICT.decode(msgspec.json.encode(request)) == request
    auction = Auction(request, EXCHANGE, 1.0, speaker_of(EXCHANGE))
    check_request(auction, FX)
    resolve_consent(auction, POLICY)
    identify(auction)
    for impression in auction.impressions:
        assert all(0 < width < 2**31 and 0 < height < 2**31 for width, height in impression.offer.sizes)
        floors = [impression.floor_cpm, *(floor for floor, _ in impression.deal_floors.values())]
        assert all(0 <= floor <= MAX_CPM_MICROS for floor in floors)
    return auction


@functools.cache
def recorded(corpus: Path) -> list[str]:
    """The recorded requests, each as JSON."""
    return [json.dumps(line["request"]) for line in corpus_lines(corpus / "requests.jsonl")]


def places_in(value: object) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        found += places_in(item)
    return found


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_value_at_any_place_of_a_recorded_request(corpus: Path, data: st.DataObject) -> None:
    bodies = recorded(corpus)
    raw = json.loads(bodies[data.draw(st.integers(0, len(bodies) - 1))])
    for _ in range(data.draw(st.integers(1, 3))):
        places = places_in(raw)
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        container[key] = data.draw(ANYTHING)
    run_stages(json.dumps(raw).encode())


@settings(max_examples=100, deadline=None)
@given(members=st.dictionaries(st.sampled_from(BidRequest.__struct_fields__), ANYTHING, max_size=6))
def test_any_value_of_any_member(members: dict[str, object]) -> None:
    run_stages(json.dumps({"id": "1", "imp": [{"id": "1", "banner": {"w": 1, "h": 1}}], **members}).encode())


@settings(max_examples=100, deadline=None)
@given(value=ANYTHING)
def test_any_json_is_a_request_or_malformed(value: object) -> None:
    run_stages(json.dumps(value).encode())


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_request_or_malformed(body: bytes) -> None:
    run_stages(body)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_request_cut_or_damaged_anywhere(corpus: Path, data: st.DataObject) -> None:
    bodies = recorded(corpus)
    body = bytearray(bodies[data.draw(st.integers(0, len(bodies) - 1))].encode())
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    run_stages(bytes(body[: data.draw(st.integers(0, len(body)))]))


@given(value=ANYTHING, name=st.sampled_from(sorted(lenient.PRIVACY_FLAGS - {"gpc"})))
def test_a_privacy_flag_is_never_lost(value: object, name: str) -> None:
    """Only what says "no", or says nothing, may end as no."""
    place = {"gdpr": "regs", "coppa": "regs", "lmt": "device", "dnt": "device", "s22580": "regs.ext"}[name]
    outer, _, inner = place.partition(".")
    members = {inner: {name: value}} if inner else {name: value}
    body = json.dumps({"id": "1", "imp": [{"id": "1"}], outer: members, "wlangb": "xx"}).encode()
    try:
        request = decode_request(body, Tolerances())
    except Malformed:
        return  # a number beyond every range
    read = operator.attrgetter(f"{place}.{name}")(request)
    if value is None:
        assert read is None
    elif not read:
        assert value in (0, "0", "0.0", "-0") or str(value).strip().lower() in lenient.FALSE_WORDS


def test_coercion_is_the_same_whatever_else_is_wrong(corpus: Path) -> None:
    """Two faults are read as each of them alone: no order of readers, no early end."""
    generator = random.Random(7)
    for body in recorded(corpus):
        faulty = {**json.loads(body), "tmax": generator.choice(["x", [], {}]), "bapp": 7, "cattax": "1"}
        request = decode_request(json.dumps(faulty).encode(), Tolerances())
        assert (request.tmax, request.bapp, request.cattax) == (None, ("7",), 1)
