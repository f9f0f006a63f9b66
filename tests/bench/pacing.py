"""How well budgets are paced: a replay of recorded auctions against the best fixed multiplier chosen in hindsight.

`python -m tests.bench.pacing [--step SECONDS] [--svg FILE]`. Protocol P1 of spec science 2.6 on iPinYou campaign 2997:
the first half of the stream says what a click costs (the value of a click), the second half is one day with budgets of
1/64 to 1/2 of its cost. A bid wins when it is at least the market price (as in rlb-dp) and pays that price; what a
budget cannot pay is not bought. The line items are to spend all, since the first half's click price does not spend 1/2
of the second's; `--profit` shows what they do without that. Every multiplier comes from pacing.pace.board, the code
that the worker runs.
"""

import argparse
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Advertiser, Budget, Campaign, Catalogue, LineItem
from pacing.pace.board import Bids, PacingBoard, Spent
from pacing.pace.plan import PacingPlan
from pacing.pace.traffic import TrafficShape
from tests.kit.fixtures import REPOSITORY

Floats = npt.NDArray[np.float64]

FRACTIONS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)

# The data's prices are CPM in fen; as micros an impression of a made-up currency, so that nothing is rounded.
MICROS = 1_000

DAY_S = 86_400
DAY_MS = 1_000 * DAY_S
START_MS = 20_000 * DAY_MS
POINTS = 288

# Bars of spec science 4.2.
LEAST_OF_BEST = 0.97
LEAST_SPENT = 0.99
MOST_DISTANCE = 0.03


class Stream(NamedTuple):
    """Auctions in order: clicked, market price in micros, value of the impression in micros, predicted click rate."""

    clicks: Floats
    prices: Floats
    values: Floats
    rates: Floats


class Outcome(NamedTuple):
    """What one budget brought."""

    fraction: float
    expected_clicks: float
    best: float  # expected clicks of the best fixed multiplier, chosen in hindsight
    clicks: int
    spent: float  # of the budget
    distance: float  # RMSE of cumulative spend from the plan, at POINTS points
    curve: Floats

    @property
    def of_best(self) -> float:
        return self.expected_clicks / self.best

    @property
    def holds(self) -> bool:
        """Whether all bars are met."""
        spends = LEAST_SPENT <= self.spent <= 1.0
        return self.of_best >= LEAST_OF_BEST and spends and self.distance <= MOST_DISTANCE


def data_folder() -> Path:
    """Folder of the data sets, from GROSZ_DATA or beside the repository."""
    return Path(os.environ.get("GROSZ_DATA") or REPOSITORY.parent / "shared" / "data")


def stream_file(folder: Path) -> Path:
    return folder / "ipinyou-theta-2997" / "test.theta.txt.gz"


def read_columns(path: Path) -> tuple[Floats, ...]:
    """The columns of a file of auctions, plain or gzipped: click, price to beat, predicted click rate, perhaps hour."""
    return tuple(np.ascontiguousarray(column) for column in np.loadtxt(path, ndmin=2).T)


def read_stream(path: Path) -> Stream:
    """The second half of a stream, with the click value that the first half shows."""
    clicks, prices, rates, *_ = read_columns(path)
    half = len(clicks) // 2
    click_value = prices[:half].sum() / clicks[:half].sum() * MICROS
    clicks, prices, rates = clicks[half:], prices[half:] * MICROS, rates[half:]
    return Stream(clicks, prices, click_value * rates, rates)


def best_fixed(stream: Stream, budget: float, candidates: int) -> float:
    """Expected clicks of the best multiplier among many, each kept from the first auction to the end of the budget."""
    best = 0.0
    for multiplier in np.geomspace(1e-3, 3.0, candidates):
        won = np.flatnonzero(multiplier * stream.values >= stream.prices)
        affordable = np.searchsorted(np.cumsum(stream.prices[won]), budget, side="right")
        best = max(best, float(stream.rates[won[:affordable]].sum()))
    return best


def board_for(budgets: Floats, max_bid: float, *, spend_all: bool) -> PacingBoard:
    """One line item a budget, paced evenly over one UTC day. `max_bid`: micros of an impression."""
    lines = tuple(
        LineItem(
            id=at + 1, advertiser_id=1, campaign_id=1, name="", daily_budget=Budget(micros=int(budget)),
            max_cpm_micros=int(max_bid) * 1_000, spend_all=spend_all,
        )
        for at, budget in enumerate(budgets)
    )  # fmt: skip
    catalogue = Catalogue(
        version=1,
        published_ms=0,
        advertisers=(Advertiser(id=1, name="", timezone="UTC"),),
        campaigns=(Campaign(id=1, advertiser_id=1, name=""),),
        line_items=lines,
    )
    return PacingBoard(PacingPlan(catalogue), TrafficShape(), START_MS)


class _Purse:
    """What the line items have bought so far."""

    def __init__(self, budgets: Floats) -> None:
        self._budgets = budgets
        self.spent, self.won, self.expected, self.clicks = (np.zeros(len(budgets)) for _ in range(4))
        self.reserved, self.bids = np.zeros(len(budgets)), np.zeros(len(budgets))

    def buy(self, stream: Stream, start: int, end: int, multipliers: Floats, max_bid: float) -> None:
        """The auctions of one step at fixed multipliers, in order."""
        bids = np.minimum(multipliers[:, None] * stream.values[None, start:end], max_bid)
        prices = stream.prices[start:end]
        wins = bids >= prices
        for at in range(len(self._budgets)):
            bought = np.flatnonzero(wins[at])
            bought = bought[np.cumsum(prices[bought]) + self.spent[at] <= self._budgets[at]]
            self.spent[at] += prices[bought].sum()
            self.won[at] += len(bought)
            self.expected[at] += stream.rates[start:end][bought].sum()
            self.clicks[at] += stream.clicks[start:end][bought].sum()
        self.reserved, self.bids = bids.sum(axis=1), np.full(len(self._budgets), float(end - start))


