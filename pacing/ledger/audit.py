"""The audit: recompute every money counter from the ledger and list what differs.

The counters live in Redis, the ledger in the store and, for its newest rows, in a stream. Store and Redis cannot be
read in one moment; so the store is read first and asked again afterwards, and if a row moved in between the audit
starts over.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from core.errors import UnavailableError
from pacing.budgets.levels import broken_invariants, day_of, level_names
from pacing.budgets.transitions import NO_LEDGER_ROWS, Transitions
from pacing.ledger.rows import LedgerStore, PoolTotal, decode_entry

# Readings before the audit gives up: rows move twice a second at most, and a store that moves under ten readings in a
# row is being bulk-loaded.
ATTEMPTS = 10


class Difference(NamedTuple):
    """A counter that contradicts the ledger, or (level "") two counters that contradict each other."""

    advertiser_id: int
    level: str
    unit: str
    counter: int
    ledger: int
    text: str


class Audit(NamedTuple):
    """The outcome for one advertiser."""

    advertiser_id: int
    rows_in_stream: int
    levels: int
    spent_micros: int
    differences: list[Difference]


def spent_by_level(pools: Iterable[PoolTotal]) -> dict[str, tuple[int, int]]:
    """The (micros, impressions) that each level must have spent by the ledger."""
    spent: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for total in pools:
        for name in level_names(total.line_item_id, total.share, total.campaign_id, total.day):
            spent[name][0] += total.charge_micros
            spent[name][1] += total.impressions
    return {name: (micros, impressions) for name, (micros, impressions) in spent.items()}


async def audit(transitions: Transitions, store: LedgerStore, advertiser_id: int) -> Audit:
    """Compare; raises UnavailableError when Redis or the store does not answer, or never stands still."""
    since_day = await _first_day(transitions, advertiser_id)
    for _ in range(ATTEMPTS):
        totals = await store.totals(advertiser_id, since_day)
        snapshot = await transitions.snapshot(advertiser_id, totals.last_stream_id)
        if await store.last_stream_id(advertiser_id) == totals.last_stream_id:
            break
    else:
        raise UnavailableError("the ledger moves faster than it can be audited", hint="try again in a minute")
    rows = [row for row in map(decode_entry, snapshot.entries) if row is not None]
    pools = list(totals.pools)
    for row in rows:
        head = row.head
        pools.append(
            PoolTotal(head.campaign_id, head.line_item_id, head.share, head.day, row.charge_micros, row.impressions)
        )
    expected = spent_by_level(pools)
    recent = spent_by_level(pool for pool in pools if pool.day >= snapshot.keep_from_day)
    # When the counters are lost, so is their calendar; then no level is left out.
    is_kept = "a" in snapshot.levels or (not snapshot.levels and snapshot.keep_from_day > 0)
    differences = [
        Difference(advertiser_id, "", "", 0, 0, fault)
        for fault in broken_invariants(snapshot.levels, snapshot.leases.values())
    ]
    for name in snapshot.levels.keys() | expected.keys():
        # Daily levels are dropped some days after their own, one after the other.
        if name not in snapshot.levels and day_of(name) < snapshot.keep_from_day:
            continue
        # So are the levels of objects that were archived long ago; the advertiser's own goes last.
        if name not in snapshot.levels and name not in recent and is_kept:
            continue
        level = snapshot.levels.get(name)
        counters = (level.micros.spent, level.impressions.spent) if level else (0, 0)
        for unit, counter, ledger in zip(("micros", "impressions"), counters, expected.get(name, (0, 0)), strict=True):
            if counter != ledger:
                text = f"{name}: the counter says {counter} {unit} spent, the ledger {ledger}"
                differences.append(Difference(advertiser_id, name, unit, counter, ledger, text))
    spent = snapshot.levels["a"].micros.spent if "a" in snapshot.levels else 0
    return Audit(advertiser_id, len(rows), len(snapshot.levels), spent, sorted(differences))


async def _first_day(transitions: Transitions, advertiser_id: int) -> int:
    """The earliest day that has a counter; of earlier days only the sum of all is compared."""
    snapshot = await transitions.snapshot(advertiser_id, NO_LEDGER_ROWS)
    days = [int(day) for day in map(day_of, snapshot.levels) if math.isfinite(day)]
    return min([*days, snapshot.keep_from_day])
