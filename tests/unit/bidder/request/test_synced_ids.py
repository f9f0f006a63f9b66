"""Where an exchange's requests have the id that it syncs, and what is none."""

from typing import Any

import msgspec
import pytest

from bidder.request.auction import Auction
from bidder.request.consent import CONTEXTUAL, EVERYTHING, ConsentPolicy, resolve_consent
from bidder.request.identify import identify
from core.config import ConsentSettings
from tests.kit.openrtb import EXCHANGE, USER_ID, auction_of

IFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
SOURCES = ("eids:ssp.example", "data:ssp", "ifa")


def eids(*uids: object, source: str = "ssp.example", **members: object) -> dict[str, object]:
    return {"eids": [{"source": source, "uids": [{"id": each} for each in uids], **members}]}


def data(*segments: object, **provider: object) -> dict[str, object]:
    return {"data": [{"name": "other", "segment": [{"id": "wrong"}]}, {**provider, "segment": list(segments)}]}


def found(sources: tuple[str, ...] = SOURCES, /, **members: Any) -> str | None:  # noqa: ANN401 - JSON
    auction = auction_of(msgspec.structs.replace(EXCHANGE, user_id_sources=sources), **members)
    auction.consent = EVERYTHING
    identify(auction)
    assert auction.user_id is None
    return auction.exchange_user


@pytest.mark.parametrize(
    "members",
    [
        {"user": eids("a1")},
        {"user": eids("$UID", "a1", source=" SSP.example")},
        {"user": {"ext": eids("a1", mm=2)}},
        {"user": data({"id": "a1"}, name="SSP")},
        {"user": data({"name": "x"}, {"id": "segment", "value": "a1"}, id="ssp")},
        {"user": data({"id": "a1"}, name="ssp", id=7)},
    ],
)
def test_an_id_is_found_where_the_exchange_has_it(members: dict[str, Any]) -> None:
    assert found(**members) == "a1"
    assert found((), **members) is None


@pytest.mark.parametrize(
    "members",
    [
        {"user": eids("a1", source="other.example")},
        {"user": eids("a1", mm=3)},
        {"user": eids("a1", mm=5)},
        {"user": eids("null", "", None, "x" * 129, "0")},
        {"user": {"eids": [{"source": "ssp.example"}, {}]}},
        {"user": data({"id": "[UID]"}, {}, name="ssp")},
        {"user": {"data": None}},
        {"user": {"data": "a1"}},
        {"user": {"data": [{"name": "ssp", "segment": "a1"}]}},
        {"user": {"data": [7]}},
        {"device": {"ifa": "00000000-0000-0000-0000-000000000000"}},
        {"device": {"ifa": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}},
        {"device": {"ifa": IFA, "ext": {"ifa_type": "sessionid"}}},
        {"device": {"ifa": IFA, "ext": {"ifa_type": "PPID"}}},
        {"device": {"ifa": IFA}, "dooh": {"id": "1"}},
        {"device": {}},
        {},
    ],
)
def test_what_names_nobody_or_somebody_else_is_not_looked_up(members: dict[str, Any]) -> None:
    assert found(**members) is None
    assert found(**{**members, "user": {**members.get("user", {}), "id": "theirs"}}) == "theirs"


def test_a_device_is_looked_up_in_one_way_of_writing() -> None:
    assert found(device={"ifa": IFA}) == found(device={"ifa": f" {IFA.lower()} "}) == IFA.lower()
    assert found(device={"ifa": IFA, "ext": {"ifa_type": "rida"}}) == IFA.lower()
    assert found(("eids:ssp.example",), device={"ifa": IFA}) is None


def test_an_exchange_that_syncs_devices_writes_all_such_ids_in_one_way() -> None:
    assert found(user=eids(IFA)) == found(user={"id": IFA}) == IFA.lower()
    assert found(("eids:ssp.example",), user=eids(IFA)) == IFA


def test_the_first_source_counts_and_our_own_id_before_all() -> None:
    user = {"id": "theirs", **eids("a1"), **data({"id": "d1"}, name="ssp")}
    assert found(user=user, device={"ifa": IFA}) == "a1"
    assert found(("ifa", *SOURCES), user=user, device={"ifa": IFA}) == IFA.lower()
    assert found(("data:ssp",), user=user) == "d1"
    auction = auction_of(msgspec.structs.replace(EXCHANGE, user_id_sources=SOURCES), user={**user, "buyeruid": USER_ID})
    auction.consent = EVERYTHING
    identify(auction)
    assert (auction.user_id, auction.exchange_user) == (USER_ID, None)


def screened(**members: object) -> Auction:
    auction = auction_of(msgspec.structs.replace(EXCHANGE, user_id_sources=SOURCES), **members)
    resolve_consent(auction, ConsentPolicy(ConsentSettings()))
    identify(auction)
    return auction


@pytest.mark.parametrize(
    "members",
    [
        {"device": {"ifa": IFA, "lmt": 1}},
        {"device": {"ifa": IFA, "ext": {"atts": 2}}},
        {"device": {"ifa": IFA, "geo": {"country": "USA"}}, "regs": {"us_privacy": "1YYN"}},
        {"device": {"ifa": IFA}, "regs": {"coppa": 1}},
    ],
)
def test_where_tracking_is_limited_no_other_id_leads_to_anybody(members: dict[str, object]) -> None:
    user = {**eids("a1"), **data({"id": "d1"}, name="ssp")}
    auction = screened(user=user, **members)
    assert auction.consent is CONTEXTUAL
    assert auction.exchange_user is None
    kept = auction.request.user
    assert kept is not None
    assert (kept.eids, bytes(kept.data)) == (None, b"null")
    permitted = {"device": {"ifa": IFA}, "regs": {"gdpr": 0}}
    assert screened(user=user, **permitted).exchange_user == "a1"
