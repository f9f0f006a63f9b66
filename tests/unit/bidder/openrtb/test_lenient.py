"""How single members of a wrong type are read."""

from collections.abc import Callable
from typing import Any

import pytest

from bidder.openrtb import lenient
from bidder.openrtb.codec import decode_request
from bidder.openrtb.enums import EVERYBODY, UNKNOWN_TAXONOMY
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
    ({"bcat": [7, "IAB1", None, {}]}, ("bcat",), ["7", "IAB1"], {"number_for_text": 1}),
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


@pytest.mark.parametrize("value", [{"a": 1}, [None], True, [{}]])
def test_currencies_that_cannot_be_read_are_none_that_we_have(value: object) -> None:
    assert member(decoded(cur=value, tmax="x")[0], ("cur",)) == [lenient.NOBODY]


@pytest.mark.parametrize("name", ["acat", "wlang", "wlangb", "wseat"])
@pytest.mark.parametrize("value", [{"a": 1}, True, [{}]])
def test_a_list_of_what_is_allowed_that_cannot_be_read_allows_nothing(name: str, value: object) -> None:
    assert member(decoded(**{name: value})[0], (name,)) == [lenient.NOBODY]


@pytest.mark.parametrize("name", ["bseat", "badv", "bcat"])
@pytest.mark.parametrize("value", [{"a": ["x"]}, True, [{"domain": "x.example"}], [["a", "b"]], [False]])
def test_a_list_of_what_is_blocked_that_cannot_be_read_blocks_everybody(name: str, value: object) -> None:
    assert member(decoded(**{name: value})[0], (name,)) == [EVERYBODY]


@pytest.mark.parametrize("name", ["bseat", "badv", "bcat"])
def test_what_can_be_read_of_a_list_of_what_is_blocked_is_kept(name: str) -> None:
    assert member(decoded(**{name: ["a", {"b": 1}, 7, None]})[0], (name,)) == ["a", "7", EVERYBODY]


@pytest.mark.parametrize("name", ["bseat", "badv", "bcat"])
@pytest.mark.parametrize("value", [[], {}, "", None, [None]])
def test_an_empty_list_of_what_is_blocked_blocks_nobody(name: str, value: object) -> None:
    assert not member(decoded(**{name: value}, tmax="x")[0], (name,))


@pytest.mark.parametrize(
    ("format_", "name", "values"),
    [
        ("banner", "btype", ["x", {"a": 3}, ["script"]]),
        ("banner", "battr", ["x", [1, {}], 1e30]),
        ("video", "battr", ["x", [[1, 2]]]),
        ("video", "minduration", ["30s", 1e30, "0:30"]),
        ("video", "maxduration", ["6s", [5, 6], 1e30, "0:06"]),
        ("video", "rqddurs", [["15s"], "x"]),
        ("video", "linearity", ["x", {"a": 1}]),
        ("video", "durfloors", ["x", True, 7]),
        ("audio", "maxduration", ["6s"]),
        ("audio", "rqddurs", [["15s"]]),
        ("audio", "durfloors", ["x", True]),
        ("native", "battr", ["x"]),
    ],
)
def test_a_format_whose_limits_cannot_be_read_is_not_offered(format_: str, name: str, values: list[object]) -> None:
    for value in values:
        imp = {"id": "1", format_: {"mimes": ["video/mp4"], name: value}}
        assert member(decoded(imp=[imp])[0], ("imp", 0, format_)) is None, value


@pytest.mark.parametrize("value", ["", [], {}, None])
def test_an_empty_limit_of_a_format_says_nothing(value: object) -> None:
    request, _ = decoded(imp=[{"id": "1", "banner": {"w": 300, "h": 250, "btype": value, "battr": value}}], tmax="x")
    assert member(request, ("imp", 0, "banner", "w")) == 300


def test_a_deal_whose_floors_cannot_be_read_is_left_out() -> None:
    deals = [{"id": "a", "durfloors": "5.00"}, {"id": "b", "durfloors": []}]
    request, _ = decoded(imp=[{"id": "1", "pmp": {"deals": deals}}])
    assert [deal["id"] for deal in member(request, ("imp", 0, "pmp", "deals")) if deal] == ["b"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["IAB", {}, [], 1e30])
def test_a_taxonomy_that_cannot_be_read_is_none_that_we_know(value: object) -> None:
    assert decoded(cattax=value)[0].cattax == UNKNOWN_TAXONOMY


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
