"""Frequency caps and minimum gaps, from one ring of impressions in the user's hash.

All caps of a user (line item, campaign, advertiser, any window, any format) are answered by the same few bytes, which
the bid path has already read with the profile (core.ring). The tracker appends to them at the billable impression
(pacing/budgets/scripts/record.lua).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.model import Advertiser, Campaign, Catalogue, FrequencyCap, LineItem, Status
from core.moments import duration_text, moment_text
from core.reasons import NoBid
from core.ring import ANY_FORMAT, LINE_ITEM_BITS, format_of, line_item_of, record_number, records
from core.terms import FORMATS_BY_NUMBER
from pacing.budgets.blocks import BlockBook
from pacing.budgets.pools import PoolKey

# Caps look back this far at most: records that no cap can ask for are dropped at the next impression.
MAX_WINDOW_S: Final = 30 * 86_400

# Line items whose caps are kept in memory once a user who saw them was looked up; some 300 bytes each.
MAX_KNOWN_LINES: Final = 20_000

_Pairs = tuple[tuple[int, int], ...]  # (impressions, window_s)


class _Caps(NamedTuple):
    """The caps of one owner: those that count everything, and those of each format by its number."""

    of_all: _Pairs
    by_format: tuple[tuple[int, _Pairs], ...]


def _pack(caps: Iterable[FrequencyCap]) -> _Caps:
    pairs: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for cap in caps:
        number = ANY_FORMAT if cap.format is None else FORMATS_BY_NUMBER.index(cap.format)
        pairs[number].append((cap.impressions, cap.window_s))
    of_all = tuple(pairs.pop(ANY_FORMAT, ()))
    return _Caps(of_all, tuple((number, tuple(some)) for number, some in sorted(pairs.items())))


def _reached(caps: _Pairs, times: Sequence[int], now_s: int) -> bool:
    """Whether one of the caps leaves no room for another impression; `times` ascends.

    A cap of n is reached when the n-th newest impression still lies in the window.
    """
    return any(
        impressions <= 0 or (len(times) >= impressions and times[-impressions] > now_s - window)
        for impressions, window in caps
    )


_Shown = Sequence[tuple[int, int]]
"""(unix seconds, number of the format or ANY_FORMAT) of each impression, in the order of time."""


def _times_of(shown: _Shown, number: int) -> list[int]:
    """When impressions of a format were shown. One whose format was not noted may have been of any, and counts."""
    return [shown_s for shown_s, of_format in shown if of_format in (number, ANY_FORMAT)]


def _reached_formats(caps: _Caps, shown: _Shown, now_s: int) -> Iterator[str]:
    """The formats of which no other impression may follow."""
    for number, pairs in caps.by_format:
        times = _times_of(shown, number)
        if times and _reached(pairs, times, now_s):
            yield FORMATS_BY_NUMBER[number]


def _all_texts(owner: str, caps: _Caps, shown: _Shown, now_s: int) -> Iterator[tuple[str, str]]:
    """The format ("" for all of them) and a text for each cap that is reached."""
    times = [shown_s for shown_s, _format in shown]
    yield from (("", text) for text in _texts(owner, caps.of_all, "", times, now_s))
    for number, pairs in caps.by_format:
        name, times = FORMATS_BY_NUMBER[number], _times_of(shown, number)
        if times:
            yield from ((name, text) for text in _texts(owner, pairs, f" {name} impressions", times, now_s))


def _texts(owner: str, caps: _Pairs, of_what: str, times: Sequence[int], now_s: int) -> Iterator[str]:
    """A text for each cap that is reached; `times` ascends."""
    for impressions, window in caps:
        if not _reached(((impressions, window),), times, now_s):
            continue
        seen = sum(1 for shown_s in times if shown_s > now_s - window)
        text = f"{owner} cap {seen} of {impressions}{of_what} in {duration_text(window)}"
        if impressions > 0:
            text += f", free again at {moment_text(times[-impressions] + window, now_s)}"
        yield text


class Reached(NamedTuple):
    """A cap or gap that rules out a pool, in words; of one format where `format` is not empty."""

    pool: PoolKey
    reason: NoBid
    text: str
    format: str = ""


class Blocked(NamedTuple):
    """What may not bid for one user now, each with FREQUENCY_CAP or MIN_GAP: pools, and pools in one format alone."""

    pools: dict[PoolKey, NoBid]
    formats: dict[str, dict[PoolKey, NoBid]]

    def reason(self, pool: PoolKey, of_format: str) -> NoBid | None:
        """Why a pool may not bid in a format; None where it may."""
        found = self.pools.get(pool)
        return found if found is not None or not self.formats else self.formats.get(of_format, {}).get(pool)


class _Limits:
    """The caps of a line item and its shares. Most line items of a catalogue have one of a few such sets in common."""

    __slots__ = ("caps", "min_gap_s", "share_caps")

    def __init__(self, line_item: LineItem) -> None:
        self.min_gap_s = line_item.min_gap_s
        self.caps = _pack(line_item.caps)
        # A share without caps of its own is capped like its line item.
        self.share_caps = (
            self.caps,
            *(_pack(share.caps) if share.caps else self.caps for share in line_item.budget_shares),
        )

    @property
    def by_format(self) -> bool:
        """Whether a cap is of one format."""
        return any(caps.by_format for caps in self.share_caps)


class _Line:
    """The caps of one line item, with those of its shares."""

    __slots__ = ("advertiser", "campaign", "caps", "counts_formats", "min_gap_s", "pools", "share_caps")

    def __init__(self, number: int, campaign: int, advertiser: int, limits: _Limits, *, counts_formats: bool) -> None:
        self.campaign = campaign
        self.advertiser = advertiser
        self.counts_formats = counts_formats  # whether a cap by format concerns it
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
            if caps.of_all and _reached(caps.of_all, times, now_s):
                blocked[pool] = NoBid.FREQUENCY_CAP

    def blocked_formats(self, shown: _Shown, now_s: int) -> Iterator[tuple[str, PoolKey]]:
        """The pools that impressions rule out in one format."""
        for pool, caps in zip(self.pools, self.share_caps, strict=True):
            yield from ((each, pool) for each in _reached_formats(caps, shown, now_s))

    def describe(self, shown: _Shown, now_s: int) -> Iterator[Reached]:
        """Everything that rules out a pool of the line item, in words."""
        last_s = shown[-1][0]
        if self.min_gap_s and last_s > now_s - self.min_gap_s:
            following = moment_text(last_s + self.min_gap_s, now_s)
            text = f"minimum gap {duration_text(self.min_gap_s)}, next at {following}"
            yield from (Reached(pool, NoBid.MIN_GAP, text) for pool in self.pools)
        for pool, caps in zip(self.pools, self.share_caps, strict=True):
            owner = "budget share" if caps is not self.caps else "line item"
            for of_format, text in _all_texts(owner, caps, shown, now_s):
                yield Reached(pool, NoBid.FREQUENCY_CAP, text, of_format)


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
        "_advertiser_caps", "_advertisers", "_campaign_caps", "_campaigns", "_counts_formats", "_ids", "_known",
        "_limits", "_limits_of", "_live", "_owned",
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
        self._counts_formats = self._has_caps_by_format()
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
        table._counts_formats = table._has_caps_by_format()
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

    def _has_caps_by_format(self) -> bool:
        owners = (*self._campaign_caps.values(), *self._advertiser_caps.values())
        return any(caps.by_format for caps in owners) or any(limits.by_format for limits in self._limits)

    def limits(self, line_item_id: int) -> bool:
        """Whether a cap or a gap concerns the line item."""
        known = self._known
        return (known[line_item_id] if line_item_id in known else self._line(line_item_id)) is not None

    def record_number(self, line_item_id: int, of_format: str) -> int:
        """The number of the ring's record for an impression: it names the format where a cap by format concerns it."""
        line = self._line(line_item_id) if self._counts_formats else None
        by_format = line is not None and line.counts_formats
        return record_number(line_item_id, FORMATS_BY_NUMBER.index(of_format)) if by_format else line_item_id

    def _line(self, number: int) -> _Line | None:
        """The caps of the line item with that id; None when nothing caps it."""
        if number in self._known:
            return self._known[number]
        position = int(self._ids.searchsorted(number))
        line = None
        if position < len(self._ids) and self._ids[position] == number:
            limits = self._limits[self._limits_of[position]]
            campaign, advertiser = int(self._campaigns[position]), int(self._advertisers[position])
            owners = (self._campaign_caps.get(campaign), self._advertiser_caps.get(advertiser))
            counts_formats = limits.by_format or any(caps is not None and caps.by_format for caps in owners)
            line = _Line(number, campaign, advertiser, limits, counts_formats=counts_formats)
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

    def blocked(self, ring: bytes, now_s: int) -> Blocked:
        """Every pool that may not bid for this user now, at all or in a format; nothing for an empty ring."""
        blocked = Blocked({}, {})
        if not ring:
            return blocked
        campaigns: defaultdict[int, list[int]] = defaultdict(list)
        advertisers: defaultdict[int, list[int]] = defaultdict(list)
        for line_item, times in _times_by_line_item(ring).items():
            line = self._line(line_item)
            if line is not None:
                line.block(times, now_s, blocked.pools)
                campaigns[line.campaign] += times
                advertisers[line.advertiser] += times
        for owner, times in campaigns.items():
            if owner in self._campaign_caps and _reached(self._campaign_caps[owner].of_all, sorted(times), now_s):
                blocked.pools.update(dict.fromkeys(self._pools_of(owner, is_campaign=True), NoBid.FREQUENCY_CAP))
        for owner, times in advertisers.items():
            if owner in self._advertiser_caps and _reached(self._advertiser_caps[owner].of_all, sorted(times), now_s):
                blocked.pools.update(dict.fromkeys(self._pools_of(owner, is_campaign=False), NoBid.FREQUENCY_CAP))
        if self._counts_formats:
            self._block_formats(ring, now_s, blocked)
        return blocked

    def _block_formats(self, ring: bytes, now_s: int, blocked: Blocked) -> None:
        """Add the pools that may not bid in one format, unless they may not bid at all."""
        lines = self._seen(ring)
        found = [each for line, shown in lines for each in line.blocked_formats(shown, now_s)]
        for owner, number, caps, shown in self._owners(lines):
            pools = self._pools_of(number, is_campaign=owner == "campaign") if caps.by_format else ()
            found += [(each, pool) for each in _reached_formats(caps, shown, now_s) for pool in pools]
        for of_format, pool in found:
            if pool not in blocked.pools:
                blocked.formats.setdefault(of_format, {})[pool] = NoBid.FREQUENCY_CAP

    def describe(self, ring: bytes, now_s: int) -> list[Reached]:
        """What blocks each pool, with its numbers: "line item cap 3 of 3 in 24 h, free again at 14:00 UTC".

        For explanations: every cap and gap that is reached, where `blocked` stops at the first of a pool.
        """
        lines = self._seen(ring)
        found = [each for line, shown in lines for each in line.describe(shown, now_s)]
        for owner, number, caps, shown in self._owners(lines):
            for of_format, text in _all_texts(owner, caps, shown, now_s):
                pools = self._pools_of(number, is_campaign=owner == "campaign")
                found += [Reached(pool, NoBid.FREQUENCY_CAP, text, of_format) for pool in pools]
        return found

    def _seen(self, ring: bytes) -> list[tuple[_Line, _Shown]]:
        """The line items with caps that the user saw, with their impressions."""
        shown: dict[int, list[tuple[int, int]]] = {}
        for number, shown_s in records(ring):
            shown.setdefault(line_item_of(number), []).append((shown_s, format_of(number)))
        found = ((self._line(line_item), seen) for line_item, seen in shown.items())
        return [(line, seen) for line, seen in found if line is not None]

    def _owners(self, lines: Iterable[tuple[_Line, _Shown]]) -> Iterator[tuple[str, int, _Caps, _Shown]]:
        """The campaigns, then the advertisers with caps that the user saw: kind, id, caps, impressions."""
        campaigns: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        advertisers: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for line, seen in lines:
            campaigns[line.campaign] += seen
            advertisers[line.advertiser] += seen
        for owner, shown, caps in (
            ("campaign", campaigns, self._campaign_caps),
            ("advertiser", advertisers, self._advertiser_caps),
        ):
            yield from ((owner, number, caps[number], sorted(seen)) for number, seen in shown.items() if number in caps)


def _times_by_line_item(ring: bytes) -> dict[int, list[int]]:
    shown: dict[int, list[int]] = {}
    for number, shown_s in records(ring):
        shown.setdefault(number & LINE_ITEM_BITS, []).append(shown_s)
    return shown


def _integers(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, dtype=np.int64)


def _longest_of(line_items: Iterable[LineItem]) -> int:
    """Seconds that any cap or gap of the line items looks back."""
    lines = tuple(line_items)
    own = {cap.window_s for line_item in lines for cap in line_item.caps}
    shares = {cap.window_s for line_item in lines for share in line_item.budget_shares for cap in share.caps}
    return max({line_item.min_gap_s for line_item in lines} | own | shares, default=0)
