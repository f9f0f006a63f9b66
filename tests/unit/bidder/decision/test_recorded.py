"""What is recorded of a request names nobody, and the same stages read it as they read the request itself."""

import msgspec
import pytest

from bidder.decision.pipeline import screen
from bidder.decision.recorded import (
    CONSENT_MARK,
    RecordedConsent,
    consent_text,
    pack_bids,
    request_of,
    unpack_bids,
    unpack_conditions,
)
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction, Consent
from core.config import ConsentSettings
from core.model import Targeting
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
SECRETS = (
    "Aecretuserof-ours00000", "their-secret-user", "203.0.113.77", "2001:db8::77", "0a1b2c3d-secret-ifa", "Chrome/126",
    "secret-eid", "q=secret", "52.229", "secret-transaction",
)  # fmt: skip


def personal_request() -> dict[str, object]:
    """A request with everything in it that says who somebody is."""
    return raw_request(
        user={"id": "their-secret-user", "buyeruid": "Aecretuserof-ours00000",
              "eids": [{"source": "x.example", "uids": [{"id": "secret-eid"}]}]},
        device={"ua": AGENT, "ip": "203.0.113.77", "ipv6": "2001:db8::77", "ifa": "0a1b2c3d-secret-ifa",
                "devicetype": 2, "language": "pl-PL", "connectiontype": 2,
                "geo": {"country": "POL", "region": "PL-MZ", "city": "Warszawa", "lat": 52.2297, "lon": 21.0122}},
        site={"domain": "news.example", "page": "https://user:pw@news.example/buty/czerwone?q=secret#top"},
        regs={"gdpr": 0},
        source={"tid": "secret-transaction"},
    )  # fmt: skip


@pytest.fixture
def bidder() -> TestBidder:
    targeting = Targeting(
        countries=("POL",), regions=("POL/MZ",), cities=("warszawa",), browsers=("chrome",), languages=("pl",),
        operating_systems=("windows",), page_paths=("/buty/*",), connections=(2,),
    )  # fmt: skip
    return TestBidder(catalogue(line_item(1, targeting=targeting), line_item(2, advertiser=2)))


def test_nothing_that_names_a_person_is_recorded(bidder: TestBidder) -> None:
    auction = bidder.screened(personal_request())
    text = request_of(auction).decode()
    assert [secret for secret in SECRETS if secret in text] == []
    assert "/buty/czerwone" in text


def test_the_stages_read_the_recorded_request_as_the_request(bidder: TestBidder) -> None:
    first = bidder.screened(personal_request())
    again = Auction(decode_request(request_of(first), Tolerances()), first.exchange, 1e9, first.speaker)
    screen(again, bidder.snapshot, RecordedConsent(ConsentSettings()))
    assert [bidder.pairs_of(one.eligible) for one in again.impressions] == [{(1, 0), (2, 0)}]
    assert [one.eligible for one in again.impressions] == [one.eligible for one in first.impressions]
    assert [one.floor_cpm for one in again.impressions] == [one.floor_cpm for one in first.impressions]
    assert again.place == first.place
    assert again.user_id is not None
    assert request_of(again) == request_of(first)


@pytest.mark.parametrize("bits", range(64))
def test_what_was_permitted_is_read_back(bits: int) -> None:
    names = ("identifiers", "ads", "profile_write", "segments", "measurement", "precise_geo")
    consent = Consent(**{name: bool(bits >> at & 1) for at, name in enumerate(names)})
    read = RecordedConsent(ConsentSettings()).permitted(consent_text(consent))
    assert [getattr(read, name) for name in names] == [getattr(consent, name) for name in names]
    assert consent_text(consent) == f"{CONSENT_MARK}{bits}"


@pytest.mark.parametrize("text", ["", "recorded:", "recorded:x", "CP4"])
def test_another_consent_string_is_judged_as_ever(text: str) -> None:
    assert not RecordedConsent(ConsentSettings()).permitted(text).ads


@pytest.mark.parametrize("packed", [b"", b"\xff", msgspec.msgpack.encode([9, []])])
def test_what_is_of_another_version_is_refused(packed: bytes) -> None:
    assert unpack_bids(pack_bids(())) == ()
    with pytest.raises(ValueError, match="recorded"):
        unpack_bids(packed)
    with pytest.raises(ValueError, match="recorded"):
        unpack_conditions(packed)
