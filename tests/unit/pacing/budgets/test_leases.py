import pytest

from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import PoolSpec

FOREVER = 2**60


def pool(line_item: int, advertiser: int = 1) -> PoolSpec:
    return PoolSpec(line_item, 0, advertiser, 100, 0.1)


@pytest.fixture
def book() -> LeaseBook:
    book = LeaseBook()
    book.bind([pool(7), pool(8), pool(9, advertiser=2)])
    book.grant(0, 70, 1_000, 3, FOREVER)
    return book


def test_a_bid_is_reserved_at_its_full_price(book: LeaseBook) -> None:
    assert book.reserve(0, 400, 0) == 70
    assert (book.remaining[0], book.impressions_left[0], book.reserved()[0]) == (600, 2, 400)


def test_a_bid_above_what_is_left_is_not_reserved(book: LeaseBook) -> None:
    assert book.reserve(0, 1_001, 0) == 0
    assert book.reserve(0, 1_000, 0) == 70
    assert book.reserve(0, 1, 0) == 0
    assert book.remaining[0] == 0


def test_impressions_run_out_like_money(book: LeaseBook) -> None:
    assert [book.reserve(0, 1, 0) for _ in range(4)] == [70, 70, 70, 0]


def test_a_pool_without_a_lease_reserves_nothing(book: LeaseBook) -> None:
    assert book.reserve(1, 0, 0) == 0


def test_a_lease_is_dead_at_the_end_of_its_validity(book: LeaseBook) -> None:
    book.grant(1, 80, 100, 5, 5_000)
    assert book.reserve(1, 1, 4_999) == 80
    assert book.reserve(1, 1, 5_000) == 0


def test_more_on_the_same_lease_adds_up(book: LeaseBook) -> None:
    book.reserve(0, 100, 0)
    assert book.grant(0, 70, 50, 1, FOREVER) is None
    assert (book.remaining[0], book.impressions_left[0], book.reserved()[0]) == (950, 3, 100)


def test_a_new_lease_hands_the_old_one_back_with_what_is_reserved(book: LeaseBook) -> None:
    book.reserve(0, 100, 0)
    sealed = book.grant(0, 71, 500, 2, FOREVER)
    assert sealed is not None
    assert (sealed.lease_id, sealed.reserved_micros, sealed.reserved_impressions) == (70, 100, 1)
    assert (book.lease_id(0), book.remaining[0], book.reserved()[0]) == (71, 500, 0)


def test_a_new_snapshot_keeps_leases_in_their_new_places(book: LeaseBook) -> None:
    book.reserve(0, 100, 0)
    book.multiplier[0] = 0.7
    book.bind([pool(9, advertiser=2), pool(7)])
    assert book.reserve(1, 900, 0) == 70
    assert (book.multiplier.tolist(), book.open.tolist()) == ([0.1, 0.7], [False, True])
    assert book.retired() == []


def test_a_pool_that_is_gone_hands_its_lease_back_once(book: LeaseBook) -> None:
    book.reserve(0, 100, 0)
    book.bind([pool(8)])
    (sealed,) = book.retired()
    assert (sealed.advertiser_id, sealed.lease_id, sealed.reserved_micros) == (1, 70, 100)
    assert book.retired() == []
    assert book.position(7) is None


def test_dropping_an_advertiser_leaves_the_others(book: LeaseBook) -> None:
    book.grant(2, 90, 10, 1, FOREVER)
    book.drop(1)
    assert book.open.tolist() == [False, False, True]
    book.drop()
    assert not book.open.any()


def test_the_arrays_say_what_reserve_does(book: LeaseBook) -> None:
    before = book.remaining
    book.reserve(0, 250, 0)
    assert before[0] == 750  # the bid path may hold the array during a batch