def replay(stream: Stream, step_s: int, candidates: int = 600, *, spend_all: bool = True) -> list[Outcome]:
    """The stream as one day, all budgets at once, with a tick of the board each `step_s` seconds.

    `candidates`: how many fixed multipliers the best is chosen from. The maximum bid is the dearest impression's price.
    """
    budgets = np.floor(stream.prices.sum() * np.array(FRACTIONS))
    max_bid = float(stream.prices.max())
    board, purse = board_for(budgets, max_bid, spend_all=spend_all), _Purse(budgets)
    steps = DAY_S // step_s
    edges = np.arange(steps + 1) * len(stream.prices) // steps
    curve = np.zeros((steps, len(budgets)))
    pools = len(budgets)
    for step in range(steps):
        start, end = int(edges[step]), int(edges[step + 1])
        purse.buy(stream, start, end, board.multipliers, max_bid)
        bids = Bids(float(end - start), np.full(pools, float(end - start)), np.stack([purse.reserved, purse.bids]))
        spent = Spent(purse.spent.copy(), np.stack([purse.spent, purse.won]))
        # Settled within the step: how late bills are lived with is in tests/unit/pacing.
        board.tick(START_MS + (step + 1) * step_s * 1_000, spent, bids, np.array([0.5]), board.plan.highest)
        curve[step] = purse.spent / budgets
    points = curve[np.arange(1, POINTS + 1) * steps // POINTS - 1]
    plan = np.arange(1, POINTS + 1) / POINTS
    return [
        Outcome(
            fraction,
            float(purse.expected[at]),
            best_fixed(stream, float(budgets[at]), candidates),
            int(purse.clicks[at]),
            float(purse.spent[at] / budgets[at]),
            math.sqrt(float(((points[:, at] - plan) ** 2).mean())),
            points[:, at],
        )
        for at, fraction in enumerate(FRACTIONS)
    ]


def chart(outcomes: list[Outcome], width: int = 640, height: int = 360) -> str:
    """Cumulative spend of each budget against the plan, as SVG."""
    left, top, right, bottom = 46, 14, width - 96, height - 34
    colours = ("#1b6ca8", "#c1440e", "#3f7d20", "#7b2d8b", "#b8860b", "#444444")

    def place(x: float, y: float) -> str:
        return f"{left + x * (right - left):.1f},{bottom - y * (bottom - top):.1f}"

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="11">',
        "<title>Cumulative spend against plan, replay of iPinYou campaign 2997</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<polyline points="{place(0, 1)} {place(0, 0)} {place(1, 0)}" fill="none" stroke="#888888"/>',
    ]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(part, 0).split(",")[0], place(0, part).split(",")[1]
        lines.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{round(24 * part)}:00</text>')
        lines.append(f'<text x="{left - 6}" y="{y}" text-anchor="end" dy="4">{round(100 * part)}%</text>')
    for at, (outcome, colour) in enumerate(zip(outcomes, colours, strict=True)):
        points = " ".join(place((at + 1) / POINTS, value) for at, value in enumerate(outcome.curve))
        lines.append(f'<polyline points="{place(0, 0)} {points}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        label = f"budget 1/{round(1 / outcome.fraction)}"
        lines.append(f'<text x="{right + 10}" y="{top + 16 + 18 * at}" fill="{colour}">{label}</text>')
    lines.append(
        f'<polyline points="{place(0, 0)} {place(1, 1)}" fill="none" stroke="#000000" stroke-dasharray="4 4"/>'
    )
    lines.append(f'<text x="{right + 10}" y="{top + 16 + 18 * len(outcomes)}">plan (dashed)</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def table(outcomes: list[Outcome]) -> str:
    """The outcomes for people."""
    head = "budget  expected clicks  hindsight best   ratio  clicks   spent    RMSE"
    rows = [
        f"1/{round(1 / each.fraction):<5} {each.expected_clicks:15.1f} {each.best:15.1f} {each.of_best:7.3f}"
        f" {each.clicks:7d} {each.spent:7.2%} {each.distance:7.4f}{'' if each.holds else '  MISSED'}"
        for each in outcomes
    ]
    bars = f"bars: ratio >= {LEAST_OF_BEST}, spent {LEAST_SPENT:.0%} to 100%, RMSE <= {MOST_DISTANCE}"
    return "\n".join([head, *rows, bars])


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay of recorded auctions against the pacing controller.")
    parser.add_argument("--step", type=int, default=5, help="seconds between two ticks; the worker's is 1")
    parser.add_argument("--svg", type=Path, help="where to write the plot of spend against plan")
    parser.add_argument("--profit", action="store_true", help="without spend_all: multipliers up to 1")
    options = parser.parse_args()
    path = stream_file(data_folder())
    if not path.is_file():
        parser.error(f"no data in {path}: set GROSZ_DATA to the folder that has ipinyou-theta-2997")
    outcomes = replay(read_stream(path), options.step, spend_all=not options.profit)
    print(table(outcomes))
    if options.svg:
        options.svg.write_text(chart(outcomes), encoding="utf-8")
    return 0 if all(each.holds for each in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
