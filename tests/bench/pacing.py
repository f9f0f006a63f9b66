"""How well budgets are paced: a replay of recorded auctions against the best fixed multiplier chosen in hindsight.

`scripts/bench pacing [--file FILE] [--step SECONDS] [--svg FILE] [--profit]`. By the protocol of docs/pacing.md,
"How well it does", the first half of a stream of auctions says what a click costs (the value of a click), the second
half is one day with budgets of 1/64 to 1/2 of its cost. A bid wins when it is at least the market price (as in
rlb-dp) and pays that price; what a budget cannot pay is not bought. The line items are to spend all, since the first
half's click price does not spend 1/2 of the second's; `--profit` shows what they do without that. Every multiplier
comes from pacing.pace.board, the code that the worker runs. `pacing` is the entry for arrays of one's own.

FILE has a line an auction: click (0 or 1), price to beat (CPM, hundredths of a unit), predicted click rate, and perhaps
the hour of the day (0 to 23); without it the stream of iPinYou campaign 2997 is read from the folder that GROSZ_DATA
names. With hours, auctions of the second half come in their hours, and the first half's hours are what was learned.

`--targets` shows weeks of line items with a target cost instead (tests.kit.target_days).
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
from tests.kit.target_days import TARGET, TargetMarket, course

Floats = npt.NDArray[np.float64]

FRACTIONS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)

# The data's prices are CPM in fen; as micros an impression of a made-up currency, so that nothing is rounded.
MICROS = 1_000

DAY_S = 86_400
DAY_MS = 1_000 * DAY_S
START_MS = 20_000 * DAY_MS
POINTS = 288

# The bars that docs/pacing.md states.
LEAST_OF_BEST = 0.97
LEAST_SPENT = 0.99
# Fewer cannot be paced in windows of a hundred auctions.
LEAST_AUCTIONS = 1_000
MOST_DISTANCE = 0.03
MOST_OF_TARGET = 1.10
MOST_STOPPED = 0.01
MOST_DROUGHT = 10.0


class Stream(NamedTuple):
    """Auctions in order: clicked, market price in micros, value of the impression in micros, predicted click rate.

    `at_s` are their seconds of the day, ascending; None where they come evenly. `learned` is the traffic of each hour
    of the day before, None where nothing is to be learned.
    """

    clicks: Floats
    prices: Floats
    values: Floats
    rates: Floats
    at_s: Floats | None = None
    learned: Floats | None = None


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
        return self.expected_clicks / self.best if self.best else 1.0

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
    """`halved` of a file's columns, without hours."""
    clicks, prices, rates, *_ = read_columns(path)
    return halved(clicks, prices, rates)


def halved(click: Floats, price: Floats, pctr: Floats, hour: Floats | None = None) -> Stream:
    """The second half of a stream, with the click value that the first half shows, and its hours where they are known.

    Raises ValueError for arrays that are no stream of auctions.
    """
    check(click, price, pctr, hour)
    half = len(click) // 2
    click_value = cost_of_click(click, price, pctr) * MICROS
    clicked, prices, rates = click[half:], price[half:] * MICROS, pctr[half:]
    if hour is None:
        return Stream(clicked, prices, click_value * rates, rates)
    order = np.argsort(hour[half:], kind="stable")
    hours = hour[half:][order].astype(np.int64)
    counts = np.bincount(hours, minlength=24)
    place = np.arange(len(hours)) - (np.cumsum(counts) - counts)[hours]
    at_s = (hours + (place + 0.5) / counts[hours]) * 3_600.0
    learned = np.bincount(hour[:half].astype(np.int64), minlength=24).astype(np.float64)
    return Stream(clicked[order], prices[order], click_value * rates[order], rates[order], at_s, learned)


def cost_of_click(click: Floats, price: Floats, pctr: Floats) -> float:
    """What a click costs in the first half of a stream; without any, by what was predicted; 0 without that either."""
    half = len(click) // 2
    clicks = float(click[:half].sum()) or float(pctr[:half].sum())
    return float(price[:half].sum()) / clicks if clicks else 0.0


def check(click: Floats, price: Floats, pctr: Floats, hour: Floats | None) -> None:
    """Raises ValueError with what is wrong, so that no figure comes of arrays that are no stream of auctions."""
    columns = {"click": click, "price": price, "pctr": pctr} | ({} if hour is None else {"hour": hour})
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(f"columns of different lengths: { ({name: len(column) for name, column in columns.items()}) }")
    if len(click) < LEAST_AUCTIONS:
        raise ValueError(f"{len(click)} auctions are too few: at least {LEAST_AUCTIONS}")
    for name, column in columns.items():
        if not np.isfinite(column).all() or column.min() < 0:
            raise ValueError(f"{name} has values that are negative or no numbers")
    if price.sum() <= 0:
        raise ValueError("every price is 0: there is nothing to pace")
    if hour is not None and hour.max() >= 24:
        raise ValueError("hours are 0 to 23")


