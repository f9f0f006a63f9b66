"""Sets of line items: for one field of a request, those that accept its value.

A dimension answers `get(key)` with a `Bits`; the key is what the field reads (bidder.targeting.field), a tuple. Answers
are memoised, so parsing and combining happen once per distinct key; what one costs does not matter.
Line items without a restriction in the dimension are in every answer. Each answer counts the impressions that used it:
from these marginal counts the funnel derives, exactly and without touching line items on the bid path, on how many
impressions each reason excluded each line item.
"""

import abc
import array
import functools
import operator
from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bidder.targeting import normalise
from bidder.targeting.bitmaps import Bits, all_ones, from_positions
from bidder.targeting.field import Applies
from bidder.targeting.memory import ANSWER_BYTES, OBJECT_BYTES, Memo, MemoryBudget, bytes_of
from core.reasons import NoBid

Key = Any
"""What a dimension is asked for: what its field reads, in the field's order."""


SLICE = 256
"""Values of a key that are looked up before the event loop gets a turn: a third of a millisecond with domains."""


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


class Dimension(Memo):
    """Sets of line items by request value, memoised. `reason` is counted for the line items outside the answer."""

    def __init__(self, reason: NoBid, count: int) -> None:
        super().__init__()
        self.reason = reason
        self.count = count
        self.memo: dict[Any, Bits] = {}
        self._shared: dict[int, int] = {}
        self._harvested: dict[int, int] = {}

    @property
    @abc.abstractmethod
    def restricts(self) -> bool:
        """Whether any line item is restricted here; where none is, the bid path skips the dimension."""

    @property
    def denying(self) -> int:
        """The set of line items that deny any value here."""
        return 0

    @abc.abstractmethod
    def evaluate(self, key: Key) -> int:
        """The set of line items that accept `key`, computed from scratch."""

    def get(self, key: Key) -> Bits:
        """The memoised answer for `key`."""
        answer = self.memo.get(key)
        return answer if answer is not None else self.resolve(key)

    def evaluate_in_slices(self, key: Key) -> Generator[None, None, int]:
        """`evaluate` with pauses, for keys of many values."""
        yield
        return self.evaluate(key)

    def prepare(self, key: Key) -> Iterator[None]:
        """Compute and memoise the answer for a key, with pauses."""
        if key not in self.memo:
            bits = yield from self.evaluate_in_slices(key)
            self._remember(key, bits)

    def resolve(self, key: Key) -> Bits:
        """Compute and memoise the answer for a key that `memo` does not have."""
        return self._remember(key, self.evaluate(key))

    def _remember(self, key: Key, bits: int) -> Bits:
        # Before it is remembered: this may be the memo that has to forget.
        self.take(bytes_of(key) + ANSWER_BYTES + (0 if bits in self._shared else self.count // 8))
        answer = self.memo[key] = Bits(self._shared.setdefault(bits, bits))
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
        """Count impressions that used the answer `bits` as a part of a joint answer, without asking here."""
        self._harvested[bits] = self._harvested.get(bits, 0) + impressions

    def forget(self) -> None:
        """See `Memo`."""
        self._harvested = self.harvest()
        self.memo.clear()
        self._shared.clear()
        self.nbytes = 0

    def _set_of(self, lists: PositionLists, values: Iterable[Hashable]) -> int:
        found = array.array("q")
        for value in values:
            positions = lists.by_value.get(value)
            if positions is not None:
                found.extend(positions)
        return from_positions(found, self.count) if found else 0

    def _set_in_slices(self, lists: PositionLists, values: Iterable[Hashable]) -> Generator[None, None, int]:
        found = array.array("q")
        for number, value in enumerate(values, 1):
            positions = lists.by_value.get(value)
            if positions is not None:
                found.extend(positions)
            if not number % SLICE:
                yield
        return from_positions(found, self.count) if found else 0


class Allowed(Dimension):
    """Line items accept the values they list, if one of them `applies` to the key."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists, applies: Applies) -> None:
        super().__init__(reason, count)
        self._lists = lists
        self._applies = applies
        self._unrestricted = all_ones(count) & ~from_positions(lists.restricted, count)

    @property
    def restricts(self) -> bool:
        return bool(self._lists.restricted)

    def evaluate(self, key: Key) -> int:
        return self._unrestricted | self._set_of(self._lists, self._applies(self._lists.by_value, key))

    def evaluate_in_slices(self, key: Key) -> Generator[None, None, int]:
        """See `Dimension`."""
        found = yield from self._set_in_slices(self._lists, self._applies(self._lists.by_value, key))
        return self._unrestricted | found


class Denied(Dimension):
    """Line items refuse the values they list."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists, applies: Applies) -> None:
        super().__init__(reason, count)
        self._lists = lists
        self._applies = applies

    @property
    def restricts(self) -> bool:
        return bool(self._lists.restricted)

    @property
    def denying(self) -> int:
        return from_positions(self._lists.restricted, self.count)

    def evaluate(self, key: Key) -> int:
        return all_ones(self.count) & ~self._set_of(self._lists, self._applies(self._lists.by_value, key))

    def evaluate_in_slices(self, key: Key) -> Generator[None, None, int]:
        """See `Dimension`."""
        found = yield from self._set_in_slices(self._lists, self._applies(self._lists.by_value, key))
        return all_ones(self.count) & ~found


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

    def evaluate_in_slices(self, key: Key) -> Generator[None, None, int]:
        """See `Dimension`."""
        allowed = yield from self._allowed.evaluate_in_slices(key)
        denied = yield from self._denied.evaluate_in_slices(key)
        return allowed & denied


class Offered(Dimension):
    """Line items can fill the values they list, and nothing else: no list means no answer. For creative sizes."""

    def __init__(self, reason: NoBid, count: int, lists: PositionLists, applies: Applies) -> None:
        super().__init__(reason, count)
        self._lists = lists
        self._applies = applies

    @property
    def restricts(self) -> bool:
        return True

    def evaluate(self, key: Key) -> int:
        return self._set_of(self._lists, self._applies(self._lists.by_value, key))


class SegmentMembership(Dimension):
    """`segments_any` and `segments_all`: the key is the user's active segment ids, packed as little-endian uint32.

    The key None stands for a user of whom nothing is known or may be known: all line items accept it here, since
    `Strangers` has the reason for such a user.
    """

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

    def evaluate(self, key: bytes | None) -> int:
        if key is None:
            return all_ones(self.count)
        members = normalise.members(key)
        held = set(members)
        met = array.array("q")
        for needed, positions in self._all_of.items():
            if held.issuperset(needed):
                met.extend(positions)
        every = self._all_unrestricted | (from_positions(met, self.count) if met else 0)
        return (self._any_unrestricted | self._set_of(self._any_of, members)) & every


class Strangers(Dimension):
    """Line items for members of segments refuse users of whom nothing is known or may be known, whose key is None."""

    def __init__(self, membership: Dimension) -> None:
        super().__init__(NoBid.NO_PROFILE, membership.count)
        self._membership = membership

    @property
    def restricts(self) -> bool:
        return self._membership.restricts

    def evaluate(self, key: bytes | None) -> int:
        return self._membership.get(b"").bits if key is None else all_ones(self.count)


class DealAccess(Dimension):
    """Deals offered on an impression. The key is (exchange id, offered deal ids, private auction)."""

    def __init__(self, count: int, lists: PositionLists) -> None:
        super().__init__(NoBid.DEAL, count)
        self._lists = lists
        self._unrestricted = all_ones(count) & ~from_positions(lists.restricted, count)

    @property
    def restricts(self) -> bool:
        return bool(self._lists.restricted)

    def evaluate(self, key: tuple[int, tuple[str, ...], bool]) -> int:
        exchange_id, deal_ids, _private = key
        return self._unrestricted | self._set_of(self._lists, [(exchange_id, deal_id) for deal_id in deal_ids])

    def targeted(self, exchange_id: int, deal_ids: Iterable[str]) -> list[str]:
        """Those of the offered deals that any line item targets."""
        by_value = self._lists.by_value
        return [deal_id for deal_id in deal_ids if (exchange_id, deal_id) in by_value]

    def held(self, exchange_id: int, position: int, deal_ids: Iterable[str]) -> list[str]:
        """Those of the offered deals that the line item at `position` targets."""
        by_value = self._lists.by_value
        return [deal_id for deal_id in deal_ids if position in by_value.get((exchange_id, deal_id), ())]


class PrivateAuction(Dimension):
    """A private auction is closed to line items without deals; `DealAccess` judges the others by the same key."""

    def __init__(self, deals: Dimension) -> None:
        super().__init__(NoBid.PRIVATE_AUCTION, deals.count)
        self._deals = deals

    @property
    def restricts(self) -> bool:
        # Also without a deal line item: a private auction closes the impression to all of them.
        return True

    def evaluate(self, key: tuple[int, tuple[str, ...], bool]) -> int:
        everybody = all_ones(self.count)
        return everybody & ~self._deals.get(_NO_DEALS).bits if key[2] else everybody


_NO_DEALS: tuple[int, tuple[str, ...], bool] = (0, (), False)  # accepted by the line items without deals


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

    def join(self, budget: MemoryBudget) -> None:
        """See `Memo.join`; also for what the base remembers."""
        super().join(budget)
        self._base.join(budget)

    @property
    def denying(self) -> int:
        return self._base.denying | (self._overlay.denying << self._base.count)

    def evaluate(self, key: Key) -> int:
        return self._base.get(key).bits | (self._overlay.evaluate(key) << self._base.count)

    def evaluate_in_slices(self, key: Key) -> Generator[None, None, int]:
        """See `Dimension`."""
        yield from self._base.prepare(key)
        overlay = yield from self._overlay.evaluate_in_slices(key)
        return self._base.get(key).bits | (overlay << self._base.count)


class LayeredDeals(Layered):
    """`Layered` for `DealAccess`."""

    def __init__(self, base: "DealAccess | LayeredDeals", overlay: "DealAccess | LayeredDeals") -> None:
        super().__init__(base, overlay)
        self._parts = base, overlay

    def targeted(self, exchange_id: int, deal_ids: Iterable[str]) -> list[str]:
        """See `DealAccess.targeted`."""
        base, overlay = self._parts
        offered = list(deal_ids)
        known = {*base.targeted(exchange_id, offered), *overlay.targeted(exchange_id, offered)}
        return [deal_id for deal_id in offered if deal_id in known]

    def held(self, exchange_id: int, position: int, deal_ids: Iterable[str]) -> list[str]:
        """See `DealAccess.held`."""
        base, overlay = self._parts
        if position < base.count:
            return base.held(exchange_id, position, deal_ids)
        return overlay.held(exchange_id, position - base.count, deal_ids)


class Group(Memo):
    """Dimensions whose keys come from one part of a request, asked together: one look-up instead of one for each.

    The memo's key is all that their fields read of that part, so it determines the keys of all of them. A joint
    answer counts for all its parts; `settle` passes the counts on, and must come before any dimension is harvested.
    Only a dimension works out an answer; the group just remembers which answers belong together.
    """

    __slots__ = ("_known", "dimensions", "memo")

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        super().__init__()
        self.dimensions = tuple(dimensions)
        self.memo: dict[Key, JointBits] = {}
        self._known: dict[int, int] = {}

    def join(self, budget: MemoryBudget) -> None:
        """See `Memo.join`; also for what the dimensions remember."""
        super().join(budget)
        for dimension in self.dimensions:
            dimension.join(budget)

    def prepare(self, keys: Sequence[Key]) -> Iterator[None]:
        """Let each dimension compute its answer, with pauses; `resolve` then only joins them."""
        for dimension, key in zip(self.dimensions, keys, strict=True):
            yield from dimension.prepare(key)

    def resolve(self, part: Key, keys: Sequence[Key]) -> "JointBits":
        """Ask each dimension for its key, in order, and remember the joint answer under `part`."""
        # The joint answer may outlive its parts in their dimensions' memos: counts go by answers, not by dimensions.
        dimensions = self.dimensions
        answers = [dimension.get(key).bits for dimension, key in zip(dimensions, keys, strict=True)]
        joint = functools.reduce(operator.and_, answers)
        known = self._known
        sets = {joint, *answers}
        new = sets.difference(known)
        size = bytes_of(part) + ANSWER_BYTES + 2 * OBJECT_BYTES * len(answers)
        self.take(size + len(new) * (dimensions[0].count // 8))
        # All of them and not only the new ones: to make room this memo may have forgotten what it knew.
        for bits in sets:
            known.setdefault(bits, bits)
        answer = self.memo[part] = JointBits(known[joint], tuple(zip(dimensions, answers, strict=True)))
        return answer

    def forget(self) -> None:
        """See `Memo`."""
        self.settle()
        self.memo.clear()
        self._known.clear()
        self.nbytes = 0

    def settle(self) -> None:
        """Pass the impressions that were counted on to the dimensions."""
        for answer in self.memo.values():
            if answer.hits:
                for dimension, bits in answer.parts:
                    dimension.count_hits(bits, answer.hits)
                answer.hits = 0


class JointBits:
    """What several dimensions accept together, the part of each, and how many impressions have used it."""

    __slots__ = ("bits", "hits", "parts")

    def __init__(self, bits: int, parts: tuple[tuple[Dimension, int], ...]) -> None:
        self.bits = bits
        self.hits = 0
        self.parts = parts
