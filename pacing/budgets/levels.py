"""Budget levels as Redis holds them, and the check that no micro is missing.

The scripts in pacing/budgets/scripts keep every level's `spent + exposure + free == budget`. This module reads the
same bytes
from outside and proves it, with what must also agree: the exposure of a level is what its open leases and holds sum to.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from pacing.budgets.pools import UNLIMITED

_LEVEL = struct.Struct("<10q")
_LEASE = struct.Struct("<9q")


class Amounts(NamedTuple):
    """The amounts of a level in one unit (micros or impressions). `over` is what late bills took beyond the budget."""

    budget: int
    spent: int
    exposure: int
    free: int
    over: int


class Level(NamedTuple):
    micros: Amounts
    impressions: Amounts


class Lease(NamedTuple):
    """A lease, or the hold of won bids; `closes_ms` is 0 while it takes reservations."""

    granted_micros: int
    held_micros: int
    granted_impressions: int
    held_impressions: int
    closes_ms: int
    campaign_id: int
    line_item_id: int
    share: int
    day: int
    process: str


def decode_level(packed: bytes) -> Level:
    numbers = _LEVEL.unpack(packed)
    return Level(Amounts(*numbers[:5]), Amounts(*numbers[5:]))


def decode_lease(packed: bytes) -> Lease:
    return Lease._make((*_LEASE.unpack_from(packed), packed[_LEASE.size :].decode()))


def decode_levels(packed: Mapping[bytes, bytes]) -> dict[str, Level]:
    return {name.decode(): decode_level(value) for name, value in packed.items()}


def decode_leases(packed: Mapping[bytes, bytes]) -> dict[str, Lease]:
    return {name.decode(): decode_lease(value) for name, value in packed.items()}


def level_names(line_item_id: int, share: int, campaign_id: int, day: int) -> tuple[str, ...]:
    """The levels that limit a pool on a day, as pacing/budgets/scripts/_levels.lua names them."""
    return (
        "a",
        f"c{campaign_id}",
        f"l{line_item_id}",
        f"d{line_item_id}@{day}",
        f"p{line_item_id}.{share}",
        f"q{line_item_id}.{share}@{day}",
    )


def day_of(level_name: str) -> float:
    """The day whose spending a level counts; infinite for one that is not by days."""
    day = level_name.partition("@")[2]
    return int(day) if day else math.inf


def outlived(levels: Iterable[str], present: Container[str]) -> list[str]:
    """Total levels of line items and shares that the catalogue does not have, once no day of theirs is kept.

    Days are kept for longer than any token lives, so nothing is billed to such a level any more.
    """
    names = list(levels)
    of_days = {_line_of(name) for name in names if "@" in name}
    return [
        name
        for name in names
        if name[0] in "lp" and f"l{_line_of(name)}" not in present and _line_of(name) not in of_days
    ]


def _line_of(level_name: str) -> str:
    """The line item's number in the name of one of its levels."""
    return level_name[1:].partition("@")[0].partition(".")[0]


def broken_invariants(levels: Mapping[str, Level], leases: Iterable[Lease]) -> list[str]:
    """Every way in which the counters contradict themselves, in words; empty when they agree to the micro."""
    exposures: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for lease in leases:
        for name in level_names(lease.line_item_id, lease.share, lease.campaign_id, lease.day):
            exposures[name][0] += lease.held_micros
            exposures[name][1] += lease.held_impressions
    faults = [f"{name}: a lease is open on a level that does not exist" for name in exposures if name not in levels]
    for name, level in levels.items():
        for unit, amounts, held in zip(Level._fields, level, exposures[name], strict=True):
            total = amounts.spent + amounts.exposure + amounts.free
            if amounts.budget != UNLIMITED and total != amounts.budget:
                faults.append(f"{name}: spent + exposure + free is {total} {unit}, the budget is {amounts.budget}")
            if amounts.exposure != held:
                faults.append(f"{name}: exposure is {amounts.exposure} {unit}, its leases hold {held}")
    return faults
