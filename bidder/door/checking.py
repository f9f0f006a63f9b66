"""Answers are checked before they leave: some of them in life, all of them in tests and in the demo.

A bid that breaks a rule of its own request would cost the account or somebody's money. It is withheld and what was
reserved for it is given back at once; it is counted by the rule, and logged with its request without what names a user.
"""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec

from bidder.decision.snapshot import Snapshot
from bidder.door.metrics import BidMetrics
from bidder.openrtb.judge import AnswerTerms, faults_of_answer, faults_of_bid
from bidder.openrtb.types import BidRequest
from bidder.openrtb.violation import Violation
from bidder.request.auction import Auction
from core.clock import Clock
from pacing.budgets.pools import PoolKey
from pacing.notices.claims import Claims
from pacing.notices.tokens import TokenError, TokenSigner

_log = logging.getLogger("grosz.bidder.checking")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

# A request that shows a fault is logged up to here; the largest of the recorded corpus has 9 kB.
MAX_LOGGED_CHARS = 16_384


class AnswerCheck:
    """Checks `share` of the answers, evenly: 1.0 all, 0.01 each hundredth, 0.0 none."""

    def __init__(self, signer: TokenSigner, clock: Clock, metrics: BidMetrics, share: float) -> None:
        self._signer = signer
        self._clock = clock
        self._metrics = metrics
        self._share = share
        self._due = 0.0

    def passed(self, auction: Auction, response: bytes, snapshot: Snapshot) -> bytes | None:
        """The answer without the bids that break a rule; None where none is left. Mostly the answer as it came."""
        self._due += self._share
        if self._due < 1.0:
            return response
        self._due -= 1.0
        self._metrics.checked()
        return self._judged(auction, response, snapshot)

    def _judged(self, auction: Auction, response: bytes, snapshot: Snapshot) -> bytes | None:
        answer: dict[str, Any] = _decode(response)
        exchange = auction.exchange
        dialect = auction.speaker.dialect
        terms = AnswerTerms(
            exchange.default_currency, auction.speaker.seats, dialect.price_macro, dialect.deal_floor_else_impression
        )
        of_all = list(faults_of_answer(auction.request, answer, terms))
        kept: list[dict[str, Any]] = []
        found = list(of_all)
        for seat in answer["seatbid"]:
            name, good = seat.get("seat", ""), []
            for bid in seat["bid"]:
                faults = list(
                    faults_of_bid(auction.request, bid, name, answer.get("cur", ""), terms, snapshot.index.fx)
                )
                faults += self._consent(auction, bid)
                if faults or of_all:
                    self._give_back(bid, snapshot)
                    found += faults
                else:
                    good.append(bid)
            if good:
                kept.append(seat | {"bid": good})
        if not found:
            return response
        self._report(auction, found)
        return _encode(answer | {"seatbid": kept}) if kept else None

    def _consent(self, auction: Auction, bid: dict[str, Any]) -> Iterator[Violation]:
        """What a bid's token says of its user and of tests, against what the request permits."""
        claims = self._claims(bid)
        if claims is None:
            yield Violation("token", "no notice has a genuine token")
        elif claims.user_id and not (auction.consent is not None and auction.consent.identifiers):
            yield Violation("consent", "the user is named who may not be")
        elif claims.is_test != (auction.request.test == 1):
            yield Violation("test", "a test counts, or what counts is a test")

    def _claims(self, bid: dict[str, Any]) -> Claims | None:
        for name in ("nurl", "burl", "lurl"):
            token = bid.get(name, "").partition("?")[0].rpartition("/")[2]
            if token:
                try:
                    return self._signer.verify(token, self._clock.now_ms() // 1000)
                except TokenError:
                    return None
        return None

    def _give_back(self, bid: dict[str, Any], snapshot: Snapshot) -> None:
        claims = self._claims(bid)
        if claims is not None:
            for position in snapshot.index.positions_of(PoolKey(claims.line_item_id, claims.share)):
                snapshot.book.release(position, claims.lease_id, claims.reserved_micros)

    def _report(self, auction: Auction, found: list[Violation]) -> None:
        for violation in found:
            self._metrics.violation(auction.exchange.key, violation.kind)
        shown = _encode(without_user(auction.request)).decode("utf-8", "replace")[:MAX_LOGGED_CHARS]
        told = "; ".join(f"{violation.kind}: {violation.detail}" for violation in found)
        _log.error("a bid on exchange %s was withheld: %s; request %s", auction.exchange.key, told, shown)


def without_user(request: BidRequest) -> BidRequest:
    """The request as it was read, without what names a user or a device."""
    device = request.device
    if device is not None:
        device = msgspec.structs.replace(device, ifa=None, ip=None, ipv6=None, geo=None)
    return msgspec.structs.replace(request, user=None, device=device)
