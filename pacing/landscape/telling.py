"""Loops of the processes that tell the worker of bids, and of those that hear from it."""

import asyncio
from collections.abc import Callable
from typing import Final

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.telemetry.metrics import Merge, Telemetry
from pacing.budgets.transitions import Argument, Transitions
from pacing.landscape.messages import decode_steps
from pacing.landscape.shading import Shading

INTERVAL_S: Final = 5.0

# Blocks that are kept in Redis while no worker takes them; the oldest go first.
MAX_BLOCKS: Final = 10_000


class LandscapeWriter:
    """Writes a process's counts to Redis every few seconds. When a process is killed, its last counts are lost."""

    def __init__(self, take: Callable[[], list[bytes]], transitions: Transitions) -> None:
        """`take` gives the blocks that are due, each once."""
        self._take = take
        self._transitions = transitions
        self._waiting: list[bytes] = []

    async def run(self) -> None:
        """Write until cancelled; while Redis is away the blocks wait."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.write()

    async def write(self) -> None:
        self._waiting = [*self._waiting, *self._take()][-MAX_BLOCKS:]
        if not self._waiting:
            return
        commands: list[tuple[Argument, ...]] = [
            ("RPUSH", keys.LANDSCAPE_NEWS, *self._waiting), ("LTRIM", keys.LANDSCAPE_NEWS, -MAX_BLOCKS, -1)
        ]  # fmt: skip
        try:
            await self._transitions.commands(commands)
        except UnavailableError:
            return
        self._waiting = []


class LandscapeFollower:
    """Loop of a bidder process: reads the worker's steps and writes what was sent."""

    def __init__(self, shading: Shading, transitions: Transitions, clock: Clock, telemetry: Telemetry) -> None:
        self._shading = shading
        self._transitions = transitions
        self._clock = clock
        self._made_ms = 0
        self._writer = LandscapeWriter(shading.take_sent, transitions)
        age = telemetry.gauge(
            "grosz_landscape_age_seconds",
            "Seconds since the steps that shade first-price bids were computed; 0 while the shipped ones are used.",
            merge=Merge.MAX,
        )
        age.labels().follow(self._age_s)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(INTERVAL_S)

    async def tick(self) -> None:
        """One exchange; without an answer the steps stay as they are."""
        await self._writer.write()
        try:
            packed = await self._transitions.command("GET", keys.LANDSCAPE_STEPS)
        except UnavailableError:
            return
        found = decode_steps(packed) if isinstance(packed, bytes) else None
        if found is not None:
            self._made_ms, cells = found
            self._shading.replace(cells)

    def _age_s(self) -> float:
        return max(self._clock.now_ms() - self._made_ms, 0) / 1000 if self._made_ms else 0.0
