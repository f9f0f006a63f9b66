"""What is remembered and for how long; that it is the price is in tests/property/test_pricing.py."""

from collections.abc import Sequence

import numpy as np

from bidder.decision.price_memo import PriceMemo

ONES = np.ones(4)


class Asked:
    """Prices each pair at its number, and remembers which were asked for."""

    def __init__(self) -> None:
        self.pairs: list[list[int]] = []

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        self.pairs.append(pairs.tolist())
        return pairs * 10_000


def bids(memo: PriceMemo, asked: Asked, kinds: Sequence[str], multiplier: np.ndarray = ONES) -> list[int]:
    """Bids of positions 1 and 3 for each kind."""
    lengths = np.full(len(kinds), 2)
    found: list[int] = memo.bids(kinds, lengths, np.array([1, 3] * len(kinds)), multiplier, asked).tolist()
    return found


def test_a_pair_is_priced_once_until_a_multiplier_changes() -> None:
    memo, asked = PriceMemo(4), Asked()
    assert bids(memo, asked, ["a", "b"]) == bids(memo, asked, ["a", "b"]) == [0, 10_000, 20_000, 30_000]
    assert asked.pairs == [[0, 1, 2, 3]]
    assert bids(memo, asked, ["b"]) == [20_000, 30_000]
    assert bids(memo, asked, ["b"], np.array([1.0, 0.5, 1.0, 1.0])) == [0, 10_000]
    assert asked.pairs == [[0, 1, 2, 3], [0, 1]]


def test_a_multiplier_changed_in_place_is_seen() -> None:
    memo, asked, multiplier = PriceMemo(4), Asked(), np.ones(4)
    bids(memo, asked, ["a"], multiplier)
    multiplier[2] = 0.5
    bids(memo, asked, ["a"], multiplier)
    assert len(asked.pairs) == 2


def test_kinds_without_room_are_priced_each_time_and_do_not_see_each_other() -> None:
    memo, asked = PriceMemo(4, 2), Asked()
    assert bids(memo, asked, ["a"]) == [0, 10_000]
    assert bids(memo, asked, ["b", "c", "a"]) == [0, 10_000, 20_000, 30_000, 0, 10_000]
    assert bids(memo, asked, ["c"]) == [0, 10_000]
    assert asked.pairs == [[0, 1], [0, 1, 2, 3], [0, 1]]


def test_what_is_returned_may_be_written_to() -> None:
    memo, asked = PriceMemo(4), Asked()
    for _ in range(2):
        found = memo.bids(["a"], np.array([2]), np.array([1, 3]), ONES, asked)
        assert found.tolist() == [0, 10_000]
        found[:] = 7


def test_there_is_room_for_many_kinds() -> None:
    memo, asked = PriceMemo(4, 100), Asked()
    kinds = [str(number) for number in range(90)]
    assert bids(memo, asked, kinds) == bids(memo, asked, kinds) == [10_000 * n for n in range(180)]
    assert len(asked.pairs) == 1
