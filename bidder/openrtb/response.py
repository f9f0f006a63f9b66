"""The bid response: its types, and the bytes around bids that the respond stage keeps prepared.

A bid's markup is kilobytes of text that is kept escaped: encoding an object would escape it again for every bid (2.7 us
for 1.4 kB). The types say the same once more, the slow and obvious way: tests and tools decode answers with them.

Rules (OpenRTB 2.6 section 4.2): no `null`, no exponent in a price, `cur` always; `id`, `impid`, `dealid` as they came.
"""

import functools
from collections.abc import Sequence

import msgspec

from core.money import exact_cpm_to_text


class Bid(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One bid. `exp` is seconds from the answer until we no longer accept the billing notice."""

    id: str
    impid: str
    price: float
    adid: str = ""
    nurl: str = ""
    burl: str = ""
    lurl: str = ""
    adm: str = ""
    adomain: tuple[str, ...] = ()
    iurl: str = ""
    cid: str = ""
    crid: str = ""
    tactic: str = ""
    cat: tuple[str, ...] = ()
    attr: tuple[int, ...] = ()
    apis: tuple[int, ...] = ()
    language: str = ""
    dealid: str = ""
    w: int = 0
    h: int = 0
    mtype: int = 0
    slotinpod: int = 0
    exp: int = 0


class SeatBid(msgspec.Struct, omit_defaults=True):
    bid: tuple[Bid, ...]
    seat: str = ""


class BidResponse(msgspec.Struct, omit_defaults=True):
    id: str
    seatbid: tuple[SeatBid, ...] = ()
    bidid: str = ""
    cur: str = ""
    nbr: int | None = None


_encode = msgspec.json.Encoder().encode


def quote(text: str) -> bytes:
    """`text` as a JSON string with its quotes. A lone surrogate, which UTF-8 cannot hold, becomes `?`."""
    try:
        return _encode(text)
    except UnicodeEncodeError:
        return _encode(text.encode("utf-8", "replace").decode())


def tactic_json(line_item_id: int) -> bytes:
    """The member by which a bid names its line item to the exchange (OpenRTB 2.6 section 4.2.3, `tactic`)."""
    return b',"tactic":"%d"' % line_item_id


def bid_parts(
    around_token: Sequence[bytes],
    *,
    number: int,
    impression_id: str,
    cpm: int,
    deal_id: str,
    tactic: bytes,
    token: bytes,
) -> list[bytes]:
    """JSON of one bid in parts, to be joined with the rest of the answer.

    `around_token` is everything that is the same in each auction, cut wherever the token goes. `number` makes the bid's
    id, `cpm` is CPM micros, on the grosz grid unless a deal fixes another price, `tactic` comes from `tactic_json`.
    """
    parts = [_bid_start(number, impression_id), _price(cpm), tactic, token.join(around_token)]
    if deal_id:
        parts.insert(2, b',"dealid":' + quote(deal_id))
    return parts


# Exchanges number their impressions, or name them by places that come again and again.
@functools.lru_cache(maxsize=1024)
def _bid_start(number: int, impression_id: str) -> bytes:
    return b'{"id":"%d","impid":%b,"price":' % (number, quote(impression_id))


@functools.lru_cache(maxsize=4096)  # prices lie on the grosz grid: this is all of them up to 40 a thousand
def _price(cpm: int) -> bytes:
    return exact_cpm_to_text(cpm).encode()


def encode_response(
    request_id: str, seat_bids: Sequence[tuple[str, Sequence[Sequence[bytes]]]], currency: str, bid_id: str
) -> bytes:
    """The response as JSON.

    `seat_bids` has (seat, bids) pairs, each with at least one bid, which is a JSON object in parts; an empty seat is
    left out. `bid_id` is `bidid`, the bidder's own id of the response, what `${AUCTION_BID_ID}` stands for.
    """
    parts = [b'{"id":', quote(request_id), b',"seatbid":[']
    for seat, bids in seat_bids:
        parts.append(_SEAT)
        for bid in bids:
            parts += bid
            parts.append(b",")
        parts[-1] = _seat_end(seat)
        parts.append(b",")
    parts[-1] = b'],"bidid":'
    parts += (_encode(bid_id), _currency_end(currency))
    return b"".join(parts)


_SEAT = b'{"bid":['


@functools.lru_cache(maxsize=256)  # exchanges and their currencies are a handful
def _seat_end(seat: str) -> bytes:
    return b'],"seat":' + quote(seat) + b"}" if seat else b"]}"


@functools.lru_cache(maxsize=256)
def _currency_end(currency: str) -> bytes:
    return b',"cur":' + _encode(currency) + b"}"


def encode_no_bid(request_id: str, nbr: int | None = None) -> bytes:
    """A no-bid with its reason code, for exchanges that want one, or without."""
    if nbr is None:
        return b'{"id":' + quote(request_id) + b',"seatbid":[]}'
    return b'{"id":' + quote(request_id) + b',"seatbid":[],"nbr":' + str(nbr).encode() + b"}"
