"""How single exchanges send requests, write prices and judge answers, played by the simulator.

Written from the exchanges' public documents and not from the bidder's code: what two implementations agree on is right.
`as_exchange` makes a scenario one of such an exchange.
"""

import base64
import gzip
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from loadtest.judging.checks import Bid
from loadtest.judging.violation import Violation
from loadtest.traffic.facts import listed, mapping, text, texts
from loadtest.traffic.scenario import Scenario, ScenarioError

# Published sample keys of Google's documentation: a bidder under test is configured with the same.
ENCRYPTION_KEY: Final = "skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o="
INTEGRITY_KEY: Final = "arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo="

# The seat of the bidder at each exchange, for configuring and for judging it.
SEATS: Final = {
    "google": "1234567890", "xandr": "958", "pubmatic": "4021", "index": "9", "magnite": "2763", "openx": "537",
    "bidswitch": "b-77", "smaato": "1100",
}  # fmt: skip

_MOST_BIDS: Final = 5  # PubMatic takes no more bids in one answer
_MOST_BIDS_OF_A_SEAT: Final = 2  # BidSwitch takes no more of one seat
_LONGEST_DOMAIN: Final = 128  # Index takes no longer one
_NEW_IN_2_5: Final = ("burl", "lurl", "tactic")

Seats = Sequence[tuple[str, Sequence[Bid]]]
"""The seat and the bids of each member of `seatbid`."""


def plain_price(cpm_micros: int, _unique: bytes) -> str:
    """Units with two decimals where the price lies on hundredths, with six otherwise."""
    units, rest = divmod(cpm_micros, 1_000_000)
    return f"{units}.{rest // 10_000:02d}" if rest % 10_000 == 0 else f"{units}.{rest:06d}"


