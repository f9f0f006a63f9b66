"""How single members of a wrong type are read."""

from collections.abc import Callable
from typing import Any

import pytest

from bidder.openrtb import lenient
from bidder.openrtb.codec import Malformed, MalformedReason, decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from tests.kit.openrtb import body_of, members_of, raw_request

Path = tuple[str | int, ...]


def decoded(**members: object) -> tuple[BidRequest, dict[str, int]]:
    tolerances = Tolerances()
    request = decode_request(body_of(raw_request(**members)), tolerances)
    return request, {name: count for name, count in tolerances.counts().items() if count}


def member(request: BidRequest, path: Path) -> object:
    value: Any = members_of(request)
    for step in path:
        value = value[step] if isinstance(step, int) else value.get(step, {} if step != path[-1] else None)
    result: object = value
    return result


CASES: list[tuple[dict[str, object], Path, object, dict[str, int]]] = [
    ({"id": 7}, ("id",), "7", {"number_for_text": 1}),
    ({"id": 7.0}, ("id",), "7", {"loose_number": 1, "number_for_text": 1}),
    ({"id": 12345678901234567890123}, ("id",), "12345678901234567890123", {"number_for_text": 1}),
    ({"cur": "PLN"}, ("cur",), ["PLN"], {"scalar_for_array": 1}),
    ({"bcat": [7, "IAB1", None, {}]}, ("bcat",), ["7", "IAB1"], {"number_for_text": 1, "dropped": 1}),
    ({"site": []}, ("site",), None, {"empty_array_for_object": 1}),
    ({"site": [{"id": "s"}]}, ("site", "id"), "s", {"array_for_scalar": 1}),
    ({"site": "text"}, ("site",), None, {"dropped": 1}),
    ({"site": {"ext": 5}}, ("site",), {}, {}),
    (
        {"site": {"keywords": ["a", "b", 3]}},
        ("site", "keywords"),
        "a,b,3",
        {"array_for_scalar": 1, "number_for_text": 1},
    ),
    ({"site": {"page": ["https://a.example"]}}, ("site", "page"), "https://a.example", {"array_for_scalar": 1}),
    ({"site": {"page": {}}}, ("site", "page"), None, {"dropped": 1}),
    ({"site": {"page": True}}, ("site", "page"), None, {"dropped": 1}),
    ({"user": {"id": 77}}, ("user", "id"), "77", {"number_for_text": 1}),
    ({"device": {"geo": {"lat": "52.2", "lon": 21}}}, ("device", "geo", "lat"), 52.2, {"loose_number": 1}),
    ({"device": {"geo": {"lat": "nan"}}}, ("device", "geo", "lat"), None, {"loose_number": 1, "dropped": 1}),
    ({"device": {"geo": {"lat": {}}}}, ("device", "geo", "lat"), None, {"dropped": 1}),
    ({"device": {"geo": {"lat": int("9" * 400)}}}, ("device", "geo", "lat"), None, {"dropped": 1}),
    ({"device": {"devicetype": 2**31}}, ("device", "devicetype"), None, {"dropped": 1}),
    ({"device": {"devicetype": "4 "}}, ("device", "devicetype"), 4, {"loose_number": 1}),
    ({"device": {"devicetype": "four"}}, ("device", "devicetype"), None, {"loose_number": 1, "dropped": 1}),
    ({"device": {"devicetype": "9" * 40}}, ("device", "devicetype"), None, {"loose_number": 1, "dropped": 1}),
    ({"device": {"devicetype": True}}, ("device", "devicetype"), 1, {"loose_number": 1}),
    ({"device": {"devicetype": [4]}}, ("device", "devicetype"), None, {"loose_number": 1, "dropped": 1}),
    ({"tmax": 120.9}, ("tmax",), 120, {"loose_number": 1}),
    ({"tmax": ""}, ("tmax",), None, {"loose_number": 1, "dropped": 1}),
    ({"test": "1", "tmax": []}, ("test",), 1, {"loose_flag": 1, "loose_number": 1, "dropped": 1}),
    ({"test": "maybe"}, ("test",), None, {"loose_flag": 1, "dropped": 1}),
    ({"test": 0.5}, ("test",), None, {"loose_flag": 1, "dropped": 1}),
]


@pytest.mark.parametrize(("members", "path", "expected", "counts"), CASES)
def test_members_of_wrong_types(
    members: dict[str, object], path: Path, expected: object, counts: dict[str, int]
) -> None:
    request, counted = decoded(**members)
    assert member(request, path) == expected
    assert counted == counts


@pytest.mark.parametrize("flag", ["coppa", "gdpr"])
@pytest.mark.parametrize("value", ["?", {}, [], 0.5, [0]])
def test_a_privacy_flag_that_cannot_be_read_counts_as_set(flag: str, value: object) -> None:
    request, counted = decoded(regs={flag: value})
    assert member(request, ("regs", flag)) == 1
    assert counted["unreadable_privacy"] == 1


@pytest.mark.parametrize("value", [False, "0", 0.0, "no", 0])
def test_a_privacy_flag_that_says_no_means_no(value: object) -> None:
    request, counted = decoded(regs={"gdpr": value}, tmax=[])
    assert member(request, ("regs", "gdpr")) == 0
    assert "unreadable_privacy" not in counted


@pytest.mark.parametrize("name", ["us_privacy", "gpp"])
def test_a_privacy_text_that_cannot_be_read_is_not_lost(name: str) -> None:
    request, counted = decoded(regs={name: {"a": 1}})
    assert member(request, ("regs", name)) == lenient.UNREADABLE_TEXT
    assert counted["unreadable_privacy"] == 1


