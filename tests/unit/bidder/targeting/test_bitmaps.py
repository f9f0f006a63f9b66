import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bidder.targeting.bitmaps import all_ones, from_flags, from_positions, to_flags, unpack_rows

SETS = st.integers(1, 300).flatmap(
    lambda count: st.tuples(st.just(count), st.lists(st.sets(st.integers(0, count - 1)), min_size=1, max_size=5))
)


@given(SETS)
def test_rows_unpack_to_the_positions_they_were_made_of(case: tuple[int, list[set[int]]]) -> None:
    count, sets = case
    row, position = unpack_rows([from_positions(positions, count) for positions in sets], count)

    found: list[set[int]] = [set() for _ in sets]
    for at, value in zip(row.tolist(), position.tolist(), strict=True):
        found[at].add(value)
    assert found == sets
    assert np.all(np.diff(row * count + position) > 0), "pairs come ordered by row, then by position"


@given(SETS)
def test_flags_and_bits_are_the_same_set(case: tuple[int, list[set[int]]]) -> None:
    count, sets = case
    for positions in sets:
        bits = from_positions(positions, count)
        flags = to_flags(bits, count)
        assert set(np.flatnonzero(flags).tolist()) == positions
        assert from_flags(flags) == bits


def test_all_ones_holds_each_position_and_no_other() -> None:
    assert to_flags(all_ones(9), 9).all()
    assert all_ones(9) == 2**9 - 1


def test_an_empty_set_unpacks_to_nothing() -> None:
    row, position = unpack_rows([0, 0], 1000)
    assert len(row) == len(position) == 0
