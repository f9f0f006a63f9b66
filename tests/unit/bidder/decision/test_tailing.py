"""What somebody who tails is shown, and what not."""

import pytest

from bidder.decision.choose import choose
from bidder.decision.pipeline import evaluate
from bidder.decision.tailing import MAX_A_SECOND, AuctionTap, TailedAuction, Watching, shown_to
from tests.kit.bidding import NOW_MS, TestBidder, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request


def tailed(*watching: Watching, floor: float = 0.5, unsent: frozenset[int] = frozenset()) -> list[TailedAuction]:
    """One auction that line item 1 (4.00) wins before 2 (3.00), and one request that nobody wants."""
    bidder = TestBidder(catalogue(line_item(1, bid_micros=4_000_000), line_item(2, advertiser=2, bid_micros=3_000_000)))
    tap = AuctionTap(watching)
    auction = bidder.screened(
        raw_request(
            imp=[{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": floor, "bidfloorcur": "PLN"}],
            site={"domain": "www.News.example"}, user={"buyeruid": "u" * 22}, regs={"gdpr": 0},
            device={"devicetype": 2, "geo": {"country": "POL"}},
        )
    )  # fmt: skip
    profiles = profile_batch([None])
    found = evaluate([auction], profiles, bidder.snapshot, NOW_MS)
    assert found is not None
    chosen = choose(found, bidder.snapshot, NOW_MS)
    tap.decided([auction], found, chosen, bidder.snapshot, NOW_MS, unsent)
    tap.silent(bidder.screened(raw_request(imp=[{"id": "1", "banner": {"w": 1, "h": 1}}])), NOW_MS)
    return list(tap.waiting)


def test_a_bid_is_shown_with_what_was_offered_and_nothing_of_the_user() -> None:
    (auction,) = tailed(Watching())
    assert (auction.place, auction.country, auction.sizes, auction.currency) == (
        "news.example", "POL", ("300x250",), "PLN",
    )  # fmt: skip
    (bid,) = auction.bids
    assert (bid.line_item_id, bid.bid_cpm, bid.floor_cpm, bid.size) == (1, "4.00", "0.50", "300x250")
    assert "u" * 22 not in repr(auction)


def test_auctions_without_a_bid_are_shown_to_who_asks_for_them() -> None:
    bid, silent = tailed(Watching(no_bids=True))
    assert bid.bids
    assert (silent.reason, silent.bids) == ("not_targeted", ())
    (dear, _silent) = tailed(Watching(no_bids=True), floor=9.0)
    assert dear.reason == "nobody_bids"


def test_a_watched_line_item_is_told_why_it_did_not_bid() -> None:
    watching = Watching(no_bids=True, line_item_id=2)
    (auction,) = tailed(watching)
    assert [(one.line_item_id, one.reason) for one in auction.considered] == [(2, "outranked")]
    assert shown_to(auction, watching) == auction
    assert tailed(Watching(line_item_id=2)) == []
    assert [len(one.bids) for one in tailed(Watching(line_item_id=1))] == [1]


def test_what_was_not_sent_is_no_bid() -> None:
    assert tailed(Watching(), unsent=frozenset({0})) == []


def test_another_exchange_is_not_shown() -> None:
    assert tailed(Watching(no_bids=True, exchange="other")) == []
    (auction,) = tailed(Watching(exchange="demo"))
    assert shown_to(auction, Watching(exchange="other")) is None


@pytest.mark.parametrize(
    "watching", [Watching(True, 2, "", (1,)), Watching(True, 0, "", (2,)), Watching(False, 1, "", (2,))]
)
def test_who_may_see_one_shop_is_not_told_of_another(watching: Watching) -> None:
    seen = tailed(Watching(no_bids=True), Watching(no_bids=True, line_item_id=2))
    shown = [auction for auction in (shown_to(one, watching) for one in seen) if auction is not None]
    assert shown == []
    own = [shown_to(one, Watching(True, 0, "", (1,))) for one in seen]
    assert [[bid.line_item_id for bid in one.bids] for one in own if one is not None] == [[1]]
    assert all(one.considered == () for one in own if one is not None)


def test_no_more_than_a_person_reads_is_gathered() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    tap = AuctionTap([Watching(no_bids=True)])
    nobody = bidder.screened(raw_request(imp=[{"id": "1", "banner": {"w": 1, "h": 1}}]))
    for _ in range(2 * MAX_A_SECOND):
        tap.silent(nobody, NOW_MS)
    assert len(tap.waiting) == MAX_A_SECOND
