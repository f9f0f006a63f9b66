"""What each dimension reads of a request. That their combination is right is tests/property/test_matching.py."""

from typing import Any

import pytest

from bidder.decision.choose import choose
from bidder.decision.pipeline import evaluate, prepare, screen
from bidder.targeting.dimensions import SLICE
from core.model import BudgetShare, FrequencyCap, Segment, Targeting
from core.reasons import NoBid
from tests.kit.bidding import NOW_MS, Shopper, TestBidder, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

IMP = {"id": "1", "banner": {"w": 300, "h": 250}}


def matches(targeting: Targeting, **members: object) -> bool:
    """Whether a line item with this targeting may bid on a request."""
    bidder = TestBidder(catalogue(line_item(1, targeting=targeting)))
    return bidder.matched(raw_request(regs={"gdpr": 0}, **members)) == [{(1, 0)}]


@pytest.mark.parametrize(
    ("targeting", "members"),
    [
        (Targeting(environments=("app",)), {"app": {"bundle": "x"}}),
        (Targeting(environments=("dooh",)), {"dooh": {"id": "x"}}),
        (Targeting(domains_allow=("news.example",)), {"site": {"page": "https://m.news.example/a"}}),
        (Targeting(domains_allow=("news.example",)), {"site": {"publisher": {"domain": "news.example"}}}),
        (Targeting(apps_allow=("com.Game",)), {"app": {"bundle": "com.game"}}),
        (Targeting(apps_allow=("123",)), {"app": {"id": "123"}}),
        (
            Targeting(operating_systems=("android",)),
            {"device": {"sua": {"platform": {"brand": "Android"}}, "os": "iOS"}},
        ),
        (Targeting(operating_systems=("ios",)), {"device": {"os": "iPadOS"}}),
        (Targeting(languages=("pl",)), {"device": {"langb": "pl-Latn-PL"}}),
        (Targeting(page_keywords=("buty zimowe",)), {"site": {"kwarray": ["Buty zimowe", "narty"]}}),
        (Targeting(page_keywords=("buty",)), {"app": {"content": {"title": "Wszystkie buty"}}}),
        (Targeting(page_paths=("/%C5%9Blubne/*",)), {"site": {"page": "https://x.example/%C5%9Blubne/a"}}),
        (Targeting(categories=("IAB18",)), {"site": {"sectioncat": ["IAB18-2"]}}),
        (Targeting(categories=("IAB18",)), {"app": {"content": {"cat": ["IAB18"]}}}),
    ],
)
def test_where_a_request_says_what_is_targeted(targeting: Targeting, members: dict[str, Any]) -> None:
    assert matches(targeting, **members)
    assert not matches(targeting)


@pytest.mark.parametrize(
    ("targeting", "members"),
    [
        (Targeting(page_keywords=("zimowe narty",)), {"site": {"keywords": "buty zimowe,narty"}}),
        (Targeting(page_keywords=("b buty",)), {"site": {"page": "https://x.example/b", "keywords": "buty"}}),
        (Targeting(page_keywords=("but",)), {"site": {"keywords": "buty"}}),
        (Targeting(domains_allow=("news.example",)), {"site": {"domain": "fakenews.example"}}),
        (Targeting(categories=("IAB18-3",)), {"site": {"cat": ["IAB18"]}}),
        (Targeting(categories=("IAB1",)), {"site": {"cat": ["IAB18"]}}),
    ],
)
def test_what_only_looks_alike_does_not_match(targeting: Targeting, members: dict[str, Any]) -> None:
    assert not matches(targeting, **members)


def test_shares_are_for_members_of_their_segment_and_capped_on_their_own() -> None:
    shares = (BudgetShare(10, 50, caps=(FrequencyCap(1, 600),)),)
    bidder = TestBidder(
        catalogue(
            line_item(1, budget_shares=shares, caps=(FrequencyCap(2, 600),)),
            segments=(Segment(id=10, advertiser_id=1, name="s", rule="visits >= 1"),),
        )
    )
    request, now_s = raw_request(regs={"gdpr": 0}), NOW_MS // 1000
    assert bidder.matched(request) == [{(1, 0)}]
    assert bidder.matched(request, Shopper((10,))) == [{(1, 0), (1, 1)}]
    assert bidder.matched(request, Shopper((10,), shown=((1, now_s - 5),))) == [{(1, 0)}]
    assert bidder.matched(request, Shopper((10,), shown=((1, now_s - 5), (1, now_s - 6)))) == [set()]
    assert bidder.matched(request, Shopper((10,), shown=((1, now_s - 600),))) == [{(1, 0), (1, 1)}]


def test_a_request_that_nobody_wants_is_found_out_without_its_user() -> None:
    bidder = TestBidder(catalogue(line_item(1, targeting=Targeting(positions=(1,)))))
    auction = bidder.screened(raw_request(regs={"gdpr": 0}))
    assert auction.no_bid is NoBid.NOT_TARGETED


def test_a_rehearsal_weighs_nothing_in_the_counts() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2)))
    rehearsal = bidder.snapshot.rehearsal()
    auction = bidder.auction(raw_request(regs={"gdpr": 0}))
    assert screen(auction, rehearsal, bidder.policy)
    found = evaluate([auction], profile_batch([None]), rehearsal, NOW_MS)
    assert found is not None
    assert choose(found, rehearsal, NOW_MS)
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    assert not taken.counts.any()
    assert (bidder.book.reserved() == 0).all()


def test_a_prepared_request_is_only_looked_up() -> None:
    blocked = [f"other{number}.example" for number in range(5_000)]
    targeting = Targeting(page_keywords=("buty",), domains_deny=("bad.example",))
    bidder = TestBidder(catalogue(line_item(1, targeting=targeting)))
    raw = raw_request(
        regs={"gdpr": 0}, badv=blocked, imp=[{**IMP, "id": str(at), "tagid": f"t{at}"} for at in range(20)],
        site={"domain": "news.example", "keywords": "buty, " + ", ".join(f"w{at}" for at in range(390))},
    )  # fmt: skip
    auction = bidder.auction(raw)
    pauses = sum(1 for _pause in prepare(auction, bidder.snapshot, bidder.policy))
    assert pauses > 5_000 // SLICE
    assert auction.impressions == []
    remembered = [len(each.memo) for each in bidder.snapshot.matcher.dimensions]
    assert screen(auction, bidder.snapshot, bidder.policy)
    assert [len(each.memo) for each in bidder.snapshot.matcher.dimensions] == remembered
