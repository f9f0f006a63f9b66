"""Rows of a feed set aside on disk, in parts by the hash of their id, until the whole feed is known to be good.

A million rows are 250 MB: in memory they would take twice what a load may. A part is small enough to be sorted there.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from creatives.feeds.faults import MAX_EXAMPLES
from creatives.product import FeedProduct
from creatives.products.codec import PackedProduct, block_count, block_of, group_row, is_group, place_of

PARTS: Final = 128
_SHIFT: Final = 64 - 7  # the first seven bits of a place name its part
BUFFER_BYTES: Final = 64 * 1024

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[str, bytes, int])


def _ignore(_line: int, _product_id: str) -> None:
    """For the pass that writes: `distinct` has noted the repeated ids already."""


class Spill:
    """Takes rows in the order of the feed and gives them back part by part; of equal ids only the last."""

    def __init__(self, directory: Path | None = None) -> None:
        """`directory` None: the system's folder of temporary files. The files have no name and vanish when closed."""
        self._files: list[IO[bytes]] = [
            tempfile.TemporaryFile(dir=directory, buffering=BUFFER_BYTES)  # noqa: SIM115 - closed in __exit__
            for _ in range(PARTS)
        ]
        self.rows = 0  # of products, repeated ones too
        self.products = 0  # different ones; see `distinct`
        self._groups: dict[str, bool] = {}  # whether the product that stands for a group is for sale
        self.repeated: list[tuple[int, str]] = []  # line and id of the first repetitions; see `distinct`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, product_id: str, row: bytes, line: int = 0) -> None:
        """`line` is where the row stands in the feed, for the report of repeated ids."""
        blob = _encoder.encode((product_id, row, line))
        file = self._files[place_of(product_id) >> _SHIFT]
        file.write(len(blob).to_bytes(4, "little") + blob)

    def add_product(self, product: FeedProduct, row: bytes, line: int = 0) -> None:
        """A product, and a row for its group if it stands for it: the first that is for sale, otherwise the first."""
        self.add(product.id, row, line)
        self.rows += 1
        group = product.group
        if group and group != product.id and not self._groups.get(group, False):
            if group not in self._groups or product.for_sale:
                self.add(*group_row(group, product.id))
            self._groups[group] = product.for_sale

    def blocks(self) -> Iterator[tuple[int, list[PackedProduct]]]:
        """Number and rows of each block that has any. Call `distinct` first: it says how many blocks there are."""
        count = block_count(self.distinct)
        number, rows = -1, list[PackedProduct]()
        for part in self._parts():
            for product in part:
                block = block_of(product.id, count)
                if block != number and rows:
                    yield number, rows
                    rows = []
                number = block
                rows.append(product)
        if rows:
            yield number, rows

    @functools.cached_property
    def distinct(self) -> int:
        """How many rows with different ids there are, groups too; nothing may be added any more."""
        counted = products = 0
        for part in self._parts(self._note):
            counted += len(part)
            products += sum(not is_group(row.id) for row in part)
        self.products = products
        return counted

    def _note(self, line: int, product_id: str) -> None:
        if len(self.repeated) < MAX_EXAMPLES:
            self.repeated.append((line, product_id))

    def _parts(self, on_repeated: Callable[[int, str], None] = _ignore) -> Iterator[list[PackedProduct]]:
        """Each part's rows in the order of their blocks."""
        for file in self._files:
            file.seek(0)
            known: dict[str, bytes] = {}
            while length := file.read(4):
                product_id, row, line = _decoder.decode(file.read(int.from_bytes(length, "little")))
                if product_id in known and not is_group(product_id):
                    on_repeated(line, product_id)
                known[product_id] = row
            rows = [PackedProduct(product_id, row) for product_id, row in known.items()]
            yield sorted(rows, key=lambda row: place_of(row.id))
