"""Every duration of the money protocol in one place, since the bounds in docs/money.md are sums of them."""

from typing import Final

import msgspec

# A process may reserve from its leases this long after its last acknowledged heartbeat: it rides out a restart of
# Redis, and a dead process delays the closing of its leases by no more than this.
LEASE_VALID_MS: Final = 10_000

# Processes are dead to the others this long after their last heartbeat. Longer than LEASE_VALID_MS by the bound on how
# far a bidder's wall clock may step back while it holds leases.
DEAD_AFTER_MS: Final = 15_000

# From the reservation until a bid that nobody has reported on counts as lost. Display ads are rendered, and so billed,
# within seconds of the auction; in apps within minutes. What is longer costs budget that waits for nothing, what is
# shorter turns honest bills into late ones.
RESERVATION_MS: Final = 300_000

# After a win notice the reservation is kept this long for its bill: an hour is the longest `exp` that exchanges use
# for prefetched display ads (OpenRTB 2.6 implementation notes 7.8).
WIN_HOLD_MS: Final = 3_600_000

# A lease with reservations is sealed at this age, so that what was reserved from it closes together.
LEASE_BUCKET_MS: Final = 10_000

# How much a lease holds: this long at the process's present rate of reserving.
LEASE_SECONDS: Final = 2.0

# Notice keys are kept in buckets of this length, each deleted as a whole; an hour's bucket would stall Redis.
NOTICE_BUCKET_S: Final = 600

# Daily levels are kept for this many days after their own, longer than any token lives.
DAYS_KEPT: Final = 2

LEASE_DAY_SHIFT: Final = 36
"""A lease id is `day << 36 | counter`: the day that a late bill belongs to survives its lease."""

# A bill later than this is refused (410). Duplicates must be remembered as long as tokens live, so this bounds the
# memory of the notice keys (docs/money.md).
DEFAULT_MAX_AGE_S: Final = 6 * 3600

# How far a tracker's clock may lie behind a bidder's before fresh tokens are refused: the stated bound on clock skew.
MAX_CLOCK_SKEW_S: Final = 300

MS_PER_DAY: Final = 86_400_000


class Timing(msgspec.Struct, frozen=True):
    """The durations that tests and operators may change; milliseconds."""

    lease_valid_ms: int = LEASE_VALID_MS
    dead_after_ms: int = DEAD_AFTER_MS
    reservation_ms: int = RESERVATION_MS
    win_hold_ms: int = WIN_HOLD_MS
    lease_bucket_ms: int = LEASE_BUCKET_MS

    @property
    def quarantine_ms(self) -> int:
        """From a dead process's last heartbeat to the last moment at which one of its bids is billed in time."""
        return self.dead_after_ms + self.reservation_ms


def lease_day(lease_id: int) -> int:
    """Days since 1970, in the advertiser's time zone, that the lease's reservations are booked on."""
    return lease_id >> LEASE_DAY_SHIFT


def notice_bucket(issued_s: int) -> int:
    """Which bucket of notice keys a bid belongs to."""
    return issued_s // NOTICE_BUCKET_S
