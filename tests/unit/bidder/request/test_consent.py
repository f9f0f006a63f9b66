"""What may be done with data about the user."""

import json
from pathlib import Path
from typing import Any

import pytest

from bidder.request.auction import Consent
from bidder.request.consent import CONTEXTUAL, EVERYTHING, FIRST_STRINGS, NOTHING, ConsentPolicy, resolve_consent
from bidder.request.identify import identify
from core.config import ConsentSettings
from core.reasons import NoBid
from tests.kit import gpp_strings
from tests.kit.openrtb import EXCHANGE, USER_ID, auction_of, corpus_lines
from tests.kit.tc_strings import TcFields, tc_string

VENDOR = 7
POLICY = ConsentPolicy(ConsentSettings(vendor_id=VENDOR))
FULL = tc_string()
AFTER = 17_723_232_000  # 2026-03-01
BEFORE = AFTER - 1
US_OK, US_OPTED_OUT = "CVQqAAAAAACA.QA", "CVQpAAAAAABA.QA"


def resolved(policy: ConsentPolicy = POLICY, **members: object) -> tuple[set[str], NoBid | None]:
    """The names of the flags that are set, and the reason not to bid."""
    auction = auction_of(EXCHANGE, **members)
    resolve_consent(auction, policy)
    assert auction.consent is not None
    return flags(auction.consent), auction.no_bid


def flags(consent: Consent) -> set[str]:
    return {name for name in Consent.__slots__ if getattr(consent, name)}


ALL = flags(EVERYTHING)
WITHOUT_GEO = ALL - {"precise_geo"}
REFUSED: tuple[set[str], NoBid | None] = (set(), NoBid.CONSENT_PURPOSE_2)


def gdpr(tc: str | None, policy: ConsentPolicy = POLICY) -> set[str]:
    found, no_bid = resolved(policy, regs={"gdpr": 1}, user={"consent": tc} if tc is not None else None)
    assert (no_bid is None) is ("ads" in found)
    return found


def test_without_any_signal_everything_is_permitted() -> None:
    assert resolved() == (ALL, None)


def test_outcomes_are_shared_objects() -> None:
    auctions = [auction_of(user={"consent": FULL}) for _ in range(2)]
    for auction in auctions:
        resolve_consent(auction, POLICY)
    assert auctions[0].consent is auctions[1].consent
    assert len(ALL) == 6
    assert flags(CONTEXTUAL) == {"ads"}
    assert flags(NOTHING) == set()


@pytest.mark.parametrize(
    ("members", "applies"),
    [
        ({"regs": {"gdpr": 1}}, True),
        ({"regs": {"gdpr": True}}, True),
        ({"regs": {"gdpr": 2}}, True),
        ({"regs": {"gdpr": "?"}}, True),
        ({"regs": {"ext": {"gdpr": 1}}}, True),
        ({"user": {"ext": {"gdpr": 1}}}, True),
        ({"user": {"consent": "x"}}, True),
        ({"device": {"geo": {"country": "POL"}}}, True),
        ({"device": {"geo": {"country": "de"}}}, True),
        ({"user": {"geo": {"country": "GBR"}}}, True),
        ({"device": {"geo": {"country": "CHE"}}}, True),
        ({"regs": {"gpp_sid": [2]}}, True),
        ({"regs": {"gpp_sid": [7, 2], "gdpr": 0}}, True),
        ({"regs": {"gpp_sid": [7], "gdpr": 1}}, True),
        ({"regs": {"gdpr": 0}, "user": {"consent": "x"}}, False),
        ({"regs": {"gdpr": 0}, "device": {"geo": {"country": "POL"}}}, False),
        ({"regs": {"gpp_sid": [-1]}, "device": {"geo": {"country": "POL"}}}, False),
        ({"regs": {"gpp_sid": [7]}, "device": {"geo": {"country": "POL"}}}, False),
        ({"regs": {}, "device": {"geo": {"country": "USA"}}}, False),
        ({"device": {"geo": {}}, "user": {"consent": ""}}, False),
        ({"device": {"geo": {"country": "UK"}}}, True),
        ({"device": {"geo": {"country": "EL"}}}, True),
        ({"device": {"geo": {"country": "616"}}}, True),
        ({"device": {"geo": {"country": "Deutschland"}}}, True),
        ({"device": {"geo": {"country": "Atlantis"}}}, True),  # it says something, and nobody knows what
        ({"device": {"geo": {"country": "USA"}}, "user": {"geo": {"country": "??"}}}, True),
        ({"device": {"geo": {"country": {"code": "USA"}}}}, True),
        ({"device": {"geo": {"country": ["USA", "DEU"]}}}, True),
        ({"device": {"geo": {"country": True}}}, True),
        ({"device": {"geo": {"country": ["USA"]}}}, False),
        ({"device": {"geo": {"country": 840}}}, False),
        ({"device": {"geo": {"country": "840"}}}, False),
        ({"device": {"geo": {"country": " "}}}, False),
    ],
)
def test_where_a_tc_string_is_needed(members: dict[str, Any], applies: bool) -> None:
    assert (resolved(**members) == REFUSED) is applies


