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

# Until a pool has shown what becomes of its bids: a tenth of what was bid is charged, believed as firmly as this many
# bids at the maximum. Both are undercut or confirmed within the first minute of traffic.
PRIOR_RATIO: Final = 0.1
PRIOR_BIDS: Final = 20.0

# The ratio follows the market and the multiplier, which change within minutes; at least this many seconds are averaged.
LEAST_MEMORY_S: Final = 60.0
DELAYS_REMEMBERED: Final = 3.0


class InFlight:
    """Expected charges of open bids, shape (2 units, pools): micros, then impressions."""

    def __init__(self, max_bid: Floats) -> None:
        """`max_bid`: micros of an impression at each pool's highest bid."""
        self._prior: Floats = PRIOR_BIDS * np.stack([max_bid, np.ones(len(max_bid))])
        self.open: Floats = np.zeros_like(self._prior)  # reserved and, by its age, not billed yet
        self._reserved: Floats = np.zeros_like(self._prior)
        self._charged: Floats = np.zeros_like(self._prior)

    def carry(self, other: "InFlight", here: npt.NDArray[np.int64], there: npt.NDArray[np.int64]) -> None:
        """Take over what `other` knows: its pool `there[i]` is `here[i]`."""
        for name in ("open", "_reserved", "_charged"):
            getattr(self, name)[:, here] = getattr(other, name)[:, there]

    def observe(self, reserved: Floats, charged: Floats, delay_s: Floats, elapsed_s: float) -> None:
        """What was bid and billed in the last `elapsed_s` seconds; `delay_s`: from bid to bill on average, by pool."""
        ripe = self.open * -np.expm1(-elapsed_s / delay_s)
        fade = np.exp(-elapsed_s / np.maximum(LEAST_MEMORY_S, DELAYS_REMEMBERED * delay_s))
        self.open += reserved - ripe
        self._reserved = self._reserved * fade + ripe
        self._charged = self._charged * fade + charged

    def ratio(self) -> Floats:
        """Charged of each micro, and each impression, that was bid; in [0, 1]."""
        ratio: Floats = (self._charged + PRIOR_RATIO * self._prior) / (self._reserved + self._prior)
        return np.clip(ratio, 0.0, 1.0)

    def expected(self) -> Floats:
        """What the open bids will be charged."""
        expected: Floats = self.ratio() * self.open
        return expected
