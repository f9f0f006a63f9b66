import pickle

import numpy as np

from core.model import Advertiser, Budget, BudgetShare, Campaign, Catalogue, LineItem, Pacing, Status
from core.money import MAX_BUDGET_MICROS
from pacing.budgets.pools import (
    COLD_START,
    NO_LIMIT,
    SPEND_ALL_MULTIPLIER,
    Limit,
    PoolKey,
    PoolSpec,
    PoolTable,
    active_pools,
    limit_of,
    pools_of,
    share_limit,
)

CAMPAIGN = Campaign(id=3, advertiser_id=1, name="c")
SHARES = (BudgetShare(segment_id=1, percent=20), BudgetShare(segment_id=2, percent=13))


def line(**changes: object) -> LineItem:
    values: dict[str, object] = {
        "id": 7,
        "advertiser_id": 1,
        "campaign_id": 3,
        "name": "l",
        "max_cpm_micros": 5_000_000,
    }
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


def catalogue(item: LineItem, campaign: Campaign = CAMPAIGN, status: Status = Status.ACTIVE) -> Catalogue:
    advertiser = Advertiser(id=1, name="a", status=status)
    return Catalogue(version=1, published_ms=0, advertisers=(advertiser,), campaigns=(campaign,), line_items=(item,))


def test_a_budget_of_none_limits_nothing() -> None:
    assert limit_of(Budget()) == NO_LIMIT
    assert limit_of(Budget(micros=0, impressions=5)) == Limit(0, 5)


def test_no_limit_is_larger_than_the_scripts_count_exactly() -> None:
    assert limit_of(Budget(micros=MAX_BUDGET_MICROS + 1)).micros == MAX_BUDGET_MICROS < 2**53


def test_shares_cut_a_budget_and_never_add_up_to_more() -> None:
    item, budget = line(budget_shares=SHARES), Budget(micros=999, impressions=10)
    limits = [share_limit(item, budget, share) for share in range(3)]
    assert limits == [Limit(669, 6), Limit(199, 2), Limit(129, 1)]
    assert sum(limit.micros for limit in limits) <= 999


def test_a_line_item_without_shares_has_no_limit_of_its_share() -> None:
    assert share_limit(line(), Budget(micros=999), 0) == NO_LIMIT


def test_a_line_item_has_a_pool_for_each_share_and_a_general_one() -> None:
    pools = pools_of(line(budget_shares=SHARES), CAMPAIGN)
    assert [(pool.line_item_id, pool.share, pool.max_bid_micros) for pool in pools] == [
        (7, 0, 5_000), (7, 1, 5_000), (7, 2, 5_000)
    ]  # fmt: skip


def test_only_what_has_a_budget_to_spread_starts_low() -> None:
    assert pools_of(line(), CAMPAIGN)[0].cold_start == 1.0
    assert pools_of(line(daily_budget=Budget(micros=5)), CAMPAIGN)[0].cold_start == COLD_START
    assert pools_of(line(daily_budget=Budget(micros=5), pacing=Pacing.ASAP), CAMPAIGN)[0].cold_start == 1.0


def test_only_what_has_a_budget_to_spread_may_bid_above_its_value() -> None:
    budget = Budget(micros=5)
    assert pools_of(line(daily_budget=budget), CAMPAIGN)[0].highest_multiplier == 1.0
    assert pools_of(line(daily_budget=budget, spend_all=True), CAMPAIGN)[0].highest_multiplier == SPEND_ALL_MULTIPLIER
    assert pools_of(line(spend_all=True), CAMPAIGN)[0].highest_multiplier == 1.0
    asap = line(daily_budget=budget, spend_all=True, pacing=Pacing.ASAP)
    assert pools_of(asap, CAMPAIGN)[0].highest_multiplier == 1.0


def test_a_pool_may_spend_only_while_everything_above_it_is_active() -> None:
    paused = Campaign(id=3, advertiser_id=1, name="c", status=Status.PAUSED)
    assert len(active_pools(catalogue(line()))) == 1
    assert active_pools(catalogue(line(status=Status.PAUSED))) == []
    assert active_pools(catalogue(line(), campaign=paused)) == []
    assert active_pools(catalogue(line(), status=Status.PAUSED)) == []


def pool(line_item: int, share: int = 0, advertiser: int = 1) -> PoolSpec:
    return PoolSpec(line_item, share, advertiser, 5_000, COLD_START, SPEND_ALL_MULTIPLIER)


def test_a_table_gives_back_the_pools_that_it_was_made_of() -> None:
    pools = [pool(8), pool(7), pool(7, 1, advertiser=2)]
    table = PoolTable.of(pools)
    assert (len(table), list(table), table[2], table.key(2)) == (3, pools, pools[2], PoolKey(7, 1))
    assert list(pickle.loads(pickle.dumps(table))) == pools  # noqa: S301 - our own
    assert [table.position(each) for each in (PoolKey(7, 1), PoolKey(8, 0), PoolKey(8, 1), PoolKey(9, 0))] == [
        2, 0, None, None
    ]  # fmt: skip
    assert (list(PoolTable.of([])), PoolTable.of([]).position(PoolKey(7, 0))) == ([], None)


def test_a_table_above_another_takes_the_pools_that_went_there() -> None:
    below, above = PoolTable.of([pool(7), pool(8), pool(9)]), PoolTable.of([pool(8, 1), pool(8)])
    table = above.above(below, np.array([1]))
    assert [table.key(position) for position in range(5)] == [(7, 0), (0, 0), (9, 0), (8, 1), (8, 0)]
    assert table.position(PoolKey(8, 0)) == 4
    assert list(below) == [pool(7), pool(8), pool(9)]
