"""Who may bid: the bitmaps against a plain evaluation of each line item, and exact counts of the reasons."""

import collections
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.decision.choose import choose
from bidder.decision.pipeline import evaluate
from bidder.request.auction import Auction
from bidder.targeting.counting import BIDS, SEEN
from core.model import Catalogue, LineItem
from core.reasons import NO_BID_REASONS, NoBid
from tests.kit.bidding import Shopper, TestBidder, profile_batch
from tests.kit.layering import random_compiled
from tests.kit.naive_targeting import failed, failed_for_user
from tests.kit.random_bidding import EXCHANGES, MOMENTS, random_catalogue, random_request, random_shopper

SEEDS = st.integers(0, 2**32)
LINE_ITEMS = 14


def pools(catalogue: Catalogue) -> list[tuple[LineItem, int]]:
    return [(line, share) for line in catalogue.line_items for share in range(len(line.budget_shares) + 1)]


@settings(max_examples=14, deadline=None)
@given(SEEDS)
def test_bitmaps_agree_with_a_plain_evaluation_of_targeting(seed: int) -> None:
    chance = random.Random(seed)
    catalogue, now_ms = random_catalogue(chance, LINE_ITEMS), chance.choice(MOMENTS)
    bidder = TestBidder(catalogue, now_ms=now_ms, compiled=random_compiled(chance, catalogue))
    for number in range(12):
        request, exchange = random_request(chance, number), chance.choice(EXCHANGES)
        shopper = random_shopper(chance, LINE_ITEMS, now_ms)
        expected = [
            {
                (line.id, share)
                for line, share in pools(catalogue)
                if not failed(catalogue, line, exchange, request, imp, now_ms)
                and not failed_for_user(catalogue, line, share, shopper, now_ms)
            }
            for imp in request["imp"]
        ]
        assert bidder.matched(request, shopper, exchange.key) == expected, request


@settings(max_examples=14, deadline=None)
@given(SEEDS)
def test_explanations_give_the_reasons_of_a_plain_evaluation(seed: int) -> None:
    chance = random.Random(seed)
    catalogue, now_ms = random_catalogue(chance, LINE_ITEMS), chance.choice(MOMENTS)
    bidder = TestBidder(catalogue, now_ms=now_ms, compiled=random_compiled(chance, catalogue))
    request, exchange = random_request(chance), chance.choice(EXCHANGES)
    user = random_shopper(chance, LINE_ITEMS, now_ms)
    auction = bidder.screened(request, exchange.key)
    for impression, imp in zip(auction.impressions, request["imp"], strict=True):
        told = bidder.snapshot.matcher.reasons(
            auction, impression, profile_batch([user]), 0, bidder.snapshot.caps, now_ms // 1000
        )
        for line, share in pools(catalogue):
            position = bidder.snapshot.index.by_line_item[line.id][share]
            found = {reason for reason, passing, _detail in told if not passing >> position & 1}
            assert found == failed(catalogue, line, exchange, request, imp, now_ms) | failed_for_user(
                catalogue, line, share, user, now_ms
            )


@settings(max_examples=9, deadline=None)
@given(SEEDS)
def test_counts_equal_a_plain_count_of_reasons(seed: int) -> None:
    chance = random.Random(seed)
    catalogue, now_ms = random_catalogue(chance, LINE_ITEMS), chance.choice(MOMENTS)
    bidder = TestBidder(catalogue, now_ms=now_ms, compiled=random_compiled(chance, catalogue))
    expected: collections.Counter[tuple[int, int]] = collections.Counter()
    for number in range(15):
        request, exchange = random_request(chance, number), chance.choice(EXCHANGES)
        user = random_shopper(chance, LINE_ITEMS, now_ms)
        expected += plain_counts(bidder, request, exchange.key, user)
        if number % 5 == 4:
            bidder.refresh()  # what was counted before a refresh is kept
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    columns, rows = taken.counts.nonzero()
    found = {
        (int(row), int(column)): int(taken.counts[column, row])
        for row, column in zip(rows, columns, strict=True)
        if taken.line_items[row]  # those of line items that are in the overlay now are nobody's
    }
    assert found == dict(expected)
    again = bidder.snapshot.counts.take()
    list(again.fold())
    assert not again.counts.any(), "what was taken is not counted again"


def plain_counts(
    bidder: TestBidder, request: dict[str, object], exchange_key: str, user: Shopper | None
) -> collections.Counter[tuple[int, int]]:
    """Runs one request and counts, from the plain evaluation and from the auction's verdicts, what it should count."""
    catalogue, now_ms = bidder.catalogue, bidder.clock.now_ms()
    exchange = next(item for item in EXCHANGES if item.key == exchange_key)
    counts: collections.Counter[tuple[int, int]] = collections.Counter()
    imps = request["imp"]
    assert isinstance(imps, list)
    auction = bidder.screened(request, exchange_key)
    wanted = auction.no_bid is None
    for line, share in pools(catalogue):
        position = bidder.snapshot.index.by_line_item[line.id][share]
        for imp in imps:
            reasons = failed(catalogue, line, exchange, request, imp, now_ms)
            if wanted:
                reasons |= failed_for_user(catalogue, line, share, user, now_ms, counted=True)
            counts.update((position, reason.index) for reason in reasons)
            counts[position, SEEN] += 1
    if wanted:
        counts += verdicts(bidder, auction, user)
    return counts


def verdicts(bidder: TestBidder, auction: Auction, user: Shopper | None) -> collections.Counter[tuple[int, int]]:
    """The auction's own verdicts: exactly one a pair that reached pricing."""
    profiles, now_ms = profile_batch([user]), bidder.clock.now_ms()
    found = evaluate([auction], profiles, bidder.snapshot, now_ms)
    if found is None:
        return collections.Counter()
    chosen = choose(found, bidder.snapshot, now_ms)
    bidder.snapshot.counts.count_pairs(found.positions, found.verdict)
    assert (found.verdict == BIDS).sum() == len(chosen)
    after_pricing = {
        NoBid.FLOOR, NoBid.VALUE_TOO_LOW, NoBid.NO_LEASE, NoBid.OUTRANKED, NoBid.ALREADY_IN_REQUEST,
        NoBid.CREATIVE_BLOCKED, NoBid.NOT_APPROVED,
    }  # fmt: skip
    assert {NO_BID_REASONS[verdict] for verdict in found.verdict.tolist() if verdict != BIDS} <= after_pricing
    return collections.Counter(zip(found.positions.tolist(), found.verdict.tolist(), strict=True))
