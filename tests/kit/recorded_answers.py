"""What the bid port answers to the recorded requests, written down one by one: proof that a change of structure
changes no byte of an answer.

`python -m tests.kit.recorded_answers` writes `tests/golden/answers.json` anew. Do it only in the commit that means to
change answers, and say there which and why. A record holds a digest of each answer instead of its text, since the
requests themselves are test data from outside of the repository. Clock, leases, keys and profiles are fixed, and line
items bid a price of their own, so that another pricing model changes nothing here. The token in a notice URL is
replaced by what it says, so that its format may change without its meaning.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from admin.seed.catalogue import demo_catalogue
from bidder.door.handler import BidderHandler
from bidder.door.metrics import BidMetrics
from bidder.door.port import STRANGER
from core.model import BillingEvent, Catalogue, Clearing, Goal, NoBidStyle
from core.telemetry.metrics import Telemetry
from pacing.notices.tokens import TokenSigner
from tests.kit.bidding import NOW_MS, KnownProfiles, Shopper, ShopState, TestBidder
from tests.kit.fixtures import REPOSITORY
from tests.kit.openrtb import USER_ID, body_of, corpus_lines

RECORD = REPOSITORY / "tests" / "golden" / "answers.json"
DIGEST_CHARS = 10

# Requests in one turn of the event loop: some batches are cut, and some have several requests of one user.
A_TURN = 7

_TOKEN = re.compile(rb"(?<=/)[A-Za-z0-9_-]{100,300}(?=[/?\"&\\<']|$)")
# Members that are left out: an answer's own id differs each time, and `iurl` was added for ads without a picture.
_LEFT_OUT = re.compile(rb',"bidid":"[^"]*"|,"iurl":"[^"]*"')
_MEANINGS = (
    "advertiser_id", "bid_cpm", "campaign_id", "creative_id", "currency", "exchange_id", "floor_cpm", "is_test",
    "issued_s", "landing", "lease_id", "line_item_id", "reserved_micros", "second_cpm", "share", "user_id",
)  # fmt: skip

SHOPPER = Shopper(
    segments=(100, 101, 200, 201, 203),
    shops={
        1: ShopState(cart_micros=250_000_000, cart_stage=2, cart_age_s=7_200.0, visits=5.0, products_viewed=9.0),
        2: ShopState(cart_micros=90_000_000, cart_stage=1, cart_age_s=90_000.0, visits=2.0),
    },
)


def exchanges() -> dict[str, dict[str, Any]]:
    """The demo's exchange as it is, and with each of the columns that change an answer."""
    return {
        "demo": {},
        "first": {"first_price": True, "clearing": Clearing.HOUSE},
        "second": {"first_price": False, "clearing": Clearing.HOUSE, "seat": ""},
        "reasons": {"no_bid_style": NoBidStyle.REASON_CODE},
        "reasons25": {"no_bid_style": NoBidStyle.REASON_CODE, "openrtb_version": "2.5"},
        "wins": {"billing_event": BillingEvent.WIN, "price_macro": "${AUCTION_PRICE:B64}", "default_currency": "PLN"},
        "pixels": {"billing_event": BillingEvent.IMPRESSION, "default_currency": "EUR"},
    }


def recorded_catalogue() -> Catalogue:
    """The demo catalogue with all of these exchanges, each with its own deals, and prices that no model decides."""
    demo = demo_catalogue()
    (first,) = demo.exchanges
    every = tuple(
        msgspec.structs.replace(first, id=number, key=key, **members)
        for number, (key, members) in enumerate(exchanges().items(), first.id)
    )
    deals = tuple(
        msgspec.structs.replace(deal, id=deal.id + 100 * (exchange.id - first.id), exchange_id=exchange.id)
        for exchange in every
        for deal in demo.deals
    )
    lines = tuple(
        msgspec.structs.replace(line, goal=Goal.CPM, bid_micros=1_000_000 + 370_000 * (line.id % 17), cart=None)
        for line in demo.line_items
    )
    return msgspec.structs.replace(demo, exchanges=every, deals=deals, line_items=lines)


async def recorded(requests: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Digests of the answers, by exchange and by the request's name."""
    bidder = TestBidder(recorded_catalogue(), shoppers={USER_ID: SHOPPER})
    handler = BidderHandler(
        profiles=KnownProfiles({USER_ID: SHOPPER}), signer=bidder.signer, policy=bidder.policy, clock=bidder.clock,
        metrics=BidMetrics(Telemetry()), tmax_cap_ms=100, fresh=lambda: True, check=bidder.check,
    )  # fmt: skip
    handler.install(bidder.snapshot)
    found: dict[str, dict[str, str]] = {}
    for key in exchanges():
        found[key] = {}

        def reply(status: int, body: bytes, key: str = key, name: str = "") -> None:
            found[key][name] = digest(status, body, bidder.signer)

        for number, (name, request) in enumerate(requests.items()):
            body = body_of(request)
            answer = lambda status, body, name=name: reply(status, body, name=name)  # noqa: E731
            handler.submit(key, body, bidder.clock.monotonic(), answer, STRANGER)
            if number % A_TURN == A_TURN - 1:
                await handler.drain()
        await handler.drain()
    return found


def digest(status: int, body: bytes, signer: TokenSigner) -> str:
    """A short digest of an answer; the status alone where there is no body."""
    if not body:
        return str(status)
    return hashlib.sha256(b"%d " % status + meaning(body, signer)).hexdigest()[:DIGEST_CHARS]


def meaning(body: bytes, signer: TokenSigner) -> bytes:
    """An answer with each token replaced by what it says, without its own id and without sample images."""

    def said(found: re.Match[bytes]) -> bytes:
        claims = signer.verify(found[0], NOW_MS // 1000)
        return repr([(name, getattr(claims, name)) for name in _MEANINGS]).encode()

    return _LEFT_OUT.sub(b"", _TOKEN.sub(said, body))


def known_user(request: dict[str, Any]) -> dict[str, Any]:
    """The request with the id of our cookie, where it has a user: so that profiles count."""
    if isinstance(request.get("user"), dict):
        request["user"]["buyeruid"] = USER_ID
    return request


def corpus_requests(corpus: Path) -> dict[str, object]:
    """The recorded requests by name, each as it is and with a user whom we know."""
    requests: dict[str, object] = {}
    for number, line in enumerate(corpus_lines(corpus / "requests.jsonl")):
        requests[str(number)] = line["request"]
        if isinstance(line["request"].get("user"), dict):
            requests[f"{number}u"] = known_user(json.loads(json.dumps(line["request"])))
    return requests


def main() -> None:
    """Write the record."""
    requests = corpus_requests(REPOSITORY.parent / "shared" / "corpus")
    RECORD.write_text(json.dumps(asyncio.run(recorded(requests)), indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
