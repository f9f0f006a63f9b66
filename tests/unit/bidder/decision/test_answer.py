import json
from typing import Any

import msgspec
import pytest

from bidder.decision.answer import BID_EXPIRY_S, PreparedBid, bid_parts, may_show, response_json, tactic_json
from bidder.request.validate import check_request
from core.model import BillingEvent, Creative
from tests.kit.bidding import TRACK, TestBidder
from tests.kit.catalogues import EXCHANGE, catalogue, creative, line_item
from tests.kit.openrtb import raw_request

TOKEN = b"T" * 148


def prepared(changes: dict[str, Any] | None = None, **exchange: object) -> PreparedBid:
    made: Creative = msgspec.structs.replace(creative(1, 1), **(changes or {}))
    return PreparedBid(made, msgspec.structs.replace(EXCHANGE, **exchange), "shop1.example", 9, TRACK)


def bid_of(bid: PreparedBid, imp_id: str = "1", deal_id: str = "") -> dict[str, Any]:
    bidder = TestBidder(catalogue(line_item(1)))
    imp = {"id": imp_id, "banner": {"w": 300, "h": 250}}
    auction = bidder.screened(raw_request(imp=[imp], regs={"gdpr": 0}))
    parts = bid_parts(
        bid, impression=auction.impressions[0], cpm=1_050_000, deal_id=deal_id, tactic=tactic_json(7), token=TOKEN
    )
    response = json.loads(response_json(auction, [parts], "b1"))
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
    assert bid["nurl"] == f"{TRACK}/n/win/{token}?p=${{AUCTION_PRICE}}&c=${{AUCTION_CURRENCY}}"
    assert bid["burl"] == f"{TRACK}/n/bill/{token}?p=${{AUCTION_PRICE}}&c=${{AUCTION_CURRENCY}}"
    assert bid["lurl"] == f"{TRACK}/n/loss/{token}?r=${{AUCTION_LOSS}}&m=${{AUCTION_MIN_TO_WIN}}"
    assert bid["adm"].count(token) == 2
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


def may(changes: dict[str, Any], imp: dict[str, Any], **request: object) -> bool:
    bidder = TestBidder(catalogue(line_item(1)))
    imp = {"id": "1", **imp, "banner": {"w": 300, "h": 250, **imp.get("banner", {})}}
    auction = bidder.auction(raw_request(imp=[imp], regs={"gdpr": 0}, **request))
    check_request(auction, bidder.snapshot.index.fx)
    return may_show(prepared(changes), auction, auction.impressions[0])


INSECURE = {"html": '<img src="http://cdn.example/a.png"><a href="${CLICK_URL}">x</a>'}
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
        ({}, {"banner": {"btype": [3, 4]}}, {}, True),
        ({}, {"banner": {"btype": [2]}}, {}, False),
        ({"apis": (7,)}, {}, {}, False),
        ({"apis": (7,)}, {"banner": {"api": [5, 7]}}, {}, True),
        ({}, {"banner": {"mimes": ["image/gif"]}}, {}, False),
        ({}, {"banner": {"mimes": ["image/gif", "text/html"]}}, {}, True),
        ({"language": "pl"}, {}, {"wlang": ["en"]}, False),
        ({"language": "pl"}, {}, {"wlangb": ["PL-pl"]}, True),
        ({}, {}, {"wlang": ["en"]}, True),
    ],
)
def test_the_request_s_rules_for_creatives_hold(
    changes: dict[str, Any], imp: dict[str, Any], request_members: dict[str, Any], allowed: bool
) -> None:
    assert may(changes, imp, **request_members) is allowed
