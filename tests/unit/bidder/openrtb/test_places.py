"""Members in older and vendors' places."""

import pytest

from bidder.openrtb.codec import decode_request
from bidder.openrtb.lenient import UNREADABLE_TEXT
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest, Regs
from tests.kit.openrtb import body_of, members_of, raw_request

CHAIN = {"complete": 1, "nodes": [{"asi": "ssp.example", "sid": "1"}], "ver": "1.0"}
OTHER_CHAIN = {"complete": 0, "nodes": [], "ver": "1.0"}
EIDS = [{"source": "id.example", "uids": [{"id": "x", "atype": 1}]}]


def decoded(**members: object) -> tuple[BidRequest, int]:
    tolerances = Tolerances()
    return decode_request(body_of(raw_request(**members)), tolerances), tolerances.old_place


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"regs": {"ext": {"gdpr": 1}}}, {"regs": {"gdpr": 1}}),
        ({"regs": {"ext": {"us_privacy": "1YNN"}}}, {"regs": {"us_privacy": "1YNN"}}),
        ({"regs": {"ext": {"gpp": "DBAA"}}}, {"regs": {"gpp": "DBAA"}}),
        ({"regs": {"ext": {"gpp_sid": [2]}}}, {"regs": {"gpp_sid": [2]}}),
        ({"user": {"ext": {"gdpr": 1}}}, {"regs": {"gdpr": 1}}),
        ({"user": {"ext": {"us_privacy": "1YNN"}}}, {"regs": {"us_privacy": "1YNN"}}),
        ({"user": {"ext": {"consent": "C"}}}, {"user": {"consent": "C"}}),
        ({"user": {"ext": {"eids": EIDS}}}, {"user": {"eids": EIDS}}),
        ({"user": {"buyerid": "b"}}, {"user": {"buyeruid": "b"}}),
        ({"source": {"ext": {"schain": CHAIN}}}, {"source": {"schain": CHAIN}}),
        ({"ext": {"schain": CHAIN}}, {"source": {"schain": CHAIN}}),
        ({"device": {"geo": {"lat": 1.5, "long": 2.5}}}, {"device": {"geo": {"lat": 1.5, "lon": 2.5}}}),
        ({"imp": [{"id": "1", "ext": {"rewarded": 1}}]}, {"imp": [{"id": "1", "rwdd": 1}]}),
        (
            {"imp": [{"id": "1", "ext": {"prebid": {"is_rewarded_inventory": 1}}}]},
            {"imp": [{"id": "1", "rwdd": 1}]},
        ),
        ({"imp": [{"id": "1", "video": {"ext": {"rewarded": 1}}}]}, {"imp": [{"id": "1", "rwdd": 1, "video": {}}]}),
        ({"imp": [{"id": "1", "video": {"placement": 3}}]}, {"imp": [{"id": "1", "video": {"plcmt": 3}}]}),
    ],
)
def test_an_old_place_is_read_and_counted(old: dict[str, object], new: dict[str, object]) -> None:
    request, moved = decoded(**old)
    assert moved == 1
    expected, none_moved = decoded(**new)
    assert none_moved == 0
    assert _without_old_places(members_of(request)) == _without_old_places(members_of(expected))


