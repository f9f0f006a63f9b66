"""The money protocol in plain Python: what the Lua scripts must do, written down a second time by other means.

No counters are moved here step by step. The model keeps *facts* (leases, bids, bills, corrections) and derives every
level from them, so it cannot make the mistake that the scripts could make: forgetting one of several counters.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pacing.budgets.levels import Amounts, Level, level_names
from pacing.budgets.pools import NO_LIMIT, UNLIMITED, Limit, PoolKey
from pacing.budgets.timing import LEASE_DAY_SHIFT, Timing

POOL_CAMPAIGN = 3


@dataclass
class ModelLease:
    key: PoolKey
    day: int
    process: str
    granted: list[int]  # micros, impressions
    held: list[int]
    closes_ms: int = 0


@dataclass
class ModelBid:
    lease: int
    key: PoolKey
    day: int
    micros: int
    state: str = "new"  # new, won, billed, lost
    won_charge: int | None = None
    hold: str = ""


@dataclass
class Spend:
    key: PoolKey
    day: int
    micros: int
    impressions: int


@dataclass
class MoneyModel:
    """One advertiser."""

    day: int
    timing: Timing
    budgets: dict[str, Limit] = field(default_factory=dict)
    pools: dict[PoolKey, tuple[Limit, Limit]] = field(default_factory=dict)
    leases: dict[str, ModelLease] = field(default_factory=dict)
    spends: list[Spend] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)  # levels that exist
    over: dict[str, list[int]] = field(default_factory=dict)
    beats: dict[str, int] = field(default_factory=dict)
    recall: int = 0
    counter: int = 0

    def names(self, key: PoolKey, day: int) -> tuple[str, ...]:
        return level_names(key.line_item_id, key.share, POOL_CAMPAIGN, day)

    def level(self, name: str) -> Level:
        """The level's counters, worked out from all facts."""
        units = []
        for unit in (0, 1):
            budget = self.budgets.get(name, NO_LIMIT)[unit]
            spent = sum(
                (spend.micros, spend.impressions)[unit]
                for spend in self.spends
                if name in self.names(spend.key, spend.day)
            )
            exposure = sum(
                lease.held[unit] for lease in self.leases.values() if name in self.names(lease.key, lease.day)
            )
            free = 0 if budget == UNLIMITED else budget - spent - exposure
            units.append(Amounts(budget, spent, exposure, free, self.over.get(name, [0, 0])[unit]))
        return Level(*units)

    def levels(self) -> dict[str, Level]:
        return {name: self.level(name) for name in self.seen}

    def sync(self, budgets: dict[str, Limit], pools: dict[PoolKey, tuple[Limit, Limit]]) -> None:
        """In three parts, each of which may call the bidders: pools that end, limits, limits of the day."""
        self.recall += bool(self.pools.keys() - pools.keys())
        self.pools = dict(pools)
        self.budgets.update(budgets)
        self.seen.update(budgets)
        self.recall += self._overdrawn(budgets)
        of_the_day: dict[str, Limit] = {}
        for key, daily in pools.items():
            names = self.names(key, self.day)
            of_the_day |= dict(zip((names[3], names[5]), daily, strict=True))
        known = {name: limit for name, limit in of_the_day.items() if name in self.seen}
        self.budgets.update(known)
        self.recall += self._overdrawn(known)

    def _overdrawn(self, names: Iterable[str]) -> bool:
        """Whether leases on one of these levels exceed what its limit allows."""
        levels = [self.level(name) for name in names]
        return any(min(each[0].free, each[1].free) < 0 < max(each[0].exposure, each[1].exposure) for each in levels)

    def _open_day(self, key: PoolKey, day: int) -> None:
        names = self.names(key, day)
        for name, limit in zip((names[3], names[5]), self.pools.get(key, (NO_LIMIT, NO_LIMIT)), strict=True):
            if name not in self.seen:
                self.budgets[name] = limit
        self.seen.update(names)

    def grant(
        self, process: str, key: PoolKey, extend: int, want: tuple[int, int], now_ms: int
    ) -> tuple[int, int, int]:
        self.beats[process] = now_ms
        if key not in self.pools:
            return (0, 0, 0)
        new_day = [name for name in self.names(key, self.day) if name not in self.seen]
        self._open_day(key, self.day)
        levels = [self.level(name) for name in self.names(key, self.day)]
        amounts = [
            min([want[unit], *(level[unit].free for level in levels if level[unit].budget != UNLIMITED)])
            for unit in (0, 1)
        ]
        if min(amounts) <= 0:
            self.seen.difference_update(new_day)  # a refusal writes nothing
            return (0, 0, 0)
        held = self.leases.get(str(extend))
        if held is None or held.closes_ms or (held.process, held.key) != (process, key):
            self.counter += 1
            extend = (self.day << LEASE_DAY_SHIFT) + self.counter
            held = self.leases[str(extend)] = ModelLease(key, self.day, process, [0, 0], [0, 0])
        for unit in (0, 1):
            held.granted[unit] += amounts[unit]
            held.held[unit] += amounts[unit]
        return (extend, amounts[0], amounts[1])

    def seal(self, lease_id: int, reserved: tuple[int, int], now_ms: int) -> None:
        lease = self.leases.get(str(lease_id))
        if lease is None:
            return
        back = [lease.granted[unit] - reserved[unit] for unit in (0, 1)]
        if all(0 <= back[unit] <= lease.held[unit] for unit in (0, 1)):
            for unit in (0, 1):
                lease.granted[unit] -= back[unit]
                lease.held[unit] -= back[unit]
        if lease.held == [0, 0]:
            del self.leases[str(lease_id)]
        elif not lease.closes_ms:
            lease.closes_ms = now_ms + self.timing.reservation_ms

    def _holding(self, lease_id: str, bid: ModelBid) -> ModelLease | None:
        lease = self.leases.get(lease_id)
        if lease is None or lease.key != bid.key or lease.held[0] < bid.micros or lease.held[1] < 1:
            return None
        return lease

    def _take(self, lease_id: str, bid: ModelBid) -> bool:
        """Take the reservation out of its lease; False where it was no longer there."""
        lease = self._holding(lease_id, bid)
        if lease is None:
            return False
        lease.held[0] -= bid.micros
        lease.held[1] -= 1
        if lease.held == [0, 0] and lease.closes_ms:
            del self.leases[lease_id]
        return True

    def win(self, bid: ModelBid, charge: int | None, now_ms: int) -> str:
        if bid.state == "won":
            return "duplicate_win"
        if bid.state == "billed":
            return "win_after_bill"
        outcome = "win_after_loss" if bid.state == "lost" else "late_win"
        bid.won_charge, bid.hold = charge, ""
        if bid.state == "new" and self._take(str(bid.lease), bid):
            closes = -(-(now_ms + self.timing.win_hold_ms) // 60_000) * 60_000
            bid.hold = f"w{bid.day}.{bid.key.line_item_id}.{bid.key.share}.{closes}"
            hold = self.leases.setdefault(bid.hold, ModelLease(bid.key, bid.day, "", [0, 0], [0, 0], closes))
            for unit, amount in enumerate((bid.micros, 1)):
                hold.granted[unit] += amount
                hold.held[unit] += amount
            outcome = "won"
        bid.state = "won"
        return outcome

    def loss(self, bid: ModelBid) -> str:
        if bid.state == "lost":
            return "duplicate_loss"
        if bid.state == "billed":
            return "loss_after_bill"
        was_won = bid.state == "won"
        released = self._take(bid.hold if was_won else str(bid.lease), bid)
        bid.state = "lost"
        if was_won:
            return "loss_after_win"
        return "lost" if released else "late_loss"

    def bill(self, bid: ModelBid, charge: int | None, house: int) -> tuple[str, int]:
        if bid.state == "billed":
            return ("duplicate_bill", 0)
        if charge is None:
            charge = house if bid.won_charge is None else bid.won_charge
        source = {"new": str(bid.lease), "won": bid.hold, "lost": ""}[bid.state]
        in_time = self._take(source, bid)
        bid.state = "billed"
        self._open_day(bid.key, bid.day)
        self.spends.append(Spend(bid.key, bid.day, charge, 1))
        if in_time:
            return ("billed", charge)
        uncovered = False
        for name in self.names(bid.key, bid.day):
            for unit, amount in enumerate((charge, 1)):
                free = self.level(name)[unit].free
                if free < 0:
                    over = min(amount, -free)
                    self.over.setdefault(name, [0, 0])[unit] += over
                    uncovered = uncovered or (over if unit == 0 else charge) > 0
        self.recall += uncovered
        return ("over_budget" if uncovered else "late_bill", charge)

    def close(self, now_ms: int) -> int:
        due = [name for name, lease in self.leases.items() if 0 < lease.closes_ms <= now_ms]
        for name in due:
            del self.leases[name]
        return len(due)

    def take_over(self, now_ms: int, *, everyone: bool) -> None:
        dead = {
            process: now_ms if everyone else beat
            for process, beat in self.beats.items()
            if everyone or beat + self.timing.dead_after_ms <= now_ms
        }
        for lease in self.leases.values():
            if not lease.closes_ms and (everyone or lease.process in dead):
                lease.closes_ms = dead.get(lease.process, now_ms) + self.timing.quarantine_ms
        for process in dead:
            del self.beats[process]

    def correct(self, key: PoolKey, micros: int, impressions: int) -> None:
        self._open_day(key, self.day)
        self.spends.append(Spend(key, self.day, micros, impressions))
