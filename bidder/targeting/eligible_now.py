"""Which line items may spend right now: recomputed each second, so that the bid path pays one AND.

Status, flight, daypart (in each advertiser's time zone), and whether the process has a lease with money left or may ask
for one: a pool without a lease is priced all the same, since that is how the lease client learns that it is wanted.
"""

import datetime
import zoneinfo

import numpy as np

from bidder.targeting.bitmaps import all_ones, from_flags
from bidder.targeting.index import Index
from core.reasons import NoBid
from pacing.budgets.leases import LeaseBook


class LiveSets:
    """The current answer, `bits`, and the parts it is made of; counts impressions for each part like a dimension."""

    __slots__ = ("_harvested", "_index", "_parts", "_zones", "bits", "hits")

    def __init__(self, index: Index) -> None:
        self._index = index
        self._zones = [zoneinfo.ZoneInfo(name) for name in index.timezones]
        self._parts: list[tuple[NoBid, int]] = []
        self._harvested: dict[tuple[NoBid, int], int] = {}
        self.bits = 0
        self.hits = 0

    @property
    def nobody(self) -> NoBid | None:
        """Why no line item at all may bid now; None while one may."""
        if self.bits:
            return None
        left = all_ones(self._index.count)
        for reason, passing in self._parts if left else ():  # without line items nobody is kept from bidding
            left &= passing
            if not left:
                return reason
        return None

    @property
    def parts(self) -> list[tuple[NoBid, int]]:
        """(reason, set that passes) of each part, for explanations."""
        return self._parts

    def refresh(self, now_ms: int, book: LeaseBook) -> None:
        """Recompute at `now_ms`, with the leases of `book`, whose arrays must be bound to this index."""
        self._fold()
        lines = self._index.lines
        in_flight = (lines.start_ms <= now_ms) & (now_ms < lines.end_ms)
        hours = np.array([_hour_of_week(zone, now_ms) for zone in self._zones], dtype=np.int64)
        in_daypart = lines.hours[lines.hour_pattern, hours[lines.timezone]] if self._zones else in_flight
        self._parts = [
            (NoBid.INACTIVE, from_flags(lines.active)),
            (NoBid.OUTSIDE_FLIGHT, from_flags(in_flight)),
            (NoBid.DAYPART, from_flags(in_daypart)),
            (NoBid.PACED_OUT, from_flags(book.multiplier > 0.0)),
            (NoBid.NO_LEASE, from_flags((book.remaining > 0) | (book.refused_until_ms <= now_ms))),
        ]
        bits = self._parts[0][1]
        for _reason, passing in self._parts[1:]:
            bits &= passing
        self.bits = bits

    def harvest(self) -> dict[tuple[NoBid, int], int]:
        """Impressions by (reason, set that passed) since the last harvest."""
        self._fold()
        counts, self._harvested = self._harvested, {}
        return counts

    def _fold(self) -> None:
        if self.hits:
            for part in self._parts:
                self._harvested[part] = self._harvested.get(part, 0) + self.hits
            self.hits = 0


def _hour_of_week(zone: zoneinfo.ZoneInfo, now_ms: int) -> int:
    local = datetime.datetime.fromtimestamp(now_ms / 1000, zone)
    return local.weekday() * 24 + local.hour
