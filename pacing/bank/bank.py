"""The lease bank: the worker's loop that keeps the budgets in Redis in step with the catalogue and with time.

It puts budgets in place, rolls the days of each advertiser's time zone, closes leases, quarantines those of dead
processes, and brings the counters back from the ledger when Redis has lost them. It is the only writer of budgets;
what it does is idempotent, so a second worker that runs it too does no harm.
"""

import asyncio
import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.model import Advertiser, Budget, Catalogue, LineItem
from core.telemetry.metrics import Telemetry
from pacing.budgets.blocks import BlockBook
from pacing.budgets.days import local_date, number_of, starts_ms
from pacing.budgets.levels import Level, broken_invariants, day_of, outlived
from pacing.budgets.pools import Limit, Owners, PoolKey, limit_of, pools_under, share_limit
from pacing.budgets.timing import DAYS_KEPT, DEFAULT_MAX_AGE_S, MAX_CLOCK_SKEW_S, MS_PER_DAY, notice_bucket
from pacing.budgets.transitions import NO_LEDGER_ROWS, Calendar, PoolLimits, Transitions
from pacing.ledger.audit import audit, spent_by_level
from pacing.ledger.rows import LedgerStore, LedgerWriter

# Budgets and pauses must be in force within a second of the catalogue's change.
TICK_S = 0.25

# Budgets are written again after this even if nothing changed, which heals faults that nobody foresaw.
RESYNC_S = 300.0

# Counters are checked against each other this often; reading them costs as much as a hundred settlements.
CHECK_S = 30.0

# Leases closed in one script call; a call for 200 takes about 2 ms.
CLOSE_LIMIT = 200

# Remembered notices are written back in batches of this many.
NOTICE_BATCH = 500

# A settled bid as settle.lua remembers it: state b, price and charge unknown.
_BILLED = b"b" + (-1).to_bytes(8, "little", signed=True) * 2


class BudgetParts(NamedTuple):
    """What the sync script needs of an advertiser, or of a part of its objects."""

    levels: list[tuple[str, Limit]]
    pools: list[PoolLimits]


def calendar(timezone: str, now_ms: int) -> Calendar:
    """Today and tomorrow in a time zone."""
    zone = zoneinfo.ZoneInfo(timezone)
    today = local_date(zone, now_ms)
    day = number_of(today)
    tomorrow, after = (starts_ms(zone, today + datetime.timedelta(days=ahead)) for ahead in (1, 2))
    return Calendar(day, tomorrow, day + 1, after, day - DAYS_KEPT)


Parts = tuple[BudgetParts, ...]
"""The budgets of one advertiser: its own and its campaigns', then those of its line items, block by block."""


class BudgetBook:
    """The budgets and pools of each advertiser, in parts; parts that have not changed are the same objects as before.

    At 100,000 line items all of it takes 2 s of CPU, and after one change 10 ms.
    """

    def __init__(self) -> None:
        self._blocks = BlockBook(_budgets_of_block)
        self._known: dict[int, Parts] = {}

    def update(self, catalogue: Catalogue) -> dict[int, Parts]:
        """The budgets of a catalogue. Paused objects keep their levels; they only may not lease."""
        parts: defaultdict[int, list[BudgetParts]] = defaultdict(list)
        for number, head in _heads(catalogue).items():
            parts[number].append(head)
        for block in self._blocks.update(catalogue):
            for number, budgets in block.items():
                parts[number].append(budgets)
        before, self._known = self._known, {}
        for number, each in parts.items():
            known, present = before.get(number), tuple(each)
            self._known[number] = known if known is not None and known == present else present
        return self._known


def _heads(catalogue: Catalogue) -> dict[int, BudgetParts]:
    """The levels of advertisers and campaigns; one that was archived keeps its level until `_gone` drops it."""
    by_advertiser: defaultdict[int, BudgetParts] = defaultdict(lambda: BudgetParts([], []))
    for advertiser in catalogue.advertisers:
        by_advertiser[advertiser.id].levels.append(("a", limit_of(Budget(micros=advertiser.balance_micros))))
    for campaign in catalogue.campaigns:
        by_advertiser[campaign.advertiser_id].levels.append((f"c{campaign.id}", limit_of(campaign.total_budget)))
    return by_advertiser


