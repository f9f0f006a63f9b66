"""What a token says of the bid it belongs to: all that decides how a notice is settled, whatever is configured by then.

A setting that an exchange's notices are settled by belongs to the bid (`Terms`): bids are out for hours, and what was
agreed when they were made must not change with the next edit of the exchange.
"""

import functools
import hashlib
from typing import Final, NamedTuple

import msgspec

from core.dialects import spoken_by
from core.model import AuctionType, BillingEvent, Clearing, Exchange, PriceEncryption, UnreadablePrice
from pacing.ledger.rows import NOT_SHADED

NO_MULTIPLIER: Final = 1_000
"""One impression a bid, in thousandths."""

# Values by the number that tokens write. Append only.
_BILLING_EVENTS: Final = (BillingEvent.BILL, BillingEvent.WIN, BillingEvent.IMPRESSION)
_CLEARINGS: Final = (Clearing.REPORTED, Clearing.HOUSE)
_UNREADABLE: Final = (UnreadablePrice.BID, UnreadablePrice.HOUSE)
_ENCRYPTIONS: Final = (PriceEncryption.NONE, PriceEncryption.GOOGLE, PriceEncryption.RUBICON)

# The byte of the terms: a bit that marks a test, two bits of billing event, one each of clearing and of what becomes of
# unreadable prices, three of encryption.
_TEST: Final = 1
_BILLING_SHIFT, _CLEARING_SHIFT, _UNREADABLE_SHIFT, _ENCRYPTION_SHIFT = 1, 3, 4, 5


class Terms(NamedTuple):
    """What an exchange's notices are settled by, as it was configured when the bid was made."""

    billing_event: BillingEvent = BillingEvent.BILL
    clearing: Clearing = Clearing.REPORTED
    price_encryption: PriceEncryption = PriceEncryption.NONE
    unreadable_price: UnreadablePrice = UnreadablePrice.BID


def terms_of(exchange: Exchange) -> Terms:
    """The terms of a bid that is made now."""
    spoken = spoken_by(exchange)
    return Terms(spoken.billing_event, exchange.clearing, spoken.price_encryption, exchange.unreadable_price)


def encode_terms(terms: Terms, *, is_test: bool) -> int:
    """The terms as a byte, with whether the auction was a test."""
    return (
        (_TEST if is_test else 0)
        | _BILLING_EVENTS.index(terms.billing_event) << _BILLING_SHIFT
        | _CLEARINGS.index(terms.clearing) << _CLEARING_SHIFT
        | _UNREADABLE.index(terms.unreadable_price) << _UNREADABLE_SHIFT
        | _ENCRYPTIONS.index(terms.price_encryption) << _ENCRYPTION_SHIFT
    )


@functools.lru_cache(maxsize=256)
def decode_terms(byte: int) -> tuple[Terms, bool]:
    """The inverse. Raises ValueError for a byte that this release cannot have written."""
    billing, encryption = byte >> _BILLING_SHIFT & 3, byte >> _ENCRYPTION_SHIFT
    if billing >= len(_BILLING_EVENTS) or encryption >= len(_ENCRYPTIONS):
        raise ValueError(f"terms {byte:#04x} are of a later release")
    terms = Terms(
        _BILLING_EVENTS[billing],
        _CLEARINGS[byte >> _CLEARING_SHIFT & 1],
        _ENCRYPTIONS[encryption],
        _UNREADABLE[byte >> _UNREADABLE_SHIFT & 1],
    )
    return terms, bool(byte & _TEST)


class Claims(msgspec.Struct, frozen=True):
    """One bid on one impression.

    `*_cpm` are CPM micros of the auction's currency; `bid_cpm` lies on the grosz grid, and rival prices are rounded up
    to it, which changes no house clearing price. `reserved_micros` is what the bid costs at most in the advertiser's
    currency, the multiplier included: together with `bid_cpm` it fixes the exchange rate of the settlement at the
    bid's. In a token of layout 2 the members from `terms` on have their defaults, and `auction` and `position` name the
    bid; in one of layout 3 `nonce` names it.
    """

    share: int  # 0: the general budget; n: the n-th budget share
    line_item_id: int
    advertiser_id: int
    campaign_id: int
    creative_id: int
    exchange_id: int
    lease_id: int
    reserved_micros: int
    bid_cpm: int
    second_cpm: int  # the best rival bid of our own in the same auction; 0 without one
    floor_cpm: int
    currency: str
    issued_s: int
    user_id: str = ""  # "" where the user may not be identified
    landing: bytes = bytes(8)  # `landing_digest` of the only URL that the click may go to
    is_test: bool = False
    nonce: int = 0  # 64 bits, of this bid alone
    terms: Terms | None = None  # None: not known; the exchange's present configuration counts
    auction_type: AuctionType = AuctionType.FIRST_PRICE
    format: str = "banner"  # of FORMATS_BY_NUMBER; "" for one that this release does not know
    multiplier_milli: int = NO_MULTIPLIER  # impressions that one play counts as, in thousandths
    shading: int = NOT_SHADED  # the bid as a part of what was worth bidding, in ten-thousandths
    arm: int = 0  # of an experiment; 0: in none
    model_version: int = 0  # of the weights that priced the bid
    auction: bytes = b""  # layout 2: 8 bytes of a digest of exchange and request id
    position: int = 0  # layout 2: of the impression in the request


def landing_digest(url: str) -> bytes:
    """8 bytes that pin the landing page of a click."""
    return hashlib.blake2b(url.encode(), digest_size=8).digest()
