"""Nobody can tell what was led through changes from what was worked out as a whole: plans, boards, budgets, windows."""

import random
from collections import defaultdict

import numpy as np
import pytest

from core.model import Advertiser, BudgetShare, Campaign, Catalogue, LineItem
from pacing.bank.bank import BudgetBook, Parts, difference, joined
from pacing.budgets.pools import PoolKey, active_pools
from pacing.budgets.transitions import PoolLimits
from pacing.caps import MAX_WINDOW_S, WindowBook
from pacing.pace.board import Bids, PacingBoard, Spent
from pacing.pace.observation import LevelReader
from pacing.pace.plan import PacingPlan, PlanBook
from pacing.pace.traffic import TrafficShape
from tests.kit.paced_catalogues import NOW_MS, later_catalogue, paced_catalogue

SEEDS = range(40)
CHANGES = 6


def rows_of(plan: PacingPlan) -> list[tuple[object, ...]]:
    """All that a plan says of its rows, the pools by their keys."""
    pools: defaultdict[int, set[PoolKey]] = defaultdict(set)
    for row, pool in zip(plan.pair_row.tolist(), plan.pair_pool.tolist(), strict=True):
        pools[row].add(plan.pools.key(pool))
    period = plan.period(NOW_MS)
    members = (
        plan.row_names(), plan.level_names(period.day), plan.budget, plan.unit, plan.row_highest, plan.row_advertiser,
        period.starts_ms, period.ends_ms, [plan.rows.hours[at] for at in plan.rows.data["hours"]],
        [pools[at] for at in range(len(plan.rows))],
    )  # fmt: skip
    return list(zip(*members, strict=True))


def pools_of(plan: PacingPlan) -> tuple[object, ...]:
    """All that a plan says of its pools."""
    arrays = (plan.highest, plan.max_bid, plan.pool_advertiser, plan.rows_of_pool)
    return list(plan.pools), plan.bound_pools, *(array.tolist() for array in arrays)


def tick(board: PacingBoard, now_ms: int, second: int) -> list[list[float]]:
    """A second in which each pool spends by its number; what is published, and what is known of the rows."""
    plan = board.plan
    spent = second * (plan.pools.numbers % 977).astype(np.float64)
    rows = np.zeros(len(plan.rows))
    np.add.at(rows, plan.pair_row, spent[plan.pair_pool])
    bids = Bids(60.0, np.full(len(spent), 150.0), np.stack([spent, np.ones(len(spent))]))
    delays = np.full(len(plan.advertisers), 2.0)
    values = board.tick(now_ms, Spent(rows, np.stack([spent, spent / 10])), bids, delays, plan.highest)
    return [values.tolist(), board.ratio.tolist(), board.state.error.tolist(), board.tightest_row().tolist()]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_led_through_changes_is_the_plan_of_the_whole(seed: int) -> None:
    chance, book = random.Random(seed), PlanBook()
    present = paced_catalogue(chance, ordered=seed % 4 > 0)
    for _ in range(CHANGES):
        led, whole = PacingPlan(present, book), PacingPlan(present)
        assert rows_of(led) == rows_of(whole)
        assert pools_of(led) == pools_of(whole)
        assert list(led.pools) == active_pools(present)
        days = whole.period(NOW_MS).day
        assert LevelReader(led).commands(days) == LevelReader(whole).commands(days)
        present = later_catalogue(chance, present)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_board_led_through_changes_gives_the_multipliers_of_whole_plans(seed: int) -> None:
    chance, book, now_ms = random.Random(seed), PlanBook(), NOW_MS
    present = paced_catalogue(chance)
    led, whole = (PacingBoard(PacingPlan(present, each), TrafficShape(), now_ms) for each in (book, None))
    for second in range(3 * CHANGES):
        now_ms += 1_000
        assert tick(led, now_ms, second) == tick(whole, now_ms, second)
        if second % 3 == 2:
            present = later_catalogue(chance, present)
            led, whole = renewed(led, PacingPlan(present, book), now_ms), renewed(whole, PacingPlan(present), now_ms)
            assert led.memory() == whole.memory()


def renewed(board: PacingBoard, plan: PacingPlan, now_ms: int) -> PacingBoard:
    """A board of the plan that goes on from another."""
    later = PacingBoard(plan, board.traffic, now_ms)
    later.carry(board)
    return later


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_keep_their_state_by_name_and_their_window_while_their_pools_stay(seed: int) -> None:
    chance = random.Random(seed)
    present = paced_catalogue(chance)
    before = PacingBoard(PacingPlan(present), TrafficShape(), NOW_MS)
    for second in range(1, 4):
        tick(before, NOW_MS + 1_000 * second, second)
    after = renewed(before, PacingPlan(later_catalogue(chance, present)), NOW_MS + 3_000)
    pools = [{row[0]: row[-1] for row in rows_of(board.plan)} for board in (before, after)]
    known = {name: at for at, name in enumerate(before.plan.row_names())}
    today = before.plan.period(NOW_MS + 4_000).day
    for at, name in enumerate(after.plan.row_names()):
        old = known.get(name)
        assert after.state.scored[at] == (0.0 if old is None else before.state.scored[old])
        assert after.state.since_ms[at] == (NOW_MS + 3_000 if old is None else before.state.since_ms[old])
        goes_on = old is not None and pools[0][name] == pools[1][name]
        # A window that goes on is one of the same day; another begins with the next tick.
        assert after._days[at] == (today[old] if goes_on and old is not None else -1)


@pytest.mark.parametrize("seed", SEEDS)
def test_budgets_that_were_told_of_each_change_are_those_of_the_whole(seed: int) -> None:
    chance, book = random.Random(seed), BudgetBook()
    present = paced_catalogue(chance, ordered=seed % 4 > 0)
    told = {number: _Told() for number in range(1, 4)}
    for _ in range(CHANGES):
        parts, whole = book.update(present), BudgetBook().update(present)
        for number, each in told.items():
            each.hear(parts[number])
            budgets = joined(whole[number])
            assert joined(parts[number]) == budgets
            assert each.pools == {pool.key: pool for pool in budgets.pools}
            assert {name: each.levels[name] for name, _ in budgets.levels} == dict(budgets.levels)
        present = later_catalogue(chance, present)


class _Told:
    """What Redis would have after each difference."""

    def __init__(self) -> None:
        self.parts: Parts = ()
        self.levels: dict[str, object] = {}
        self.pools: dict[PoolKey, PoolLimits] = {}

    def hear(self, parts: Parts) -> None:
        change = difference(self.parts, parts)
        self.levels.update(change.levels)
        self.pools.update({pool.key: pool for pool in change.pools})
        for key in change.removed:
            del self.pools[key]
        self.parts = parts


def longest_of(catalogue: Catalogue) -> int:
    """Seconds that any cap or gap of the catalogue looks back, cap by cap."""
    shares = [share for line in catalogue.line_items for share in line.budget_shares]
    capped: tuple[LineItem | Campaign | Advertiser | BudgetShare, ...]
    capped = (*catalogue.line_items, *catalogue.campaigns, *catalogue.advertisers, *shares)
    gaps = [line.min_gap_s for line in catalogue.line_items]
    return min(MAX_WINDOW_S, max([*gaps, *(cap.window_s for each in capped for cap in each.caps)], default=0))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_longest_window_is_that_of_the_whole(seed: int) -> None:
    chance, book = random.Random(seed), WindowBook()
    present = paced_catalogue(chance)
    for _ in range(CHANGES):
        assert book.update(present) == longest_of(present)
        present = later_catalogue(chance, present)
