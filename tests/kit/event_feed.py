"""A shop that sends events all the time and keeps exact books of what was acknowledged."""

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import aiohttp

from core.errors import UnavailableError
from segments.facts.event import Event, Item, Kind, order_key
from segments.facts.facts import Facts
from tests.kit.profiles import EventRig

USERS: Final = tuple(f"user-{number:017d}" for number in range(60))
PRICE_MICROS: Final = 1_000_000
_KINDS: Final = (Kind.PAGE_VIEW, Kind.VIEW_ITEM, Kind.PURCHASE)
_BATCH: Final = 20


class Happening(NamedTuple):
    """An event before it is encoded."""

    kind: Kind
    user: str
    order: str  # of a purchase; '' elsewhere


Send = Callable[[Sequence[Happening]], Awaitable[list[bool]]]
"""Sends events, and tells which are acknowledged. Raises UnavailableError or an aiohttp error when that is unknown."""


def as_event(happening: Happening, at_ms: int) -> Event:
    """The event as the tracker puts it into the log."""
    return Event(
        happening.kind, 1, happening.user, at_ms, items=(Item("shoe", "shoes", PRICE_MICROS),),
        value_micros=PRICE_MICROS, order=order_key(happening.order),
    )  # fmt: skip


class Feed:
    """Sends random events. Those without an answer may count or not; purchases are repeated until acknowledged."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._draw = random.Random(seed)
        self._number = 0
        self._unanswered: list[Happening] = []
        self._stop = asyncio.Event()
        self.acknowledged: collections.Counter[tuple[str, Kind]] = collections.Counter()
        self.possible: collections.Counter[tuple[str, Kind]] = collections.Counter()
        """How many events were sent without an answer."""

    async def run(self, send: Send, pause_s: float = 0.03) -> None:
        """Send batches until stopped, then until the last purchase is acknowledged."""
        while not self._stop.is_set() or self._unanswered:
            batch = self._unanswered[:_BATCH] if self._stop.is_set() else [*self._unanswered, *self._fresh()][:_BATCH]
            self._unanswered = self._unanswered[_BATCH:]
            try:
                answers = await send(batch)
            except (UnavailableError, aiohttp.ClientError, TimeoutError, OSError):
                for happening in batch:
                    if happening.order:
                        self._unanswered.append(happening)
                    else:
                        self.possible[happening.user, happening.kind] += 1
            else:
                for happening, durable in zip(batch, answers, strict=True):
                    if durable:
                        self.acknowledged[happening.user, happening.kind] += 1
                    elif happening.order:
                        self._unanswered.append(happening)
            await asyncio.sleep(pause_s)

    def stop(self) -> None:
        self._stop.set()

    def _fresh(self) -> list[Happening]:
        found = []
        for _ in range(_BATCH):
            self._number += 1
            kind = self._draw.choice(_KINDS)
            order = f"order-{self._seed}-{self._number}" if kind is Kind.PURCHASE else ""
            found.append(Happening(kind, self._draw.choice(USERS), order))
        return found

    async def check(self, rig: EventRig) -> None:
        """Every acknowledged event is in the profiles, once; of the others each at most once."""
        for user in USERS:
            # Of a user without acknowledged events nothing may be stored: a slow machine sends few between two kills.
            facts = await rig.facts(user) or Facts()
            applied = {
                Kind.PAGE_VIEW: facts.pages,
                Kind.VIEW_ITEM: facts.products[0].views if facts.products else 0,
                Kind.PURCHASE: facts.purchases,
            }
            for kind, count in applied.items():
                least = self.acknowledged[user, kind]
                assert least <= count <= least + self.possible[user, kind], (user, kind)
            assert facts.purchases_micros == facts.purchases * PRICE_MICROS
