"""Frequency caps and minimum gaps, from one ring of impressions in the user's hash.

All caps of a user (line item, campaign, advertiser, any window) are answered by the same few bytes, which the bid path
has already read with the profile: field `i` of `u:{uid}`, an array of little-endian (line item id, unix seconds), the
oldest first. The tracker appends to it at the billable impression (pacing/budgets/scripts/record.lua).
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.model import Advertiser, Campaign, Catalogue, FrequencyCap, LineItem, Status
from core.moments import duration_text, moment_text
from core.reasons import NoBid
from pacing.budgets.blocks import BlockBook
from pacing.budgets.pools import PoolKey

# Bounds the bytes that each bid request reads for a user: 512. A user who saw more than 64 ads within the longest
# window loses the oldest records first, so a cap of more than 64 impressions is not enforced.
RING_RECORDS: Final = 64

# The most lost bids that are remembered in field `o` of the user's hash (lost.lua): the bidder need not count these
# bids any more. Four are shorter than a shop's field, so that a release that does not know them passes them over.
LOST_RECORDS: Final = 4

# Caps look back this far at most: records that no cap can ask for are dropped at the next impression.
MAX_WINDOW_S: Final = 30 * 86_400

# Line items whose caps are kept in memory once a user who saw them was looked up; some 300 bytes each.
MAX_KNOWN_LINES: Final = 20_000

_RECORD = struct.Struct("<II")


def recent_impressions(ring: bytes, since_s: int) -> dict[int, int]:
    """How many impressions of each line item the user saw after `since_s`."""
    counts: dict[int, int] = {}
    for line_item, shown_s in _records(ring):
        if shown_s > since_s:
            counts[line_item] = counts.get(line_item, 0) + 1
    return counts


def shown_since(ring: bytes, line_item_id: int, since_s: int) -> int:
    """How many impressions of a line item the user saw at `since_s` or later."""
    return sum(1 for line_item, shown_s in _records(ring) if line_item == line_item_id and shown_s >= since_s)


def lost_bids(lost: bytes) -> list[tuple[int, int]]:
    """The line item and the moment (unix seconds) of each bid that is known to be lost."""
    return list(_records(lost))


def pack_record(line_item_id: int, shown_s: int) -> bytes:
    """One record of the ring."""
    return _RECORD.pack(line_item_id, shown_s)


def _records(ring: bytes) -> Iterable[tuple[int, int]]:
    whole = len(ring) - len(ring) % _RECORD.size  # a ring that was cut short must not stop the bidding
    return _RECORD.iter_unpack(ring[:whole])


_Caps = tuple[tuple[int, int], ...]  # (impressions, window_s)


def _pack(caps: Iterable[FrequencyCap]) -> _Caps:
    return tuple((cap.impressions, cap.window_s) for cap in caps)


def _reached(caps: _Caps, times: Sequence[int], now_s: int) -> bool:
    """Whether one of the caps leaves no room for another impression; `times` ascends.

    A cap of n is reached when the n-th newest impression still lies in the window.
    """
    return any(
        impressions <= 0 or (len(times) >= impressions and times[-impressions] > now_s - window)
        for impressions, window in caps
    )


def _texts(owner: str, caps: _Caps, times: Sequence[int], now_s: int) -> Iterable[str]:
    """A text for each cap that is reached; `times` ascends."""
    for impressions, window in caps:
        if not _reached(((impressions, window),), times, now_s):
            continue
        seen = sum(1 for shown_s in times if shown_s > now_s - window)
        text = f"{owner} cap {seen} of {impressions} in {duration_text(window)}"
        if impressions > 0:
            text += f", free again at {moment_text(times[-impressions] + window, now_s)}"
        yield text


class _Limits:
    """The caps of a line item and its shares. Most line items of a catalogue have one of a few such sets in common."""

    __slots__ = ("caps", "min_gap_s", "share_caps")

    def __init__(self, line_item: LineItem) -> None:
        self.min_gap_s = line_item.min_gap_s
        self.caps = _pack(line_item.caps)
        # A share without caps of its own is capped like its line item.
        self.share_caps = (self.caps, *(_pack(share.caps) or self.caps for share in line_item.budget_shares))


class _Line:
    """The caps of one line item, with those of its shares."""

    __slots__ = ("advertiser", "campaign", "caps", "min_gap_s", "pools", "share_caps")

    def __init__(self, number: int, campaign: int, advertiser: int, limits: _Limits) -> None:
        self.campaign = campaign
        self.advertiser = advertiser
        self.min_gap_s = limits.min_gap_s
        self.caps = limits.caps
        self.share_caps = limits.share_caps
        self.pools = tuple(PoolKey(number, share) for share in range(len(limits.share_caps)))

    def block(self, times: Sequence[int], now_s: int, blocked: dict[PoolKey, NoBid]) -> None:
        """Add the pools that impressions at `times` rule out."""
        if self.min_gap_s and times[-1] > now_s - self.min_gap_s:
            blocked.update(dict.fromkeys(self.pools, NoBid.MIN_GAP))
            return
        for pool, caps in zip(self.pools, self.share_caps, strict=True):
            if caps and _reached(caps, times, now_s):
                blocked[pool] = NoBid.FREQUENCY_CAP

    def describe(self, times: Sequence[int], now_s: int) -> Iterable[tuple[PoolKey, NoBid, str]]:
        """Everything that rules out a pool of the line item, in words."""
        if self.min_gap_s and times[-1] > now_s - self.min_gap_s:
            following = moment_text(times[-1] + self.min_gap_s, now_s)
            text = f"minimum gap {duration_text(self.min_gap_s)}, next at {following}"
            yield from ((pool, NoBid.MIN_GAP, text) for pool in self.pools)
        for pool, caps in zip(self.pools, self.share_caps, strict=True):
            owner = "budget share" if caps is not self.caps else "line item"
            yield from ((pool, NoBid.FREQUENCY_CAP, text) for text in _texts(owner, caps, times, now_s))


class WindowBook:
    """Works out how far back any cap or gap looks, for one catalogue after the other. 8 ms at 100,000 line items."""

    def __init__(self) -> None:
        self._blocks = BlockBook(lambda line_items, _owners: _longest_of(line_items))

    def update(self, catalogue: Catalogue) -> int:
        """The longest window of the catalogue in seconds, at most MAX_WINDOW_S."""
        capped: tuple[Campaign | Advertiser, ...] = (*catalogue.campaigns, *catalogue.advertisers)
        longest = max((cap.window_s for each in capped for cap in each.caps), default=0)
        return min(MAX_WINDOW_S, max(longest, *self._blocks.update(catalogue), 0))


class CapTable:
    """The caps of a catalogue, ready to be asked. Immutable but for its memos, and picklable.

    It travels between processes with each catalogue, so it is arrays over line items: as an object for each, 100,000 of
    them held up the requests of the receiving bidder for a quarter of a second.
    """

    __slots__ = (
        "_advertiser_caps", "_advertisers", "_campaign_caps", "_campaigns", "_ids", "_known", "_limits", "_limits_of",
        "_live", "_owned",
    )  # fmt: skip

    def __init__(self, catalogue: Catalogue) -> None:
        self._campaign_caps = {item.id: _pack(item.caps) for item in catalogue.campaigns if item.caps}
        self._advertiser_caps = {item.id: _pack(item.caps) for item in catalogue.advertisers if item.caps}
        # Archived line items count for the caps of their campaign and advertiser, as their impressions were seen. Line
        # items that nothing caps are left out.
        lines = sorted((item for item in catalogue.line_items if self._is_capped(item)), key=lambda item: item.id)
        self._ids = _integers(item.id for item in lines)
        self._campaigns = _integers(item.campaign_id for item in lines)
        self._advertisers = _integers(item.advertiser_id for item in lines)
        self._live = np.fromiter((item.status is not Status.ARCHIVED for item in lines), np.bool_, len(lines))
        self._limits: list[_Limits] = []
        self._limits_of = _integers(self._number_limits(lines))
        self._known: dict[int, _Line | None] = {}
        self._owned: dict[tuple[bool, int], list[PoolKey]] = {}

    def above(self, base: "CapTable", replaced: NDArray[np.int64]) -> "CapTable":
        """The caps of both tables, where `base` counts only for line items that are not in `replaced`.

        This table must be of the later catalogue, with all its campaigns and advertisers.
        """
        table = CapTable.__new__(CapTable)
        table._campaign_caps, table._advertiser_caps = self._campaign_caps, self._advertiser_caps
        table._limits = base._limits + self._limits
        kept = ~np.isin(base._ids, replaced)
        ids = np.concatenate((base._ids[kept], self._ids))
        order = ids.argsort(kind="stable")
        numbers = np.concatenate((base._limits_of[kept], self._limits_of + len(base._limits)))
        table._ids, table._limits_of = ids[order], numbers[order]
        table._campaigns = np.concatenate((base._campaigns[kept], self._campaigns))[order]
        table._advertisers = np.concatenate((base._advertisers[kept], self._advertisers))[order]
        table._live = np.concatenate((base._live[kept], self._live))[order]
        table._known, table._owned = {}, {}
        return table

    @property
    def line_items(self) -> NDArray[np.int64]:
        """Ids of the line items that have a cap or a gap, their own or that of their campaign or advertiser."""
        return self._ids

    def _number_limits(self, lines: Iterable[LineItem]) -> Iterable[int]:
        numbers: dict[tuple[object, ...], int] = {}
        for item in lines:
            key = (item.min_gap_s, item.caps, tuple([share.caps for share in item.budget_shares]))
            number = numbers.setdefault(key, len(self._limits))
            if number == len(self._limits):
                self._limits.append(_Limits(item))
            yield number

    def _is_capped(self, line_item: LineItem) -> bool:
        return bool(
            line_item.caps
            or line_item.min_gap_s
            or line_item.campaign_id in self._campaign_caps
            or line_item.advertiser_id in self._advertiser_caps
            or any(share.caps for share in line_item.budget_shares)
        )

    def limits(self, line_item_id: int) -> bool:
        """Whether a cap or a gap concerns the line item."""
        known = self._known
        return (known[line_item_id] if line_item_id in known else self._line(line_item_id)) is not None

    def _line(self, number: int) -> _Line | None:
        """The caps of the line item with that id; None when nothing caps it."""
        if number in self._known:
            return self._known[number]
        position = int(self._ids.searchsorted(number))
        line = None
        if position < len(self._ids) and self._ids[position] == number:
            limits = self._limits[self._limits_of[position]]
            line = _Line(number, int(self._campaigns[position]), int(self._advertisers[position]), limits)
        if len(self._known) >= MAX_KNOWN_LINES:
            self._known.clear()
        self._known[number] = line
        return line

    def _pools_of(self, owner: int, *, is_campaign: bool) -> list[PoolKey]:
        """The pools of all line items of a campaign or advertiser that are not archived."""
        key = (is_campaign, owner)
        pools = self._owned.get(key)
        if pools is None:
            owners = self._campaigns if is_campaign else self._advertisers
            pools = self._owned[key] = [
                PoolKey(int(self._ids[position]), share)
                for position in ((owners == owner) & self._live).nonzero()[0]
                for share in range(len(self._limits[self._limits_of[position]].share_caps))
            ]
        return pools

    def blocked(self, ring: bytes, now_s: int) -> dict[PoolKey, NoBid]:
        """Every pool that may not bid for this user now, with FREQUENCY_CAP or MIN_GAP; nothing for an empty ring."""
        if not ring:
            return {}
        blocked: dict[PoolKey, NoBid] = {}
        campaigns: defaultdict[int, list[int]] = defaultdict(list)
        advertisers: defaultdict[int, list[int]] = defaultdict(list)
        for line_item, times in _times_by_line_item(ring).items():
            line = self._line(line_item)
            if line is not None:
                line.block(times, now_s, blocked)
                campaigns[line.campaign] += times
                advertisers[line.advertiser] += times
        for owner, times in campaigns.items():
            if owner in self._campaign_caps and _reached(self._campaign_caps[owner], sorted(times), now_s):
                blocked.update(dict.fromkeys(self._pools_of(owner, is_campaign=True), NoBid.FREQUENCY_CAP))
        for owner, times in advertisers.items():
            if owner in self._advertiser_caps and _reached(self._advertiser_caps[owner], sorted(times), now_s):
                blocked.update(dict.fromkeys(self._pools_of(owner, is_campaign=False), NoBid.FREQUENCY_CAP))
        return blocked

    def describe(self, ring: bytes, now_s: int) -> list[tuple[PoolKey, NoBid, str]]:
        """What blocks each pool, with its numbers: "line item cap 3 of 3 in 24 h, free again at 14:00 UTC".

        For explanations: every cap and gap that is reached, where `blocked` stops at the first of a pool.
        """
        found: list[tuple[PoolKey, NoBid, str]] = []
        campaigns: defaultdict[int, list[int]] = defaultdict(list)
        advertisers: defaultdict[int, list[int]] = defaultdict(list)
        for line_item, times in _times_by_line_item(ring).items():
            line = self._line(line_item)
            if line is not None:
                found += line.describe(times, now_s)
                campaigns[line.campaign] += times
                advertisers[line.advertiser] += times
        for owner, shown, caps in (
            ("campaign", campaigns, self._campaign_caps),
            ("advertiser", advertisers, self._advertiser_caps),
        ):
            for number, times in shown.items():
                for text in _texts(owner, caps.get(number, ()), sorted(times), now_s):
                    pools = self._pools_of(number, is_campaign=owner == "campaign")
                    found += [(pool, NoBid.FREQUENCY_CAP, text) for pool in pools]
        return found


def _times_by_line_item(ring: bytes) -> dict[int, list[int]]:
    shown: dict[int, list[int]] = {}
    for line_item, shown_s in _records(ring):
        shown.setdefault(line_item, []).append(shown_s)
    return shown


def _integers(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, dtype=np.int64)


def _longest_of(line_items: Iterable[LineItem]) -> int:
    """Seconds that any cap or gap of the line items looks back."""
    lines = tuple(line_items)
    own = {cap.window_s for line_item in lines for cap in line_item.caps}
    shares = {cap.window_s for line_item in lines for share in line_item.budget_shares for cap in share.caps}
    return max({line_item.min_gap_s for line_item in lines} | own | shares, default=0)