def test_a_string_permits_what_it_says() -> None:
    assert gdpr(FULL) == WITHOUT_GEO
    assert gdpr(tc_string(TcFields(special_features=(1,)))) == ALL
    assert gdpr(tc_string(TcFields(purpose_consents=(1, 2)))) == {"identifiers", "ads"}
    assert gdpr(tc_string(TcFields(purpose_consents=(2, 3, 4, 7)))) == {"ads", "measurement"}
    assert gdpr(tc_string(TcFields(purpose_consents=(1, 2, 4)))) == {"identifiers", "ads", "segments"}
    assert gdpr(tc_string(TcFields(purpose_consents=(1, 2, 3)))) == {"identifiers", "ads", "profile_write"}
    assert gdpr(tc_string(TcFields(purpose_consents=(1, 3, 4, 7)))) == set()


@pytest.mark.parametrize("tc", [None, "", "garbage", "DBAA", FULL[:-1] + "!", FULL[:40], "C" * 400])
def test_missing_and_undecodable_strings_are_refusals(tc: str | None) -> None:
    assert gdpr(tc) == set()


@pytest.mark.parametrize(
    ("fields", "reliable"),
    [
        (TcFields(), True),
        (TcFields(policy_version=4), True),
        (TcFields(policy_version=3), False),
        (TcFields(service_specific=False), False),
        (TcFields(disclosed_vendors=None), False),
        (TcFields(disclosed_vendors=(8,)), False),
        (TcFields(disclosed_vendors=None, created=AFTER), False),
        (TcFields(disclosed_vendors=None, created=BEFORE, updated=BEFORE), True),
        (TcFields(disclosed_vendors=(8,), created=BEFORE, updated=BEFORE), True),
        (TcFields(disclosed_vendors=None, created=BEFORE, updated=AFTER), False),  # the later time decides
        (TcFields(disclosed_vendors=None, created=0, updated=0), False),  # no time switches a check off
        (TcFields(disclosed_vendors=None, created=FIRST_STRINGS - 1, updated=BEFORE), False),
        (TcFields(disclosed_vendors=None, created=2**36 - 1, updated=2**36 - 1), False),
    ],
)
def test_which_strings_may_be_relied_upon(fields: TcFields, reliable: bool) -> None:
    assert (gdpr(tc_string(fields)) == WITHOUT_GEO) is reliable
    lax = ConsentSettings(
        vendor_id=VENDOR, min_policy_version=2, require_service_specific=False, require_disclosed_vendors=False
    )
    assert gdpr(tc_string(fields), ConsentPolicy(lax)) == WITHOUT_GEO


def test_a_string_that_contradicts_itself_is_refused() -> None:
    assert gdpr(tc_string(TcFields(created=AFTER, updated=AFTER - 1))) == set()
    assert gdpr(tc_string(TcFields(created=BEFORE, updated=0, disclosed_vendors=None))) == set()


