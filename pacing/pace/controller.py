"""The pacing rule: how each budget's multiplier follows from what it should have spent and what it did.

A bid is `multiplier * expected value`, so lowering the multiplier keeps the best impressions and drops the others,
where throttling drops at random: three to six times the expected clicks at tight budgets
(docs/evidence.md, "Pacing in the log domain").

Everything here is a pure function over arrays with one row a budget; docs/pacing.md tells the rule in words.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pacing.budgets.pools import COLD_START

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

GAIN: Final = 0.2
"""How far a full error moves the logarithm of the multiplier: tenfold takes a dozen windows (docs/evidence.md)."""

LEAST_MULTIPLIER: Final = 1e-4

LEAST_SCORED: Final = 100
"""Auctions in a window: per auction, the same rule spends the day's budget in minutes, since wins are rare spikes."""

LEAST_WINDOW_MS: Final = 1_000

# Where fewer than LEAST_SCORED auctions come in a traffic bin, the window ends anyway: the error is damped by
# LEAST_CHARGES then, and a multiplier that never moved would leave budgets of rare line items unspent.
LONGEST_WINDOW_MS: Final = 300_000

# With fewer charges than this a window cannot be judged against its plan. The error is then measured against this many,
# so that the expected step is zero when the expected spend is the plan, however rare wins are. At the smallest budget
# of the replay 20 halve the distance from the plan against 5 (RMSE 0.010 against 0.025), at the others nothing changes.
LEAST_CHARGES: Final = 20.0

# ... but against no more than what is left, divided by this: a budget of a few dozen impressions must still be able to
# move. A day's plan moves it by four, exp(4) = 55.
LEAST_PARTS: Final = 20.0

# A window is at least this part of the time that bills take: correcting ten times before the first bill oscillates.
WINDOW_OF_DELAY: Final = 0.5

_LOG_LEAST = math.log(LEAST_MULTIPLIER)


class ControllerState(NamedTuple):
    """The memory of each budget's controller. `committed` is spent plus expected in flight when the window began."""

    log_multiplier: Floats
    since_ms: Integers  # when the present window began
    committed: Floats
    scored: Floats  # auctions scored until then
    error: Floats  # of the last window that ended, in [-1, 1]; positive: spent too little


class Observation(NamedTuple):
    """What is known of each budget at `now_ms`, in its own unit (micros or impressions)."""

    now_ms: int
    budget: Floats
    committed: Floats  # spent plus expected in flight, cumulative
    scored: Floats  # auctions scored, cumulative
    share: Floats  # of the remaining traffic, what came since the window began: (W(t+d)-W(t)) / (1-W(t))
    charge: Floats  # of a typical impression
    delay_ms: Floats  # from a bid to its bill
    log_most: Floats  # logarithm of the highest multiplier: 0 unless the whole budget is to be spent
    is_measured: Flags | bool = True  # whether anything was charged yet; if not, `charge` is what was bid, perhaps 0


def cold_state(size: int, now_ms: int) -> ControllerState:
    """The state of controllers that have not seen anything yet."""
    zeros = np.zeros(size)
    return ControllerState(
        np.full(size, math.log(COLD_START)), np.full(size, now_ms, np.int64), zeros, zeros.copy(), zeros.copy()
    )


def advance(state: ControllerState, seen: Observation) -> ControllerState:
    """The state after one tick. Rows whose window has not ended yet stay as they are."""
    elapsed_ms = seen.now_ms - state.since_ms
    scored = seen.scored - state.scored
    least_ms = np.clip(seen.delay_ms * WINDOW_OF_DELAY, LEAST_WINDOW_MS, LONGEST_WINDOW_MS)
    enough = (scored >= LEAST_SCORED) & (elapsed_ms >= least_ms)
    ended = enough | (elapsed_ms >= LONGEST_WINDOW_MS)
    error = errors(state, seen)
    # Without an auction there is nothing to learn: night and pauses must not push the multiplier up.
    moved = ended & (scored > 0)
    log_multiplier = np.clip(state.log_multiplier + GAIN * error, _LOG_LEAST, seen.log_most)
    return ControllerState(
        np.where(moved, log_multiplier, state.log_multiplier),
        np.where(ended, seen.now_ms, state.since_ms),
        np.where(ended, seen.committed, state.committed),
        np.where(ended, seen.scored, state.scored),
        np.where(moved, error, state.error),
    )


def errors(state: ControllerState, seen: Observation) -> Floats:
    """(planned - spent) / max(planned, spent, LEAST_CHARGES charges) of the present windows, in [-1, 1]."""
    left = np.maximum(seen.budget - state.committed, 0.0)
    planned = left * np.clip(seen.share, 0.0, 1.0)
    spent = np.maximum(seen.committed - state.committed, 0.0)
    least = np.maximum(np.minimum(LEAST_CHARGES * seen.charge, left / LEAST_PARTS), seen.charge)
    # Until the first win there is no noise to damp, only a price that was not reached: the multiplier rises by the
    # whole error, so that a line item in a market with floors does not wait for a third of the day.
    least = np.where(seen.is_measured, least, seen.charge)
    scale = np.maximum(np.maximum(planned, spent), least)
    error: Floats = (planned - spent) / np.where(scale > 0.0, scale, 1.0)
    return error


def restarted(state: ControllerState, rows: Flags, now_ms: int, committed: Floats, scored: Floats) -> ControllerState:
    """The state with new windows at these rows, their multipliers kept: a new day has begun."""
    return state._replace(
        since_ms=np.where(rows, now_ms, state.since_ms),
        committed=np.where(rows, committed, state.committed),
        scored=np.where(rows, scored, state.scored),
    )


def tightest(state: ControllerState, rows_of_pool: Integers, ceiling: Floats) -> Floats:
    """Each pool's multiplier: the least of its budgets' (rows, shape (pools, n), -1 for none) and of `ceiling`.

    The minimum over constraints paces about as well as the coupled dual problem (docs/evidence.md, "Two bounds").
    """
    logs = np.append(state.log_multiplier, np.inf)[rows_of_pool]  # row -1 is the appended one
    least: Floats = np.minimum(np.exp(logs.min(axis=1)), ceiling)
    return least
