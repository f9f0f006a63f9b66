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

NUMBER: Final = 100
"""The number of frames that hold batches, in segment files; KINDS has the numbers of rows."""

NAME: Final = "bid_batch"


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
    clicks: bytes
    conversions: bytes
    expected: bytes
    """NaN where the bid is the same for every user; empty where all are."""
    carts: bytes
    """What carts add to a conversion; empty where no user has one."""
    multipliers: bytes
    frequencies: bytes
    """Empty where no user saw an impression within a day."""
    known: bytes
    """Numbers of the bids whose user the shop knows."""
    states: bytes
    """Visits, products viewed, seconds since the last visit and purchase, cart, seconds for which it is idle, its
    stage: seven columns with an entry for each number in `known`."""
    model_version: int = 0
    """The version of the weights that priced the bids; 0: not numbered, as in files of the release before."""
    arm: int = 0
    """The arm of an experiment; 0: in none."""


# Ids of exchanges are UUIDs; longer ones are cut, and are still found by their beginning.
MAX_ID_CHARS: Final = 64
# Texts come from traffic: a longer one is no domain, bundle or city.
MAX_TEXT_CHARS: Final = 100

_STATES: Final = 7
_UNKNOWN: Final = (0.0, 0.0, None, None, 0.0, None, 0.0)


def rows_of(batch: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of the kind `bid` that a batch from a segment file stands for."""
    made = _read(batch)
    count = len(made.bids)
    zeros = [0.0] * count
    columns = zip(
        made.bids, _integers(made.floors), _integers(made.values), _floats(made.clicks), _floats(made.conversions),
        _floats(made.expected) or [math.nan] * count, _floats(made.carts) or zeros, _floats(made.multipliers),
        _floats(made.frequencies) or zeros, _states(made, count), strict=True,
    )  # fmt: skip
    for bid, floor, value, click, conversion, expected, cart, multiplier, frequency, state in columns:
        number, offer, bid_id, impression_id, placement, deal_id, shading, cpm, auction_type, reserved, shown = bid
        request_id, *places, offset, currency, person, segments = made.auctions[number]
        place = [text[:MAX_TEXT_CHARS] if isinstance(text, str) else text for text in places]
        *of_line, seat, width, height = offer
        visits, viewed, visit_s, purchase_s, cart_micros, idle_s, stage = state
        products = "\n".join(shown) if shown else None
        yield (
            bid_id, made.bid_ms, *of_line, request_id[:MAX_ID_CHARS], impression_id[:MAX_ID_CHARS], seat, *place,
            offset, placement, width, height, deal_id, products, currency, floor, value, shading, cpm, auction_type,
            reserved, click, conversion, _finite(expected), cart, multiplier, made.model_version, made.arm,
            number_of(person), segments,
            state is not _UNKNOWN, int(frequency), int(visits), int(viewed), _finite(visit_s), _finite(purchase_s),
            int(cart_micros), _finite(idle_s), int(stage),
        )  # fmt: skip


def answers_of(batch: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of the kind `answer` that a batch stands for: each of its auctions was answered with a bid."""
    made = _read(batch)
    exchanges = {bid[0]: bid[1][5] for bid in made.bids}
    counts = Counter((exchanges[number], auction[4], auction[7]) for number, auction in enumerate(made.auctions))
    for (exchange, country, device), requests in counts.items():
        yield (made.bid_ms, exchange, "", country, device, requests)


def _read(batch: Sequence[Any]) -> BidBatch:
    """A batch from a segment file: one of a later release may have more members at its end."""
    return BidBatch(*batch[: len(BidBatch._fields)])


def _states(made: BidBatch, count: int) -> list[tuple[Any, ...]]:
    states: list[tuple[Any, ...]] = [_UNKNOWN] * count
    known, values = _integers(made.known), _floats(made.states)
    for row, bid in enumerate(known):
        states[bid] = tuple(values[column * len(known) + row] for column in range(_STATES))
    return states


def _integers(packed: bytes) -> list[int]:
    return array.array("q", packed).tolist()


def _floats(packed: bytes) -> list[float]:
    return array.array("d", packed).tolist()


def _finite(number: float | None) -> float | None:
    """The number; None where it is not finite, which stands for what never happened or was not worked out."""
    return number if number is not None and math.isfinite(number) else None
