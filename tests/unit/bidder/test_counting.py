"""Counts by line item and reason; that all of them are exact is tests/property/test_matching.py."""

import numpy as np

from bidder.counting import BIDS, SEEN
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
    assert taken.pairs[0, BIDS] == 2
    assert (taken.pairs[1, NoBid.FLOOR.index], taken.pairs[1, NoBid.FREQUENCY_CAP.index]) == (1, 3)


def test_what_was_seen_and_not_wanted_is_counted_for_each_line_item() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2, targeting=Targeting(countries=("POL",)))))
    for _ in range(3):
        bidder.screened(raw_request(regs={"gdpr": 0}))
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    assert taken.line_items.tolist() == [1, 2]
    assert taken.pairs[:, SEEN].tolist() == [3, 3]
    assert taken.pairs[:, NoBid.COUNTRY.index].tolist() == [0, 3]
