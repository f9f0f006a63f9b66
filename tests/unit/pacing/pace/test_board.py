import math

import numpy as np
import pytest

from core.model import Advertiser, Budget, Campaign, Catalogue, LineItem, Pacing
from pacing.budgets.pools import SPEND_ALL_MULTIPLIER
from pacing.pace.board import Bids, PacingBoard, Spent
from pacing.pace.plan import PacingPlan
from pacing.pace.traffic import TrafficShape

DAY_MS = 86_400_000
MIDNIGHT_MS = 20_717 * DAY_MS
NOON_MS = MIDNIGHT_MS + DAY_MS // 2
NO_BUDGET = Budget()
BUDGET = 86_400_000  # 1,000 a second of a day


def line(number: int = 7, **changes: object) -> LineItem:
    values: dict[str, object] = {
        "id": number, "advertiser_id": 1, "campaign_id": 3, "name": "l", "max_cpm_micros": 10_000,
        "daily_budget": Budget(micros=BUDGET),
    }  # fmt: skip
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


def plan(*lines: LineItem, campaign_total: Budget = NO_BUDGET) -> PacingPlan:
    return PacingPlan(
        Catalogue(
            version=1,
            published_ms=0,
            advertisers=(Advertiser(id=1, name="a", timezone="UTC"),),
            campaigns=(Campaign(id=3, advertiser_id=1, name="c", total_budget=campaign_total),),
            line_items=lines,
        )
    )


class Day:
    """A board and what its line items have spent; every tick is a second with 200 auctions for each pool."""

    def __init__(self, board: PacingBoard, now_ms: int, spent: float = 0.0) -> None:
        self.board, self.now_ms = board, now_ms
        self.pools = np.full(len(board.plan.pools), spent)
        self.total = np.zeros(len(board.plan.pools))

    def tick(self, *charges: float, reserved: float = 0.0, scored: float = 200.0, delay_s: float = 0.5) -> list[float]:
        """A second in which the pools were charged so much; their multipliers after it."""
        self.now_ms += 1_000
        self.pools = self.pools + np.array(charges)
        self.total = self.total + np.array(charges)
        plan = self.board.plan
        size = len(self.pools)
        rows = np.zeros(len(plan.rows))
        np.add.at(rows, plan.pair_row, self.pools[plan.pair_pool])
        spent = Spent(rows, np.stack([self.total, self.total / 10]))
        bids = Bids(scored, np.full(size, scored), np.stack([np.full(size, reserved), np.full(size, reserved / 10)]))
        values: list[float] = self.board.tick(self.now_ms, spent, bids, np.array([delay_s]), plan.highest).tolist()
        return values


def board(*lines: LineItem, now_ms: int = MIDNIGHT_MS, **remembered: float) -> PacingBoard:
    memory = {(1, name): log for name, log in remembered.items()}
    return PacingBoard(plan(*lines or (line(),)), TrafficShape(), now_ms, memory)


def test_a_new_line_item_starts_at_a_tenth_and_rises_while_nothing_is_spent() -> None:
    day = Day(board(), MIDNIGHT_MS)
    assert day.tick(0.0) == pytest.approx([0.1])  # the first look only notes where things stand
    values = [day.tick(0.0)[0] for _ in range(30)]
    assert values == sorted(values)
    assert values[-1] == 1.0


