"""The fields of one part of a request, asked together."""

from collections.abc import Iterator, Mapping, Sequence

from bidder.targeting.dimensions import Dimension, Group, JointBits
from bidder.targeting.field import Field, Part, Reads


def grouped_by_part(dimensions: Mapping[str, Dimension], fields: Sequence[Field]) -> list["Grouped"]:
    """The fields that restrict anything, part by part; a part without any is left out."""
    restricting = [field for field in fields if field.name in dimensions and dimensions[field.name].restricts]
    parts = [[field for field in restricting if field.part is part] for part in Part]
    return [Grouped(dimensions, part) for part in parts if part]


class Grouped:
    """The fields of one part that restrict anything, and one memo for all of them."""

    __slots__ = ("_reads", "group", "known", "part", "read")

    def __init__(self, dimensions: Mapping[str, Dimension], fields: Sequence[Field]) -> None:
        self.part = fields[0].part
        self.group = Group([dimensions[field.name] for field in fields])
        self._reads = Reads(fields)
        self.read = self._reads.read
        self.known = self.group.memo.get

    def answer(self, part: object) -> JointBits:
        """The joint answer of all these fields to what was read."""
        return self.known(part) or self.resolve(part)

    def resolve(self, part: object) -> JointBits:
        """`answer` for a part that is not known yet."""
        return self.group.resolve(part, self._reads.shares(part))

    def prepare(self, part: object) -> Iterator[None]:
        """Work out the answer, with pauses."""
        if self.known(part) is None:
            yield from self.group.prepare(self._reads.shares(part))
            self.resolve(part)
