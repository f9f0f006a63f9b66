"""Counts by line item and reason; that all of them are exact is tests/property/test_matching.py."""

import numpy as np

from bidder.targeting.counting import BIDS, SEEN
from core.model import Targeting
from core.reasons import NoBid
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request


def test_counts_of_pairs_add_up_even_within_one_call() -> None:
    counts = TestBidder(catalogue(line_item(1), line_item(2))).snapshot.counts
    counts.count_pairs(np.array([0, 0, 1]), np.array([BIDS, BIDS, NoBid.FLOOR.index]))
    counts.count_blocked(1, NoBid.FREQUENCY_CAP, 3)
    taken = counts.take()
    list(taken.fold())
    assert taken.counts[BIDS, 0] == 2
    assert (taken.counts[NoBid.FLOOR.index, 1], taken.counts[NoBid.FREQUENCY_CAP.index, 1]) == (1, 3)


def test_what_was_seen_and_not_wanted_is_counted_for_each_line_item() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2, targeting=Targeting(countries=("POL",)))))
    for _ in range(3):
        bidder.screened(raw_request(regs={"gdpr": 0}))
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    assert taken.line_items.tolist() == [1, 2]
    assert taken.counts[SEEN, :].tolist() == [3, 3]
    assert taken.counts[NoBid.COUNTRY.index, :].tolist() == [0, 3]


def test_an_array_that_was_given_back_counts_from_zero() -> None:
    counts = TestBidder(catalogue(line_item(1), line_item(2))).snapshot.counts
    first = counts.take()
    counts.count_pairs(np.array([0]), np.array([BIDS]))
    first.counts[SEEN] += 7
    first.recycle()
    second = counts.take()
    counts.count_pairs(np.array([1]), np.array([BIDS]))
    third = counts.take()
    assert second.counts[BIDS].tolist() == [1, 0]
    assert third.counts is first.counts
    assert (third.counts[BIDS].tolist(), third.counts.sum()) == ([0, 1], 1)
