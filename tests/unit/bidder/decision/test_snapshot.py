import pickle

from bidder.targeting.compiled import Compiled
from pacing.budgets.leases import LeaseBook
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import catalogue, line_item


def test_what_a_child_compiles_can_be_bound_here() -> None:
    compiled = pickle.loads(pickle.dumps(Compiled(catalogue(line_item(1), line_item(2)))))  # noqa: S301 - made here
    book = LeaseBook()
    book.bind(compiled.index.pools)
    assert book.pools is compiled.index.pools


def test_a_snapshot_knows_whether_the_book_is_still_its_own() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    assert bidder.snapshot.is_bound
    bidder.book.bind(Compiled(catalogue(line_item(1))).index.pools)
    assert not bidder.snapshot.is_bound


def test_a_rehearsal_spends_from_a_book_of_its_own() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    rehearsal = bidder.snapshot.rehearsal()
    assert rehearsal.book.reserve(0, 1_000, bidder.clock.now_ms()) == bidder.book.lease_id(0)
    assert rehearsal.book.remaining[0] == bidder.book.remaining[0] - 1_000
    assert rehearsal.is_bound


def test_rates_are_zero_where_there_is_none() -> None:
    rates = TestBidder(catalogue(line_item(1))).snapshot.rates_to
    assert rates("USD").tolist() == [0.25]
    assert rates("PLN").tolist() == [1.0]
    assert rates("GBP").tolist() == [0.0]