def _budgets_of_block(line_items: Sequence[LineItem], owners: Owners) -> dict[int, BudgetParts]:
    """Levels and pools of line items, by advertiser."""
    by_advertiser: defaultdict[int, BudgetParts] = defaultdict(lambda: BudgetParts([], []))
    lines = {line_item.id: line_item for line_item in line_items}
    for line_item in lines.values():
        levels = by_advertiser[line_item.advertiser_id].levels
        levels.append((f"l{line_item.id}", limit_of(line_item.total_budget)))
        for share in range(len(line_item.budget_shares) + 1):
            levels.append((f"p{line_item.id}.{share}", share_limit(line_item, line_item.total_budget, share)))
    for pool in pools_under(owners, line_items):
        line_item = lines[pool.line_item_id]
        by_advertiser[pool.advertiser_id].pools.append(
            PoolLimits(
                PoolKey(pool.line_item_id, pool.share),
                line_item.campaign_id,
                limit_of(line_item.daily_budget),
                share_limit(line_item, line_item.daily_budget, pool.share),
            )
        )
    return dict(by_advertiser)


def joined(parts: Iterable[BudgetParts]) -> BudgetParts:
    """Several parts as one."""
    whole = BudgetParts([], [])
    for levels, pools in parts:
        whole.levels.extend(levels)
        whole.pools.extend(pools)
    return whole


class BudgetChange(NamedTuple):
    """What the sync script is told: limits, pools that may lease, and pools that may no longer lease."""

    levels: list[tuple[str, Limit]]
    pools: list[PoolLimits]
    removed: list[PoolKey]


def difference(before: Parts, after: Parts) -> BudgetChange:
    """The changes that put `after` in force. A level that is gone keeps its limit: late bills still meet it.

    Parts that are the same objects in both are not compared.
    """
    if before is after:
        return BudgetChange([], [], [])
    both = {id(part) for part in before} & {id(part) for part in after}
    old, new = (joined(part for part in parts if id(part) not in both) for parts in (before, after))
    levels, pools = dict(old.levels), {pool.key: pool for pool in old.pools}
    kept = {pool.key for pool in new.pools}
    return BudgetChange(
        [(name, limit) for name, limit in new.levels if levels.get(name) != limit],
        [pool for pool in new.pools if pools.get(pool.key) != pool],
        [key for key in pools if key not in kept],
    )


class _Synced(NamedTuple):
    """What was last written into Redis of an advertiser's budgets."""

    epoch: str
    days: Calendar
    parts: Parts
    at_s: float  # monotonic, when all of it was written


def _spent(level: Level) -> tuple[int, int]:
    return level.micros.spent, level.impressions.spent