@pytest.mark.parametrize("value", ["gdpr=1", 1, True, ["x"], ""])
@pytest.mark.parametrize(
    ("path", "stands"),
    [
        (("regs",), {"gdpr": 1, "coppa": 1}),
        (("regs", "ext"), {"gdpr": lenient.UNREADABLE_FLAG, "gpp_sid": [lenient.UNREADABLE_SECTION]}),
        (("regs", "ext", "dsa"), {"dsarequired": lenient.UNREADABLE_REQUIREMENT}),
        (("imp", 0, "pmp"), {"private_auction": 1}),
        (("imp", 0, "qty"), {"multiplier": lenient.UNREADABLE_NUMBER}),
    ],
)
def test_an_object_that_limits_and_is_none_is_not_lost(path: Path, stands: dict[str, Any], value: object) -> None:
    members: Any = value
    for step in reversed(path):
        members = [{"id": "1", "banner": {"w": 300, "h": 250}} | members] if step == 0 else {step: members}
    request, _ = decoded(**members)
    found = member(request, path)
    assert isinstance(found, dict)
    assert {name: found.get(name) for name in stands} == stands


def test_an_empty_array_where_an_object_belongs_says_nothing() -> None:
    request, _ = decoded(regs=[], tmax="x")
    assert request.regs is None


@pytest.mark.parametrize("name", ["bcat", "badv", "wseat", "cur", "bapp"])
@pytest.mark.parametrize("value", [{"0": "A", "2": "B"}, "A,B", "A, B", " A , B,", ["A", "B"]])
def test_a_list_is_read_in_each_form_that_senders_write(name: str, value: object) -> None:
    """What is blocked stays blocked: PHP writes a list with a gap as an object, others as one text."""
    assert member(decoded(**{name: value}, tmax="x")[0], (name,)) == ["A", "B"]


@pytest.mark.parametrize("value", [{"0": 3, "2": 6}, "3,6", "3, 6", [3, 6]])
def test_blocked_attributes_are_read_in_each_form_that_senders_write(value: object) -> None:
    request, _ = decoded(imp=[{"id": "1", "banner": {"w": 300, "h": 250, "battr": value}, "pmp": "x"}])
    assert member(request, ("imp", 0, "banner", "battr")) == [3, 6]


@pytest.mark.parametrize("name", ["bcat", "badv", "bseat", "wlangb", "battr", "btype"])
def test_a_restriction_that_cannot_be_read_is_not_taken_for_none(name: str) -> None:
    def ask(value: object) -> object:
        banner = {"w": 300, "h": 250, **({name: value} if name in ("battr", "btype") else {})}
        members = {} if name in ("battr", "btype") else {name: value}
        return decoded(imp=[{"id": "1", "banner": banner}], tmax="x", **members)

    for value in (True, {"a": {}}, [{}], [None, {}]):
        with pytest.raises(Malformed) as refused:
            ask(value)
        assert refused.value.reason is MalformedReason.UNREADABLE_RESTRICTION
    for nothing in ([], "", {}, False, [None], [""], None):
        ask(nothing)


@pytest.mark.parametrize("value", [{"a": 1}, [None], True, [{}]])
def test_currencies_that_cannot_be_read_are_none_that_we_have(value: object) -> None:
    assert member(decoded(cur=value, tmax="x")[0], ("cur",)) == [lenient.NOBODY]


def test_a_consent_of_a_wrong_type_is_not_lost() -> None:
    assert decoded(user={"consent": {}})[0].user.consent == lenient.UNREADABLE_TEXT  # type: ignore[union-attr]  # sent
    assert decoded(user={"ext": {"consent": 1}})[0].user.consent == "1"  # type: ignore[union-attr]  # sent


@pytest.mark.parametrize(
    ("value", "sections"),
    [
        ("2", (2,)),
        (7, (7,)),
        ("2,7", (2, 7)),
        ("2_7", (2, 7)),
        (["2", 7.0], (2, 7)),
        ([2, "x"], (2, lenient.UNREADABLE_SECTION)),
        ({}, (lenient.UNREADABLE_SECTION,)),
        ({"0": 7, "2": "2"}, (7, 2)),
        ({"0": 7, "2": "x"}, (7, lenient.UNREADABLE_SECTION)),
        ({"0": 7, "2": None}, (7, lenient.UNREADABLE_SECTION)),
    ],
)
def test_gpp_sections_are_read_in_every_form_and_never_lost(value: object, sections: tuple[int, ...]) -> None:
    request, _ = decoded(regs={"gpp_sid": value})
    assert request.regs is not None
    assert request.regs.gpp_sid == sections


def test_native_requests_stay_as_they_are() -> None:
    forms: tuple[object, ...] = ('{"assets":[]}', {"assets": []})
    for value in forms:
        request, _ = decoded(imp=[{"id": "1", "native": {"request": value, "assets": [1], "api": 7}}])
        assert member(request, ("imp", 0, "native", "request")) == value
        assert member(request, ("imp", 0, "native", "assets")) == [1]
    request, counted = decoded(imp=[{"id": "1", "native": {"request": 5, "assets": "x"}}])
    assert member(request, ("imp", 0, "native")) == {}
    assert counted == {"dropped": 2}


@pytest.mark.parametrize(
    "reader", [lenient.read_number, lenient.read_int, lenient.read_flag, lenient.read_text, lenient.read_keywords]
)
@pytest.mark.parametrize("value", [1e308, float("inf"), 10**400, "1e308", "1_0", "٣", "0x10", "", " ", None, [], {}])
def test_scalar_readers_take_anything(reader: Callable[[object, Tolerances], object], value: object) -> None:
    result = reader(value, Tolerances())
    if reader in (lenient.read_int, lenient.read_flag) or reader is lenient.read_number:
        assert result is None
    else:
        assert result is None or isinstance(result, str)
