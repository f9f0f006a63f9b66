"""What a notice means in money: its key, its price, and the settlement that Redis is asked for."""

import math
from typing import Final

from core.dialects import spoken_by
from core.model import AuctionType, Exchange, UnreadablePrice
from core.money import settle
from pacing.budgets.pools import PoolKey
from pacing.budgets.timing import lease_day, notice_bucket
from pacing.budgets.transitions import NoticeKind, Settlement
from pacing.ledger.rows import PriceSource, RowHead, RowKind, encode_head
from pacing.notices.claims import NO_MULTIPLIER, Claims, Terms
from pacing.notices.price_forms import UNREADABLE, NoticePrice, PriceForm

_NO_CHARGE: Final = -1
# No exchange writes a longer multiplier.
MAX_MULTIPLIER_CHARS: Final = 32


def settlement_of(
    kind: NoticeKind,
    claims: Claims,
    price: NoticePrice,
    terms: Terms,
    exchange: Exchange | None,
    currency: str,
    remember_s: int,
    counted_milli: int | None = None,
) -> Settlement:
    """The settlement of a notice. `currency` is the advertiser's; `exchange` is None where it is no longer known.

    `counted_milli`: how many thousandths of impressions were counted; None: as many as were bid for.
    """
    unreadable = price.form in UNREADABLE and terms.unreadable_price is UnreadablePrice.BID
    house = claims.bid_cpm if unreadable else house_cpm(claims, exchange)
    source = PriceSource.REPORTED
    if price.form is PriceForm.ABOVE_BID:
        source = PriceSource.ABOVE_BID
    elif price.cpm < 0:
        source = PriceSource.HOUSE
    notice = notice_key(claims)
    row = b""
    if kind is NoticeKind.BILL:  # only bills are written to the ledger
        row = encode_head(
            RowHead(
                RowKind.BILL, notice.hex(), claims.campaign_id, claims.line_item_id, claims.share,
                lease_day(claims.lease_id), claims.exchange_id, claims.creative_id, claims.lease_id, claims.issued_s,
                currency, claims.currency, claims.bid_cpm, claims.reserved_micros, source, unreadable=unreadable,
                shading=claims.shading,
            )
        )  # fmt: skip
    return Settlement(
        claims.advertiser_id, kind, notice, notice_bucket(claims.issued_s), claims.lease_id,
        PoolKey(claims.line_item_id, claims.share), claims.campaign_id, claims.reserved_micros, price.cpm,
        charge_micros(claims, price.cpm, counted_milli) if price.cpm >= 0 else _NO_CHARGE, house,
        charge_micros(claims, house, counted_milli),
        remember_s, row,
    )  # fmt: skip


def notice_key(claims: Claims) -> bytes:
    """Bytes that name a bid: its nonce and lease; for a token of layout 2 its auction, impression and lease."""
    if not claims.auction:
        return claims.nonce.to_bytes(8, "little") + claims.lease_id.to_bytes(8, "little")
    return claims.auction + claims.position.to_bytes(2, "little") + claims.lease_id.to_bytes(8, "little")


def multiplier_of(text: str | None, claims: Claims) -> int:
    """How many impressions a play counted as, in thousandths, by its notice: at most as many as were bid for.

    It counts as many as were bid for where the notice does not say, did not fill the macro in, or says nonsense: the
    exchange will bill that many (OpenRTB 2.6, implementation notes, section 7.9.4).
    """
    if text is None or claims.multiplier_milli == NO_MULTIPLIER:
        return claims.multiplier_milli
    try:
        number = float(text) if len(text) <= MAX_MULTIPLIER_CHARS and text.isascii() else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number * NO_MULTIPLIER < claims.multiplier_milli:  # comparisons with NaN are false
        return claims.multiplier_milli
    return max(math.ceil(round(number * NO_MULTIPLIER, 6)), 1)


def charge_micros(claims: Claims, price_cpm: int, counted_milli: int | None = None) -> int:
    """What a clearing price costs in the advertiser's currency, at the exchange rate of the bid; half rounds up.

    Exact where the currencies are the same: the reservation is a thousandth of the bid then. `counted_milli` as in
    `settlement_of`.
    """
    bid, part = claims.bid_cpm, price_cpm
    if counted_milli is not None and counted_milli != claims.multiplier_milli:
        bid, part = bid * claims.multiplier_milli, part * counted_milli
    if bid <= 0:
        return 0
    charge = (2 * part * claims.reserved_micros + bid) // (2 * bid)
    return min(charge, claims.reserved_micros)


def house_cpm(claims: Claims, exchange: Exchange | None) -> int:
    """The clearing price where no notice names it: second price plus one grosz, or the bid in any other auction.

    A token of layout 2 does not know its auction's type; where the exchange's configuration does not tell it either, it
    counts as first price.
    """
    is_second = claims.auction_type is AuctionType.SECOND_PRICE
    configured = spoken_by(exchange).first_price if exchange is not None else None
    if claims.terms is None and configured is not None:
        is_second = not configured
    if not is_second:
        return claims.bid_cpm
    return int(settle(claims.bid_cpm, claims.second_cpm, claims.floor_cpm))
