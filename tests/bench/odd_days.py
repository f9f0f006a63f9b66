"""Twelve odd days and the days that are not: one table of how budgets are paced through each, for docs/pacing.md.

`scripts/bench odd_days [--step SECONDS] [--file FILE]`. The auctions are those of `scripts/bench pacing` (or of FILE:
click, price, predicted click rate), put on a day as each case says; every multiplier comes from pacing.pace.board.
"""

import argparse
import datetime
import zoneinfo
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from loadtest.traffic.arrival import POLISH_SHOP_DAY
from pacing.pace.traffic import TrafficShape
from tests.bench.pacing import Stream, data_folder, read_stream, stream_file
from tests.kit.market_day import Line, Market, Result, Simulation, moments

ZONE: Final = "Europe/Warsaw"
FRACTIONS: Final = (1 / 64, 1 / 16, 1 / 4, 1 / 2)
UNIFORM: Final = (1.0,) * 24
POLISH: Final = POLISH_SHOP_DAY
MORNING: Final = tuple(np.roll(POLISH_SHOP_DAY, -9).tolist())


class Case(NamedTuple):
    """A day by its name, what it may cost, and what it did."""

    name: str
    least_of_best: float
    most_distance: float
    run: Callable[["Days"], list[Result]]


class Days:
    """The auctions, and ways to put them on a day."""

    def __init__(self, stream: Stream, step_s: float) -> None:
        self.stream = stream
        self.step_s = step_s
        self.max_bid = float(stream.prices.max())

    def lines(self, fractions: Sequence[float] = FRACTIONS, times_max: float = 1.0, times: float = 1.0) -> list[Line]:
        whole = self.stream.prices.sum() * times
        return [Line(float(np.floor(whole * part)), self.max_bid * times_max) for part in fractions]

    def market(self, hours: Sequence[float], start: int, end: int, *, times: float = 1.0, floor: float = 0.0) -> Market:
        """`times` the auctions of the stream, over again where that is more than one."""
        count = round(len(self.stream.prices) * times)
        at = np.arange(count) % len(self.stream.prices)
        prices = np.maximum(self.stream.prices[at], floor)
        when = moments(hours, start, count, end - start)
        return Market(when, prices, self.stream.values[at], self.stream.rates[at], floor)

    def day(
        self,
        hours: Sequence[float],
        traffic: TrafficShape,
        *,
        date: str = "2026-09-22",
        lines: Sequence[Line] | None = None,
        delay_s: float = 0.0,
        times: float = 1.0,
        floor: float = 0.0,
        change: Callable[[Market], Market] = lambda market: market,
        from_hour: float = 0.0,
    ) -> list[Result]:
        start, end = midnight(date), midnight(date, 1)
        market = change(self.market(hours, start, end, times=times, floor=floor))
        begin = start + round(from_hour * 3_600_000)
        simulation = Simulation(lines or self.lines(), ZONE, begin, traffic, delay_s)
        return simulation.day(market.between(begin, end), begin, end, self.step_s)


def midnight(date: str, days: int = 0) -> int:
    """Unix ms of a local midnight."""
    day = datetime.date.fromisoformat(date) + datetime.timedelta(days=days)
    return round(datetime.datetime(day.year, day.month, day.day, tzinfo=zoneinfo.ZoneInfo(ZONE)).timestamp() * 1000)


def knows(hours: Sequence[float]) -> TrafficShape:
    """A shape that has seen days of these hours."""
    day = np.interp((np.arange(288) + 0.5) / 12 - 0.5, np.arange(24), np.asarray(hours), period=24)
    return TrafficShape(np.tile(day * 271 / day.mean(), 7), zone=ZONE)


