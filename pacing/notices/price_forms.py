"""What exchanges put where the price of a notice belongs, and what each form of it means.

No form raises: a notice is money that somebody will put on an invoice, so it is settled whatever its price looks like,
by the exchange's word where that can be believed and by the house rule where not.
"""

import enum
from typing import Final, NamedTuple

from core.model import Clearing, Exchange, PriceEncryption
from core.money import FxTable, MoneyError
from pacing.notices.claims import Terms
from pacing.notices.dialects import reader_of
from pacing.notices.prices import PriceError, PriceKeys, keys_of

# An encrypted price has 38 characters, a number fewer; no exchange that we know sends more.
MAX_PRICE_CHARS = 128

NO_PRICE = -1

_NO_KEYS = PriceKeys()


class PriceForm(enum.StrEnum):
    """The form that a price came in; also the metric label."""

    NUMBER = "number"
    ENCRYPTED = "encrypted"
    CONVERTED = "converted"  # in another currency than the auction's, converted at the present rate
    ABOVE_BID = "above_bid"  # cut down to the bid
    ABSENT = "absent"  # no parameter, or an empty one
    MACRO = "macro"  # the macro was not filled in
    AUDIT = "audit"  # the creative is being reviewed: no auction has taken place
    UNDECRYPTABLE = "undecryptable"  # also a plain number where the exchange encrypts: anybody could write one
    MALFORMED = "malformed"  # no number, negative, infinite
    UNKNOWN_CURRENCY = "unknown_currency"
    HOUSE = "house"  # not looked at: the exchange is settled by the house rule


UNREADABLE: Final = frozenset(
    {PriceForm.MACRO, PriceForm.UNDECRYPTABLE, PriceForm.MALFORMED, PriceForm.UNKNOWN_CURRENCY}
)
"""Something stands where the price belongs, and no price can be read from it."""


class NoticePrice(NamedTuple):
    form: PriceForm
    cpm: int  # CPM micros of the auction's currency, or NO_PRICE


class BidTerms(NamedTuple):
    """What a price is judged by."""

    cpm: int
    currency: str


def read_price(
    text: str | None, currency: str | None, bid: BidTerms, terms: Terms, exchange: Exchange | None, fx: FxTable
) -> NoticePrice:
    """The price that a notice names, by the terms of its bid and the present keys of `exchange` (None: it is gone)."""
    stripped = (text or "").strip()
    if stripped.upper() == "AUDIT":
        return NoticePrice(PriceForm.AUDIT, NO_PRICE)
    if terms.clearing is Clearing.HOUSE:
        return NoticePrice(PriceForm.HOUSE, NO_PRICE)
    if not stripped:
        return NoticePrice(PriceForm.ABSENT, NO_PRICE)
    if _is_macro(stripped):
        return NoticePrice(PriceForm.MACRO, NO_PRICE)
    if len(stripped) > MAX_PRICE_CHARS:
        return NoticePrice(PriceForm.MALFORMED, NO_PRICE)
    price = _decoded(stripped, terms.price_encryption, exchange)
    if price.cpm != NO_PRICE:
        price = _in_currency(price, (currency or "").strip().upper(), bid.currency, fx)
    return NoticePrice(PriceForm.ABOVE_BID, bid.cpm) if price.cpm > bid.cpm else price


def _is_macro(text: str) -> bool:
    """Whether it is `${AUCTION_PRICE}`, also percent-encoded a second time, or another exchange's %%MACRO%%."""
    upper = text.upper()
    return "${" in upper or "%24%7B" in upper or "%%" in upper or "AUCTION_PRICE" in upper


def _decoded(text: str, encryption: PriceEncryption, exchange: Exchange | None) -> NoticePrice:
    is_plain = encryption is PriceEncryption.NONE
    price_keys = keys_of(exchange) if exchange is not None else _NO_KEYS
    try:
        cpm = reader_of(exchange).read_price(text, encryption, price_keys)
    except PriceError:
        return NoticePrice(PriceForm.MALFORMED if is_plain else PriceForm.UNDECRYPTABLE, NO_PRICE)
    return NoticePrice(PriceForm.NUMBER if is_plain else PriceForm.ENCRYPTED, cpm)


def _in_currency(price: NoticePrice, named: str, auction: str, fx: FxTable) -> NoticePrice:
    """The price in the auction's currency. A missing currency, or an unfilled macro, counts as the auction's."""
    if named in ("", auction) or _is_macro(named) or "AUCTION_CURRENCY" in named:
        return price
    try:
        return NoticePrice(PriceForm.CONVERTED, int(fx.convert(price.cpm, named, auction)))
    except MoneyError:
        return NoticePrice(PriceForm.UNKNOWN_CURRENCY, NO_PRICE)
