"""Bids as they are prepared, and which of them a request admits."""

import json
from typing import Any

import msgspec
import pytest

from bidder.decision.creatives import PreparedBid, may_show
from bidder.dialects.generic import BID_EXPIRY_S
from bidder.dialects.table import speaker_of
from bidder.openrtb.response import bid_parts, tactic_json
from bidder.request.validate import check_request
from bidder.targeting.compiled import Payer
from core.model import BillingEvent, Creative, Exchange
from creatives.formats.offer import Offer
from creatives.formats.table import FORMATS
from creatives.macros import Tracker
from tests.kit.bidding import TRACK, TestBidder
from tests.kit.catalogues import EXCHANGE, catalogue, creative, line_item
from tests.kit.openrtb import raw_request

TOKEN = b"T" * 148


def prepared(changes: dict[str, Any] | None = None, **exchange: object) -> PreparedBid:
    made: Creative = msgspec.structs.replace(creative(1, 1), **(changes or {}))
    ad = FORMATS[made.format].render(made, Offer("banner", ((300, 250),)), Tracker(TRACK))
    return PreparedBid(ad, speaker_of(msgspec.structs.replace(EXCHANGE, **exchange)), Payer("shop1.example"), 9, TRACK)


def bid_of(bid: PreparedBid, imp_id: str = "1", deal_id: str = "") -> dict[str, Any]:
    parts = bid_parts(
        bid.around_token,
        number=1,
        impression_id=imp_id,
        cpm=1_050_000,
        deal_id=deal_id,
        tactic=tactic_json(7),
        token=TOKEN,
    )
    response = json.loads(speaker_of(EXCHANGE).answer("r1", [("grosz", parts)], "PLN", "b1"))
    assert (response["id"], response["cur"], response["bidid"]) == ("r1", "PLN", "b1")
    assert response["seatbid"][0]["seat"] == "grosz"
    (found,) = response["seatbid"][0]["bid"]
    assert isinstance(found, dict)
    return found


def test_a_bid_says_what_is_shown_what_it_costs_and_whom_to_tell() -> None:
    bid = bid_of(prepared())
    assert (bid["id"], bid["impid"], bid["price"], bid["w"], bid["h"]) == ("1", "1", 1.05, 300, 250)
    assert (bid["adomain"], bid["cid"], bid["crid"], bid["adid"]) == (["shop1.example"], "9", "1-1", "1")
    assert bid["tactic"] == "7", "the line item"
    assert (bid["cat"], bid["mtype"], bid["exp"]) == (["IAB22"], 1, BID_EXPIRY_S)
    token = TOKEN.decode()
    assert (
        bid["nurl"] == f"{TRACK}/n/win/{token}?p=${{AUCTION_PRICE}}&c=${{AUCTION_CURRENCY}}&m=${{AUCTION_MIN_TO_WIN}}"
    )
    assert (
        bid["burl"] == f"{TRACK}/n/bill/{token}?p=${{AUCTION_PRICE}}&c=${{AUCTION_CURRENCY}}&m=${{AUCTION_MIN_TO_WIN}}"
    )
    assert bid["lurl"] == f"{TRACK}/n/loss/{token}?r=${{AUCTION_LOSS}}&m=${{AUCTION_MIN_TO_WIN}}"
    assert bid["adm"].count(token) == 4, "click, impression, in view, not loaded"
    assert None not in bid.values()


def test_an_exchange_s_own_price_macro_is_used() -> None:
    bid = bid_of(prepared(price_macro="${AUCTION_PRICE:OXCRYPT}"))
    assert "p=${AUCTION_PRICE:OXCRYPT}&" in bid["burl"]


@pytest.mark.parametrize("event", [BillingEvent.WIN, BillingEvent.IMPRESSION])
def test_an_exchange_that_does_not_bill_by_burl_gets_none(event: BillingEvent) -> None:
    assert "burl" not in bid_of(prepared(billing_event=event))


@pytest.mark.parametrize("text", ['"', "\\", "</script>", "ą😀", "\u2028", "\x01", "é" * 100, '","price":99,"x":"'])
def test_hostile_texts_stay_in_their_strings(text: str) -> None:
    bid = bid_of(prepared({"html": f'<a href="${{CLICK_URL}}">{text}</a>', "language": text}), text, text)
    assert (bid["impid"], bid["dealid"], bid["language"], bid["price"]) == (text, text, text, 1.05)
    assert text in bid["adm"]