def test_legitimate_interest_needs_disclosure_since_march_2026() -> None:
    settings = ConsentSettings(
        vendor_id=VENDOR, consent_purposes=(1, 3, 4), interest_purposes=(2, 7), require_disclosed_vendors=False
    )
    policy = ConsentPolicy(settings)

    def by_interest(**fields: Any) -> set[str]:  # noqa: ANN401 - fields of a string
        return gdpr(tc_string(TcFields(purpose_interests=(2, 7), vendor_interests=(VENDOR,), **fields)), policy)

    assert "ads" in by_interest()
    assert "ads" in by_interest(disclosed_vendors=None, created=BEFORE, updated=BEFORE)
    assert "ads" not in by_interest(disclosed_vendors=None, created=AFTER)
    assert "ads" not in by_interest(disclosed_vendors=(8,))


def test_a_vendor_that_is_not_registered_is_refused_unless_a_demonstration_says_otherwise() -> None:
    assert gdpr(FULL, ConsentPolicy(ConsentSettings())) == set()
    demonstration = ConsentPolicy(ConsentSettings(trust_purposes_alone=True))
    assert gdpr(FULL, demonstration) == WITHOUT_GEO
    assert gdpr(tc_string(TcFields(purpose_consents=())), demonstration) == set()
    assert gdpr("garbage", demonstration) == set()


def test_purpose_1_may_be_waived_where_the_setting_says_so() -> None:
    fields = TcFields(purpose_consents=(2, 3, 4, 7), purpose_one_treatment=True, publisher_country="DE")
    waiving = ConsentPolicy(ConsentSettings(vendor_id=VENDOR, purpose_one_waived_in=("DE",)))
    assert "identifiers" not in gdpr(tc_string(fields))
    assert gdpr(tc_string(fields), waiving) == WITHOUT_GEO
    fields.publisher_country = "PL"
    assert "identifiers" not in gdpr(tc_string(fields), waiving)


def test_contextual_bids_without_purpose_2_are_a_setting() -> None:
    policy = ConsentPolicy(ConsentSettings(vendor_id=VENDOR, bid_without_purpose_2=True))
    assert resolved(policy, regs={"gdpr": 1}) == (set(), None)


def test_the_scenarios_of_the_corpus(corpus: Path) -> None:
    data = json.loads((corpus / "consent" / "tc_scenarios.json").read_text(encoding="utf-8"))
    policy = ConsentPolicy(ConsentSettings(vendor_id=1001, consent_purposes=(1, 2, 3, 4, 7), flexible_purposes=(2, 7)))
    found = {scenario["name"]: gdpr(scenario["tc"], policy) for scenario in data["scenarios"]}
    expected = {
        "full-consent": WITHOUT_GEO,
        "precise-geo-optin": ALL,
        "no-purpose1": {"ads", "measurement"},
        "purpose1treatment-no-p1": {"ads", "measurement"},
        "basic-ads-only": {"identifiers", "ads", "measurement"},
        "p4-missing": {"identifiers", "ads", "profile_write", "measurement"},
        "restr0-p4": {"identifiers", "ads", "profile_write", "measurement"},
        "restr2-p2-flex-consent": WITHOUT_GEO,
    }  # every other scenario leaves vendor 1001 nothing
    assert found == {name: expected.get(name, set()) for name in found}
    by_interest = ConsentSettings(
        vendor_id=1002, consent_purposes=(1, 3, 4), interest_purposes=(2, 7), flexible_purposes=(2, 7)
    )
    strings = {scenario["name"]: scenario["tc"] for scenario in data["scenarios"]}
    assert gdpr(strings["li-2-7"], ConsentPolicy(by_interest)) == WITHOUT_GEO
    assert gdpr(strings["li-objected-vendor"], ConsentPolicy(by_interest)) == set()
    assert gdpr(strings["restr1-p2-flex-li"], ConsentPolicy(by_interest)) == WITHOUT_GEO
    assert gdpr(strings["restr1-p2-flex-li-noconsent"], ConsentPolicy(by_interest)) == set()