def _without_old_places(value: object) -> object:
    """What is left when the old places, and objects that held nothing else, are taken away."""
    if isinstance(value, list):
        return [_without_old_places(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        name: _without_old_places(item)
        for name, item in value.items()
        if name not in ("ext", "buyerid", "long", "placement")
    }
    return {name: item for name, item in kept.items() if item != {}}


@pytest.mark.parametrize(
    "regs",
    [
        {"dsa": {"dsarequired": 2}},
        {"ext": {"dsa": {"dsarequired": 2}}},
        {"dsa": {"dsarequired": 1}, "ext": {"dsa": {"dsarequired": 2}}},
        {"dsa": {"dsarequired": 2}, "ext": {"dsa": {"dsarequired": 0}}},
    ],
)
def test_who_must_be_named_as_paying_is_read_from_either_place_the_stricter_counts(regs: dict[str, object]) -> None:
    request, moved = decoded(regs=regs)
    assert moved == 0
    assert request.regs is not None
    assert request.regs.dsa is not None
    assert request.regs.dsa.dsarequired == 2


def test_the_new_place_wins() -> None:
    request, moved = decoded(
        regs={"gdpr": 0, "us_privacy": "1---", "gpp": "a", "gpp_sid": [6], "ext": {
            "gdpr": 1, "us_privacy": "1YYY", "gpp": "b", "gpp_sid": [2]}},
        user={"buyeruid": "a", "buyerid": "b", "consent": "C", "eids": [], "ext": {
            "consent": "D", "eids": EIDS, "gdpr": 1, "us_privacy": "1YYY"}},
        source={"schain": CHAIN, "ext": {"schain": OTHER_CHAIN}},
        ext={"schain": OTHER_CHAIN},
        imp=[{"id": "1", "rwdd": 0, "video": {"plcmt": 1, "placement": 2, "ext": {"rewarded": 1}}, "ext": {
            "rewarded": 1}}],
    )  # fmt: skip
    assert moved == 0
    members = members_of(request)
    assert members["user"]["buyeruid"] == "a"
    assert members["user"]["eids"] == []
    assert members["source"]["schain"] == CHAIN
    assert members["imp"][0]["rwdd"] == 0
    assert members["imp"][0]["video"]["plcmt"] == 1


def test_the_exchange_s_place_comes_before_the_request_s_own() -> None:
    request, _ = decoded(source={"ext": {"schain": CHAIN}}, ext={"schain": OTHER_CHAIN})
    assert members_of(request)["source"]["schain"] == CHAIN


def test_global_privacy_control_is_read_at_its_own_place() -> None:
    for value in (1, "1", True):
        request, moved = decoded(regs={"ext": {"gpc": value}})
        assert request.regs is not None
        assert request.regs.gpc == value
        assert moved == 0


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"id": 5}, ("id",)),
        ({"imp": [{"id": 5}]}, ("imp", 0, "id")),
        ({"imp": [{"id": "1", "tagid": 5}]}, ("imp", 0, "tagid")),
        ({"site": {"id": 5}}, ("site", "id")),
        ({"app": {"id": 5}}, ("app", "id")),
        ({"app": {"bundle": 5}}, ("app", "bundle")),
        ({"dooh": {"id": 5}}, ("dooh", "id")),
        ({"site": {"publisher": {"id": 5}}}, ("site", "publisher", "id")),
        ({"device": {"geo": {"zip": 5}}}, ("device", "geo", "zip")),
        ({"user": {"geo": {"region": 5}}}, ("user", "geo", "region")),
    ],
)
def test_identifiers_as_numbers_become_text_without_the_lenient_reader(
    members: dict[str, object], path: tuple[str | int, ...]
) -> None:
    tolerances = Tolerances()
    request = decode_request(body_of(raw_request(**members)), tolerances)
    value: object = members_of(request)
    for step in path:
        value = value[step]  # type: ignore[index]  # the path fits the request
    assert value == "5"
    assert tolerances.number_for_text == 1


def test_booleans_for_flags_are_counted_and_read() -> None:
    tolerances = Tolerances()
    raw = raw_request(imp=[{"id": "1", "secure": True, "instl": False}], device={"lmt": True})
    request = decode_request(body_of(raw), tolerances)
    assert request.imp[0].secure == 1
    assert tolerances.loose_flag == 2


def test_of_two_places_that_contradict_each_other_the_stricter_counts() -> None:
    def regs(**members: object) -> Regs:
        request, _ = decoded(regs=members)
        assert request.regs is not None
        return request.regs

    assert regs(gdpr=0, ext={"gdpr": 1}).gdpr == 1
    assert regs(gdpr=1, ext={"gdpr": 0}).gdpr == 1
    assert regs(gdpr=0, ext={"gdpr": 0}).gdpr == 0
    assert regs(gdpr=0, ext="cannot be read").gdpr == 0, "nothing says otherwise"
    assert regs(us_privacy="1YNN", ext={"us_privacy": "1YYN"}).us_privacy == "1YYN"
    assert regs(us_privacy="1YYN", ext={"us_privacy": "1YNN"}).us_privacy == "1YYN"
    assert regs(us_privacy="1YNN", ext={"us_privacy": "1NNN"}).us_privacy == UNREADABLE_TEXT
    assert regs(gpp="DBAA", ext={"gpp": "DBAA "}).gpp == "DBAA"
    assert regs(gpp="DBAA", ext={"gpp": "DBAB"}).gpp == UNREADABLE_TEXT
    assert regs(gpp_sid=[6], ext={"gpp_sid": [2]}).gpp_sid == (6, 2)
    assert regs(gpc=0, ext={"gpc": "1"}).gpc == "1"
    request, _ = decoded(regs={"gdpr": 0}, user={"ext": {"gdpr": 1}, "consent": "C"})
    assert request.regs is not None
    assert request.regs.gdpr == 1
    request, _ = decoded(user={"consent": "C", "ext": {"consent": "D"}})
    assert request.user is not None
    assert request.user.consent == UNREADABLE_TEXT
    request, _ = decoded(user={"consent": "C", "ext": {"consent": ""}})
    assert request.user is not None
    assert request.user.consent == "C"
