"""What the shipped day curve is made of and worth: each of 114 regions paced by the curve of all others.

`scripts/bench day_curve`. Reads traffic shares by region, weekday and hour (avito-tech/bat-autobidding-benchmark, MIT)
from the folder that GROSZ_DATA names. The error of a region is the RMSE over the day between its own cumulative curve
and what a budget would have spent that follows the curve made of the other regions (as it is moved to fit the hours
that were seen); the mean over a Monday, a Thursday and a Sunday.
"""

import collections
import csv
import math
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pacing.pace.day_curve import DAY_BINS, HOURS, moved_to_fit, week_of
from tests.bench.pacing import data_folder

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STEP: Final = 4  # parts of an hour by which a region may be moved
FURTHEST: Final = 10 * STEP

# The regions' clocks lie east of the shops that Grosz was made for, where the evening is later by the clock: half an
# hour is half of what fits the load test's Polish day best.
LATER: Final = STEP // 2

# Looked at again this often, in bins: the worker does it each minute.
OFTEN: Final = 3
DAYS: Final = (4, 0, 3)  # Monday, Thursday, Sunday of weeks that begin on Thursday

MEDIAN_BAR: Final = 0.04
TENTH_BAR: Final = 0.12


def regions(folder: Path) -> Floats:
    """Traffic shares, shape (regions, 7, 24), Monday first."""
    weeks: collections.defaultdict[str, Floats] = collections.defaultdict(lambda: np.zeros((7, 24)))
    with (folder / "day-shape" / "traffic_share.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            weeks[row["region_id"]][int(row["dow"]) - 1, int(row["hour"])] = float(row["traffic_share"])
    return np.stack([*weeks.values()])


def aligned(weeks: Floats) -> tuple[Floats, Floats]:
    """Relative traffic by local hour and by weekday (Monday first) of weeks of shape (regions, 7, 24)."""
    days = weeks.sum(axis=1)
    fine = (np.arange(24 * STEP) + 0.5) / STEP - 0.5
    curves = np.array([np.interp(fine, np.arange(24), day / day.mean(), period=24) for day in days])
    moves = np.arange(-FURTHEST, FURTHEST + 1)
    mean: Floats = curves.mean(axis=0)
    for _ in range(5):
        distance = np.array([((np.roll(curves, move, axis=1) - mean) ** 2).sum(axis=1) for move in moves])
        best = moves[distance.argmin(axis=0)]
        best -= int(np.median(best))
        mean = np.mean([np.roll(curve, move) for curve, move in zip(curves, best, strict=True)], axis=0)
    by_day = weeks.sum(axis=2).mean(axis=0)
    return np.roll(mean, LATER).reshape(24, STEP).mean(axis=1), by_day / by_day.mean()


def error_of(own: Floats, believed: Floats) -> float:
    """RMSE of spend from plan for a region's week (7, 24) and the week (bins, from Thursday on) that is believed."""
    errors = []
    true = week_of(np.ones(24), np.ones(7)).reshape(7, DAY_BINS)
    middles = (np.arange(DAY_BINS) + 0.5) / 12 - 0.5
    for day in DAYS:
        true[day] = np.interp(middles, np.arange(24), own[(day + 3) % 7], period=24)
        errors.append(_day_error(true[day] / true[day].sum(), believed, day))
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def _day_error(traffic: Floats, believed: Floats, day: int) -> float:
    seen: Floats = np.full(DAY_BINS, np.nan)
    left, spent = 1.0, []
    rest = believed.reshape(7, DAY_BINS)[day]
    for at in range(DAY_BINS):
        if at % OFTEN == 0:
            rest = moved_to_fit(believed, seen).reshape(7, DAY_BINS)[day]
        left -= left * rest[at] / rest[at:].sum()
        spent.append(1.0 - left)
        seen[at] = traffic[at]
    return math.sqrt(float(((np.array(spent) - traffic.cumsum()) ** 2).mean()))


def errors(weeks: Floats) -> Floats:
    """The error of each region with the curve of all others."""
    found = []
    for at in range(len(weeks)):
        hours, days = aligned(np.delete(weeks, at, axis=0))
        found.append(error_of(weeks[at], week_of(hours, days)))
    return np.array(found)


def main() -> int:
    weeks = regions(data_folder())
    hours, days = aligned(weeks)
    print(
        "HOURS =", tuple(hours.round(3).tolist()), "as shipped" if tuple(hours.round(3)) == HOURS else "NOT AS SHIPPED"
    )
    print("WEEKDAYS =", tuple(days.round(3).tolist()))
    found = errors(weeks)
    median, tenth = float(np.median(found)), float(np.quantile(found, 0.9))
    uniform = np.median([error_of(week, np.ones(7 * DAY_BINS)) for week in weeks])
    print(f"error of a region left out: median {median:.4f} (bar {MEDIAN_BAR}), p90 {tenth:.4f} (bar {TENTH_BAR})")
    print(f"uniform instead: median {uniform:.4f}")
    return 0 if median <= MEDIAN_BAR and tenth <= TENTH_BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
