"""Funnels: from the requests that bidders saw to the money that was spent, for one line item or all.

Two sides are put together, each in blocks by process and time (bidder/diagnosis/funnel.py,
pacing/notices/delivery.py). Both write every
five seconds, so what is read here is never older than that and a round trip.
"""

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence

import msgspec

from admin.diagnosis.published import Commands
from bidder.diagnosis.funnel import FIVE_MINUTES_S, HOUR_S, counts_by_line_item, line_item_counts
from core import keys
from core.clock import Clock
from core.money import format_micros
from core.reasons import NoBid
from pacing.notices.delivery import (
    CLICKS,
    IMPRESSIONS,
    INVALID_CLICKS,
    LOSS_PREFIX,
    SPEND_MICROS,
    WINS,
    buckets_until,
    delivery_by_line_item,
)
from pacing.notices.loss_codes import loss_text

LAST_HOUR_BUCKETS = 12
LAST_DAY_BUCKETS = 24

_REASONS = {reason.name.lower(): reason for reason in NoBid}


class ReasonCount(msgspec.Struct, frozen=True):
    """On how many impressions a reason applied. Several may apply to one, so counts do not add up to `requests`."""

    reason: str
    count: int
    text: str
    hint: str


class LossCount(msgspec.Struct, frozen=True):
    """How often exchanges reported a loss with a code of OpenRTB's list."""

    code: str
    count: int
    text: str


class Window(msgspec.Struct, frozen=True):
    """Counts of an hour or a day. `requests` are offered impressions; `spend` is in the advertiser's currency."""

    requests: int
    reasons: list[ReasonCount]
    bids: int
    wins: int
    losses: list[LossCount]
    impressions: int
    clicks: int
    spend: str
    invalid_clicks: int = 0  # that do not count: bots, too soon, too many


class Funnel(msgspec.Struct, frozen=True):
    """One line item's way from requests to spend. An hour is the present five minutes and the 55 before them."""

    line_item_id: int
    currency: str
    as_of: str
    last_hour: Window
    last_day: Window


class Hour(msgspec.Struct, frozen=True):
    """What a line item delivered in the hour that begins at `start_s` (unix seconds)."""

    start_s: int
    impressions: int
    clicks: int
    spend_micros: int


class FunnelDesk:
    """Reads the blocks of counts that bidders and trackers write to Redis."""

    def __init__(self, redis: Commands, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def funnel(self, line_item_id: int, currency: str) -> Funnel:
        """A line item's funnel of the last hour and the last day. Raises UnavailableError."""
        as_of = datetime.datetime.fromtimestamp(self._clock.now_ms() / 1000, datetime.UTC)
        hour, day = [
            await self._window(line_item_id, length_s, count)
            for length_s, count in ((FIVE_MINUTES_S, LAST_HOUR_BUCKETS), (HOUR_S, LAST_DAY_BUCKETS))
        ]
        text = as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Funnel(line_item_id, currency, text, hour, day)

    async def hours(self, line_item_id: int) -> list[Hour]:
        """The last day by hours, the present one last. Raises UnavailableError."""
        buckets = buckets_until(self._clock.now_ms() // 1000, HOUR_S, LAST_DAY_BUCKETS)
        found = []
        for bucket in buckets:
            blocks = await self._of_side(HOUR_S, [bucket], keys.delivery_processes, keys.delivery_block)
            counts = await asyncio.to_thread(delivery_by_line_item, blocks)
            own = counts.get(line_item_id, {})
            found.append(Hour(bucket * HOUR_S, own.get(IMPRESSIONS, 0), own.get(CLICKS, 0), own.get(SPEND_MICROS, 0)))
        return found

    async def last_hour(self) -> dict[int, Window]:
        """The last hour of every line item that anything happened to."""
        seen, delivered = await self._blocks(FIVE_MINUTES_S, LAST_HOUR_BUCKETS)
        requests, outcomes = await asyncio.to_thread(
            lambda: (counts_by_line_item(seen), delivery_by_line_item(delivered))
        )
        both = requests.keys() | outcomes.keys()
        return {line_item: window_of(requests.get(line_item, {}), outcomes.get(line_item, {})) for line_item in both}

    async def _window(self, line_item_id: int, length_s: int, count: int) -> Window:
        seen, delivered = await self._blocks(length_s, count)
        # In a thread: blocks of 100,000 line items are megabytes each.
        counts, outcomes = await asyncio.to_thread(
            lambda: (line_item_counts(seen, line_item_id), delivery_by_line_item(delivered).get(line_item_id, {}))
        )
        return window_of(counts, outcomes)

    async def _blocks(self, length_s: int, count: int) -> tuple[list[bytes], list[bytes]]:
        """(bidders' blocks, trackers' blocks) of the newest `count` buckets."""
        buckets = buckets_until(self._clock.now_ms() // 1000, length_s, count)
        sides = (
            (keys.funnel_processes, keys.funnel_block),
            (keys.delivery_processes, keys.delivery_block),
        )
        found = [await self._of_side(length_s, buckets, processes, block) for processes, block in sides]
        return found[0], found[1]

    async def _of_side(
        self,
        length_s: int,
        buckets: Sequence[int],
        processes_key: Callable[[int, int], str],
        block_key: Callable[[int, int, str], str],
    ) -> list[bytes]:
        members = await self._redis.commands([("SMEMBERS", processes_key(length_s, bucket)) for bucket in buckets])
        names = [
            block_key(length_s, bucket, process.decode())
            for bucket, processes in zip(buckets, members, strict=True)
            for process in (processes if isinstance(processes, list | set) else ())
        ]
        blocks = await self._redis.commands([("GET", name) for name in names]) if names else []
        return [block for block in blocks if isinstance(block, bytes)]


def window_of(counts: Mapping[str, int], outcomes: Mapping[str, int]) -> Window:
    """Counts of both sides in one window; reasons and losses with the most frequent first."""
    reasons = [
        ReasonCount(name, count, _REASONS[name].text, _REASONS[name].hint)
        for name, count in counts.items()
        if name in _REASONS
    ]
    losses = [
        LossCount(name.removeprefix(LOSS_PREFIX), count, loss_text(name.removeprefix(LOSS_PREFIX)))
        for name, count in outcomes.items()
        if name.startswith(LOSS_PREFIX)
    ]
    return Window(
        requests=counts.get("seen", 0),
        reasons=sorted(reasons, key=lambda one: (-one.count, one.reason)),
        bids=counts.get("bids", 0),
        wins=outcomes.get(WINS, 0),
        losses=sorted(losses, key=lambda one: (-one.count, one.code)),
        impressions=outcomes.get(IMPRESSIONS, 0),
        clicks=outcomes.get(CLICKS, 0),
        spend=format_micros(outcomes.get(SPEND_MICROS, 0)),
        invalid_clicks=outcomes.get(INVALID_CLICKS, 0),
    )
