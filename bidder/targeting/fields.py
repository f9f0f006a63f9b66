"""Targeting dimensions: for one field of a request, the set of line items that accept its value.

A dimension answers `get(key)` with a `Bits`. Answers are memoised by the raw key of the request (an exact user agent, a
tuple of categories), so parsing and combining happen once per distinct key; what one costs does not matter.
Line items without a restriction in the dimension are in every answer. Each answer counts the impressions that used it:
from these marginal counts the funnel derives, exactly and without touching line items on the bid path, on how many
impressions each reason excluded each line item.
"""

import abc
import array
import functools
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from bidder.targeting import normalise
from bidder.targeting.bitmaps import Bits, all_ones, from_positions
from core.reasons import NoBid

# A memo holds at most this many answers and these bytes of keys and bitmaps; past either it is harvested and emptied.
# Keys count since senders choose them: the words of a page may be as long as a request.
MAX_MEMO_ANSWERS = 20_000
MAX_MEMO_BYTES = 16 * 1024 * 1024

# Of each text, number or tuple in a key, beside its characters or members.
_OBJECT_BYTES = 56

Key = Any
"""What a dimension is asked for: each has a type of its own, told by its function in stages.match."""

ValuesOf = Callable[[Key], Iterable[Hashable]]
"""Turns the key of a request into the values to look up."""


def bytes_of(key: Key) -> int:
    """About the memory of a key: a sender decides how long its texts and lists are."""
    if isinstance(key, tuple):
        return _OBJECT_BYTES + sum(bytes_of(part) for part in key)
    if isinstance(key, msgspec.Struct):
        return bytes_of(msgspec.structs.astuple(key))
    return _OBJECT_BYTES + (len(key) if isinstance(key, (str, bytes)) else 0)


class PositionLists:
    """Collects, while an index is compiled, which positions name which value; and which name any value at all."""

    def __init__(self) -> None:
        self.by_value: dict[Hashable, array.array[int]] = {}
        self.restricted: array.array[int] = array.array("q")

    def add(self, position: int, values: Iterable[Hashable]) -> None:
        """Record that the line item at `position` names `values`; nothing to do when there are none."""
        named = False
        for value in values:
            self.by_value.setdefault(value, array.array("q")).append(position)
            named = True
        if named:
            self.restricted.append(position)


class Dimension(abc.ABC):
    """Sets of line items by request value, memoised. `reason` is what the line items outside the answer are told."""

    def __init__(self, reason: NoBid, count: int) -> None:
        self.reason = reason
        self.count = count
        self.memo: dict[Any, Bits] = {}
        self._shared: dict[int, int] = {}
        self._memo_bytes = 0
        self._harvested: dict[int, int] = {}

    @property
    @abc.abstractmethod
    def restricts(self) -> bool:
        """Whether any line item is restricted here; where none is, the bid path skips the dimension."""

    @abc.abstractmethod
    def evaluate(self, key: Key) -> int:
        """The set of line items that accept `key`, computed from scratch."""

    def get(self, key: Key) -> Bits:
        """The memoised answer for `key`."""
        answer = self.memo.get(key)
        return answer if answer is not None else self.resolve(key)

    def resolve(self, key: Key) -> Bits:
        """Compute and memoise the answer for a key that `memo` does not have."""
        if len(self.memo) >= MAX_MEMO_ANSWERS or self._memo_bytes >= MAX_MEMO_BYTES:
            self._fold()
        bits = self.evaluate(key)
        self._memo_bytes += bytes_of(key)
        shared = self._shared.get(bits)
        if shared is None:
            shared = self._shared[bits] = bits
            self._memo_bytes += self.count // 8
        answer = self.memo[key] = Bits(shared)
        return answer

    def harvest(self) -> dict[int, int]:
        """Impressions by answered set since the last harvest; the counts start again from zero."""
        for answer in self.memo.values():
            if answer.hits:
                self._harvested[answer.bits] = self._harvested.get(answer.bits, 0) + answer.hits
                answer.hits = 0
        counts, self._harvested = self._harvested, {}
        return counts

    def count_hits(self, bits: int, impressions: int) -> None:
        """Impressions that used the answer `bits` without asking here."""
        self._harvested[bits] = self._harvested.get(bits, 0) + impressions

    def _fold(self) -> None:
        self._harvested = self.harvest()
        self.memo.clear()
        self._shared.clear()
        self._memo_bytes = 0

    def _set_of(self, lists: PositionLists, values: Iterable[Hashable]) -> int:
        found = array.array("q")
        for value in values:
            positions = lists.by_value.get(value)
            if positions is not None:
                found.extend(positions)
        return from_positions(found, self.count) if found else 0


