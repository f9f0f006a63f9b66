"""What competitors bid: landscapes of competing prices, in grosz CPM.

The simulator draws its own competitors for every impression, so that the clearing price of an auction is known here and
nowhere else. All draws are prepared in blocks by numpy and handed out one by one.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

# Draws are made in blocks of this size: 20 ns each instead of the 1.5 us of a single numpy call.
_BLOCK = 8192

# fen and grosz are both hundredths: recorded prices in fen are taken as groszes, times the scenario's scale.
_HISTOGRAM_FIELD = "price_counter_train"


class Landscape:
    """Gives the best competing bid for one impression, in grosz CPM; 0 means that there is no other bid."""

    __slots__ = ("_draw", "_next", "_ready")

    def __init__(self, draw: Callable[[int], Integers]) -> None:
        self._draw = draw
        self._ready: list[int] = []
        self._next = 0

    def best_competitor(self) -> int:
        """The next draw."""
        if self._next >= len(self._ready):
            self._ready, self._next = self._draw(_BLOCK).tolist(), 0
        value = self._ready[self._next]
        self._next += 1
        return value


def log_normal(median: float, sigma: float, bidders: int, silence: float, seed: int) -> Landscape:
    """The best of `bidders` log-normal bids around `median` (units of currency, CPM); each stays away with
    `silence`."""
    generator = np.random.default_rng(seed)

    def draw(count: int) -> Integers:
        if bidders == 0:
            return np.zeros(count, dtype=np.int64)
        prices = median * 100 * np.exp(sigma * generator.standard_normal((count, bidders)))
        prices[generator.random((count, bidders)) < silence] = 0.0
        best: Integers = prices.max(axis=1).astype(np.int64)
        return best

    return Landscape(draw)


def recorded(path: Path, scale: float, seed: int) -> Landscape:
    """Prices drawn from a histogram of winning prices (JSON with 301 counts, index = hundredths CPM), times `scale`.

    Raises ValueError when the file has no such histogram.
    """
    counts = json.loads(path.read_text()).get(_HISTOGRAM_FIELD)
    if not isinstance(counts, list) or not counts or sum(counts) <= 0:
        raise ValueError(f"{path} has no '{_HISTOGRAM_FIELD}': give a price histogram with counts by hundredths CPM")
    cumulative = np.cumsum(np.asarray(counts, dtype=np.float64))
    generator = np.random.default_rng(seed)

    def draw(count: int) -> Integers:
        index = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
        scaled: Integers = np.rint(index * scale).astype(np.int64)
        return scaled

    return Landscape(draw)
