"""Bids that are out count against caps: three slots of a page, in three auctions at once, are not three impressions.

An impression enters the user's ring when it is billed, a second or more after its bid. Until then the process that
bid remembers it: at once for every later request and for the rest of the same batch. A bid counts until its
impression is in the ring, until the user's profile says that it was lost, or until the exchange's time to notice is
over, never for the reservation's life: by then the auction can not show the ad any more, or its notice is lost. Other
processes learn of it with the bill (docs/money.md says what that means); to tell them at once would cost a round trip
for each bid.
"""

from collections import deque
from typing import Final

from bidder.decision.creatives import Showable
from core.reasons import NoBid
from core.ring import line_item_of, pack_record, records, shown_since
from pacing.budgets.pools import PoolKey
from pacing.caps import Blocked, CapTable
from segments.profiles.reading import ProfileBatch

# Some 200 bytes each: a process bids a thousand times a second, and each is forgotten after a few seconds.
MAX_BIDS_OUT: Final = 20_000

# The clocks of bidder and tracker may differ by this: an impression noted so much before a bid is still that bid's.
CLOCK_SLACK_S: Final = 2

_Out = tuple[int, int, int]  # number of the ring's record, made (unix s), counts until (unix ms)


class BidsOut:
    """The bids of one process that caps have to count, by user, each for as long as it counts."""

    __slots__ = ("_of_user", "_order")

    def __init__(self) -> None:
        self._of_user: dict[str, list[_Out]] = {}
        self._order: deque[str] = deque()  # users by their bids, oldest first

    def __len__(self) -> int:
        return len(self._order)

    def add(self, user_id: str, number: int, now_ms: int, counts_ms: int) -> None:
        """Remember a bid for `counts_ms` milliseconds; `number` is that of its record (`CapTable.record_number`)."""
        self._of_user.setdefault(user_id, []).append((number, now_ms // 1000, now_ms + counts_ms))
        self._order.append(user_id)
        self._forget(now_ms)

    def _forget(self, now_ms: int) -> None:
        """Drop the oldest bids that no longer count, and those above the bound."""
        while self._order:
            user_id = self._order[0]
            bids = self._of_user[user_id]
            if bids[0][2] > now_ms and len(self._order) <= MAX_BIDS_OUT:
                return
            self._order.popleft()
            del bids[0]
            if not bids:
                del self._of_user[user_id]

    def ring(self, user_id: str, ring: bytes, now_ms: int, lost: bytes = b"") -> bytes:
        """The user's ring, and behind it the bids that are out: not in the ring yet, and not among the `lost`."""
        bids = self._of_user.get(user_id)
        if bids is None:
            return ring
        shown: dict[int, int] = {}
        out, gone = b"", list(records(lost)) if lost else []
        for number, made_s, until_ms in bids:
            if until_ms <= now_ms:
                continue
            if number not in shown:
                shown[number] = shown_since(ring, number, made_s - CLOCK_SLACK_S)
            if shown[number] > 0:
                shown[number] -= 1
            elif (loss := (line_item_of(number), made_s)) in gone:
                gone.remove(loss)
            else:
                out += pack_record(number, made_s)
        return ring + out if out else ring


class BatchCaps:
    """Caps within one batch: what its own bids leave room for. Only line items with caps or gaps need to ask."""

    __slots__ = ("_blocked", "_caps", "_now_ms", "_out", "_profiles", "_rings")

    def __init__(self, out: BidsOut, caps: CapTable, profiles: ProfileBatch, now_ms: int) -> None:
        self._out = out
        self._caps = caps
        self._profiles = profiles
        self._now_ms = now_ms
        self._rings: dict[str, bytes] = {}  # of users who got a bid in this batch
        self._blocked: dict[str, Blocked] = {}

    def reason(self, request: int, shown: Showable) -> NoBid | None:
        """Why a bid with this ad for the user of one request is one too many; None where it is not."""
        user_id = self._profiles.user_ids[request]
        if user_id is None or user_id not in self._rings:
            return None
        blocked = self._blocked.get(user_id)
        if blocked is None:
            blocked = self._blocked[user_id] = self._caps.blocked(self._rings[user_id], self._now_ms // 1000)
        return blocked.reason(PoolKey(shown.line.line_item_id, shown.line.share), shown.prepared.ad.creative.format)

    def note(self, request: int, shown: Showable, counts_ms: int) -> None:
        """Count a bid of a line item with a cap or gap for the user of one request, for `counts_ms` milliseconds."""
        user_id = self._profiles.user_ids[request]
        if user_id is None:
            return
        ring = self._rings.get(user_id)
        if ring is None:
            lost = self._profiles.lost.get(request, b"")
            ring = self._out.ring(user_id, self._profiles.rings[request], self._now_ms, lost)
        number = self._caps.record_number(shown.line.line_item_id, shown.prepared.ad.creative.format)
        self._rings[user_id] = ring + pack_record(number, self._now_ms // 1000)
        self._blocked.pop(user_id, None)
        self._out.add(user_id, number, self._now_ms, counts_ms)
