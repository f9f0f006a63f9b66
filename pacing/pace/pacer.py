"""The pacer: the worker's loop that turns spend into multipliers, once a second for all pools.

One worker paces at a time, by a lease in Redis; others stand by and go on from the state that it left. Nothing here
guards money: if the loop stops, multipliers stand still and the leases hold every budget.
"""

import asyncio
import itertools
import math
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.model import Catalogue, LineItem
from core.telemetry.metrics import Family, Merge, Sample, Telemetry
from pacing.budgets.transitions import Argument, Transitions, pairs
from pacing.pace.board import PacingBoard
from pacing.pace.day_curve import BINS, Floats
from pacing.pace.goals import COHORT_DAYS, CostBook, Counts, LineCosts, ceiling, costs_of_before, patience
from pacing.pace.messages import MULTIPLIER, Multipliers, encode_multipliers
from pacing.pace.observation import DelayMeter, DemandMeter, LevelReader
from pacing.pace.plan import PacingPlan, PlanBook
from pacing.pace.rows import MICROS
from pacing.pace.targets import TargetState, encode_targets
from pacing.pace.traffic import TrafficShape

TICK_S: Final = 1.0

# What a crash may cost: multipliers are a few windows old then, and find back in as many.
SAVE_S: Final = 5.0

# Longer than a slow tick, and too short for standing multipliers to matter.
OWNER_MS: Final = 5_000

# Conversions trickle in over days.
GOALS_S: Final = 60.0

# Words of commands that are sent to Redis at once: to send more, and read the answers, would hold up the worker's other
# loops for over 10 ms. All of 100,000 line items took 0.1 s twice.
READ_WORDS: Final = 10_000

# With three lines a pool for more pools than this, the scrape would be larger than any that Prometheus usually gets.
POOLS_REPORTED: Final = 1_000

_WEEK_FIELD: Final = b"week"
_TRAFFIC_FIELD: Final = b"traffic"  # version 1: a week of UTC


class Memory(msgspec.Struct, array_like=True):
    """What is kept of one advertiser over restarts."""

    logs: dict[str, float]  # row name -> logarithm of its multiplier
    costs: dict[int, dict[int, float]]  # of the release before: line item -> day -> micros as at multiplier 1
    lines: dict[int, LineCosts] = {}  # line items with a target


_encode = msgspec.msgpack.Encoder().encode
_decode_memory = msgspec.msgpack.Decoder(Memory).decode


