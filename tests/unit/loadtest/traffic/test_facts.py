import orjson
import pytest

from loadtest.traffic.facts import BANNER, NATIVE, VIDEO, facts_of
from loadtest.traffic.templates import unwrap


def test_facts_of_a_whole_request() -> None:
    facts = facts_of(
        {
            "id": "1", "at": 1, "test": 1, "tmax": "120", "cur": ["PLN", "EUR"], "badv": ["Kasyno.Example"],
            "bcat": ["IAB7"],
            "imp": [
                {"id": 7, "bidfloor": 1.25, "secure": True, "banner": {"w": 300, "h": 250, "battr": 3}, "native": {}},
                {"id": "8", "video": {},
                 "pmp": {"private_auction": 1, "deals": [{"id": "D", "bidfloor": 2}, {"at": 3}]}},
            ],
        }
    )  # fmt: skip
    first, second = facts.impressions["7"], facts.impressions["8"]
    assert (facts.first_price, facts.is_test, facts.tmax_ms) == (True, True, 120)
    assert facts.currencies == {"PLN", "EUR"}
    assert facts.blocked_domains == {"kasyno.example"}
    assert (first.floor, first.currency, first.secure) == (1_250_000, "USD", True)
    assert first.formats == {BANNER, NATIVE}
    assert first.sizes == {(300, 250)}
    assert first.blocked_attributes == {3}
    assert second.formats == {VIDEO}
    assert (second.private, list(second.deals)) == (True, ["D"])
    assert (second.deals["D"].floor, second.deals["D"].currency) == (2_000_000, "USD")


@pytest.mark.parametrize(
    "banner",
    [
        {"format": [{"wratio": 16, "hratio": 9, "wmin": 300}]},
        {"w": 300, "h": 250, "wmin": 200, "wmax": 400, "hmin": 100, "hmax": 300},
    ],
)
def test_flexible_formats_restrict_no_exact_size(banner: dict[str, object]) -> None:
    assert facts_of({"imp": [{"id": "1", "banner": banner}]}).impressions["1"].sizes == frozenset()


def test_a_full_screen_that_is_scaled_restricts_no_exact_size() -> None:
    imp = {"id": "1", "banner": {"w": 320, "h": 480}}
    device = {"ext": {"prebid": {"interstitial": {"minwidthperc": 50}}}}
    full, plain = ({**imp, "instl": 1}, {**imp, "id": "2"})
    facts = facts_of({"imp": [full, plain], "device": device})
    assert not facts.impressions["1"].sizes
    assert facts.impressions["2"].sizes == {(320, 480)}


@pytest.mark.parametrize(
    ("request_members", "allowed"),
    [
        ({}, True),
        ({"regs": {"coppa": 1}}, False),
        ({"device": {"lmt": 1}}, False),
        ({"regs": {"gdpr": 1}}, False),
        ({"regs": {"ext": {"gdpr": 1}}, "user": {"ext": {"consent": "C"}}}, True),
        ({"regs": {"gdpr": 0}}, True),
    ],
)
def test_privacy_members_decide_whether_a_profile_may_be_used(
    request_members: dict[str, object], allowed: bool
) -> None:
    assert facts_of({"imp": [], **request_members}).profile_allowed is allowed


@pytest.mark.parametrize("value", [None, [], "text", 5, True, {"a": 1}])
@pytest.mark.parametrize(
    "member", ["imp", "cur", "bcat", "badv", "wseat", "at", "tmax", "regs", "device", "user", "test"]
)
def test_members_of_the_wrong_type_are_taken_as_absent(member: str, value: object) -> None:
    assert facts_of({"id": "1", "imp": [{"id": "1", "banner": value, "pmp": value, "bidfloor": value}], member: value})


def test_every_recorded_request_has_facts(corpus: object) -> None:
    lines = (corpus / "requests.jsonl").read_bytes().splitlines()  # type: ignore[operator]  # the fixture is a path
    assert all(facts_of(unwrap(orjson.loads(line))).impressions for line in lines)
