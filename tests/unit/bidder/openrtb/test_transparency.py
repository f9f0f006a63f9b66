"""What a request's `dsa` asks for, and what a bid tells."""

import msgspec
import pytest

from bidder.openrtb.transparency import asked_of, transparency
from bidder.openrtb.types import Dsa
from core.model import ReviewPolicy
from tests.kit.bidding import TRACK, TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request


@pytest.mark.parametrize(("required", "must"), [(1, False), (2, True), (3, True), (7, True), (-1, True)])
def test_what_is_neither_no_nor_maybe_is_required(required: int, must: bool) -> None:
    asked = asked_of(Dsa(dsarequired=required), profile=False, precise_geo=False)
    assert asked is not None
    assert asked.required is must


@pytest.mark.parametrize("required", [None, 0])
def test_nothing_asked_is_nothing_told(required: int | None) -> None:
    assert asked_of(Dsa(dsarequired=required), profile=True, precise_geo=True) is None


@pytest.mark.parametrize(
    ("profile", "precise", "to_publisher", "parameters"),
    [
        (False, False, 1, (2,)), (True, False, None, (1, 2)), (True, True, 2, (1, 2, 3)), (False, True, 2, (2, 3)),
        (True, True, 0, ()),
    ],
)  # fmt: skip
def test_parameters_say_what_an_ad_may_have_been_chosen_by(
    profile: bool, precise: bool, to_publisher: int | None, parameters: tuple[int, ...]
) -> None:
    asked = asked_of(Dsa(dsarequired=2, datatopub=to_publisher), profile=profile, precise_geo=precise)
    assert asked is not None
    assert asked.parameters == parameters


def test_a_bid_names_who_pays_beside_other_extensions() -> None:
    configured = catalogue(line_item(1))
    (shop,) = configured.advertisers[:1]
    shop = msgspec.structs.replace(shop, dsa_behalf="Buty sp. z o.o.", dsa_paid="Agencja")
    (exchange,) = configured.exchanges
    exchange = msgspec.structs.replace(exchange, dialect="xandr", seat="77", review=ReviewPolicy.NONE)
    bidder = TestBidder(
        msgspec.structs.replace(configured, advertisers=(shop, *configured.advertisers[1:]), exchanges=(exchange,))
    )
    asked = {"gdpr": 0, "ext": {"dsa": {"dsarequired": 3, "pubrender": 2, "datatopub": 2}}}
    (bid,) = bids_of(bidder.answer(raw_request(regs=asked)))
    assert bid["ext"] == {
        "appnexus": {"crcode": bid["crid"]},
        "dsa": {
            "behalf": "Buty sp. z o.o.", "paid": "Agencja", "adrender": 0,
            "transparency": [{"domain": "track.example", "dsaparams": [2]}],
        },
    }  # fmt: skip
    (plain,) = bids_of(bidder.answer(raw_request(regs={"gdpr": 0})))
    assert plain["ext"] == {"appnexus": {"crcode": plain["crid"]}}


def test_an_ad_shows_the_notice_where_the_publisher_does_not() -> None:
    configured = catalogue(line_item(1))
    (shop,) = configured.advertisers[:1]
    shop = msgspec.structs.replace(shop, dsa_behalf="Buty <sp.>", dsa_paid="Agencja")
    bidder = TestBidder(msgspec.structs.replace(configured, advertisers=(shop, *configured.advertisers[1:])))
    asked = {"gdpr": 0, "ext": {"dsa": {"dsarequired": 3, "pubrender": 0, "datatopub": 0}}}
    (bid,) = bids_of(bidder.answer(raw_request(regs=asked)))
    assert bid["ext"] == {"dsa": {"behalf": "Buty <sp.>", "paid": "Agencja", "adrender": 1}}
    markup = str(bid["adm"])
    assert "On behalf of Buty &lt;sp.&gt;" in markup
    assert "Paid by Agencja" in markup
    assert "the page and your device" in markup
    (plain,) = bids_of(bidder.answer(raw_request(regs={"gdpr": 0})))
    assert "<details" not in str(plain["adm"])


def test_without_a_payer_nothing_is_told() -> None:
    asked = asked_of(Dsa(dsarequired=1, pubrender=2), profile=False, precise_geo=False)
    assert asked is not None
    assert transparency(asked, "", "Agencja", TRACK) is None
    assert transparency(asked, "Buty", "", TRACK) is None
