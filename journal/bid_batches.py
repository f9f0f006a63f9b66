"""Bids as the bid path hands them over: a batch at a time, by columns where it has arrays, and nothing twice.

Making a row of fifty values for each bid would cost a tenth of the bid path. What all bids of a creative have in common
is one tuple that is always the same object, what all bids of an auction have in common is one for the auction, and what
was priced with numpy stays a column of bytes. The worker makes rows of the kind `bid` of it, and of the kind `answer`.
"""

import array
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from journal.people import number_of

NUMBER: Final = 101
"""The number of frames that hold batches, in segment files; KINDS has the numbers of rows."""

NAME: Final = "bid_batch_2"


class BidBatch(NamedTuple):
    """The bids of one batch. Columns are little-endian 64-bit numbers, an entry a bid."""

    bid_ms: int
    auctions: Sequence[Sequence[Any]]
    """Of each auction with a bid: request id, domain, app, publisher, country, region, city, device type, system,
    browser, UTC offset, currency, pseudonym of the user, segments (little-endian 32-bit ids)."""
    bids: Sequence[Sequence[Any]]
    """Number in `auctions`; advertiser, campaign, line item, share, creative, exchange, format, seat, width, height as
    one; bid id, impression id, placement, deal id, shading, bid, auction type, reserved micros, ids of
    products that it shows or None."""
    floors: bytes
    """Integers."""
    values: bytes
    """Integers."""
    rates: bytes
    """Probabilities of a click, then factors of a conversion: floats, as for a user whom no shop knows."""
    priced: bytes
    """Numbers of the bids whose price depends on the user."""
    prices: Sequence[bytes]
    """Of those, as floats: probabilities of a click, factors of a conversion, expected values, and what carts add to a
    conversion, which is empty where no user has one."""
    multipliers: bytes
    """Floats."""
    frequencies: bytes
    """Floats; empty where no user saw an impression within a day."""
    known: bytes
    """Numbers of the bids whose user the shop knows."""
    facts: bytes
    """Of those, five floats a bid: visits, products viewed, seconds since the last visit and the last purchase, seconds
    for which the cart is idle."""
    carts: Sequence[bytes]
    """Of those, as integers: micros of the carts, and their stages; empty where nobody has one."""
    model_version: int = 0
    """The version of the weights that priced the bids; 0: not numbered."""
    arm: int = 0
    """The arm of an experiment; 0: in none."""


# Ids of exchanges are UUIDs; longer ones are cut, and are still found by their beginning.
MAX_ID_CHARS: Final = 64
# Texts come from traffic: a longer one is no domain, bundle or city.
MAX_TEXT_CHARS: Final = 100

_FACTS: Final = 5  # floats a bid in `BidBatch.facts`

_UNKNOWN: Final = (0.0, 0.0, None, None, None, 0, 0)


def rows_of(made: BidBatch) -> Iterator[tuple[Any, ...]]:
    """The rows of the kind `bid` that a batch stands for."""
    count = len(made.bids)
    zeros = [0.0] * count
    columns = zip(
        made.bids, _integers(made.floors), _integers(made.values), *_prices(made, count), floats(made.multipliers),
        floats(made.frequencies) or zeros, _states(made, count), strict=True,
    )  # fmt: skip
    for bid, floor, value, click, conversion, expected, cart, multiplier, frequency, state in columns:
        number, offer, bid_id, impression_id, placement, deal_id, shading, cpm, auction_type, reserved, shown = bid
        request_id, *places, offset, currency, person, segments = made.auctions[number]
        place = [text[:MAX_TEXT_CHARS] if isinstance(text, str) else text for text in places]
        *of_line, seat, width, height = offer
        visits, viewed, visit_s, purchase_s, idle_s, cart_micros, stage = state
        products = "\n".join(shown) if shown else None
        yield (
            bid_id, made.bid_ms, *of_line, request_id[:MAX_ID_CHARS], impression_id[:MAX_ID_CHARS], seat, *place,
            offset, placement, width, height, deal_id, products, currency, floor, value, shading, cpm, auction_type,
            reserved, click, conversion, _finite(expected), cart, multiplier, made.model_version, made.arm,
            number_of(person), segments,
            state is not _UNKNOWN, int(frequency), int(visits), int(viewed), _finite(visit_s), _finite(purchase_s),
            cart_micros, _finite(idle_s), stage,
        )  # fmt: skip


def answers_of(made: BidBatch) -> Iterator[tuple[Any, ...]]:
    """The rows of the kind `answer` that a batch stands for: each of its auctions was answered with a bid."""
    exchanges = {bid[0]: bid[1][5] for bid in made.bids}
    counts = Counter((exchanges[number], auction[4], auction[7]) for number, auction in enumerate(made.auctions))
    for (exchange, country, device), requests in counts.items():
        yield (made.bid_ms, exchange, "", country, device, requests)


def read(batch: Sequence[Any]) -> BidBatch:
    """A batch from a segment file: one of a later release may have more members at its end."""
    return BidBatch(*batch[: len(BidBatch._fields)])


def _prices(made: BidBatch, count: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """Probability of a click, factor of a conversion, expected value and what the cart adds, of each bid.

    The expected value is NaN where the bid is the same for everybody.
    """
    rates = floats(made.rates)
    columns = rates[:count], rates[count:], [math.nan] * count, [0.0] * count
    bids = _integers(made.priced)
    for column, packed in zip(columns, made.prices, strict=False):
        for bid, value in zip(bids, floats(packed), strict=False):  # none where no user has a cart
            column[bid] = value
    return columns


def _states(made: BidBatch, count: int) -> list[tuple[Any, ...]]:
    states: list[tuple[Any, ...]] = [_UNKNOWN] * count
    known, facts = _integers(made.known), floats(made.facts)
    carts = zip(*map(_integers, made.carts), strict=True) if made.carts else [(0, 0)] * len(known)
    for row, (bid, cart) in enumerate(zip(known, carts, strict=True)):
        states[bid] = (*facts[row * _FACTS : (row + 1) * _FACTS], *cart)
    return states


def _integers(packed: bytes) -> list[int]:
    return array.array("q", packed).tolist()


def floats(packed: bytes) -> list[float]:
    """A column of floats."""
    return array.array("d", packed).tolist()


def _finite(number: float | None) -> float | None:
    """The number; None where it is not finite, which stands for what never happened or was not worked out."""
    return number if number is not None and math.isfinite(number) else None
