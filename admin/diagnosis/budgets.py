"""Budgets as they stand in Redis, for explanations: who could pay, and which budget is the one that cannot.

Which process holds a lease at this moment is an accident, so a pool counts as affordable here when each of its budgets
has anything left, leased or not. Where one has not, the bid path only knows that it got no lease; here it is known why.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from admin.diagnosis.published import Commands, Published, near_miss
from core import keys
from core.clock import Clock
from core.model import Status
from core.money import format_micros
from core.reasons import NoBid
from pacing.bank.bank import calendar
from pacing.budgets.leases import LeaseBook
from pacing.budgets.levels import Amounts, Level, decode_levels, level_names
from pacing.budgets.pools import UNLIMITED, PoolSpec
from pacing.landscape.messages import decode_steps
from pacing.landscape.shading import Shading
from pacing.pace.messages import decode_multipliers

# A budget that limits nothing counts as this much: more than any bid, and far from the end of 64 bits.
PLENTY = 10**15
MINUTE_MS = 60_000

# Levels of large catalogues are megabytes; several questions in a row are answered from the same look.
REREAD_MS = 1_000

Levels = Mapping[str, Level]


class Shortage(NamedTuple):
    """The budget of a pool that has least left, in words; `is_spent` when nothing is left of it."""

    text: str
    is_spent: bool


def left_in(levels: Levels, pool: PoolSpec, campaign_id: int, day: int) -> tuple[int, int]:
    """(micros, impressions) that every budget of a pool still allows, what is leased included.

    (0, 0) while the worker has not entered the line item's budgets: nobody gets a lease then.
    """
    if f"l{pool.line_item_id}" not in levels:
        return 0, 0
    micros = impressions = PLENTY
    for name in level_names(pool.line_item_id, pool.share, campaign_id, day):
        level = levels.get(name)
        if level is None:
            continue  # a daily level is made when the day first spends from it
        if level.micros.budget != UNLIMITED:
            micros = min(micros, _left(level.micros))
        if level.impressions.budget != UNLIMITED:
            impressions = min(impressions, _left(level.impressions))
    return micros, impressions


def shortage(levels: Levels, pool: PoolSpec, campaign_id: int, day: int, currency: str) -> Shortage | None:
    """The budget that stops a pool, or comes nearest to it; None when no budget limits it."""
    names = level_names(pool.line_item_id, pool.share, campaign_id, day)
    titles = _titles(pool.share)
    found: list[tuple[float, str]] = []
    for name, title in zip(names, titles, strict=True):
        level = levels.get(name)
        if level is None:
            continue
        if level.micros.budget != UNLIMITED:
            part = _left(level.micros) / max(1, level.micros.budget)
            found.append((part, f"{title} {_amounts(level.micros, currency)}"))
        if level.impressions.budget != UNLIMITED:
            part = _left(level.impressions) / max(1, level.impressions.budget)
            spent = f"{level.impressions.spent} of {level.impressions.budget}"
            found.append((part, f"{title} {spent} impressions spent"))
    if not found:
        return None
    part, text = min(found, key=lambda one: one[0])
    return Shortage(text, part <= 0)


def _left(amounts: Amounts) -> int:
    return amounts.free + amounts.exposure


def _amounts(amounts: Amounts, currency: str) -> str:
    text = f"{format_micros(amounts.spent)} of {format_micros(amounts.budget)} {currency} spent"
    return text if _left(amounts) <= 0 else f"{text}, {format_micros(_left(amounts))} left"


def _titles(share: int) -> tuple[str, ...]:
    """Words for `level_names`, in its order."""
    part = f"budget share {share}" if share else "general share"
    return (
        "advertiser balance",
        "campaign budget",
        "line item total budget",
        "line item daily budget",
        f"{part} of the total budget",
        f"{part} of the daily budget",
    )


async def read_levels(redis: Commands, advertisers: list[int]) -> dict[int, Levels]:
    """All levels by advertiser."""
    replies = await redis.commands([("HGETALL", keys.money_levels(advertiser)) for advertiser in advertisers])
    found: dict[int, Levels] = {}
    for advertiser, reply in zip(advertisers, replies, strict=True):
        flat = reply if isinstance(reply, list) else []
        found[advertiser] = decode_levels(dict(zip(flat[0::2], flat[1::2], strict=True)))
    return found


class MoneyAsItStands:
    """The money behind an explanation: a lease book with what each pool could get, and how bids are shaded.

    It has words for the pools that could get nothing.
    """

    def __init__(self, published: Published, levels: Mapping[int, Levels], now_ms: int) -> None:
        self._published = published
        self._levels = levels
        self.book = LeaseBook()
        self.shading = Shading()
        compiled = published.compiled
        self.book.bind(compiled.index.pools)
        lines, timezones = compiled.index.lines, compiled.index.timezones
        days = [calendar(timezone, now_ms).day for timezone in timezones]
        self._days = [days[number] for number in lines.timezone.tolist()]
        self._campaigns = lines.campaign.tolist()
        for position, pool in enumerate(compiled.index.pools):
            own = levels.get(pool.advertiser_id, {})
            micros, impressions = left_in(own, pool, self._campaigns[position], self._days[position])
            if micros > 0 and impressions > 0:
                self.book.grant(position, 1, micros, impressions, now_ms + MINUTE_MS)

    def pace(self, packed: bytes) -> None:
        """Take over the pacing multipliers that the worker has sent to the bidders."""
        block = decode_multipliers(packed)
        for record in () if block is None else block.records:
            position = self.book.position(int(record["line_item"]), int(record["share"]))
            if position is not None:
                self.book.multiplier[position] = record["multiplier"]

    def shade(self, packed: bytes) -> None:
        """Take over the steps of shading that the worker has sent to the bidders."""
        found = decode_steps(packed)
        if found is not None:
            self.shading.replace(found[1])

    def refine(self, reason: NoBid, position: int) -> tuple[NoBid, str]:
        """Implements bidder.diagnosis.explain.Background."""
        if reason is NoBid.NO_LEASE:
            return self._money(position)
        if reason is NoBid.INACTIVE:
            return reason, self._stopped(position)
        return reason, ""

    def near_miss(self, reason: NoBid, position: int, said: str) -> str:
        """Implements bidder.diagnosis.explain.Background."""
        return near_miss(self._published, reason, self._published.compiled.index.pools[position].line_item_id, said)

    def _money(self, position: int) -> tuple[NoBid, str]:
        pool = self._published.compiled.index.pools[position]
        levels = self._levels.get(pool.advertiser_id, {})
        if f"l{pool.line_item_id}" not in levels:
            return NoBid.NO_LEASE, "its budgets are not in Redis yet: the worker role enters them within seconds"
        currency = self._published.advertisers[pool.advertiser_id].currency
        found = shortage(levels, pool, self._campaigns[position], self._days[position], currency)
        return (NoBid.NO_LEASE, "") if found is None else (NoBid.BUDGET_SPENT, found.text)

    def _stopped(self, position: int) -> str:
        pool = self._published.compiled.index.pools[position]
        objects = {
            "line item": self._published.line_items.get(pool.line_item_id),
            "campaign": self._published.campaigns.get(self._campaigns[position]),
            "advertiser": self._published.advertisers.get(pool.advertiser_id),
        }
        stopped = [
            f"{title} {value.id} is {value.status.value}"
            for title, value in objects.items()
            if value is not None and value.status is not Status.ACTIVE
        ]
        return ", ".join(stopped)


class MoneyReader:
    """Reads the levels of all advertisers, at most once a second."""

    def __init__(self, redis: Commands, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._read: tuple[int, int, MoneyAsItStands] | None = None

    async def read(self, published: Published) -> MoneyAsItStands:
        """The money of the published version, read anew after REREAD_MS. Raises UnavailableError."""
        version, now_ms = published.catalogue.version, self._clock.now_ms()
        if self._read is not None and self._read[0] == version and now_ms - self._read[1] < REREAD_MS:
            return self._read[2]
        levels = await read_levels(self._redis, [advertiser.id for advertiser in published.catalogue.advertisers])
        money = await asyncio.to_thread(MoneyAsItStands, published, levels, now_ms)
        multipliers, steps = await self._redis.commands(
            [("GET", keys.PACING_MULTIPLIERS), ("GET", keys.LANDSCAPE_STEPS)]
        )
        if isinstance(multipliers, bytes):
            money.pace(multipliers)
        if isinstance(steps, bytes):
            money.shade(steps)
        self._read = (version, now_ms, money)
        return money
