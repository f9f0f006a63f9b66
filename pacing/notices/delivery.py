"""What became of each line item's bids, for the funnel: wins, losses by code, impressions, clicks, spend by the clock.

The ledger is the truth about money; this is the quick look beside it. Like the bidders' funnel each tracker process
writes whole blocks, one a five-minute and one an hour bucket, and replaces them every few seconds: two writes an
interval whatever the traffic, nothing added to the settlement's round trip, nothing ever counted twice. A process that
is killed takes the last seconds of its counts along.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from pacing.budgets.transitions import Argument, Transitions

# The funnel promises to be fresh within 10 s; the bidders' side has the same interval.
WRITE_INTERVAL_S: Final = 5.0

FIVE_MINUTES_S: Final = 300
HOUR_S: Final = 3_600

# Blocks are kept a little longer than the windows (an hour, a day) that are built from them.
KEPT_S: Final = {FIVE_MINUTES_S: 2 * HOUR_S, HOUR_S: 26 * HOUR_S}

WINS: Final = "wins"
IMPRESSIONS: Final = "impressions"
CLICKS: Final = "clicks"
INVALID_CLICKS: Final = "invalid_clicks"
SPEND_MICROS: Final = "spend_micros"
"""Micros of the advertiser's currency, as settled."""
LOSS_PREFIX: Final = "loss."
"""Then the exchange's code, or `other`."""

_log = logging.getLogger("grosz.pacing.delivery")

Counts = dict[int, dict[str, int]]
"""Counts by line item and what is counted."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Counts).decode


class DeliveryCounts:
    """One process's counts by bucket, until they are written."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[int, int], Counts] = {}
        self._changed: set[tuple[int, int]] = set()

    def add(self, line_item_id: int, what: str, number: int = 1) -> None:
        """Count something that happens at this moment."""
        now_s = self._clock.now_ms() // 1000
        for length_s in KEPT_S:
            place = (length_s, now_s // length_s)
            counts = self._buckets.setdefault(place, {}).setdefault(line_item_id, {})
            counts[what] = counts.get(what, 0) + number
            self._changed.add(place)

    def take_changed(self) -> dict[tuple[int, int], bytes]:
        """The blocks that changed since the last call, by (length, bucket). Buckets that are over are forgotten."""
        now_s = self._clock.now_ms() // 1000
        taken = {place: _encode(self._buckets[place]) for place in self._changed}
        self._changed.clear()
        for length_s, bucket in tuple(self._buckets):
            if bucket != now_s // length_s:
                del self._buckets[length_s, bucket]
        return taken


class DeliveryWriter:
    """Writes the counts of this process every few seconds."""

    def __init__(self, counts: DeliveryCounts, transitions: Transitions) -> None:
        self._counts = counts
        self._transitions = transitions
        # Not the process id: a container that is started again has the same one, and would replace its earlier blocks.
        self._process = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._waiting: dict[tuple[int, int], bytes] = {}

    async def run(self) -> None:
        """Write until cancelled. While Redis is away the blocks wait for the next time."""
        while True:
            await asyncio.sleep(WRITE_INTERVAL_S)
            try:
                await self.write()
            except UnavailableError as error:
                _log.warning("delivery counts are not written: %s", error)

    async def write(self) -> None:
        """Replace the blocks that changed. Raises UnavailableError, and keeps them then."""
        self._waiting |= self._counts.take_changed()
        if not self._waiting:
            return
        commands: list[tuple[Argument, ...]] = []
        for (length_s, bucket), block in self._waiting.items():
            processes = keys.delivery_processes(length_s, bucket)
            commands += [
                ("SET", keys.delivery_block(length_s, bucket, self._process), block, "EX", KEPT_S[length_s]),
                ("SADD", processes, self._process),
                ("EXPIRE", processes, KEPT_S[length_s]),
            ]
        await self._transitions.commands(commands)
        self._waiting.clear()

    async def close(self) -> None:
        """The last counts, at the end of the process."""
        try:
            await self.write()
        except UnavailableError as error:
            _log.warning("the last delivery counts are lost: %s", error)


def delivery_by_line_item(blocks: Iterable[bytes]) -> Counts:
    """The sums over blocks, by line item."""
    totals: Counts = {}
    for block in blocks:
        for line_item_id, counts in _decode(block).items():
            own = totals.setdefault(line_item_id, {})
            for what, number in counts.items():
                own[what] = own.get(what, 0) + number
    return totals


def buckets_until(now_s: int, length_s: int, count: int) -> Sequence[int]:
    """The `count` newest buckets, up to and with the present one."""
    newest = now_s // length_s
    return range(newest - count + 1, newest + 1)
