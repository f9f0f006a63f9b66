"""How much of the attainable surplus first-price bids keep: recorded auctions through the bidder's own shading.

`scripts/bench science [--file FILE]`. The first half of a stream of auctions teaches what a click costs (the value of a
click) and the distribution of the price to beat; the second half is bid on at first price. The surplus of a bid that
wins is value minus bid; that of somebody who knows each price beforehand, bids exactly it and leaves what is dearer
than its value, is 1. `online` learns from its own auctions alone: wins are censored, losses tell the price or do not.

FILE has a line an auction: click (0 or 1), price to beat (CPM, hundredths of a unit), predicted click rate, and perhaps
the hour; without it the stream of iPinYou campaign 2997 is read from the folder that GROSZ_DATA names.
"""

import argparse
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.money import GROSZ_CPM_MICROS
from pacing.landscape.curve import BINS, Evidence, belief, best_steps, bins_of, fit, observe, shaded
from tests.bench.pacing import check, cost_of_click, data_folder, read_columns, stream_file

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Between two looks at the landscape online: the bidder's are five seconds apart.
BLOCK: Final = 500

LEAST_OF_PERFECT: Final = 0.55
LEAST_OF_FIXED: Final = 0.90
START: Final = 20_000  # auctions, after which the online learner is compared with the best fixed ratio


class Auctions(NamedTuple):
    """Values and prices to beat, CPM micros."""

    values: Floats
    prices: Floats

    def after(self, start: int) -> "Auctions":
        return Auctions(self.values[start:], self.prices[start:])


class Shading(NamedTuple):
    """Parts of the surplus of perfect information."""

    full_value: float  # what unshaded bids keep: the grosz grid's rounding
    best_fixed: float  # the best single ratio, chosen in hindsight
    learnt: float  # taught by the prices of the first half
    losses_told: float  # online on all of the stream, judged on the second half
    losses_silent: float  # the same where losses do not tell the price
    of_fixed_at_first: float  # surplus of the first START auctions online, of that of the best fixed ratio on them


def shading(click: Floats, price: Floats, pctr: Floats, hour: Floats | None = None) -> Shading:
    """First-price bids for a recorded stream: clicks (0 or 1), prices to beat (hundredths CPM), predicted click rates.

    One entry an auction, in their order. `hour` is taken so that all benches have one signature; prices are learnt by
    exchange and size, not by hour. Raises ValueError for arrays that are no stream of auctions.
    """
    check(click, price, pctr, hour)
    half = len(click) // 2
    click_value = cost_of_click(click, price, pctr)
    stream = Auctions(click_value * pctr * GROSZ_CPM_MICROS, price * GROSZ_CPM_MICROS)
    test = stream.after(half)
    taught = best_steps(fit(observe(stream.prices[:half]), belief()))[0]
    told, silent = (learn_online(stream, losses_tell=tell) for tell in (True, False))
    start = Auctions(stream.values[:START], stream.prices[:START])
    return Shading(
        of_perfect(test, on_grid(test.values)),
        best_fixed(test),
        of_perfect(test, shaded(test.values, taught)),
        of_perfect(test, told[half:]),
        of_perfect(test, silent[half:]),
        of_perfect(start, told[:START]) / max(best_fixed(start), 1e-9),
    )


def learn_online(stream: Auctions, *, losses_tell: bool) -> Integers:
    """Bids of somebody who knows only what became of earlier bids."""
    seen = Evidence(*(np.zeros((1, BINS)) for _ in range(3)))
    shape, steps = None, best_steps(belief()[None, :])[0]
    bids = np.zeros(len(stream.values), np.int64)
    for begin in range(0, len(bids), BLOCK):
        part = slice(begin, begin + BLOCK)
        bids[part] = shaded(stream.values[part], steps)
        lost = bids[part] < stream.prices[part]
        new = observe(stream.prices[part], bids[part])
        if not losses_tell:
            of_losses = np.bincount(bins_of(bids[part][lost]), minlength=BINS).astype(np.float64)[None, :]
            new = Evidence(np.zeros_like(new.exact), new.won, of_losses)
        seen = Evidence(*(old + more for old, more in zip(seen, new, strict=True)))
        shape = fit(seen, belief(), start=shape, rounds=60 if shape is None else 10)
        steps = best_steps(shape)[0]
    return bids


def on_grid(cpm: Floats) -> Integers:
    return (cpm // GROSZ_CPM_MICROS).astype(np.int64) * GROSZ_CPM_MICROS


def surplus(auctions: Auctions, bids: Integers | Floats) -> float:
    """Value minus bid over the bids that are at least the price."""
    return float(((auctions.values - bids) * (bids >= auctions.prices)).sum())


def of_perfect(auctions: Auctions, bids: Integers | Floats) -> float:
    """Without anything to earn, whoever loses nothing has all of it."""
    most = float(np.maximum(auctions.values - auctions.prices, 0.0).sum())
    return surplus(auctions, bids) / most if most else float(surplus(auctions, bids) >= 0.0)


def best_fixed(auctions: Auctions) -> float:
    return max(of_perfect(auctions, on_grid(ratio * auctions.values)) for ratio in np.linspace(0.02, 1.0, 99))


def main() -> int:
    parser = argparse.ArgumentParser(description="Recorded auctions at first price through the bidder's shading.")
    parser.add_argument("--file", type=Path, help="auctions: click, price, predicted click rate, perhaps hour")
    options = parser.parse_args()
    path = options.file or stream_file(data_folder())
    if not path.is_file():
        parser.error(f"no data in {path}: set GROSZ_DATA to the folder that has ipinyou-theta-2997")
    try:
        found = shading(*read_columns(path)[:4])
    except (TypeError, ValueError) as error:
        parser.error(f"{path}: {error}")
    print("part of the surplus of perfect information, second half of the stream at first price")
    for label, value in (
        ("bids of the full value", found.full_value),
        ("best fixed ratio in hindsight", found.best_fixed),
        (f"shading, prices of the first half known (bar {LEAST_OF_PERFECT})", found.learnt),
        ("shading online, losses tell the price", found.losses_told),
        ("shading online, losses tell nothing", found.losses_silent),
    ):
        print(f"  {value:6.3f}  {label}")
    online = f"online, first {START} auctions, of the best fixed ratio (bar {LEAST_OF_FIXED})"
    print(f"  {found.of_fixed_at_first:6.3f}  {online}")
    holds = found.of_fixed_at_first >= LEAST_OF_FIXED and (options.file or found.learnt >= LEAST_OF_PERFECT)
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
