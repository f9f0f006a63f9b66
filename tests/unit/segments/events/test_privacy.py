"""Whatever a wish is called and wherever it is said, it is understood; what cannot be read refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segments.events.privacy import MEMBERS, NOTHING_SAID, Signals, members_of_query, signals_of
from segments.events.privacy import UNREADABLE_SECTION as NO_SECTION


@pytest.mark.parametrize(
    "members",
    [
        {"ad_storage": "denied"},
        {"ad_storage": "DENIED"},
        {"ad_personalization": "denied "},
        {"ad_personalization": " denied\n"},
        {"ad_personalization": False},
        {"ad_user_data": 0},
        {"ad_user_data": "dénié"},
        {"ad_user_data": {}},
        {"ad_user_data": []},
        {"consent": {"ad_user_data": "DENIED", "ad_personalization": "GRANTED"}},
        {"ad_personalization": "granted", "consent": {"ad_personalization": "denied"}},
        {"params": {"ad_storage": "denied"}},
        {"ad_storage": "granted", "ecommerce": {"consent": {"ad_storage": "denied"}}},
        {"non_personalized_ads": True},
        {"non_personalized_ads": "1"},
        {"non_personalized_ads": "maybe"},
        {"npa": 1},
        {"npa": [0]},
        {"gpc": "1"},
        {"gpc": 2},
        {"coppa": 1},
        {"us_privacy": "1YYN"},
        {"us_privacy": "1-y-"},
        {"us_privacy": "nonsense"},
        {"us_privacy": 1},
        {"gpp": 5},
        {"consent": 5},
        {"consent": {"marketing": False}},
        {"consent": {"default": {"ad_storage": "denied"}}},
        {"consent": {"adStorage": "denied"}},
        {"params": {"consent": {"statistics": "granted"}}},
        {"consent": ["C"]},
        {"gdpr_consent": True},
    ],
)
def test_what_refuses_whatever_else_is_said(members: dict[str, Any]) -> None:
    assert signals_of({"gdpr": 0, **members}).refusal != ""


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"ad_storage": "granted", "ad_user_data": True, "ad_personalization": 1, "consent": {"ad_storage": "GRANTED"}},
        {"non_personalized_ads": False, "npa": "0", "gpc": "false", "coppa": 0},
        {"us_privacy": "1YNN"},
        {"consent": {}},
        {"consent": {"ad_storage": "granted", "analytics_storage": "denied"}},
        {"us_privacy": "1---"},
        {"us_privacy": ""},
        {"ad_storage": None, "consent": None, "gpp": None, "gpp_sid": None, "gdpr": None},
    ],
)
def test_what_refuses_nothing(members: dict[str, Any]) -> None:
    assert signals_of(members) == NOTHING_SAID


@pytest.mark.parametrize(("header", "refuses"), [("", False), ("0", False), ("1", True), ("true", True), ("?1", True)])
def test_the_browsers_own_header(header: str, refuses: bool) -> None:
    assert (signals_of({}, sec_gpc=header).refusal == "sec-gpc") is refuses


@pytest.mark.parametrize(
    ("value", "applies"),
    [(0, False), ("0", False), (False, False), ("false", False), (0.0, False), (" 0 ", False), (1, True), ("1", True),
     (True, True), (2, True), ("maybe", True), ([], True), ({}, True), (None, None), ("", None)],
)  # fmt: skip
def test_gdpr_applies_unless_it_is_clearly_said_not_to(value: object, applies: bool | None) -> None:
    assert signals_of({"gdpr": value}).gdpr is applies


def test_a_list_of_more_sections_than_there_are_laws_cannot_be_read() -> None:
    assert signals_of({"gpp_sid": [7] * 65}).sections == (NO_SECTION,)
    assert signals_of({"gpp_sid": [7] * 64}).sections == (7,) * 64


def test_strings_are_handed_on() -> None:
    found = signals_of({"consent": " CONSENT ", "gpp": "DBAA~x", "gpp_sid": "7_8", "gdpr": 1})
    assert found == Signals("", True, "CONSENT", "DBAA~x", (7, 8))
    assert signals_of({"gdpr_consent": "C"}).consent == "C"
    assert signals_of({"params": {"consent": "inner"}, "consent": "outer"}).consent == "inner"


@pytest.mark.parametrize(
    ("value", "sections"),
    [("7", (7,)), (7, (7,)), ([7, "8"], (7, 8)), ("7,8", (7, 8)), ("-1", (-1,)), ("", ()), (None, ()), ([], ()),
     ("x", (NO_SECTION,)), ({}, (NO_SECTION,)), ([True], (NO_SECTION,)), (7.5, (NO_SECTION,))],
)  # fmt: skip
def test_sections_are_read_in_every_form(value: object, sections: tuple[int, ...]) -> None:
    assert signals_of({"gpp_sid": value}).sections == sections


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*MEMBERS, "params"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*MEMBERS, "params", "ecommerce"]), ANYTHING, max_size=6), st.text(max_size=5))
def test_no_value_raises_and_saying_more_never_permits_more(members: dict[str, Any], header: str) -> None:
    found = signals_of(members, sec_gpc=header)
    for name in ("ad_storage", "npa", "us_privacy"):
        more = signals_of({**members, name: "denied"}, sec_gpc=header)
        assert more.refusal != ""
    if signals_of(members).refusal:
        assert found.refusal


@pytest.mark.parametrize(
    ("pairs", "members"),
    [
        ([("gdpr", "0"), ("gdpr", "1")], {"gdpr": "1"}),
        ([("gdpr", "1"), ("gdpr", "0")], {"gdpr": "1"}),
        ([("gdpr", "0"), ("gdpr", "")], {"gdpr": "0"}),
        ([("npa", ""), ("npa", "1"), ("npa", "0")], {"npa": "1"}),
        ([("us_privacy", "1YNN"), ("us_privacy", "1YYN")], {"us_privacy": "1YYN"}),
        ([("gdpr_consent", "C1"), ("gdpr_consent", "C1")], {"gdpr_consent": "C1"}),
        ([("gdpr_consent", "C1"), ("gdpr_consent", "C2")], {"gdpr_consent": "?"}),
        ([("gdpr_consent", ""), ("gdpr_consent", "C2")], {"gdpr_consent": "C2"}),
        ([("gpp_sid", "7"), ("gpp_sid", "8")], {"gpp_sid": "?"}),
        ([("event", "a"), ("event", "b")], {"event": "a"}),
    ],
)
def test_a_wish_that_a_query_says_twice_is_the_one_that_refuses(
    pairs: list[tuple[str, str]], members: dict[str, str]
) -> None:
    assert members_of_query(pairs) == members
