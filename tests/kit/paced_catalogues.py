"""Catalogues whose budgets, flights and owners change at random, so often that each of them meets the others."""

import random
from collections.abc import Callable
from typing import TypeVar

import msgspec

from core.model import (
    Advertiser,
    Budget,
    BudgetShare,
    Campaign,
    Catalogue,
    FrequencyCap,
    LineItem,
    Pacing,
    Status,
    Targeting,
)

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
ZONES = ("Europe/Warsaw", "America/New_York", "Asia/Kolkata")
STATUSES = (Status.ACTIVE,) * 8 + (Status.PAUSED,)

_Object = TypeVar("_Object", Advertiser, Campaign, LineItem)


def paced_catalogue(chance: random.Random, line_items: int = 40, *, ordered: bool = True) -> Catalogue:
    """Three shops of two campaigns each, and line items with ids of several blocks (pacing/budgets/blocks.py)."""
    numbers = sorted(chance.sample(range(1, 2_000), line_items))
    if not ordered:
        chance.shuffle(numbers)
    return Catalogue(
        version=1,
        published_ms=0,
        advertisers=tuple(_advertiser(chance, shop) for shop in range(1, 4)),
        campaigns=tuple(_campaign(chance, number) for number in range(1, 7)),
        line_items=tuple(paced_line_item(chance, number) for number in numbers),
    )


def later_catalogue(chance: random.Random, before: Catalogue) -> Catalogue:
    """A later catalogue: usually a few objects are changed, gone or new, sometimes none and sometimes all."""
    share = chance.choice((0.0, 0.03, 0.03, 0.3, 1.0))
    kept = [each for each in before.line_items if chance.random() >= share / 5]
    lines = [paced_line_item(chance, each.id) if chance.random() < share else each for each in kept]
    free = chance.randint(1, 2_000)
    if chance.random() < 0.5 and all(each.id != free for each in lines):
        lines.append(paced_line_item(chance, free))
    return msgspec.structs.replace(
        before,
        version=before.version + 1,
        advertisers=_renewed(chance, before.advertisers, _advertiser, share / 2),
        campaigns=_renewed(chance, before.campaigns, _campaign, share / 2),
        line_items=tuple(sorted(lines, key=lambda each: each.id)),
    )


def _renewed(
    chance: random.Random, values: tuple[_Object, ...], make: Callable[[random.Random, int], _Object], share: float
) -> tuple[_Object, ...]:
    return tuple(make(chance, each.id) if chance.random() < share else each for each in values)


def _advertiser(chance: random.Random, number: int) -> Advertiser:
    return Advertiser(
        id=number,
        name=f"shop {chance.random()}",
        timezone=ZONES[number - 1],
        status=chance.choice(STATUSES),
        balance_micros=chance.choice((None, 10**9)),
        caps=_caps(chance),
    )


def _campaign(chance: random.Random, number: int) -> Campaign:
    return Campaign(
        id=number,
        advertiser_id=1 + number % 3,
        name=f"campaign {chance.random()}",
        status=chance.choice(STATUSES),
        start_ms=chance.choice((None, NOW_MS - DAY_MS)),
        end_ms=chance.choice((None, None, NOW_MS + 9 * DAY_MS)),
        total_budget=_budget(chance),
        caps=_caps(chance),
    )


def paced_line_item(chance: random.Random, number: int) -> LineItem:
    """A line item of a shop; most of its members are the same for the same number."""
    shop = 1 + (number + (chance.random() < 0.1)) % 3
    percents = chance.choice(((), (), (20,), (30, 50)))
    return LineItem(
        id=number,
        advertiser_id=shop,
        campaign_id=chance.choice([each for each in range(1, 7) if 1 + each % 3 == shop]),
        name=f"line item {chance.random()}",
        status=chance.choice(STATUSES),
        start_ms=chance.choice((None, None, NOW_MS - 2 * DAY_MS)),
        end_ms=chance.choice((None, NOW_MS + DAY_MS // 2, NOW_MS + 5 * DAY_MS)),
        max_cpm_micros=chance.choice((500, 10**7, 2 * 10**7)),
        targeting=Targeting(hours_of_week=chance.choice(((), (), tuple(range(100)), (5, 6)))),
        daily_budget=_budget(chance),
        total_budget=_budget(chance),
        budget_shares=tuple(
            BudgetShare(at, percent, caps=_caps(chance)) for at, percent in enumerate(percents, start=1)
        ),
        pacing=chance.choice((Pacing.EVEN, Pacing.EVEN, Pacing.EVEN, Pacing.ASAP)),
        spend_all=chance.random() < 0.3,
        target_cpa_micros=chance.choice((None, None, 10**6)),
        caps=_caps(chance),
        min_gap_s=chance.choice((0, 0, 0, 60)),
    )


def _budget(chance: random.Random) -> Budget:
    amounts = (None, None, 1_000_000, chance.randint(1, 10**9))
    return Budget(chance.choice(amounts), chance.choice((None, None, chance.randint(1, 10**5))))


def _caps(chance: random.Random) -> tuple[FrequencyCap, ...]:
    return (FrequencyCap(1, chance.randint(1, 10**6)),) if chance.random() < 0.05 else ()
