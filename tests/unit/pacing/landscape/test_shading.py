"""What is bid by the landscape's steps, and what is told of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import GROSZ_CPM_MICROS
from pacing.landscape.curve import BINS, FULL_VALUE, RATIOS, STEPS, bin_of, shaded
from pacing.landscape.messages import CellSteps
from pacing.landscape.observations import UNKNOWN, ObservationKind, decode_counts
from pacing.landscape.shading import MAX_KNOWN, SENT_LAG, Shading

CELL = (1, "PLN", 300, 250)


def test_a_size_leans_on_its_exchange_and_an_exchange_on_what_is_shipped() -> None:
    shading = Shading()
    shipped = shading.cell(*CELL).bid_at_least(5_000_000, 0, counts=False)
    shading.replace([CellSteps(1, "PLN", 0, 0, 1.0, bytes([FULL_VALUE]) * BINS)])
    assert shading.cell(*CELL).bid_at_least(5_000_000, 0, counts=False) == 5_000_000
    shading.replace([CellSteps(1, "PLN", 300, 250, 1.0, bytes([30]) * BINS)])
    assert shading.cell(*CELL).bid_at_least(5_000_000, 0, counts=False) < 5_000_000
    assert shading.cell(2, "PLN", 300, 250).bid_at_least(5_000_000, 0, counts=False) == shipped


def test_a_cell_that_somebody_holds_follows_new_steps() -> None:
    shading = Shading()
    cell = shading.cell(*CELL)
    before = cell.bid_at_least(5_000_000, 0)
    shading.replace([CellSteps(*CELL, 1.0, bytes([FULL_VALUE]) * BINS)])
    assert (cell.bid_at_least(5_000_000, 0), shading.cell(*CELL)) == (5_000_000, cell)
    shading.replace([])
    assert cell.bid_at_least(5_000_000, 0) == before


@given(
    groszes=st.one_of(st.integers(1, 200), st.integers(1, 10**6)),
    steps=st.binary(min_size=BINS, max_size=BINS).map(lambda raw: bytes(1 + byte % STEPS for byte in raw)),
)
def test_a_bid_is_what_whole_arrays_give(groszes: int, steps: bytes) -> None:
    shading, value = Shading(), groszes * GROSZ_CPM_MICROS
    shading.replace([CellSteps(*CELL, 1.0, steps)])
    bid = shading.cell(*CELL).bid_at_least(value, 0)
    (expected,) = shaded([value], np.frombuffer(steps, np.uint8))
    assert bid == max(int(expected), GROSZ_CPM_MICROS)
    told = [block for _ in range(SENT_LAG + 2) for block in shading.take_sent()]
    assert [each.bid for each in decode_counts(told[0])] == [bin_of(bid)]


@pytest.mark.parametrize(("least", "expected"), [(0, 51), (500_000, 51), (510_001, 52), (990_001, 100), (10**9, 100)])
def test_a_bid_is_not_below_the_least(least: float, expected: int) -> None:
    shading = Shading()
    half = next(number for number, ratio in enumerate(RATIOS, 1) if ratio > 0.5)
    shading.replace([CellSteps(*CELL, 1.0, bytes([half]) * BINS)])
    assert shading.cell(*CELL).bid_at_least(1_000_000, least) == expected * GROSZ_CPM_MICROS


def test_bids_that_are_counted_by_who_holds_them_are_told_too() -> None:
    shading = Shading()
    cell = shading.cell(*CELL)
    held = cell.bid(2_000_000)
    held.sent += 2
    assert cell.known == {2_000_000: held}
    shading.replace([CellSteps(*CELL, 1.0, bytes([FULL_VALUE]) * BINS)])
    assert cell.known == {}
    full = cell.bid(2_000_000)
    assert (full.bid_cpm, full.shading, full.currency) == (2_000_000, 10_000, "PLN")
    full.sent += 1
    told = [block for _ in range(SENT_LAG + 2) for block in shading.take_sent()]
    assert [(each.bid, each.number) for each in decode_counts(told[0])] == sorted(
        [(bin_of(held.bid_cpm), 2), (bin_of(2_000_000), 1)]
    )
    assert full.sent == 0


def test_values_without_end_are_forgotten() -> None:
    cell = Shading().cell(*CELL)
    for groszes in range(1, MAX_KNOWN + 2):
        cell.bid(GROSZ_CPM_MICROS * groszes).sent += 1
    assert len(cell.known) == 1
    assert sum(cell.take_sent()) == MAX_KNOWN + 1


def test_nothing_is_shaded_of_a_grosz() -> None:
    shading = Shading()
    shading.replace([CellSteps(*CELL, 1.0, bytes([1]) * BINS)])
    assert [shading.cell(*CELL).bid_at_least(GROSZ_CPM_MICROS * groszes, 0) for groszes in (1, 2)] == [
        GROSZ_CPM_MICROS
    ] * 2
    assert shading.cell(*CELL).bid_at_least(10**15, 0) == pytest.approx(10**15 / STEPS, rel=1e-6)


def test_what_was_sent_is_told_a_minute_later_and_once() -> None:
    shading = Shading()
    shading.replace([CellSteps(*CELL, 1.0, bytes([FULL_VALUE]) * BINS)])
    cell = shading.cell(*CELL)
    for _ in range(3):
        assert cell.bid_at_least(2_000_000, 0) == 2_000_000
    assert cell.bid_at_least(2_000_000, 0, counts=False) == 2_000_000
    told = [shading.take_sent() for _ in range(SENT_LAG + 3)]
    assert [len(blocks) for blocks in told] == [0] * SENT_LAG + [1, 0, 0]
    (count,) = decode_counts(told[SENT_LAG][0])
    assert tuple(count) == (*CELL, ObservationKind.SENT, bin_of(2_000_000), UNKNOWN, 3)
    assert decode_counts(b"nonsense") == []