def banner(*measures: int) -> Offer:
    """A banner offer of some sizes, given as width, height, width, height ..."""
    sizes = tuple(zip(measures[::2], measures[1::2], strict=True))
    return Offer("banner", sizes, sizes)


def test_creatives_are_those_of_the_offered_sizes_for_each_exchange() -> None:
    ads = (creative(1, 1), creative(2, 1, (728, 90)), creative(3, 1))
    bidder = TestBidder(catalogue(line_item(1, creative_ids=(1, 2, 3)), creatives=ads))
    prepared = bidder.snapshot.showcase.prepared(0, banner(300, 250, 320, 50), EXCHANGE)
    assert [each.ad.creative.id for each in prepared] == [1, 3]
    other = bidder.snapshot.showcase.prepared(0, banner(300, 250), Exchange(id=2, key="x", price_macro="${P}"))
    assert other[0] is not prepared[0]


def test_rules_that_fill_a_request_are_followed_and_not_remembered() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    for blocked in ([1], list(range(1, 10_000))):
        imp = {"id": "1", "banner": {"w": 300, "h": 250, "battr": blocked}}
        auction = bidder.screened(raw_request(imp=[imp], regs={"gdpr": 0}))
        assert len(bidder.snapshot.showcase.showable(0, auction, auction.impressions[0])) == 1
    assert len(bidder.snapshot.showcase._fitting) == 1


def may(changes: dict[str, Any], imp: dict[str, Any], **request: object) -> bool:
    bidder = TestBidder(catalogue(line_item(1)))
    imp = {"id": "1", **imp, "banner": {"w": 300, "h": 250, **imp.get("banner", {})}}
    auction = bidder.auction(raw_request(imp=[imp], regs={"gdpr": 0}, **request))
    check_request(auction, bidder.snapshot.index.fx)
    return may_show(prepared(changes), auction, auction.impressions[0])


INSECURE = {"html": '<img src="http://cdn.example/a.png"><a href="${CLICK_URL}">x</a>'}
PICTURE = {"html": "", "image_url": "https://cdn.example/a.jpg?v=2"}
HANDLER = {"html": '<a href="${CLICK_URL}" onClick = "go()">x</a>'}
SCRIPT = {"html": '<a href="${CLICK_URL}">x</a><SCRIPT>1</SCRIPT>'}


@pytest.mark.parametrize(
    ("changes", "imp", "request_members", "allowed"),
    [
        ({}, {}, {}, True),
        (INSECURE, {"secure": 1}, {}, False),
        (INSECURE, {"secure": 0}, {}, True),
        ({"attributes": (1, 2)}, {"banner": {"battr": [2]}}, {}, False),
        ({"attributes": (1,)}, {"banner": {"battr": [2]}}, {}, True),
        (SCRIPT, {"banner": {"btype": [3]}}, {}, False),
        (HANDLER, {"banner": {"btype": [3]}}, {}, False),
        ({}, {"banner": {"btype": [3, 4]}}, {}, True),
        ({}, {"banner": {"btype": [2]}}, {}, False),
        ({"apis": (7,)}, {}, {}, False),
        ({"apis": (7,)}, {"banner": {"api": [5, 7]}}, {}, True),
        ({}, {"banner": {"mimes": ["image/gif"]}}, {}, False),
        ({}, {"banner": {"mimes": ["image/gif", "text/html"]}}, {}, True),
        ({}, {"banner": {"mimes": ["image/*"]}}, {}, False),
        ({}, {"banner": {"mimes": ["image/*", "text/*"]}}, {}, True),
        (PICTURE, {"banner": {"mimes": ["image/gif", "image/jpg"]}}, {}, True),
        (PICTURE, {"banner": {"mimes": ["image/gif"]}}, {}, False),
        ({"language": "pl"}, {}, {"wlang": ["en"]}, False),
        ({"language": "pl"}, {}, {"wlangb": ["PL-pl"]}, True),
        ({}, {}, {"wlang": ["en"]}, True),
    ],
)
def test_the_request_s_rules_for_creatives_hold(
    changes: dict[str, Any], imp: dict[str, Any], request_members: dict[str, Any], allowed: bool
) -> None:
    assert may(changes, imp, **request_members) is allowed