class Pacer:
    """Loop of the worker. `catalogue` gives the present snapshot, None before the first."""

    def __init__(
        self,
        transitions: Transitions,
        catalogue: Callable[[], Catalogue | None],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._transitions = transitions
        self._catalogue = catalogue
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._book = PlanBook()
        self._stand_by()
        self._failures = telemetry.counter("grosz_pacing_failures_total", "Ticks of the pacer that failed.").labels()
        self._ticks = telemetry.counter(
            "grosz_pacing_ticks_total", "Ticks in which multipliers were published."
        ).labels()
        telemetry.add_source(self._families)

    def _stand_by(self) -> None:
        """Forget everything: another worker paces, so this one's state no longer counts."""
        self._board: PacingBoard | None = None
        self._levels: LevelReader | None = None
        self._demand, self._delays = DemandMeter(), DelayMeter()
        self._costs = CostBook()
        self._saved_s = self._goals_s = self._told_s = float("-inf")
        self._stopped: frozenset[int] = frozenset()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            started = self._clock.monotonic()
            await self.tick()
            await asyncio.sleep(max(TICK_S - (self._clock.monotonic() - started), 0.0))

    async def tick(self) -> None:
        """One round; Redis being away is counted, and the next tick sees all that was missed."""
        catalogue = self._catalogue()
        if catalogue is None:
            return
        try:
            if not await self._owns():
                self._stand_by()
                return
            board, levels = await self._prepare(catalogue)
            await self._pace(board, levels)
        except UnavailableError:
            self._failures.inc()

    async def close(self) -> None:
        """Save, and let another worker take over at once."""
        try:
            if self._board is not None and await self._owns():
                await self._save(self._board)
                await self._transitions.command("DEL", keys.PACING_OWNER)
        except UnavailableError:
            self._failures.inc()

    async def _owns(self) -> bool:
        """Take or renew the lease. Two owners for a moment do no harm: both follow the same spend."""
        _, owner = await self._transitions.commands(
            [("SET", keys.PACING_OWNER, self._name, "NX", "PX", OWNER_MS), ("GET", keys.PACING_OWNER)]
        )
        if owner != self._name.encode():
            return False
        await self._transitions.command("PEXPIRE", keys.PACING_OWNER, OWNER_MS)
        return True

    async def _prepare(self, catalogue: Catalogue) -> tuple[PacingBoard, LevelReader]:
        board = self._board
        if board is None or self._levels is None or board.plan.catalogue is not catalogue:
            # At 100,000 line items 0.1 s, the first time 1.5 s: in a thread, since the worker's other loops must not
            # wait.
            plan = await asyncio.to_thread(PacingPlan, catalogue, self._book)
            if board is None:
                board = await self._restore(plan)
            else:
                board = await asyncio.to_thread(_carried, board, plan, self._clock.now_ms())
            self._levels = await asyncio.to_thread(_reader, plan, self._clock.now_ms())
            self._board = board
        return board, self._levels

    async def _restore(self, plan: PacingPlan) -> PacingBoard:
        """A board that goes on where the last worker stopped."""
        fields = pairs(await self._transitions.command("HGETALL", keys.PACING_STATE))
        week, before = fields.pop(_WEEK_FIELD, b""), fields.pop(_TRAFFIC_FIELD, b"")
        remembered: dict[tuple[int, str], float] = {}
        for field, packed in fields.items():
            try:
                memory = _decode_memory(packed)
            except msgspec.DecodeError:
                continue  # of another version: these pools start cold
            remembered.update({(int(field), name): log for name, log in memory.logs.items()})
            self._costs.lines.update(memory.lines)
            self._costs.lines.update({
                line_item: costs_of_before(days, max(days), self._clock.now_ms() / 1000)
                for line_item, days in memory.costs.items()
                if days and line_item not in memory.lines
            })  # fmt: skip
        traffic = TrafficShape.restored(week) or _shape_of_before(before, plan, self._clock.now_ms())
        return PacingBoard(plan, traffic, self._clock.now_ms(), remembered)

    async def _pace(self, board: PacingBoard, levels: LevelReader) -> None:
        plan, now_ms = board.plan, self._clock.now_ms()
        period = plan.period(now_ms)
        reads = levels.commands(period.day)
        ledgers = [DelayMeter.command(number) for number in plan.advertisers]
        replies = await self._read([*reads, *ledgers, ("HGETALL", keys.PACING_DEMAND)])
        for number, reply in zip(plan.advertisers, replies[len(reads) : -1], strict=True):
            self._delays.observe(number, reply)
        bids, dead = self._demand.observe(replies[-1], plan, now_ms)
        ceilings, delays = await self._ceilings(board, now_ms), self._delays.delays(plan.advertisers)
        before = board.multipliers
        # 50 ms at 100,000 line items.
        spent = await asyncio.to_thread(levels.spent, replies[: len(reads)])
        values = await asyncio.to_thread(board.tick, now_ms, spent, bids, delays, ceilings)
        self._note_costs(board, before, now_ms)
        writes: list[tuple[Argument, ...]] = [("SET", keys.PACING_MULTIPLIERS, _packed(plan, values, now_ms))]
        writes += [("HDEL", keys.PACING_DEMAND, process) for process in dead]
        await self._transitions.commands(writes)
        self._ticks.inc()
        if self._clock.monotonic() - self._saved_s >= SAVE_S:
            await self._save(board)
            self._saved_s = self._clock.monotonic()

    async def _read(self, commands: list[tuple[Argument, ...]]) -> list[object]:
        replies: list[object] = []
        part: list[tuple[Argument, ...]] = []
        words = 0
        for command in commands:
            part.append(command)
            words += len(command)
            if words >= READ_WORDS:
                replies += await self._transitions.commands(part)
                part, words = [], 0
        return replies + (await self._transitions.commands(part) if part else [])

    async def _save(self, board: PacingBoard) -> None:
        await self._transitions.command(*await asyncio.to_thread(self._saving, board))

    def _saving(self, board: PacingBoard) -> list[Argument]:
        """The command that saves. 60 ms at 100,000 line items."""
        kept: defaultdict[int, Memory] = defaultdict(lambda: Memory({}, {}, {}))
        for (advertiser, name), log in board.memory().items():
            kept[advertiser].logs[name] = log
        for line_item, costs in self._costs.lines.items():
            if line_item in board.plan.lines:
                kept[board.plan.lines[line_item].advertiser_id].lines[line_item] = costs
        call: list[Argument] = ["HSET", keys.PACING_STATE, _WEEK_FIELD, board.traffic.memory()]
        for advertiser, memory in kept.items():
            call += (advertiser, _encode(memory))
        return call

    def _note_costs(self, board: PacingBoard, multipliers: Floats, now_ms: int) -> None:
        for position, line_item in board.plan.bound_pools:
            cost = float(board.charged[MICROS, position])
            if cost > 0.0:
                day, _ = board.plan.day(line_item.advertiser_id, now_ms)
                self._costs.add(line_item.id, day, cost, float(multipliers[position]), now_ms / 1000)

    async def _ceilings(self, board: PacingBoard, now_ms: int) -> Floats:
        """The highest multiplier that each pool's cost or return target allows."""
        plan = board.plan
        ceilings = plan.highest.copy()
        if not plan.bound_pools:
            return ceilings
        resumed = await self._resume(now_ms)
        if resumed or self._clock.monotonic() - self._goals_s >= GOALS_S:
            await self._observe_conversions(plan, now_ms)
            self._goals_s = self._clock.monotonic()
        states: dict[int, TargetState] = {}
        for position, line_item in plan.bound_pools:
            day, _ = plan.day(line_item.advertiser_id, now_ms)
            costs = self._costs.judge(line_item, now_ms / 1000)
            ceilings[position] = ceiling(line_item, costs, day, float(plan.highest[position]))
            states[line_item.id] = _state(line_item, costs, float(ceilings[position]))
        stopped = frozenset(number for number, state in states.items() if state.stopped_ms)
        if self._told_s < self._goals_s or stopped != self._stopped:
            await self._transitions.command("SET", keys.PACING_TARGETS, encode_targets(states, now_ms))
            self._told_s, self._stopped = self._goals_s, stopped
        return ceilings

    async def _resume(self, now_ms: int) -> bool:
        """Go on with the line items that a person resumed; whether there were any."""
        resumed = pairs(await self._transitions.command("HGETALL", keys.PACING_RESUMED))
        for line_item in resumed:
            self._costs.resume(int(line_item), now_ms / 1000)
        if resumed:
            await self._transitions.command("HDEL", keys.PACING_RESUMED, *resumed)
        return bool(resumed)

    async def _observe_conversions(self, plan: PacingPlan, now_ms: int) -> None:
        """Conversions by day of the line items that have a target."""
        bound = sorted({line_item.id for _, line_item in plan.bound_pools})
        wanted: list[tuple[int, int]] = []
        commands: list[tuple[Argument, ...]] = []
        for line_item in bound:
            advertiser = plan.lines[line_item].advertiser_id
            today, _ = plan.day(advertiser, now_ms)
            for day in range(today - COHORT_DAYS + 1, today + 1):
                names = [
                    f"{line_item}:{credit}_{what}"
                    for what in ("conversions", "value_micros")
                    for credit in ("click", "view")
                ]
                wanted.append((line_item, day))
                commands.append(("HMGET", keys.delivery(advertiser, day), *names))
        found: defaultdict[int, dict[int, Counts]] = defaultdict(dict)
        for (line_item, day), reply in zip(wanted, await self._transitions.commands(commands), strict=True):
            counts = [float(count or 0) for count in reply] if isinstance(reply, list) else [0.0] * 4
            found[line_item][day] = Counts(counts[0] + counts[1], counts[2] + counts[3])
        for line_item, by_day in found.items():
            self._costs.observe(line_item, by_day, now_ms / 1000)

    def _families(self) -> Iterable[Family]:
        """The metrics of each pool while this worker paces: multiplier, error, and spend against plan."""
        board = self._board
        if board is None or not len(board.plan.rows):
            return
        pools = list(itertools.islice(board.plan.pools, POOLS_REPORTED))
        rows = board.tightest_row()[: len(pools)]
        labels = [{"line_item": str(pool.line_item_id), "share": str(pool.share)} for pool in pools]
        for name, text, values in (
            ("grosz_pacing_multiplier", "Factor on every bid of a pool.", board.multipliers[: len(pools)]),
            ("grosz_pacing_spend_ratio", "Spend of the tightest budget against its plan until now.", board.ratio[rows]),
            (
                "grosz_pacing_error",
                "Error of the last window: 1 spent nothing, -1 far too much.",
                board.state.error[rows],
            ),
        ):
            samples = [
                Sample(name, label, float(value))
                for label, value, row in zip(labels, values, rows, strict=True)
                if row >= 0
            ]
            yield Family(name, "gauge", text, Merge.MAX, tuple(samples))


def _state(line_item: LineItem, costs: LineCosts, multiplier: float) -> TargetState:
    longest = patience(line_item, costs)
    return TargetState(
        round(costs.stopped_s * 1000),
        round(costs.drought),
        round(longest) if math.isfinite(longest) else 0,
        sum(costs.conversions.values()),
        multiplier,
    )


def _shape_of_before(rates: bytes, plan: PacingPlan, now_ms: int) -> TrafficShape:
    """The week as version 1 kept it, otherwise the shipped one."""
    if len(rates) != 8 * BINS:
        return TrafficShape.shipped()
    return TrafficShape.of_utc(np.frombuffer(rates, "<f8").copy(), now_ms, plan.usual_zone)


def _carried(board: PacingBoard, plan: PacingPlan, now_ms: int) -> PacingBoard:
    renewed = PacingBoard(plan, board.traffic, now_ms)
    renewed.carry(board)
    return renewed


def _reader(plan: PacingPlan, now_ms: int) -> LevelReader:
    """A reader with its commands for today, which take as long to make as all the rest of a change."""
    levels = LevelReader(plan)
    levels.commands(plan.period(now_ms).day)
    return levels


def _packed(plan: PacingPlan, values: Floats, now_ms: int) -> bytes:
    records = np.zeros(len(values), MULTIPLIER)
    records["line_item"] = plan.pools.line_item
    records["share"] = plan.pools.share
    records["multiplier"] = values
    return encode_multipliers(Multipliers(now_ms, records))
