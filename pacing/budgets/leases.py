"""Leases in a bidder process: the money that it may reserve without asking anybody.

A lease is an amount (micros and impressions) that Redis has set aside for one pool and one process. `LeaseBook` is the
bid path's side: arrays by pool position, integer arithmetic, no network. There are no per-bid objects: a lease *is* the
time bucket of the reservations made from it, since each lease is sealed within seconds of its first reservation and
the whole of it closes when the last of them can no longer be billed (docs/money.md).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pacing.budgets.pools import PoolKey, PoolSpec, PoolTable, table_of


class LeaseBook:
    """What this process may still spend, by pool position.

    The bid path reads `remaining` (int64[P] micros of the advertiser's currency), `multiplier` (float64[P], pacing)
    and `open` (bool[P]: a lease is held) as whole arrays, and calls `reserve` for each bid that it sends. `bind`
    replaces the arrays, so hold on to the book and not to them. One thread: the event loop's.
    """

    __slots__ = (
        "_granted", "_granted_impressions", "_id_view", "_impressions_view", "_lease_ids", "_remaining_view",
        "_retired", "_until_view", "_used", "_used_impressions", "impressions_left", "multiplier", "open", "pools",
        "refused_until_ms", "remaining", "scored", "valid_until_ms",
    )  # fmt: skip

    def __init__(self) -> None:
        self._retired: list[Sealed] = []
        self.pools = PoolTable.of(())
        self._allocate(0)

    def _allocate(self, size: int) -> None:
        self.remaining: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self.impressions_left: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self.valid_until_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self.multiplier: npt.NDArray[np.float64] = np.ones(size, np.float64)
        self.open: npt.NDArray[np.bool_] = np.zeros(size, np.bool_)
        # Redis has just refused the pool a lease: until this moment trying to bid is useless.
        self.refused_until_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        # Auctions in which the pool was priced, whether it bid or not; the bid path adds to it, the worker reads it
        # (pacing/pace/messages.py).
        self.scored: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self._used: npt.NDArray[np.int64] = np.zeros(size, np.int64)  # reserved from earlier leases
        self._used_impressions: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self._lease_ids: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self._granted: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self._granted_impressions: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        # Memoryviews read and write one number in 30 ns as a Python int; indexing the array makes numpy scalars.
        self._remaining_view = self.remaining.data
        self._impressions_view = self.impressions_left.data
        self._until_view = self.valid_until_ms.data
        self._id_view = self._lease_ids.data

    def bind(self, pools: PoolTable | Sequence[PoolSpec]) -> None:
        """Realign the arrays to a new snapshot. Leases of pools that stay are kept, others are handed back."""
        old = (self._lease_ids, self._granted, self._granted_impressions,
               self.remaining, self.impressions_left, self.valid_until_ms, self.multiplier, self.pools)  # fmt: skip
        lease_ids, granted, granted_impressions, remaining, impressions, until, multiplier, specs = old
        counts = (self.scored, self.refused_until_ms, self._used, self._used_impressions)
        self._allocate(len(pools))
        self.pools = table = table_of(pools)
        # Where each pool was; whole arrays from here on, since the event loop waits.
        was = specs.find(table.numbers)
        known = ((was >= 0) & (table.line_item > 0)).nonzero()[0]
        self.multiplier[:] = table.cold_start
        self.multiplier[known] = multiplier[was[known]]
        for mine, theirs in zip(
            (self.scored, self.refused_until_ms, self._used, self._used_impressions), counts, strict=True
        ):
            mine[known] = theirs[was[known]]
        held = known[lease_ids[was[known]] != 0]
        source = was[held]
        self._lease_ids[held] = lease_ids[source]
        self._granted[held] = granted[source]
        self._granted_impressions[held] = granted_impressions[source]
        self.remaining[held] = remaining[source]
        self.impressions_left[held] = impressions[source]
        self.valid_until_ms[held] = until[source]
        self.open[held] = True
        gone = lease_ids != 0
        gone[was[known]] = False
        for before in gone.nonzero()[0].tolist():
            self._retired.append(
                Sealed(
                    int(specs.advertiser[before]),
                    int(lease_ids[before]),
                    int(granted[before] - remaining[before]),
                    int(granted_impressions[before] - impressions[before]),
                )
            )

    def copy(self) -> "LeaseBook":
        """A copy that no client tends: for trying bids that will not be sent."""
        twin = LeaseBook()
        twin._allocate(len(self.pools))
        twin.pools = self.pools
        twin._lease_ids[:] = self._lease_ids
        for name in ("remaining", "impressions_left", "valid_until_ms", "multiplier", "open"):
            getattr(twin, name)[:] = getattr(self, name)
        twin._granted[:] = self._granted
        twin._granted_impressions[:] = self._granted_impressions
        return twin

    def position(self, line_item_id: int, share: int = 0) -> int | None:
        """Where a pool is in the arrays; None if it is not bound."""
        return self.pools.position(PoolKey(line_item_id, share))

    def reserve(self, position: int, micros: int, now_ms: int) -> int:
        """Set a bid aside at its full price: the lease's id for the token, or 0 if the lease does not hold enough."""
        left = self._remaining_view[position] - micros
        if left < 0 or now_ms >= self._until_view[position]:
            return 0
        impressions = self._impressions_view[position]
        if impressions <= 0:
            return 0
        self._remaining_view[position] = left
        self._impressions_view[position] = impressions - 1
        return self._id_view[position]

    def release(self, position: int, lease_id: int, micros: int) -> None:
        """Give back what `reserve` has set aside for a bid that was not sent; no effect if the lease is another now."""
        if lease_id and self._id_view[position] == lease_id:
            self._remaining_view[position] += micros
            self._impressions_view[position] += 1

    def drop(self, advertiser_id: int | None = None) -> None:
        """Forget leases at once, of one advertiser or all: Redis has lost or taken them. Nothing is handed back."""
        theirs = self.open if advertiser_id is None else self.open & (self.pools.advertiser == advertiser_id)
        for position in theirs.nonzero()[0].tolist():
            self._clear(position)

    def take(self, position: int) -> "Sealed | None":
        """Close the pool's lease to new reservations. Returns what to tell Redis of it; None without a lease."""
        lease_id = self._id_view[position]
        if not lease_id:
            return None
        sealed = Sealed(
            int(self.pools.advertiser[position]),
            lease_id,
            int(self._granted[position] - self.remaining[position]),
            int(self._granted_impressions[position] - self.impressions_left[position]),
        )
        self._clear(position)
        return sealed

    def retired(self) -> list["Sealed"]:
        """The leases of pools that `bind` removed; each is returned once."""
        leases, self._retired = self._retired, []
        return leases

    def renew(self, positions: npt.NDArray[np.int64], until_ms: int) -> None:
        """Allow reservations from the leases at these positions until `until_ms`."""
        self.valid_until_ms[positions] = until_ms

    def reserved_impressions(self) -> npt.NDArray[np.int64]:
        return self._granted_impressions - self.impressions_left

    def lease_id(self, position: int) -> int:
        return self._id_view[position]

    def reserved(self) -> npt.NDArray[np.int64]:
        """Micros reserved from the current leases, by position."""
        return self._granted - self.remaining

    def grant(self, position: int, lease_id: int, micros: int, impressions: int, until_ms: int) -> "Sealed | None":
        """Put a granted amount in: more on the lease that is held, or a new lease, and then the old one is returned."""
        sealed = self.take(position) if self._id_view[position] != lease_id else None
        self._lease_ids[position] = lease_id
        self._granted[position] += micros
        self._granted_impressions[position] += impressions
        self.remaining[position] += micros
        self.impressions_left[position] += impressions
        self.valid_until_ms[position] = until_ms
        self.open[position] = True
        return sealed

    def demand(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Micros and impressions reserved by each pool since it was first bound, from all its leases."""
        return self._used + self.reserved(), self._used_impressions + self.reserved_impressions()

    def _clear(self, position: int) -> None:
        self._used[position] += self._granted[position] - self.remaining[position]
        self._used_impressions[position] += self._granted_impressions[position] - self.impressions_left[position]
        self._lease_ids[position] = 0
        self._granted[position] = self._granted_impressions[position] = 0
        self.remaining[position] = self.impressions_left[position] = self.valid_until_ms[position] = 0
        self.open[position] = False


class Sealed:
    """A lease that takes no more reservations, and how much of it is reserved. The rest goes back to the budgets."""

    __slots__ = ("advertiser_id", "lease_id", "reserved_impressions", "reserved_micros")

    def __init__(self, advertiser_id: int, lease_id: int, reserved_micros: int, reserved_impressions: int) -> None:
        self.advertiser_id = advertiser_id
        self.lease_id = lease_id
        self.reserved_micros = reserved_micros
        self.reserved_impressions = reserved_impressions
