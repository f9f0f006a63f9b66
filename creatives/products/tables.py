"""Tables of which products go together, as they are asked: rows of products with weights, the strongest first."""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

NEIGHBOURS: Final = 100
"""Longest row. Half as many would lose one hit in a hundred among the first twenty."""


class Table(msgspec.Struct, frozen=True):
    """Rows of (product number, weight), the strongest first: `numbers[starts[a]:starts[a + 1]]` go with product `a`."""

    starts: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]

    def row(self, number: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        low, high = self.starts[number], self.starts[number + 1]
        return self.numbers[low:high], self.weights[low:high]


class Tables(msgspec.Struct, frozen=True):
    """All tables over the same products.

    `following`: what is seen after a product in a session. `together`: what is seen in the same sessions. `bought`:
    what the same visitor buys. `content`: what resembles it by category, brand, price and words, for products that
    nobody has looked at yet. `popularity` sums to one.
    """

    following: Table
    together: Table
    bought: Table
    content: Table
    popularity: npt.NDArray[np.float32]


def empty_table(products: int) -> Table:
    """A table without any neighbour."""
    return Table(np.zeros(products + 1, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
