"""What pacing does to a line item now: the share of its budget that can be spent, and whether its target stopped it."""

import datetime
from collections.abc import Mapping
from typing import Final

import msgspec

from admin.diagnosis.published import Commands
from admin.diagnosis.spendable import Multipliers, spendable_share
from admin.validation.fields import Amount
from admin.validation.warnings import Pace
from core import keys
from core.clock import Clock
from core.errors import ConflictError, NotFoundError
from core.model import Advertiser, Campaign, LineItem
from core.money import format_micros
from pacing.bank.bank import calendar
from pacing.budgets.levels import decode_levels
from pacing.budgets.pools import pools_of
from pacing.pace.messages import decode_multipliers
from pacing.pace.targets import TargetState, decode_targets

# Multipliers of large catalogues are megabytes and move by steps of a second: several questions share one look.
REREAD_S: Final = 5.0


class TargetReport(msgspec.Struct):
    """How a line item fares with its target cost or return. Costs count as their conversions are due.

    It is stopped when `cost_without_conversion`, the cost since its last conversion, reaches `stops_at` (null: nobody
    knows yet what a conversion may cost). `conversions` are those of the last fortnight, `highest_multiplier` what the
    target allows of the bid.
    """

    line_item_id: int
    stopped: bool
    stopped_at: datetime.datetime | None
    cost_without_conversion: Amount
    stops_at: Amount | None
    conversions: float
    highest_multiplier: float


class TargetResume(msgspec.Struct):
    """The line item goes on within a second; it is stopped again only by what it spends from now on."""

    line_item_id: int
    resumed: bool


class PacingDesk:
    """Answers from what the worker publishes. Raises UnavailableError while Redis does not answer."""

    def __init__(self, redis: Commands, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._multipliers: tuple[float, Multipliers] = (float("-inf"), {})

    async def pace(self, line_item: LineItem, campaign: Campaign, advertiser: Advertiser) -> Pace:
        """What pacing says of a line item, for its warnings."""
        now_ms = self._clock.now_ms()
        day = calendar(advertiser.timezone, now_ms).day
        level = f"d{line_item.id}@{day}"
        packed, targets = await self._redis.commands(
            [("HMGET", keys.money_levels(advertiser.id), level), ("GET", keys.PACING_TARGETS)]
        )
        found = {level.encode(): packed[0]} if isinstance(packed, list) and packed[0] is not None else {}
        share = spendable_share(
            line_item, decode_levels(found), pools_of(line_item, campaign), await self._current_multipliers(), day=day,
            timezone=advertiser.timezone, now_ms=now_ms,
        )  # fmt: skip
        return Pace(share, decode_targets(targets).get(line_item.id) if isinstance(targets, bytes) else None)

    async def targets(self) -> Mapping[int, TargetState]:
        """The states of all line items with a target, by id."""
        (packed,) = await self._redis.commands([("GET", keys.PACING_TARGETS)])
        return decode_targets(packed) if isinstance(packed, bytes) else {}

    async def target(self, line_item: LineItem, currency: str) -> TargetReport:
        """Raises NotFoundError for a line item without a target, or one that no worker has looked at yet."""
        state = await self._state(line_item)

        def amount(micros: int) -> Amount:
            return Amount(format_micros(micros), currency)

        return TargetReport(
            line_item.id,
            state.stopped_ms > 0,
            datetime.datetime.fromtimestamp(state.stopped_ms / 1000, datetime.UTC) if state.stopped_ms else None,
            amount(state.drought_micros),
            amount(state.patience_micros) if state.patience_micros else None,
            state.conversions,
            state.multiplier,
        )

    async def resume(self, line_item: LineItem) -> TargetResume:
        """Let a line item go on that its target stopped. Raises ConflictError for one that is not stopped."""
        state = await self._state(line_item)
        if not state.stopped_ms:
            raise ConflictError(f"line item {line_item.id} is not stopped by its target")
        await self._redis.commands([("HSET", keys.PACING_RESUMED, line_item.id, self._clock.now_ms())])
        return TargetResume(line_item.id, True)

    async def _state(self, line_item: LineItem) -> TargetState:
        state = (await self.targets()).get(line_item.id)
        if state is None:
            hint = "set target_cpa or target_roas_percent; the worker looks at it within a minute"
            raise NotFoundError(f"line item {line_item.id} has no target that is looked at", hint=hint)
        return state

    async def _current_multipliers(self) -> Multipliers:
        read_s, known = self._multipliers
        if self._clock.monotonic() - read_s >= REREAD_S:
            known = await read_multipliers(self._redis)
            self._multipliers = (self._clock.monotonic(), known)
        return known


async def read_multipliers(redis: Commands) -> Multipliers:
    """What bids are multiplied by now; empty while no worker paces. Raises UnavailableError."""
    (packed,) = await redis.commands([("GET", keys.PACING_MULTIPLIERS)])
    block = decode_multipliers(packed) if isinstance(packed, bytes) else None
    records = () if block is None else block.records.tolist()
    return {(line_item, share): multiplier for line_item, share, multiplier in records}