class Allowed(Dimension):
    """Line items accept the values they list; a request has one key, which `values_of` turns into values to look up."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists, values_of: ValuesOf) -> None:
        super().__init__(reason, count)
        self._lists = lists
        self._values_of = values_of
        self._unrestricted = all_ones(count) & ~from_positions(lists.restricted, count)

    @property
    def restricts(self) -> bool:
        return bool(self._lists.restricted)

    def evaluate(self, key: Key) -> int:
        return self._unrestricted | self._set_of(self._lists, self._values_of(key))


class Denied(Dimension):
    """Line items refuse the values they list."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists, values_of: ValuesOf) -> None:
        super().__init__(reason, count)
        self._lists = lists
        self._values_of = values_of

    @property
    def restricts(self) -> bool:
        return bool(self._lists.restricted)

    def evaluate(self, key: Key) -> int:
        return all_ones(self.count) & ~self._set_of(self._lists, self._values_of(key))


class AllowedAndDenied(Dimension):
    """Two lists under one reason: a value must be allowed (or nothing restricted) and must not be denied."""

    def __init__(self, allowed: Allowed, denied: Denied) -> None:
        super().__init__(allowed.reason, allowed.count)
        self._allowed = allowed
        self._denied = denied

    @property
    def restricts(self) -> bool:
        return self._allowed.restricts or self._denied.restricts

    def evaluate(self, key: Key) -> int:
        return self._allowed.evaluate(key) & self._denied.evaluate(key)


class Matching(Dimension):
    """Line items list patterns; `matches(pattern, key)` decides. For globs and circles, which cannot be looked up."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists, matches: Callable[[Any, Any], bool]) -> None:
        super().__init__(reason, count)
        self._lists = lists
        self._matches = matches
        self._unrestricted = all_ones(count) & ~from_positions(lists.restricted, count)

    @property
    def restricts(self) -> bool:
        return bool(self._lists.restricted)

    def evaluate(self, key: Key) -> int:
        patterns = [pattern for pattern in self._lists.by_value if self._matches(pattern, key)]
        return self._unrestricted | self._set_of(self._lists, patterns)


class Offered(Dimension):
    """Line items can fill the values they list, and nothing else: no list means no answer. For creative sizes."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists) -> None:
        super().__init__(reason, count)
        self._lists = lists

    @property
    def restricts(self) -> bool:
        return True

    def evaluate(self, key: Sequence[Hashable]) -> int:
        return self._set_of(self._lists, key)


class SegmentMembership(Dimension):
    """`segments_any` and `segments_all`: the key is the user's active segment ids, packed as little-endian uint32."""

    def __init__(self, count: int, any_of: PositionLists, all_of: Mapping[tuple[int, ...], "array.array[int]"]) -> None:
        super().__init__(NoBid.SEGMENT, count)
        self._any_of = any_of
        self._all_of = dict(all_of)
        self._any_unrestricted = all_ones(count) & ~from_positions(any_of.restricted, count)
        restricted_all = [position for positions in self._all_of.values() for position in positions]
        self._all_unrestricted = all_ones(count) & ~from_positions(restricted_all, count)

    @property
    def restricts(self) -> bool:
        return bool(self._any_of.restricted) or bool(self._all_of)

    def evaluate(self, key: bytes) -> int:
        members = normalise.members(key)
        held = set(members)
        met = array.array("q")
        for needed, positions in self._all_of.items():
            if held.issuperset(needed):
                met.extend(positions)
        every = self._all_unrestricted | (from_positions(met, self.count) if met else 0)
        return (self._any_unrestricted | self._set_of(self._any_of, members)) & every