LIMITS: list[dict[str, Any]] = [
    {"regs": {"coppa": 1}},
    {"regs": {"coppa": True}},
    {"regs": {"coppa": "?"}},
    {"device": {"lmt": 1}},
    {"device": {"dnt": "1"}},
    {"device": {"ext": {"atts": 0}}},
    {"device": {"ext": {"atts": 1}}},
    {"device": {"ext": {"atts": 2}}},
    {"device": {"ifa": "00000000-0000-0000-0000-000000000000"}},
    {"device": {"ifa": "00000000000000000000000000000000"}},
    {"regs": {"us_privacy": "1YYN"}},
    {"regs": {"us_privacy": "1yyn"}},
    {"regs": {"us_privacy": "1-Y-"}},
    {"regs": {"us_privacy": "nonsense"}},
    {"regs": {"us_privacy": "2YNN"}, "device": {"geo": {"country": "USA"}}},
    {"regs": {"us_privacy": {}}},
    {"regs": {"ext": {"gpc": "1"}}},
    {"regs": {"ext": {"gpc": 1}}, "device": {"geo": {"country": "US"}}},
    *({"regs": {"ext": {"gpc": said}}} for said in ("yes", "TRUE", " 1", 2, True, "?1", "Y", [1])),
    *({"regs": {"us_privacy": said}, "device": {"geo": {"country": "CAN"}}} for said in (" 1YYN ", "1YYN\n", "1yy-\t")),
    {"regs": {"gpp_sid": [7]}},
    {"regs": {"gpp_sid": [5]}},
    {"regs": {"gpp_sid": [6, 8]}},
    {"regs": {"gpp_sid": [99]}},
    {"regs": {"gpp_sid": {}}},
    {"regs": {"gpp": "DBAA"}},
    {"regs": {"gpp": 5}},
]


@pytest.mark.parametrize("members", LIMITS)
def test_limits_leave_the_page_alone_to_choose_by(members: dict[str, Any]) -> None:
    assert resolved(**members) == ({"ads"}, None)


@pytest.mark.parametrize(
    "members",
    [
        {"regs": {"coppa": 0}},
        {"device": {"lmt": 0, "dnt": 0, "ifa": "", "ext": {"atts": 3}}},
        {"device": {"ifa": "6D92078A-8246-4BA4-AE5B-76104861E7DC"}},
        {"regs": {"us_privacy": "1---"}},
        {"regs": {"us_privacy": "1YNN"}},
        {"regs": {"us_privacy": ""}},
        {"regs": {"us_privacy": "nonsense"}, "device": {"geo": {"country": "CAN"}}},
        {"regs": {"ext": {"gpc": "1"}}, "device": {"geo": {"country": "CAN"}}},
        *({"regs": {"ext": {"gpc": said}}} for said in ("0", 0, False, "false", "", "No ", None)),
        {"regs": {"us_privacy": "1YNN\n"}},
        {"regs": {"gpp_sid": [-1], "gpp": "DBAA"}},
        {"regs": {"gpp_sid": [], "gpp": ""}},
    ],
)
def test_signals_that_limit_nothing(members: dict[str, Any]) -> None:
    assert resolved(**members) == (ALL, None)


def test_a_consent_does_not_lift_another_limit() -> None:
    for members in LIMITS:
        user = {"consent": FULL, "ext": {"gdpr": 1}}
        assert resolved(**{**members, "user": user})[0] <= {"ads"}


def test_do_not_track_is_a_setting() -> None:
    policy = ConsentPolicy(ConsentSettings(honour_do_not_track=False))
    assert resolved(policy, device={"dnt": 1}) == (ALL, None)
    assert resolved(policy, device={"dnt": 1, "lmt": 1}) == ({"ads"}, None)


def gpp_with(*sections: tuple[int, str]) -> str:
    return "~".join([gpp_strings.header([number for number, _ in sections]), *(text for _, text in sections)])


