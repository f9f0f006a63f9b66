"""Bid modifiers: factors by which line items bid more or less where a targeting field has some value.

A modifier names a field and values as targeting does, so the same dimensions say which modifiers apply: here a
*position* is a modifier (of one position of the index), not a line item. What applies to one line item is multiplied,
and the product bounded. An index without modifiers has no dimension that restricts, and its bid path asks nothing.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from bidder.request.auction import Auction, Impression
from bidder.targeting.bitmaps import to_flags
from bidder.targeting.dimensions import Allowed, Dimension, Layered, PositionLists
from bidder.targeting.field import Field, Part
from bidder.targeting.grouped import grouped_by_part
from bidder.targeting.memory import ANSWER_BYTES, Memo, MemoryBudget
from core.model import BidModifier, LineItem

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

# Bounds of the product of all that apply: more than ten times the worth of an impression is never meant, and not to bid
# at all is a matter of targeting.
LEAST, MOST = 0.1, 10.0

_MAX_LABEL = 80


def may_modify(field: Field) -> bool:
    """Whether line items may name values of a field: values of their ads are not theirs to choose."""
    return bool(field.allow)


def label_of(modifier: BidModifier) -> str:
    """What a modifier is about, on a line."""
    return f"{modifier.field} {', '.join(map(str, modifier.values))}"[:_MAX_LABEL]


class Modifiers(msgspec.Struct):
    """The modifiers of an index. `dimensions`, by field, answer with sets of modifiers; the rest is by modifier."""

    dimensions: dict[str, Dimension]
    positions: Integers  # of the index
    factors: Floats
    labels: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of modifiers: a line item with shares has each as often as it has positions."""
        return len(self.positions)

    def above(self, below: "Modifiers", positions: int) -> "Modifiers":
        """The modifiers of a base and, behind them, these of its overlay; the base has so many `positions`."""
        return Modifiers(
            {name: Layered(dimension, self.dimensions[name]) for name, dimension in below.dimensions.items()},
            np.concatenate((below.positions, self.positions + positions)),
            np.concatenate((below.factors, self.factors)),
            below.labels + self.labels,
        )


def compile_modifiers(lines: Sequence[LineItem], fields: Sequence[Field]) -> Modifiers:
    """The modifiers of line items by position."""
    named = [(at, modifier) for at, line in enumerate(lines) for modifier in line.bid_modifiers]
    lists = {field.name: PositionLists() for field in fields if may_modify(field)}
    of_field = {field.name: field for field in fields}
    for number, (_at, modifier) in enumerate(named):
        field = of_field[modifier.field]
        lists[field.name].add(number, {field.of_modifier(value): None for value in modifier.values})
    return Modifiers(
        {
            name: Allowed(of_field[name].reason, len(named), values, of_field[name].allows)
            for name, values in lists.items()
        },
        np.array([at for at, _modifier in named], dtype=np.int64),
        np.array([modifier.factor_percent / 100 for _at, modifier in named], dtype=np.float64),
        tuple(label_of(modifier) for _at, modifier in named),
    )


class Applied(msgspec.Struct, frozen=True):
    """What a set of modifiers comes to: positions of the index, ascending, and the factor of each."""

    positions: Integers
    factors: Floats


class BidFactors(Memo):
    """Which modifiers apply to impressions, and what they come to. It is false where there are none."""

    __slots__ = ("_context", "_known", "_modifiers", "_slots")

    def __init__(self, modifiers: Modifiers, fields: Sequence[Field], memory: MemoryBudget) -> None:
        super().__init__()
        self._modifiers = modifiers
        self._known: dict[int, Applied | None] = {}
        groups = grouped_by_part(modifiers.dimensions, fields)
        self._context = [group for group in groups if group.part is not Part.IMPRESSION]
        self._slots = [group for group in groups if group.part is Part.IMPRESSION]
        for group in groups:
            group.group.join(memory)
        self.join(memory)

    def __bool__(self) -> bool:
        return bool(self._context or self._slots)

    def forget(self) -> None:
        """See `Memo`."""
        self._known.clear()
        self.nbytes = 0

    def prepare(self, auction: Auction) -> Iterator[None]:
        """Work out all that `of_pairs` will ask for, with pauses: for a request of long lists."""
        for grouped in self._context:
            yield from grouped.prepare(grouped.read(auction))
        for impression in auction.impressions if self._slots else ():
            for grouped in self._slots:
                yield from grouped.prepare(grouped.read(impression))

    def of_pairs(
        self, slots: Sequence[tuple[Auction, Impression]], lengths: Sequence[int], positions: Integers
    ) -> Floats | None:
        """The factor of each pair: `slots` and `lengths` (pairs) are by slot. None where no modifier applies."""
        factors: Floats | None = None
        last: Auction | None = None
        start = bits = 0
        for (auction, impression), length in zip(slots, lengths, strict=True):
            if auction is not last:
                last, bits = auction, self._of_context(auction)
            applied = self._applied(self._of_slot(bits, impression)) if bits else None
            end = start + length
            if applied is not None:
                at = applied.positions.searchsorted(positions[start:end])
                at[at == len(applied.positions)] = 0
                mine = (applied.positions[at] == positions[start:end]).nonzero()[0]
                if len(mine):
                    factors = np.ones(len(positions)) if factors is None else factors
                    factors[start + mine] = applied.factors[at[mine]]
            start = end
        return factors

    def applying(self, auction: Auction, impression: Impression, position: int) -> list[tuple[str, float]]:
        """For explanations: what each modifier that applies to a line item's position is about, and its factor."""
        bits = self._of_slot(self._of_context(auction), impression) if self else 0
        modifiers = self._modifiers
        numbers = to_flags(bits, modifiers.count).nonzero()[0].tolist()
        return [
            (modifiers.labels[number], float(modifiers.factors[number]))
            for number in numbers
            if modifiers.positions[number] == position
        ]

    def _of_context(self, auction: Auction) -> int:
        bits = (1 << self._modifiers.count) - 1
        for grouped in self._context:
            bits &= grouped.answer(grouped.read(auction)).bits
        return bits

    def _of_slot(self, bits: int, impression: Impression) -> int:
        for grouped in self._slots:
            bits &= grouped.answer(grouped.read(impression)).bits
        return bits

    def _applied(self, bits: int) -> Applied | None:
        if bits in self._known:
            return self._known[bits]
        applied = self._worked_out(bits)
        self.take(ANSWER_BYTES + self._modifiers.count // 8 + (16 * len(applied.positions) if applied else 0))
        self._known[bits] = applied
        return applied

    def _worked_out(self, bits: int) -> Applied | None:
        numbers = to_flags(bits, self._modifiers.count).nonzero()[0]
        positions, place = np.unique(self._modifiers.positions[numbers], return_inverse=True)
        factors = np.ones(len(positions))
        np.multiply.at(factors, place, self._modifiers.factors[numbers])
        factors = factors.clip(LEAST, MOST)
        changed = factors != 1.0
        return Applied(positions[changed], factors[changed]) if changed.any() else None
