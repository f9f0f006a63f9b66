"""What is likely to be charged for bids that nobody has reported on yet.

A controller that only sees bills steers by the past: with notices a minute late it bids far too high, then far too low,
and delivers half (docs/evidence.md, "Bids in flight").
So the pacer counts each bid at once, at what bids of its pool have cost on
average, and takes that back as the bill comes. Independent of loss notices, which many exchanges do not send.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# What is assumed until a pool has shown what becomes of its bids: a tenth of what was bid is charged, with the weight
# of this many of its bids. Observations outweigh it within the first minute of traffic.
PRIOR_RATIO: Final = 0.1
PRIOR_BIDS: Final = 20.0

# The ratio follows the market and the multiplier, which change within minutes; at least this many seconds are averaged.
LEAST_MEMORY_S: Final = 60.0
DELAYS_REMEMBERED: Final = 3.0


class InFlight:
    """Expected charges of open bids, shape (2 units, pools): micros, then impressions."""

    def __init__(self, pools: int) -> None:
        self.open: Floats = np.zeros((2, pools))  # reserved and, judged by its age, not billed yet
        self.sent: Floats = np.zeros((2, pools))  # reserved lately: its mean is the average bid
        self._reserved: Floats = np.zeros((2, pools))
        self._charged: Floats = np.zeros((2, pools))
        self._billed: Floats = np.zeros((2, pools))  # of the last tick's bids, judged by their age

    def carry(self, other: "InFlight", here: npt.NDArray[np.int64], there: npt.NDArray[np.int64]) -> None:
        """Take over what `other` knows: its pool `there[i]` is `here[i]`."""
        for name in ("open", "sent", "_reserved", "_charged", "_billed"):
            getattr(self, name)[:, here] = getattr(other, name)[:, there]

    def observe(self, reserved: Floats, charged: Floats, delay_s: Floats, elapsed_s: float) -> None:
        """What was bid and billed in the last `elapsed_s` seconds; `delay_s`: from bid to bill on average, by pool."""
        gone = -np.expm1(-elapsed_s / delay_s)
        # The new bids were sent all through the tick: on a long one most of them are billed when it ends.
        ripe = self.open * gone
        billed = reserved * (1.0 - gone * delay_s / elapsed_s)
        fade = np.exp(-elapsed_s / np.maximum(LEAST_MEMORY_S, DELAYS_REMEMBERED * delay_s))
        self.open += reserved - billed - ripe
        # Bills of such bids count in the next tick at the latest; until then these must not look like bids that won
        # nothing.
        self._reserved = self._reserved * fade + ripe + self._billed
        self._billed = billed
        self._charged = self._charged * fade + charged
        # A pool that pauses keeps its last bids: they are the best guess at its next ones.
        self.sent = np.where(self.sent[1] * fade >= 1.0, self.sent * fade, self.sent) + reserved

    def ratio(self) -> Floats:
        """The part of each micro, and each impression, bid that is charged; in [0, 1]."""
        count = np.maximum(self.sent[1], 1.0)
        prior = PRIOR_BIDS * np.stack([self.sent[0] / count, np.ones(len(count))])
        known = self._reserved + prior
        ratio: Floats = (self._charged + PRIOR_RATIO * prior) / np.where(known > 0.0, known, 1.0)
        return np.clip(ratio, 0.0, 1.0)

    def expected(self) -> Floats:
        """What the open bids will be charged."""
        expected: Floats = self.ratio() * self.open
        return expected