def test_the_tc_string_of_a_gpp_string_is_the_one_that_counts() -> None:
    permitting, refusing = gpp_with((2, FULL)), gpp_with((2, tc_string(TcFields(purpose_consents=()))))
    assert resolved(regs={"gpp_sid": [2], "gpp": permitting}) == (WITHOUT_GEO, None)
    assert resolved(regs={"gpp": permitting}) == (WITHOUT_GEO, None)
    assert resolved(regs={"gpp_sid": [2], "gpp": permitting}, user={"consent": FULL}) == (WITHOUT_GEO, None)
    assert resolved(regs={"gpp_sid": [2], "gpp": refusing}, user={"consent": FULL}) == REFUSED
    assert resolved(regs={"gdpr": 1, "gpp": refusing}, user={"consent": FULL}) == REFUSED
    assert resolved(regs={"gpp_sid": [2], "gpp": "DBAA"}, user={"consent": FULL}) == REFUSED
    assert resolved(regs={"gpp_sid": [2], "gpp": gpp_with((7, US_OK))}, user={"consent": FULL}) == REFUSED
    assert resolved(regs={"gpp_sid": [2]}, user={"consent": FULL}) == (WITHOUT_GEO, None)


@pytest.mark.parametrize(
    ("regs", "limited"),
    [
        ({"gpp_sid": [7], "gpp": gpp_with((7, US_OK))}, False),
        ({"gpp": gpp_with((7, US_OK))}, False),
        ({"gpp_sid": [7], "gpp": gpp_with((7, US_OPTED_OUT))}, True),
        ({"gpp": gpp_with((7, US_OPTED_OUT))}, True),
        ({"gpp_sid": [8], "gpp": gpp_with((7, US_OK))}, True),  # what applies is not there
        ({"gpp_sid": [8], "gpp": gpp_with((7, US_OPTED_OUT), (8, "BUoAAABA.QA"))}, False),  # what limits does not apply
        ({"gpp_sid": [7, 8], "gpp": gpp_with((7, US_OPTED_OUT), (8, "BUoAAABA.QA"))}, True),
        ({"gpp_sid": [-1], "gpp": gpp_with((7, US_OPTED_OUT))}, False),
        ({"gpp_sid": [7], "gpp": gpp_with((7, US_OK)), "us_privacy": "1YYN"}, True),
        ({"gpp_sid": [6], "gpp": gpp_with((6, "1YNN"))}, False),
        ({"gpp_sid": [6], "gpp": gpp_with((6, "1YYN"))}, True),
        ({"gpp_sid": [1], "gpp": gpp_with((1, "test"))}, True),
        ({"gpp_sid": [99], "gpp": gpp_with((7, US_OK))}, True),
    ],
)
def test_sections_of_the_united_states(regs: dict[str, Any], limited: bool) -> None:
    assert resolved(regs=regs) == (({"ads"}, None) if limited else (ALL, None))


def test_long_strings_are_read_without_being_remembered() -> None:
    policy = ConsentPolicy(ConsentSettings(vendor_id=VENDOR, cached_strings=1))
    long = tc_string(TcFields(disclosed_vendors=tuple(range(1, 30_000))))
    assert len(long) > 4_096
    assert policy.permitted(long) == policy.permitted(long)
    assert flags(policy.permitted(long)) == WITHOUT_GEO


REMOVALS: list[dict[str, Any]] = [
    {"regs": {"gdpr": 1}, "user": {"consent": None, "ext": None}},
    {"regs": {"coppa": 1}},
    {"device": {"lmt": 1}},
    {"regs": {"us_privacy": "1YYN"}},
]


@pytest.mark.parametrize("removal", REMOVALS)
def test_removing_permission_removes_the_user_from_every_recorded_request(
    corpus: Path, removal: dict[str, Any]
) -> None:
    for line in corpus_lines(corpus / "requests.jsonl"):
        raw = {**line["request"], "user": {"id": "x", "buyeruid": USER_ID, **(line["request"].get("user") or {})}}
        for name, members in removal.items():
            raw[name] = {**(raw.get(name) or {}), **members}
        auction = auction_of(**raw)
        resolve_consent(auction, POLICY)
        identify(auction)
        assert auction.consent is not None
        assert not auction.consent.segments
        assert (auction.user_id, auction.exchange_user) == (None, None), line["name"]
