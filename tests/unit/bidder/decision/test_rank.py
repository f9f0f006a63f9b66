import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bidder.decision.rank import ELIGIBLE, Ties, ranking, verdicts, winners
from core.reasons import NoBid

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.booleans()), min_size=1, max_size=40)


def arrays(pairs: list[tuple[int, int, bool]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, Ties]:
    """Slot (without gaps), bid and eligibility of each pair."""
    numbers = {slot: number for number, slot in enumerate(sorted({slot for slot, _, _ in pairs}))}
    pairs = [(numbers[slot], cpm, eligible) for slot, cpm, eligible in pairs]
    rows = sorted(pairs, key=lambda pair: pair[0])
    slot = np.array([row[0] for row in rows], dtype=np.int64)
    cpm = np.array([row[1] * 10_000 for row in rows], dtype=np.int64)
    eligible = np.array([row[2] for row in rows], dtype=np.bool_)
    positions = np.arange(len(rows), dtype=np.int64)
    return slot, cpm, eligible, Ties(positions + 100, positions, lambda: [7, 8, 9, 10, 11])


def won_by(slot: np.ndarray, cpm: np.ndarray, eligible: np.ndarray, ties: Ties) -> dict[int, int]:
    """Slot -> pair that wins it."""
    starts = np.flatnonzero(np.diff(slot, prepend=-1))
    return {int(slot[pair]): pair for pair in winners(starts, slot, cpm, eligible, ties).tolist()}


@given(PAIRS)
def test_each_slot_is_won_by_a_highest_eligible_bid_in_the_slots_order(pairs: list[tuple[int, int, bool]]) -> None:
    slot, cpm, eligible, ties = arrays(pairs)
    won = won_by(slot, cpm, eligible, ties)
    assert list(won) == sorted(set(slot[eligible].tolist())), "in the slots' order, with ties or without"
    for number, pair in won.items():
        assert eligible[pair]
        assert slot[pair] == number
        assert cpm[pair] == cpm[eligible & (slot == number)].max()


@given(PAIRS)
def test_the_ranking_begins_with_the_winner_and_falls(pairs: list[tuple[int, int, bool]]) -> None:
    slot, cpm, eligible, ties = arrays(pairs)
    for number, pair in won_by(slot, cpm, eligible, ties).items():
        start, end = np.searchsorted(slot, (number, number + 1)).tolist()
        order = list(ranking(start, end, number, cpm, eligible, ties))
        assert order[0] == pair
        assert sorted(order) == np.flatnonzero(eligible & (slot == number)).tolist()
        assert (np.diff(cpm[order]) <= 0).all()


def test_ties_fall_by_auction_and_favour_nobody() -> None:
    line_items = np.arange(1, 6)
    positions = np.arange(5)
    wins = np.zeros(5, dtype=int)
    for seed in range(1000):
        ties = Ties(line_items, positions, [seed].copy)
        won = won_by(np.zeros(5, dtype=np.int64), np.full(5, 10_000), np.ones(5, dtype=np.bool_), ties)
        wins[won[0]] += 1
    assert wins.min() > 100, wins


def test_the_first_thing_that_is_missing_is_the_verdict() -> None:
    cpm = np.array([0, 10_000, 20_000, 20_000, 20_000])
    floors = np.array([30_000, 30_000, 30_000, 20_000, 10_000])
    too_low = np.array([True, True, False, False, False])
    paid = np.array([False, False, False, False, True])
    assert verdicts(cpm, floors, too_low, paid).tolist() == [
        NoBid.VALUE_TOO_LOW.index,
        NoBid.VALUE_TOO_LOW.index,
        NoBid.FLOOR.index,
        NoBid.NO_LEASE.index,
        ELIGIBLE,
    ]