def pacing(
    click: Floats,
    price: Floats,
    pctr: Floats,
    hour: Floats | None = None,
    *,
    step_s: int = 5,
    spend_all: bool = True,
) -> list[Outcome]:
    """A recorded stream, one entry an auction in its order, paced at each of FRACTIONS of its second half's cost.

    `click` is 0 or 1, `price` the price to beat (CPM, hundredths of a unit), `pctr` the predicted click rate, `hour` 0
    to 23 where known. `step_s`: seconds between two ticks. Raises ValueError for arrays that are no stream of auctions.
    """
    return replay(halved(click, price, pctr, hour), step_s, spend_all=spend_all)


def best_fixed(stream: Stream, budget: float, candidates: int) -> float:
    """Expected clicks of the best multiplier among many, each kept from the first auction to the end of the budget."""
    best = 0.0
    for multiplier in np.geomspace(1e-3, 3.0, candidates):
        won = np.flatnonzero(multiplier * stream.values >= stream.prices)
        affordable = np.searchsorted(np.cumsum(stream.prices[won]), budget, side="right")
        best = max(best, float(stream.rates[won[:affordable]].sum()))
    return best


def board_for(budgets: Floats, max_bid: float, *, spend_all: bool, learned: Floats | None = None) -> PacingBoard:
    """One line item a budget, paced over one UTC day. `max_bid`: micros of an impression; `learned` traffic by hour."""
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
    shape = TrafficShape() if learned is None else TrafficShape(np.tile(np.repeat(learned / 12, 12), 7), zone="UTC")
    return PacingBoard(PacingPlan(catalogue), shape, START_MS)


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
    board = board_for(budgets, max_bid, spend_all=spend_all, learned=stream.learned)
    purse = _Purse(budgets)
    steps = DAY_S // step_s
    edges = np.arange(steps + 1) * len(stream.prices) // steps
    if stream.at_s is not None:
        edges = np.searchsorted(stream.at_s, np.arange(steps + 1) * float(step_s))
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
    ends = np.arange(1, POINTS + 1) * steps // POINTS
    points, plan = curve[ends - 1], edges[ends] / len(stream.prices)
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


def targets_table(runs: int) -> tuple[list[str], bool]:
    """Weeks of line items with a target cost: lines for people, and whether the bars are held."""
    rows = ["over target  conversions a day  pooled   p90  volume  stopped  drought  (from day 8 on; bar 1.10)"]
    holds = True
    for over in (0.7, 1.0, 1.5, 3.0):
        for per_day in (2.0, 10.0, 50.0):
            market = TargetMarket(over, per_day)
            courses = [course(market, seed) for seed in range(runs)]
            pooled = sum(one.cost for one in courses) / sum(one.expected for one in courses) / TARGET
            p90 = float(np.nanquantile([one.of_target for one in courses], 0.9))
            volume, stopped = (
                float(np.mean([getattr(one, name) for one in courses])) for name in ("volume", "was_stopped")
            )
            held = pooled <= MOST_OF_TARGET and (over > 1.0 or stopped <= MOST_STOPPED)
            holds &= held
            drought = max(one.drought for one in courses)
            rows.append(
                f"{over:11.1f} {per_day:18.0f} {pooled:7.3f} {p90:5.2f} {volume:7.3f} {stopped:8.2%} {drought:8.1f}"
                f"{'' if held else '  MISSED'}"
            )
    for per_day in (10.0, 100.0, 1_000.0):
        one = course(TargetMarket(0.0, per_day), 1, step_s=600)
        rows.append(
            f"never converts, {per_day:5.0f} targets a day: {one.drought:.2f} targets of matured cost (bar 10), "
            f"{one.spent:.1f} as paid"
        )
        holds &= one.drought <= MOST_DROUGHT
    return rows, holds


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay of recorded auctions against the pacing controller.")
    parser.add_argument("--step", type=int, default=5, help="seconds between two ticks; the worker's is 1")
    parser.add_argument("--file", type=Path, help="auctions: click, price, predicted click rate, perhaps hour")
    parser.add_argument("--svg", type=Path, help="where to write the plot of spend against plan")
    parser.add_argument("--profit", action="store_true", help="without spend_all: multipliers up to 1")
    parser.add_argument("--targets", action="store_true", help="line items with a target cost instead")
    parser.add_argument("--runs", type=int, default=100, help="of each line item with a target cost")
    options = parser.parse_args()
    if options.targets:
        rows, holds = targets_table(options.runs)
        print("\n".join(rows))
        return 0 if holds else 1
    path = options.file or stream_file(data_folder())
    if not path.is_file():
        parser.error(f"no data in {path}: set GROSZ_DATA to the folder that has ipinyou-theta-2997")
    try:
        outcomes = pacing(*read_columns(path)[:4], step_s=options.step, spend_all=not options.profit)
    except (TypeError, ValueError) as error:
        parser.error(f"{path}: {error}")
    print(table(outcomes))
    if options.svg:
        options.svg.write_text(chart(outcomes), encoding="utf-8")
    return 0 if all(each.holds for each in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