def encrypted_price(cpm_micros: int, unique: bytes) -> str:
    """Google's confirmation of a price: 16 bytes of vector, the masked micros of one impression, a signature."""
    vector = hashlib.md5(unique, usedforsecurity=False).digest()
    price = (cpm_micros // 1000).to_bytes(8, "big")
    pad = hmac.digest(base64.urlsafe_b64decode(ENCRYPTION_KEY), vector, "sha1")
    masked = bytes(left ^ right for left, right in zip(price, pad[:8], strict=True))
    signature = hmac.digest(base64.urlsafe_b64decode(INTEGRITY_KEY), price + vector, "sha1")[:4]
    return base64.urlsafe_b64encode(vector + masked + signature).decode().rstrip("=")


class Manner(NamedTuple):
    """How one exchange behaves where it differs."""

    name: str
    version: str = "2.6"
    currency: str = ""  # of its auctions; "": the scenario's
    gzips: bool = False
    calls_win_notice: bool = True
    billing_event: str = "bill"
    price_macro: str = "AUCTION_PRICE"
    write_price: Callable[[int, bytes], str] = plain_price
    price_step: int = 1  # prices in notices are multiples of this, CPM micros
    empty_answers: bool = True  # whether a 200 without a bid is a valid answer
    no_content: bool = True  # whether a 204 is a valid answer
    judge: Callable[[Seats], Iterator[Violation]] = lambda _seats: iter(())

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header fields of every request."""
        sent = (("Content-Type", "application/json"), ("x-openrtb-version", self.version))
        return (*sent, ("Content-Encoding", "gzip")) if self.gzips else sent

    def encoded(self, body: bytes) -> bytes:
        """A request's body as the exchange sends it."""
        return gzip.compress(body, 1) if self.gzips else body


def _seated(seats: Seats, name: str) -> Iterator[Violation]:
    expected = SEATS[name]
    for seat, _bids in seats:
        if seat != expected:
            yield Violation("seat", f"seat {seat!r} is not {expected}")


def _google(seats: Seats) -> Iterator[Violation]:
    for _seat, bids in seats:
        for bid in bids:
            if text(bid.cid) != SEATS["google"]:
                yield Violation("billing-id", f"cid {bid.cid!r} is no billing id of the request")
            if not 0 < len(text(bid.crid).encode()) <= 64:
                yield Violation("creative-id", f"crid {bid.crid!r} has not 1 to 64 bytes")


def _xandr(seats: Seats) -> Iterator[Violation]:
    yield from _seated(seats, "xandr")
    for _seat, bids in seats:
        for bid in bids:
            for name in _NEW_IN_2_5:
                if getattr(bid, name) is not None:
                    yield Violation("version", f"{name} is no member of version 2.4")
            if not text(mapping(mapping(bid.ext).get("appnexus")).get("crcode")):
                yield Violation("creative-id", "ext.appnexus.crcode does not name a registered creative")


def _pubmatic(seats: Seats) -> Iterator[Violation]:
    yield from _seated(seats, "pubmatic")
    if sum(len(bids) for _seat, bids in seats) > _MOST_BIDS:
        yield Violation("too-many-bids", f"more than {_MOST_BIDS} bids")
    for _seat, bids in seats:
        for bid in bids:
            for name in ("adomain", "cid", "crid", "iurl", "attr"):
                if getattr(bid, name) is None:
                    yield Violation("missing-member", f"a bid needs {name}")
            if len(texts(bid.adomain)) > 1 or len(list(listed(bid.attr))) > 1:
                yield Violation("list", "only one element of adomain and attr is taken")
            if bid.nurl is not None:
                yield Violation("win-notice", "nurl is not supported")


def _index(seats: Seats) -> Iterator[Violation]:
    for _seat, bids in seats:
        for bid in bids:
            if "${AUCTION_PRICE}" not in text(bid.adm) + text(bid.burl):
                yield Violation("no-price-macro", "neither adm nor burl has ${AUCTION_PRICE}")
            if not texts(bid.adomain) or any(len(domain) > _LONGEST_DOMAIN for domain in texts(bid.adomain)):
                yield Violation("domain", f"adomain must have one of at most {_LONGEST_DOMAIN} characters")


def _openx(seats: Seats) -> Iterator[Violation]:
    if len(seats) > 1:
        yield Violation("seats", "only one member of seatbid is taken")
    for _seat, bids in seats:
        for bid in bids:
            if "${AUCTION_PRICE:OXCRYPT}" not in text(bid.adm):
                yield Violation("no-price-macro", "adm has no ${AUCTION_PRICE:OXCRYPT}")


def _bidswitch(seats: Seats) -> Iterator[Violation]:
    yield from _seated(seats, "bidswitch")
    for _seat, bids in seats:
        if len(bids) > _MOST_BIDS_OF_A_SEAT:
            yield Violation("too-many-bids", f"more than {_MOST_BIDS_OF_A_SEAT} bids in one member of seatbid")
        for bid in bids:
            if not texts(bid.adomain) or not text(bid.iurl) or not (text(bid.crid) or text(bid.adid)):
                yield Violation("missing-member", "a bid needs adomain, iurl, and crid or adid")
            if "${AUCTION_PRICE}" in text(bid.adm) and "${AUCTION_PRICE}" in text(bid.nurl):
                yield Violation("price-macro", "the price macro is in adm and nurl at once")


GENERIC: Final = Manner("generic")

MANNERS: Final = {
    manner.name: manner
    for manner in (
        GENERIC,
        Manner("google", write_price=encrypted_price, price_step=1000, no_content=False, judge=_google),
        Manner("xandr", version="2.4", billing_event="win", empty_answers=False, judge=_xandr),
        Manner("pubmatic", currency="USD", calls_win_notice=False, judge=_pubmatic),
        Manner("index", currency="USD", gzips=True, billing_event="impression", judge=_index),
        Manner("magnite", version="2.5", judge=lambda seats: _seated(seats, "magnite")),
        Manner("bidswitch", version="2.5", judge=_bidswitch),
        Manner("smaato", version="2.5", empty_answers=False, judge=lambda seats: _seated(seats, "smaato")),
        Manner(
            "openx", billing_event="impression", price_macro="AUCTION_PRICE:OXCRYPT", write_price=encrypted_price,
            price_step=1000, judge=_openx,
        ),
    )
}  # fmt: skip


def manner_of(name: str) -> Manner:
    """By the dialect's name. Raises ScenarioError."""
    found = MANNERS.get(name)
    if found is None:
        raise ScenarioError(f"no dialect '{name}': take one of {', '.join(MANNERS)}")
    return found


def as_exchange(scenario: Scenario, name: str) -> Scenario:
    """The scenario as the exchange `name` would play it. Raises ScenarioError for an unknown exchange."""
    manner = manner_of(name)
    traffic: dict[str, Any] = {"currency": manner.currency or scenario.traffic.currency}
    if name == "google":
        traffic["billing_ids"] = ("77", SEATS[name])
    return msgspec.structs.replace(
        scenario,
        dialect=name,
        traffic=msgspec.structs.replace(scenario.traffic, **traffic),
        notices=msgspec.structs.replace(scenario.notices, send=True, billing_event=manner.billing_event),
    )