class LeaseBank:
    """Loop of the worker. `catalogue` gives the present snapshot, None before the first."""

    def __init__(
        self,
        transitions: Transitions,
        store: LedgerStore,
        writer: LedgerWriter,
        catalogue: Callable[[], Catalogue | None],
        clock: Clock,
        telemetry: Telemetry,
        *,
        token_max_age_s: int = DEFAULT_MAX_AGE_S,
    ) -> None:
        self._transitions = transitions
        self._store = store
        self._writer = writer
        self._catalogue = catalogue
        self._clock = clock
        self._token_max_age_s = token_max_age_s
        self._book = BudgetBook()
        self._compiled: tuple[Catalogue, dict[int, Parts]] | None = None
        self._synced: dict[int, _Synced] = {}
        self._checked: dict[int, float] = {}
        self._visited: dict[int, float] = {}
        self._failures = telemetry.counter(
            "grosz_bank_failures_total", "Rounds of the lease bank that failed."
        ).labels()
        self._closed = telemetry.counter("grosz_leases_closed_total", "Leases that came to their end.").labels()
        self._dead = telemetry.counter(
            "grosz_lease_processes_dead_total", "Silent processes whose leases were taken over."
        ).labels()
        self._rebuilds = telemetry.counter(
            "grosz_money_rebuilds_total", "Times that the counters of an advertiser were begun anew.", ("reason",)
        )
        self._faults = telemetry.gauge(
            "grosz_money_invariant_faults", "Counters that contradict each other: must be 0.", ("advertiser",)
        )

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """One round over all advertisers; an advertiser whose Redis is away is counted and tried again."""
        catalogue = self._catalogue()
        if catalogue is None:
            return
        if self._compiled is None or self._compiled[0] is not catalogue:
            # Many line items take seconds, which the worker's other loops need not wait for.
            self._compiled = (catalogue, await asyncio.to_thread(self._book.update, catalogue))
        parts = self._compiled[1]
        tended = [*catalogue.advertisers]
        # Nobody bids for them any more: their last leases close, and the day rolls, without haste.
        tended += [each for each in catalogue.archived_advertisers if self._due(self._visited, each.id, CHECK_S)]
        rounds = [self._tend(each, parts.get(each.id, ())) for each in tended]
        outcomes = await asyncio.gather(*rounds, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, UnavailableError):
                self._failures.inc()
            elif isinstance(outcome, BaseException):
                raise outcome

    async def _tend(self, advertiser: Advertiser, parts: Parts) -> None:
        days = calendar(advertiser.timezone, self._clock.now_ms())
        epoch = await self._epoch(advertiser.id, days.keep_from_day)
        await self._sync(advertiser.id, parts, days, epoch)
        self._dead.inc(len(await self._transitions.take_over(advertiser.id)))
        while closed := await self._transitions.close(advertiser.id, CLOSE_LIMIT):
            self._closed.inc(closed)
        if self._due(self._checked, advertiser.id, CHECK_S):
            await self._check(advertiser.id, days.keep_from_day)

    def _due(self, last: dict[int, float], advertiser_id: int, every_s: float) -> bool:
        now = self._clock.monotonic()
        if now - last.get(advertiser_id, -every_s) < every_s:
            return False
        last[advertiser_id] = now
        return True

    async def _epoch(self, advertiser_id: int, keep_from_day: int) -> str:
        """The current epoch, begun anew if Redis has lost its counters or is another server than before."""
        witness = await self._transitions.witness(advertiser_id)
        if not witness.epoch:
            return await self._rebuild(advertiser_id, keep_from_day, "lost")
        if witness.same_server:
            return witness.epoch
        # A restart with its data keeps every counter; a failover may have lost the last writes. In both cases processes
        # give up their leases, which stay counted until they close; then the ledger says whether anything is missing.
        epoch = self._new_epoch(witness.epoch)
        await self._transitions.take_over(advertiser_id, epoch)
        await self._writer.drain(advertiser_id)
        if (await audit(self._transitions, self._store, advertiser_id)).differences:
            return await self._rebuild(advertiser_id, keep_from_day, "contradicted")
        self._rebuilds.labels("restarted").inc()
        return epoch

    def _new_epoch(self, last: str = "0") -> str:
        return str(max(self._clock.now_ms(), int(last) + 1))

    async def _rebuild(self, advertiser_id: int, keep_from_day: int, reason: str) -> str:
        """Counters from the ledger. Settlements wait (503) while there is no epoch, so nothing is charged twice."""
        last = self._synced.pop(advertiser_id, None)
        epoch = self._new_epoch(last.epoch if last else "0")
        # Of two workers that find the same loss, only the one that announced itself last may finish.
        meta = keys.money_meta(advertiser_id)
        await self._transitions.commands([("HSET", meta, "rebuilding", epoch), ("HDEL", meta, "epoch")])
        await self._writer.drain(advertiser_id)
        totals = await self._store.totals(advertiser_id, keep_from_day)
        await self._remember_notices(advertiser_id)
        # A lease id must never be given twice: the counter starts above any that the day's earlier epochs can have
        # reached.
        first_lease = (self._clock.now_ms() % MS_PER_DAY) << 9
        spent = [
            (name, *amounts) for name, amounts in spent_by_level(totals.pools).items() if day_of(name) >= keep_from_day
        ]
        if not await self._transitions.rebuild(
            advertiser_id, epoch, first_lease, totals.last_stream_id, spent, keep_from_day
        ):
            raise UnavailableError("another worker rebuilds the counters")
        self._rebuilds.labels(reason).inc()
        return epoch

    async def _remember_notices(self, advertiser_id: int) -> None:
        """A duplicate of a bill that was settled before the loss must still be seen as one."""
        since_s = self._clock.now_ms() // 1000 - self._token_max_age_s - 2 * MAX_CLOCK_SKEW_S
        notices = await self._store.notices_since(advertiser_id, since_s)
        for start in range(0, len(notices), NOTICE_BATCH):
            commands: list[tuple[bytes | str | int, ...]] = []
            for notice, issued_s in notices[start : start + NOTICE_BATCH]:
                key = keys.money_notices(advertiser_id, notice_bucket(issued_s))
                commands.append(("HSET", key, bytes.fromhex(notice), _BILLED))
                commands.append(("EXPIRE", key, 2 * self._token_max_age_s))
            await self._transitions.commands(commands)

    async def _sync(self, advertiser_id: int, parts: Parts, days: Calendar, epoch: str) -> None:
        """Write all budgets when a day or an epoch begins, otherwise what the catalogue has changed."""
        now = self._clock.monotonic()
        last = self._synced.get(advertiser_id)
        is_new = last is None or (last.epoch, last.days) != (epoch, days)  # also without a budget the day is noted
        if last is None or is_new or now - last.at_s >= RESYNC_S:
            budgets = joined(parts)
            removed = await self._transitions.known_pools(advertiser_id) - {pool.key for pool in budgets.pools}
            change, at_s = BudgetChange(budgets.levels, budgets.pools, sorted(removed)), now
        else:
            change, at_s = difference(last.parts, parts), last.at_s
        if (is_new or any(change)) and not await self._transitions.sync(advertiser_id, epoch, days, *change):
            return  # another epoch has begun: the next round writes everything
        self._synced[advertiser_id] = _Synced(epoch, days, parts, at_s)

    async def _check(self, advertiser_id: int, keep_from_day: int) -> None:
        """Compare the counters with each other, and drop those for which no bill can come any more."""
        snapshot = await self._transitions.snapshot(advertiser_id, NO_LEDGER_ROWS)
        faults = broken_invariants(snapshot.levels, snapshot.leases.values())
        self._faults.labels(advertiser_id).set(len(faults))
        past = [name for name in snapshot.levels if day_of(name) < keep_from_day]
        gone = await self._gone(advertiser_id, snapshot.levels, keep_from_day)
        await self._transitions.forget(advertiser_id, past + gone)

    async def _gone(self, advertiser_id: int, levels: Mapping[str, Level], keep_from_day: int) -> list[str]:
        """Total levels of archived line items, campaigns and advertisers for which no bid or bill can come any more.

        What they have spent stays in the ledger. A correction brings a level back (admin.books.desk).
        """
        synced = self._synced.get(advertiser_id)
        if synced is None:
            return []
        present = {name for part in synced.parts for name, _ in part.levels}
        gone = outlived(levels, present)
        owners = [name for name in levels if name[0] == "c" and name not in present]
        owners += ["a"] if "a" not in present and levels.keys() == {"a"} else []
        if owners:
            pools = (await self._store.totals(advertiser_id, keep_from_day)).pools
            left = {f"c{pool.campaign_id}" for pool in pools if f"l{pool.line_item_id}" in levels}
            booked = spent_by_level(pools)
            # While rows wait for the ledger it may not know of a line item of the owner yet.
            gone += [name for name in owners if name not in left and booked.get(name, (0, 0)) == _spent(levels[name])]
        return gone