def test_more_than_the_plan_lowers_the_multiplier() -> None:
    day = Day(board(), MIDNIGHT_MS)
    values = [day.tick(5_000.0)[0] for _ in range(10)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05


def test_bids_in_flight_are_counted_before_they_are_billed() -> None:
    day = Day(board(), MIDNIGHT_MS)
    before = day.tick(0.0)[0]
    assert day.tick(0.0, reserved=100_000.0, delay_s=2.0)[0] < before


def test_no_budget_and_as_soon_as_possible_bid_the_full_value() -> None:
    day = Day(board(line(daily_budget=Budget()), line(8, pacing=Pacing.ASAP)), MIDNIGHT_MS)
    assert day.tick(0.0, 1e9) == day.tick(0.0, 1e9) == [1.0, 1.0]


def test_what_is_to_spend_all_bids_above_its_value_when_that_is_not_enough() -> None:
    day = Day(board(line(spend_all=True), line(8)), MIDNIGHT_MS)
    values = [day.tick(0.0, 0.0) for _ in range(40)]
    assert values[-1] == pytest.approx([SPEND_ALL_MULTIPLIER, 1.0])
    day.tick(5_000.0, 0.0)
    assert day.tick(5_000.0, 0.0)[0] < SPEND_ALL_MULTIPLIER


def test_line_items_that_share_a_campaigns_budget_keep_their_own_highest_multiplier() -> None:
    ends_ms = MIDNIGHT_MS + DAY_MS
    marked = line(spend_all=True, daily_budget=Budget(), end_ms=ends_ms)
    present = plan(marked, line(8, daily_budget=Budget(), end_ms=ends_ms), campaign_total=Budget(micros=BUDGET))
    assert present.rows.names() == ["c3"]
    day = Day(PacingBoard(present, TrafficShape(), MIDNIGHT_MS), MIDNIGHT_MS)
    values = [day.tick(0.0, 0.0) for _ in range(40)][-1]
    assert values == pytest.approx([SPEND_ALL_MULTIPLIER, 1.0])


def test_a_budget_without_an_end_has_nothing_to_be_spent_by() -> None:
    endless = line(spend_all=True, daily_budget=Budget(), total_budget=Budget(micros=BUDGET))
    assert Day(board(endless), MIDNIGHT_MS).tick(0.0) == [1.0]


def test_a_line_item_that_no_longer_spends_all_is_back_at_its_value_at_once() -> None:
    day = Day(board(line(spend_all=True)), MIDNIGHT_MS)
    for _ in range(40):
        day.tick(0.0)
    renewed = PacingBoard(plan(line()), TrafficShape(), day.now_ms)
    renewed.carry(day.board)
    assert renewed.multipliers.tolist() == [1.0]
    assert board(line(), d7=math.log(5.0)).multipliers.tolist() == [1.0]
    assert board(line(spend_all=True), d7=math.log(5.0)).multipliers.tolist() == pytest.approx([5.0])


def test_starting_late_in_the_day_spends_the_whole_budget_in_what_is_left() -> None:
    late = Day(board(now_ms=NOON_MS), NOON_MS)
    late.tick(0.0)
    # 2,000 a second is the plan of half a day, and twice that of a whole one.
    assert late.tick(2_000.0) == pytest.approx([0.1], rel=0.01)
    early = Day(board(), MIDNIGHT_MS)
    early.tick(0.0)
    assert early.tick(2_000.0)[0] < 0.095


def test_yesterdays_multiplier_starts_the_day() -> None:
    day = Day(board(now_ms=MIDNIGHT_MS - 5_000), MIDNIGHT_MS - 5_000)
    for _ in range(4):
        day.tick(10.0)
    before = day.board.multipliers[0]
    day.pools[:] = 0.0  # the new day's level
    assert day.tick(0.0) == pytest.approx([before])
    assert day.tick(0.0)[0] > before


def test_a_remembered_multiplier_is_gone_on_with() -> None:
    assert board(d7=math.log(0.37)).multipliers.tolist() == pytest.approx([0.37])
    assert board(d7=math.nan).multipliers.tolist() == pytest.approx([0.1])
    assert board(d7=99.0).multipliers.tolist() == [1.0]
    assert board(d8=math.log(0.37)).multipliers.tolist() == pytest.approx([0.1])


def test_what_is_remembered_is_what_was_paced() -> None:
    day = Day(board(), MIDNIGHT_MS)
    for _ in range(5):
        day.tick(100.0)
    again = PacingBoard(day.board.plan, TrafficShape(), day.now_ms, day.board.memory())
    assert again.multipliers.tolist() == pytest.approx(day.board.multipliers.tolist())


def test_a_new_catalogue_keeps_the_windows_of_what_stays() -> None:
    day = Day(board(line(7), line(8)), MIDNIGHT_MS)
    for _ in range(8):
        day.tick(10.0, 5_000.0)
    before = day.board.multipliers.tolist()
    renewed = PacingBoard(plan(line(9), line(8), line(7)), TrafficShape(), day.now_ms)
    renewed.carry(day.board)
    assert renewed.multipliers.tolist() == pytest.approx([0.1, before[1], before[0]])
    later = Day(renewed, day.now_ms)
    later.pools = np.array([0.0, day.pools[1], day.pools[0]])
    later.total = later.pools.copy()
    after = later.tick(0.0, 5_000.0, 10.0)
    assert after[1] < before[1]
    assert after[2] > before[0]


def test_a_doubled_budget_raises_the_plan_in_the_same_window() -> None:
    day = Day(board(), MIDNIGHT_MS)
    day.tick(0.0)
    assert day.tick(1_000.0) == pytest.approx([0.1], rel=0.01)
    richer = PacingBoard(plan(line(daily_budget=Budget(micros=2 * BUDGET))), TrafficShape(), day.now_ms)
    richer.carry(day.board)
    later = Day(richer, day.now_ms)
    later.pools, later.total = day.pools, day.total
    assert later.tick(1_000.0) == pytest.approx([0.1 * math.exp(0.1)], rel=0.01)


def test_impressions_are_paced_like_money() -> None:
    goal = line(daily_budget=Budget(impressions=8_640_000))  # 100 a second; a tick's charge of 10 is one impression
    paced = PacingBoard(plan(goal), TrafficShape(), MIDNIGHT_MS)

    def tick(second: int, impressions: float) -> float:
        pools = np.array([[10 * impressions], [impressions]])
        bids = Bids(200.0, np.array([200.0]), np.zeros((2, 1)))
        now_ms = MIDNIGHT_MS + 1_000 * second
        return float(paced.tick(now_ms, Spent(np.array([impressions]), pools), bids, np.array([0.5]), np.ones(1))[0])

    tick(1, 0)
    assert tick(2, 100) == pytest.approx(0.1, rel=0.01)
    assert tick(3, 200) == pytest.approx(0.1, rel=0.01)
    assert tick(4, 500) < 0.1


def test_the_spend_is_compared_with_the_plan_until_now() -> None:
    day = Day(board(), MIDNIGHT_MS)
    for _ in range(10):
        day.tick(500.0)
    assert day.board.ratio.tolist() == pytest.approx([0.5], rel=0.01)
    assert day.board.tightest_row().tolist() == [0]


# Windows are half a minute with bills a minute late, so leaving the cold start takes a tenth of these twenty minutes.
@pytest.mark.parametrize(("delay_s", "most"), [(1, 0.03), (60, 0.06)])
def test_late_bills_do_not_make_the_spending_swing(delay_s: int, most: float) -> None:
    seconds, auctions = 1_200, 200
    random = np.random.default_rng(1)
    start_ms = MIDNIGHT_MS + DAY_MS - 1_000 * seconds
    budget = 20_000_000  # a tenth of what multiplier 1 would spend
    day = Day(board(line(daily_budget=Budget(micros=budget), max_cpm_micros=10_000_000), now_ms=start_ms), start_ms)
    bought = np.zeros(seconds + delay_s)
    values: list[float] = []
    for second in range(seconds):
        bids = np.minimum(random.lognormal(math.log(2_000), 1.0, auctions), 10_000) * day.board.multipliers[0]
        prices = random.lognormal(math.log(2_000), 0.7, auctions)
        bought[second + delay_s] = prices[bids >= prices].sum()
        values += day.tick(bought[second], reserved=float(bids.sum()), scored=auctions, delay_s=float(delay_s))
    distance = np.cumsum(bought[delay_s:]) / budget - np.arange(1, seconds + 1) / seconds
    assert np.sqrt((distance**2).mean()) <= most
    assert np.std(np.log(values[seconds // 2 :])) < 0.15