def scaled(part: slice, factor: float) -> Callable[[Market], Market]:
    """Prices times `factor` in a part of the auctions, given in hundredths."""

    def change(market: Market) -> Market:
        count = len(market.prices)
        prices = market.prices.copy()
        prices[part.start * count // 100 : part.stop * count // 100] *= factor
        return market._replace(prices=prices)

    return change


def silent(from_hour: float, hours: float) -> Callable[[Market], Market]:
    """No auction in some hours of the day."""

    def change(market: Market) -> Market:
        start = market.at_ms[0] - market.at_ms[0] % 3_600_000
        gone = (market.at_ms >= start + from_hour * 3_600_000) & (
            market.at_ms < start + (from_hour + hours) * 3_600_000
        )
        kept = ~gone
        return market._replace(
            at_ms=market.at_ms[kept], prices=market.prices[kept], values=market.values[kept], rates=market.rates[kept]
        )

    return change


def burst(at_hour: float, minutes: float, times: int) -> Callable[[Market], Market]:
    """Some minutes with `times` the auctions."""

    def change(market: Market) -> Market:
        start = market.at_ms[0] - market.at_ms[0] % 3_600_000 + at_hour * 3_600_000
        inside = (market.at_ms >= start) & (market.at_ms < start + minutes * 60_000)
        copies = np.where(inside, times, 1)
        order = np.repeat(np.arange(len(copies)), copies)
        return market._replace(
            at_ms=market.at_ms[order],
            prices=market.prices[order],
            values=market.values[order],
            rates=market.rates[order],
        )

    return change


def with_budgets(factor: float) -> Callable[[Days], list[Result]]:
    """A day at whose middle all budgets are changed; spent is of the budget at the end."""

    def run(days: Days) -> list[Result]:
        start, end = midnight("2026-09-22"), midnight("2026-09-22", 1)
        market = days.market(POLISH, start, end)
        simulation = Simulation(days.lines(FRACTIONS[:3]), ZONE, start, knows(POLISH))
        middle = int(market.at_ms[len(market.at_ms) // 2])
        return simulation.day(market, start, end, days.step_s, (middle, factor))

    return run


def shared(days: Days) -> list[Result]:
    """Two line items that spend one campaign's budget, one of them bidding less; as one, with the clicks of both."""
    start, end = midnight("2026-09-22"), midnight("2026-09-22", 1)
    market = days.market(POLISH, start, end)
    found = []
    for line in days.lines():
        pair = [line, line._replace(factor=0.8)]
        both = Simulation(pair, ZONE, start, knows(POLISH), shared=end).day(market, start, end, days.step_s)
        expected, spent = sum(each.expected for each in both), sum(each.spent for each in both)
        found.append(both[0]._replace(expected=expected, spent=spent, distance=float("nan")))
    return found


def after_the_clocks(days: Days, *dates: str) -> list[Result]:
    """Days on which the shape is what it was before the clocks were changed; the worst of them by distance."""
    found = [days.day(POLISH, knows(POLISH), date=date) for date in dates]
    return max(found, key=lambda results: max(result.distance for result in results))


def known(days: Days, **circumstances: Any) -> list[Result]:  # noqa: ANN401 - those of Days.day
    """A Polish day whose curve was learned."""
    return days.day(POLISH, knows(POLISH), **circumstances)


def with_floors(days: Days) -> list[Result]:
    floor = 2 * float(np.median(days.stream.values))
    return known(days, floor=floor, lines=days.lines(times_max=1_000))


def times_traffic(times: float) -> Callable[[Days], list[Result]]:
    return lambda days: known(days, times=times, lines=days.lines(times=times))


NOT_A_BAR: Final = 1.0

CASES: Final = (
    Case("uniform traffic, known", 0.97, 0.03, lambda days: days.day(UNIFORM, knows(UNIFORM))),
    Case("Polish curve, known", 0.97, 0.03, known),
    Case("first day: Polish curve, the shipped one believed", 0.96, 0.06,
         lambda days: days.day(POLISH, TrafficShape.shipped())),
    Case("wrong curve: a day nine hours earlier was learned", 0.0, NOT_A_BAR,
         lambda days: days.day(POLISH, knows(MORNING))),
    Case("three times the traffic that was learned", 0.97, 0.01, times_traffic(3)),
    Case("a third of the traffic that was learned", 0.97, 0.03, times_traffic(1 / 3)),
    Case("a burst: 20 times the traffic for ten minutes", 0.90, 0.06,
         lambda days: known(days, change=burst(11, 10, 20))),
    Case("three silent hours from 13:00", 0.95, 0.06, lambda days: known(days, change=silent(13, 3))),
    Case("rivals' prices doubled from the middle on", 0.85, 0.05,
         lambda days: known(days, change=scaled(slice(50, 100), 2.0))),
    Case("rivals' prices halved from the middle on", 0.90, 0.05,
         lambda days: known(days, change=scaled(slice(50, 100), 0.5))),
    Case("budgets doubled at the middle", 0.0, 0.05, with_budgets(2.0)),
    Case("budgets cut to a quarter at the middle", 0.0, NOT_A_BAR, with_budgets(0.25)),
    Case("the day of 23 hours", 0.97, 0.015, lambda days: after_the_clocks(days, "2026-03-29")),
    Case("the day of 25 hours", 0.97, 0.015, lambda days: after_the_clocks(days, "2026-10-25")),
    Case("the days after the clocks were changed", 0.97, 0.015,
         lambda days: after_the_clocks(days, "2026-03-30", "2026-10-26", "2026-10-31")),
    Case("bills 60 s late", 0.97, 0.03, lambda days: known(days, delay_s=60)),
    Case("two line items on one campaign's budget", 0.95, NOT_A_BAR, shared),
    Case("start at 18:00", 0.95, 0.05, lambda days: known(days, from_hour=18, lines=days.lines(FRACTIONS[:3]))),
    Case("floors at twice the median value, highest bid 1,000 times the dearest price", 0.97, 0.04, with_floors),
)  # fmt: skip


def row(case: Case, results: Sequence[Result]) -> tuple[str, bool]:
    """A line of the table for docs/pacing.md, and whether the day's bars were held."""
    worst = min(result.of_best for result in results)
    distance = float(np.nanmax([0.0, *(result.distance for result in results)]))
    spent = [result.spent for result in results]
    first = max(result.first_win for result in results)
    holds = worst >= case.least_of_best and distance <= case.most_distance
    holds = holds and (max(spent) <= 1.0 or "cut" in case.name)
    bar = f">= {case.least_of_best}, <= {case.most_distance}" if case.least_of_best else ""
    cells = (case.name, f"{worst:.3f}", f"{min(spent):.2%} to {max(spent):.2%}", f"{distance:.3f}", f"{first:.1%}", bar)
    return f"| {' | '.join(cells)} |{'' if holds else '  MISSED'}", holds


def main() -> int:
    parser = argparse.ArgumentParser(description="Odd days through the pacing controller.")
    parser.add_argument("--step", type=float, default=20, help="seconds between two ticks; the worker's is 1")
    parser.add_argument("--file", type=Path, help="auctions: click, price, predicted click rate")
    parser.add_argument("--only", default="", help="only the days with this in their name")
    options = parser.parse_args()
    path = options.file or stream_file(data_folder())
    if not path.is_file():
        parser.error(f"no data in {path}: set GROSZ_DATA to the folder that has ipinyou-theta-2997")
    days = Days(read_stream(path), options.step)
    print("| day | least ratio | spent | most RMSE | first win | bars: ratio, RMSE |")
    print("|---|---|---|---|---|---|")
    missed = 0
    for case in CASES:
        if options.only in case.name:
            text, holds = row(case, case.run(days))
            print(text, flush=True)
            missed += not holds
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
