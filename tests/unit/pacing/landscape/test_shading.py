"""What is bid by the landscape's steps, and what is told of it."""

from pacing.landscape.curve import BINS, FULL_VALUE, bin_of
from pacing.landscape.messages import CellSteps
from pacing.landscape.observations import UNKNOWN, ObservationKind, decode_counts
from pacing.landscape.shading import SENT_LAG, Shading

CELL = (1, "PLN", 300, 250)


def test_a_size_leans_on_its_exchange_and_an_exchange_on_what_is_shipped() -> None:
    shading = Shading()
    shipped = shading.shade(CELL, 5_000_000, 0)
    shading.replace([CellSteps(1, "PLN", 0, 0, 1.0, bytes([FULL_VALUE]) * BINS)])
    assert shading.shade(CELL, 5_000_000, 0) == 5_000_000
    shading.replace([CellSteps(1, "PLN", 300, 250, 1.0, bytes([30]) * BINS)])
    assert shading.shade(CELL, 5_000_000, 0) < 5_000_000
    assert shading.shade((2, "PLN", 300, 250), 5_000_000, 0) == shipped


def test_what_was_sent_is_told_a_minute_later_and_once() -> None:
    shading = Shading()
    for _ in range(3):
        shading.note_sent(CELL, 2_000_000)
    told = [shading.take_sent() for _ in range(SENT_LAG + 3)]
    assert [len(blocks) for blocks in told] == [0] * SENT_LAG + [1, 0, 0]
    (count,) = decode_counts(told[SENT_LAG][0])
    assert tuple(count) == (*CELL, ObservationKind.SENT, bin_of(2_000_000), UNKNOWN, 3)
    assert decode_counts(b"nonsense") == []
