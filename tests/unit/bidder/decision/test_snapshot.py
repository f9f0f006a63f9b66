import pickle

from bidder.targeting.compiled import Compiled
from core.model import Exchange
from pacing.budgets.leases import LeaseBook
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import EXCHANGE, catalogue, creative, line_item
from tests.kit.openrtb import raw_request


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


def test_creatives_are_those_of_the_offered_sizes_for_each_exchange() -> None:
    ads = (creative(1, 1), creative(2, 1, (728, 90)), creative(3, 1))
    bidder = TestBidder(catalogue(line_item(1, creative_ids=(1, 2, 3)), creatives=ads))
    prepared = bidder.snapshot.prepared(0, ((300, 250), (320, 50)), EXCHANGE)
    assert [each.creative.id for each in prepared] == [1, 3]
    other = bidder.snapshot.prepared(0, ((300, 250),), Exchange(id=2, key="x", price_macro="${P}"))
    assert other[0] is not prepared[0]


def test_rules_that_fill_a_request_are_followed_and_not_remembered() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    for blocked in ([1], list(range(1, 10_000))):
        imp = {"id": "1", "banner": {"w": 300, "h": 250, "battr": blocked}}
        auction = bidder.screened(raw_request(imp=[imp], regs={"gdpr": 0}))
        assert len(bidder.snapshot.showable(0, auction, auction.impressions[0])) == 1
    assert len(bidder.snapshot._fitting) == 1


def test_rates_are_zero_where_there_is_none() -> None:
    rates = TestBidder(catalogue(line_item(1))).snapshot.rates_to
    assert rates("USD").tolist() == [0.25]
    assert rates("PLN").tolist() == [1.0]
    assert rates("GBP").tolist() == [0.0]