class DealAccess(Dimension):
    """Deals offered on an impression. The key is (exchange id, offered deal ids, private auction)."""

    def __init__(self, count: int, lists: PositionLists) -> None:
        super().__init__(NoBid.DEAL, count)
        self._lists = lists
        self._unrestricted = all_ones(count) & ~from_positions(lists.restricted, count)

    @property
    def restricts(self) -> bool:
        # Also without a deal line item: a private auction closes the impression to all the others.
        return True

    def evaluate(self, key: tuple[int, tuple[str, ...], bool]) -> int:
        offered = self.holders(key)
        return offered if key[2] else self._unrestricted | offered

    def holders(self, key: tuple[int, tuple[str, ...], bool]) -> int:
        """The line items that target one of the offered deals."""
        exchange_id, deal_ids, _private = key
        return self._set_of(self._lists, [(exchange_id, deal_id) for deal_id in deal_ids])

    def held(self, exchange_id: int, position: int, deal_ids: Iterable[str]) -> list[str]:
        """Those of the offered deals that the line item at `position` targets."""
        by_value = self._lists.by_value
        return [deal_id for deal_id in deal_ids if position in by_value.get((exchange_id, deal_id), ())]


class Layered(Dimension):
    """The answers of a base and, at the positions that follow it, those of an overlay (bidder.targeting.overlay).

    The base remembers its part, so a new overlay costs a request a few microseconds and not the base's evaluation.
    """

    def __init__(self, base: Dimension, overlay: Dimension) -> None:
        super().__init__(base.reason, base.count + overlay.count)
        self._base = base
        self._overlay = overlay

    @property
    def restricts(self) -> bool:
        return self._base.restricts or self._overlay.restricts

    def evaluate(self, key: Key) -> int:
        return self._base.get(key).bits | (self._overlay.evaluate(key) << self._base.count)


class LayeredDeals(Layered):
    """`Layered` for `DealAccess`."""

    def __init__(self, base: "DealAccess | LayeredDeals", overlay: "DealAccess | LayeredDeals") -> None:
        super().__init__(base, overlay)
        self._parts = base, overlay

    def held(self, exchange_id: int, position: int, deal_ids: Iterable[str]) -> list[str]:
        """See `DealAccess.held`."""
        base, overlay = self._parts
        if position < base.count:
            return base.held(exchange_id, position, deal_ids)
        return overlay.held(exchange_id, position - base.count, deal_ids)


class Group:
    """Dimensions whose keys come from one part of a request, asked together: one look-up where each would cost one.

    The memo's key is whatever the caller reads of that part; it must determine the keys of all dimensions. A joint
    answer counts for all its parts; `settle` passes the counts on, and must come before any dimension is harvested.
    The dimensions stay the only ones who know an answer; this only remembers which belong together.
    """

    __slots__ = ("_bytes", "_dimensions", "_shared", "memo")

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._dimensions = tuple(dimensions)
        self.memo: dict[Key, JointBits] = {}
        self._shared: dict[int, int] = {}
        self._bytes = 0

    def resolve(self, part: Key, keys: Sequence[Key]) -> "JointBits":
        """Ask each dimension for its key, in order, and remember the joint answer under `part`."""
        if len(self.memo) >= MAX_MEMO_ANSWERS or self._bytes >= MAX_MEMO_BYTES:
            self.settle()
            self.memo.clear()
            self._shared.clear()
            self._bytes = 0
        # The joint answer may outlive its parts in their dimensions' memos: counts go by what was answered, not by who.
        parts = tuple(
            (dimension, dimension.get(key).bits) for dimension, key in zip(self._dimensions, keys, strict=True)
        )
        bits = functools.reduce(operator.and_, [bits for _dimension, bits in parts])
        if bits not in self._shared:
            self._shared[bits] = bits
            self._bytes += self._dimensions[0].count // 8
        self._bytes += bytes_of(part)
        answer = self.memo[part] = JointBits(self._shared[bits], parts)
        return answer

    def settle(self) -> None:
        """Pass the impressions that were counted on to the dimensions."""
        for answer in self.memo.values():
            if answer.hits:
                for dimension, bits in answer.parts:
                    dimension.count_hits(bits, answer.hits)
                answer.hits = 0


class JointBits:
    """What several dimensions accept together, each one's part of it, and the impressions that it was used for."""

    __slots__ = ("bits", "hits", "parts")

    def __init__(self, bits: int, parts: tuple[tuple[Dimension, int], ...]) -> None:
        self.bits = bits
        self.hits = 0
        self.parts = parts
