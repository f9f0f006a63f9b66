"""How far this process's clock is from Redis's, by the times that come with Redis's answers.

Tokens say when a bid was made, and trackers refuse those that come from more than MAX_CLOCK_SKEW_S ahead: with a clock
that is further off, a bidder would bid on and never be billed. So whoever writes or reads times of tokens measures
itself against the one clock that all processes share, and knows long before the tolerance is used up.
"""

import asyncio
import contextlib
import logging
from typing import Final

from core.clock import Clock
from core.errors import UnavailableError
from pacing.budgets.timing import MAX_CLOCK_SKEW_S
from pacing.budgets.transitions import Transitions

# A fifth of what tokens tolerate: two clocks may be off in opposite directions, and they drift on until a person looks.
MOST_OFF_MS: Final = MAX_CLOCK_SKEW_S * 1000 // 5

# Clocks drift by seconds a day and are stepped by people: a watch that looks this often is in time for both.
WATCH_S: Final = 2.0

_log = logging.getLogger("grosz.pacing.clock")


class ServerTime:
    """Knows Redis's time. `offset_ms` is its clock minus this process's; 0 while that is not known.

    Of several servers (a cluster) the offset nearest to 0 in a round counts: one wrong clock stops no process.
    """

    __slots__ = ("_clock", "_round", "offset_ms")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._round: int | None = None
        self.offset_ms = 0

    def note(self, sent_ms: int, server_ms: int) -> None:
        """Take in an answer that has just come: when it was asked for (our clock), and the server's time in it."""
        received_ms = self._clock.now_ms()
        # With equal clocks the server's time lies between question and answer; where in between is not known.
        offset = server_ms - sent_ms if server_ms < sent_ms else max(0, server_ms - received_ms)
        if self._round is None or abs(offset) < abs(self._round):
            self._round = offset

    def end_round(self) -> None:
        """Take over what the answers of a round have shown; without one nothing changes."""
        if self._round is not None:
            self.offset_ms, self._round = self._round, None

    @property
    def is_off(self) -> bool:
        """Whether the clocks differ by more than MOST_OFF_MS."""
        return abs(self.offset_ms) > MOST_OFF_MS

    def fault(self) -> str | None:
        """What is wrong, for the readiness page and the log; None when nothing is."""
        if not self.is_off:
            return None
        seconds, way = abs(self.offset_ms) / 1000, "behind" if self.offset_ms > 0 else "ahead of"
        return f"this machine's clock is {seconds:.0f} s {way} Redis's (at most {MOST_OFF_MS // 1000} s): set it"


class TimeWatch:
    """Asks Redis for its time again and again, for a role whose other calls bring none."""

    def __init__(self, server_time: ServerTime, transitions: Transitions, clock: Clock) -> None:
        self._server_time = server_time
        self._transitions = transitions
        self._clock = clock

    async def run(self) -> None:
        """Watch until cancelled. While Redis is away the last offset stays."""
        while True:
            with contextlib.suppress(UnavailableError):
                await self.look()
            await asyncio.sleep(WATCH_S)

    async def look(self) -> None:
        """Measure once. Raises UnavailableError."""
        sent_ms = self._clock.now_ms()
        reply = await self._transitions.command("TIME")
        if isinstance(reply, list) and len(reply) == 2:
            was_off = self._server_time.is_off
            self._server_time.note(sent_ms, int(reply[0]) * 1000 + int(reply[1]) // 1000)
            self._server_time.end_round()
            if self._server_time.is_off and not was_off:
                _log.error("tokens are judged by Redis's clock: %s", self._server_time.fault())
