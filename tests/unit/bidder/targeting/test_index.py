import pickle
from typing import Any

import msgspec
import pytest

from bidder.targeting.index import NEVER_MS, compile_index
from core.errors import CatalogueError
from core.model import BudgetShare, Deal, Goal, Segment, Status, Targeting
from pacing.budgets.pools import PoolKey
from tests.kit.bidding import Shopper, TestBidder
from tests.kit.catalogues import EXCHANGE, catalogue, creative, line_item
from tests.kit.openrtb import raw_request

SHARES = (BudgetShare(10, 20, bid_factor_percent=150), BudgetShare(11, 20))


def test_positions_are_line_items_and_their_shares_in_order() -> None:
    index = compile_index(catalogue(line_item(1), line_item(2, budget_shares=SHARES), line_item(3)))
    assert index.count == 5
    assert index.lines.line_item.tolist() == [1, 2, 2, 2, 3]
    assert index.lines.share.tolist() == [0, 0, 1, 2, 0]
    assert index.lines.bid_factor.tolist() == [1.0, 1.0, 1.5, 1.0, 1.0]
    assert index.by_line_item[2] == (1, 2, 3)
    assert [pool.key for pool in index.pools][1:4] == [PoolKey(2, 0), PoolKey(2, 1), PoolKey(2, 2)]
    assert index.positions_of(PoolKey(2, 2)) == (3,)
    assert index.positions_of(PoolKey(2, 3)) == index.positions_of(PoolKey(9, 0)) == ()


def test_archived_line_items_are_left_out_and_paused_ones_kept() -> None:
    index = compile_index(
        catalogue(line_item(1, status=Status.ARCHIVED), line_item(2, status=Status.PAUSED), line_item(3))
    )
    assert index.lines.line_item.tolist() == [2, 3]
    assert index.lines.active.tolist() == [False, True]


def test_the_narrower_flight_of_line_item_and_campaign_holds() -> None:
    configured = catalogue(line_item(1, start_ms=5, end_ms=50), line_item(2))
    campaigns = (msgspec.structs.replace(configured.campaigns[0], start_ms=7, end_ms=70), configured.campaigns[1])
    lines = compile_index(msgspec.structs.replace(configured, campaigns=campaigns)).lines
    assert (lines.start_ms.tolist(), lines.end_ms.tolist()) == ([7, 7], [50, 70])
    assert compile_index(configured).lines.end_ms.tolist() == [50, NEVER_MS]


def test_each_goal_has_its_value_in_its_own_column() -> None:
    lines = compile_index(
        catalogue(*(line_item(n, goal=goal, bid_micros=5_000_000) for n, goal in enumerate(Goal, 1)))
    ).lines
    assert lines.impression_value.tolist() == [5_000.0, 0, 0]
    assert lines.click_value.tolist() == [0, 5_000_000.0, 0]
    assert lines.conversion_value.tolist() == [0, 0, 5_000_000.0]


@pytest.mark.parametrize("changes", [{"campaign_id": 99}, {"advertiser_id": 99}])
def test_a_line_item_without_owner_is_refused_by_name(changes: dict[str, Any]) -> None:
    broken = msgspec.structs.replace(line_item(41), **changes)
    with pytest.raises(CatalogueError, match="line item 41"):
        compile_index(catalogue(broken))


def test_paused_exchanges_are_unknown() -> None:
    paused = msgspec.structs.replace(EXCHANGE, status=Status.PAUSED)
    assert compile_index(catalogue(exchanges=(paused,))).exchanges == {}


REQUEST = raw_request(regs={"gdpr": 0})


@pytest.mark.parametrize(
    "creatives",
    [
        (creative(1, 1, status=Status.PAUSED),),
        (creative(1, 2),),
        (creative(1, 1, (728, 90)),),
        (),
    ],
)
def test_a_line_item_without_a_creative_that_fits_does_not_bid(creatives: tuple[Any, ...]) -> None:
    assert TestBidder(catalogue(line_item(1), creatives=creatives)).answer(REQUEST) is None


def test_the_domain_of_the_shop_stands_in_for_a_creative_s() -> None:
    bidder = TestBidder(catalogue(line_item(1), creatives=(creative(1, 1, advertiser_domain=""),)))
    assert bidder.matched({**REQUEST, "badv": ["shop1.example"]}) == [set()]
    assert bidder.matched({**REQUEST, "badv": ["shop2.example"]}) == [{(1, 0)}]


def test_a_segment_of_nobody_or_of_another_shop_is_never_matched() -> None:
    segments = (Segment(id=20, advertiser_id=2, name="s", rule="visits >= 1"),)
    targetings = (
        Targeting(segments_any=(20,)), Targeting(segments_all=(20,)), Targeting(segments_any=(99,)),
        Targeting(segments_none=(20,)),
    )  # fmt: skip
    lines = [line_item(n, targeting=targeting) for n, targeting in enumerate(targetings, 1)]
    shares = (BudgetShare(20, 50),)
    bidder = TestBidder(catalogue(*lines, line_item(5, budget_shares=shares), segments=segments))
    assert bidder.matched(REQUEST, Shopper((20, 99))) == [{(4, 0), (5, 0)}]


@pytest.mark.parametrize(
    ("deal", "may_bid"),
    [
        (Deal(id=1, exchange_id=1, deal_id="gold"), True),
        (Deal(id=1, exchange_id=1, deal_id="gold", advertiser_id=1), True),
        (Deal(id=1, exchange_id=1, deal_id="gold", advertiser_id=2), False),
        (Deal(id=1, exchange_id=2, deal_id="gold"), False),
        (Deal(id=1, exchange_id=1, deal_id="gold", status=Status.PAUSED), False),
        (Deal(id=1, exchange_id=1, deal_id="Gold"), False),
        (None, False),
    ],
)
def test_a_deal_is_used_by_whom_it_is_for_and_a_lost_one_keeps_its_line_item_closed(
    deal: Deal | None, may_bid: bool
) -> None:
    bidder = TestBidder(catalogue(line_item(1, targeting=Targeting(deals=(1,))), deals=(deal,) if deal else ()))
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, "pmp": {"deals": [{"id": "gold"}]}}
    assert bidder.matched(raw_request(imp=[imp], regs={"gdpr": 0})) == [{(1, 0)} if may_bid else set()]
    assert bidder.matched(REQUEST) == [set()]


def test_an_index_travels_between_processes() -> None:
    index = compile_index(catalogue(line_item(1, targeting=Targeting(countries=("POL",))), line_item(2)))
    again = pickle.loads(pickle.dumps(index))  # noqa: S301 - what was just made here
    assert again.lines.line_item.tolist() == index.lines.line_item.tolist()
    assert again.dimensions["country"].get(("POL",)).bits == index.dimensions["country"].get(("POL",)).bits == 0b11
