"""Pools: the purses that bids are paid from, compiled from the catalogue.

A pool is (line item, share): share 0 is the general budget, share n the n-th `BudgetShare`, kept for the members of a
segment. Bidders lease from pools, tokens name them, the ledger books on them. This module is the one place that knows
which budgets limit a pool and how a share cuts a budget.
"""

from typing import NamedTuple

from core.model import Budget, Campaign, Catalogue, LineItem, Pacing, Status
from core.money import MAX_BUDGET_MICROS

UNLIMITED = -1
"""A budget that limits nothing, as the scripts store it."""

# Where pacing starts on a line item that nobody has paced yet: starting ten times too low costs under 3% of the
# clicks, ten times too high up to 91% (spec: science, 1c).
COLD_START = 0.1

# How far above the value of an impression a line item may bid that is to spend all. Half of the replayed market cannot
# be bought at the click price of the day before, with it all of it can (docs/pacing.md).
SPEND_ALL_MULTIPLIER = 10.0


class PoolKey(NamedTuple):
    line_item_id: int
    share: int


class PoolSpec(NamedTuple):
    """What a bidder process must know of a pool. Amounts are micros of the advertiser's currency."""

    line_item_id: int
    share: int
    advertiser_id: int
    max_bid_micros: int  # of one impression at the highest bid
    cold_start: float  # pacing multiplier until the controller has spoken
    highest_multiplier: float = 1.0

    @property
    def key(self) -> PoolKey:
        return PoolKey(self.line_item_id, self.share)


class Limit(NamedTuple):
    """A budget as the scripts store it: UNLIMITED or an amount, in micros and in impressions."""

    micros: int
    impressions: int


NO_LIMIT = Limit(UNLIMITED, UNLIMITED)


def limit_of(budget: Budget) -> Limit:
    return Limit(
        UNLIMITED if budget.micros is None else min(budget.micros, MAX_BUDGET_MICROS),
        UNLIMITED if budget.impressions is None else budget.impressions,
    )


def share_percent(line_item: LineItem, share: int) -> int:
    """How much of the line item's budgets pool `share` may use: the general pool has what the shares leave."""
    if share:
        return line_item.budget_shares[share - 1].percent
    return 100 - sum(part.percent for part in line_item.budget_shares)


def share_limit(line_item: LineItem, budget: Budget, share: int) -> Limit:
    """A share's part of a budget, rounded down, so that shares never add up to more than the budget."""
    if not line_item.budget_shares:
        return NO_LIMIT
    percent = share_percent(line_item, share)
    whole = limit_of(budget)
    return Limit(
        UNLIMITED if whole.micros == UNLIMITED else whole.micros * percent // 100,
        UNLIMITED if whole.impressions == UNLIMITED else whole.impressions * percent // 100,
    )


def pools_of(line_item: LineItem, campaign: Campaign) -> list[PoolSpec]:
    """The pools of one line item, the general one first."""
    unlimited = line_item.daily_budget == line_item.total_budget == campaign.total_budget == Budget()
    paced = line_item.pacing is Pacing.EVEN and not unlimited
    start = COLD_START if paced else 1.0
    highest = SPEND_ALL_MULTIPLIER if line_item.spend_all and paced else 1.0
    max_bid = max(1, line_item.max_cpm_micros // 1000)
    return [
        PoolSpec(line_item.id, share, line_item.advertiser_id, max_bid, start, highest)
        for share in range(len(line_item.budget_shares) + 1)
    ]


def active_pools(catalogue: Catalogue) -> list[PoolSpec]:
    """Every pool that may spend now, in the catalogue's order; flights are the bid path's matter."""
    advertisers = {advertiser.id for advertiser in catalogue.advertisers if advertiser.status is Status.ACTIVE}
    campaigns = {campaign.id: campaign for campaign in catalogue.campaigns if campaign.status is Status.ACTIVE}
    pools: list[PoolSpec] = []
    for line_item in catalogue.line_items:
        campaign = campaigns.get(line_item.campaign_id)
        if campaign is None or line_item.status is not Status.ACTIVE or line_item.advertiser_id not in advertisers:
            continue
        pools += pools_of(line_item, campaign)
    return pools
