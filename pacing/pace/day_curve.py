"""The day that budgets are spread over before any traffic was seen: a shipped curve, moved to fit the first hours.

The numbers are the mean over 114 regions of the traffic of Avito, a classified advertising site (avito-tech/
bat-autobidding-benchmark, `data/traffic_share.csv`, MIT License, Copyright (c) 2025 avito.tech). The hours of that file
are one clock's, while its regions lie up to nine hours apart, so each region's day was moved to where it fits the
others before the mean was taken, and the mean half an hour later, where the evenings of shops further west are
(`scripts/bench day_curve` does it again, and measures what it is worth).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY_BINS: Final = 288
BINS: Final = 7 * DAY_BINS

HOURS: Final = (
    0.483, 0.291, 0.177, 0.12, 0.1, 0.118, 0.197, 0.367, 0.692, 1.149, 1.533, 1.721,
    1.772, 1.768, 1.742, 1.695, 1.632, 1.55, 1.462, 1.377, 1.267, 1.116, 0.943, 0.727,
)  # fmt: skip
"""Relative traffic of each local hour."""

WEEKDAYS: Final = (1.079, 1.228, 1.026, 1.007, 0.96, 0.859, 0.84)
"""Relative traffic of each day, Monday first."""

# Hours by which a market may wake earlier or later than the curve. Nine markets in ten follow the clock, give or take
# half an hour; the others have another clock, and any move is as likely.
_MOVES: Final = np.arange(-8.0, 4.5, 0.5)
_SPREAD_HOURS: Final = 0.5
_ANYWHERE: Final = 0.1

# The weight of a seen hour, in observations: a market differs from a moved curve by more than noise. With a higher
# weight a market of another clock is recognised sooner, and one of another shape is moved about more.
_SAYS_AN_HOUR: Final = 1.5

_EPOCH_WEEKDAY: Final = 3  # bin 0 of a week is midnight of a Thursday, as 1970-01-01 was


def shipped_week() -> Floats:
    """Relative traffic of each five minutes of a local week that begins on Thursday."""
    return week_of(np.array(HOURS), np.array(WEEKDAYS))


def week_of(hours: Floats, weekdays: Floats) -> Floats:
    """Five-minute bins of a week from Thursday on, between the middles of `hours`; `weekdays` begin on Monday."""
    middles = (np.arange(DAY_BINS) + 0.5) / 12 - 0.5
    day = np.interp(middles, np.arange(24), hours, period=24)
    week: Floats = np.outer(np.roll(weekdays, -_EPOCH_WEEKDAY), day).ravel()
    return week


def moved_to_fit(week: Floats, seen: Floats) -> Floats:
    """The week that is expected after what was `seen`: traffic by five minutes of a day, nan where it was not watched.

    A mean of the week moved by some hours to either side, each weighted by how well its day explains the shape of what
    was seen, and scaled to its volume.
    """
    days = week.reshape(7, DAY_BINS)
    moved = np.stack([np.roll(days, round(12 * move), axis=1) for move in _MOVES])
    profile = moved.mean(axis=1)
    known = ~np.isnan(seen)
    total = float(seen[known].sum())
    near = np.exp(-0.5 * (_MOVES / _SPREAD_HOURS) ** 2)
    belief = np.log((1 - _ANYWHERE) * near / near.sum() + _ANYWHERE / len(_MOVES))
    scale = np.ones(len(_MOVES))
    if total > 0.0:
        expected = profile[:, known].sum(axis=1)
        shares = np.log(profile[:, known] / expected[:, None])
        hours = known.sum() / 12
        belief = belief + _SAYS_AN_HOUR * hours * (shares * seen[known]).sum(axis=1) / total
        scale = total / expected
    chance = np.exp(belief - belief.max())
    chance /= chance.sum()
    fitted: Floats = np.tensordot(chance * scale, moved, axes=1).ravel()
    return fitted
