"""Packed form of a feed's products in Redis (docs/feeds.md): blocks of about 16 rows, compressed with one dictionary.

One product a key or a hash field would cost 60 to 100 bytes of Redis's own. A block is found by the hash of an id, and
one of its rows is unpacked without the others. Addresses keep what follows a prefix that many of them share.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import zstandard

from core.errors import CatalogueError
from core.ids import product_reference
from creatives.product import FeedProduct

TABLE_VERSION: Final = 1
ROWS_A_BLOCK: Final = 16

# Further prefixes would be so rare that the compressor's dictionary serves them as well.
MAX_PREFIXES: Final = 60
MIN_PREFIX_USES: Final = 20
MAX_HOSTS: Final = 4
# A dictionary of a hundredth of its table is paid back several times; above 64 KiB nothing more is gained.
DICTIONARY_SHARE: Final = 100
MAX_DICTIONARY_BYTES: Final = 64 * 1024
MIN_DICTIONARY_BYTES: Final = 1_024
# Level 9 takes 40 us a block and saves 6 % against level 3.
LEVEL: Final = 9

_NO_PREFIX: Final = 0
# Rows that say which product stands for a group; no id of a feed begins with a control character.
_GROUP: Final = "\x1f"


class TableError(CatalogueError):
    """A product table of another version, or damaged bytes."""


class TableHead(msgspec.Struct, frozen=True, array_like=True):
    """What is needed to read one version of one feed's table. Append fields at the end, with a default."""

    table_version: int
    feed_id: int
    version: int  # of the products, only ever raised: unix ms of their loading, and random bits
    as_of_ms: int  # the moment the feed shows: later changes by API and tag stay on top of it
    products: int
    blocks: int  # of products and groups together
    prefixes: tuple[str, ...]
    dictionary: bytes


class PackedProduct(NamedTuple):
    """A product's id and its row."""

    id: str
    row: bytes


class _Block(msgspec.Struct, array_like=True):
    ids: list[str]
    rows: list[msgspec.Raw]


class _Row(msgspec.Struct, array_like=True):
    """A product whose addresses are split; what follows is the product's array itself."""

    link_prefix: int
    image_prefix: int
    product: FeedProduct


_encoder: Final = msgspec.msgpack.Encoder()
_row_decoder: Final = msgspec.msgpack.Decoder(_Row)
_block_decoder: Final = msgspec.msgpack.Decoder(_Block)
_text_decoder: Final = msgspec.msgpack.Decoder(str)
_head_decoder: Final = msgspec.msgpack.Decoder(TableHead)


def pack_head(head: TableHead) -> bytes:
    """Stored form of a head."""
    return _encoder.encode(head)


def unpack_head(blob: bytes) -> TableHead:
    """A head from its stored form. Raises TableError for another version."""
    try:
        head = _head_decoder.decode(blob)
    except msgspec.DecodeError as error:
        raise TableError(f"damaged head of a product table: {error}") from error
    if head.table_version != TABLE_VERSION:
        raise TableError(
            f"a product table of version {head.table_version}; this release reads {TABLE_VERSION}",
            hint="refresh the feed",
        )
    return head


def place_of(row_id: str) -> int:
    """What a row is found by: the reference of its product id (core.ids), or of its group; 64 bits."""
    return product_reference(row_id.removeprefix(_GROUP))


def block_at(place: int, blocks: int) -> int:
    """Block of a place among `blocks`: in the order of places, so that a sorted load fills one by one."""
    return place * blocks >> 64


def block_of(product_id: str, blocks: int) -> int:
    """Block of a product, or of a group by its name."""
    return block_at(place_of(product_id), blocks)


def block_count(products: int) -> int:
    """Blocks for so many products."""
    return max(1, -(-products // ROWS_A_BLOCK))


def group_row(group: str, product_id: str) -> PackedProduct:
    """A row by which a product is found by its item group."""
    return PackedProduct(group_id(group), _encoder.encode(product_id))


def group_id(group: str) -> str:
    """Under which id the row of a group lies."""
    return f"{_GROUP}{group}"


def is_group(row_id: str) -> bool:
    """Whether a row stands for a group and is no product."""
    return row_id.startswith(_GROUP)


class Prefixes:
    """Frequent beginnings of addresses: a row has the number of one instead of its text; 0 is no prefix."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.texts = tuple(prefixes)
        self._numbers = {text: number for number, text in enumerate(self.texts, start=1)}

    @classmethod
    def learn(cls, addresses: Iterable[str]) -> "Prefixes":
        """Take the folders that occur often; an address counts for the deepest of its folders that is frequent."""
        sample = list(addresses)
        counts = Counter(address[: address.rfind("/") + 1] for address in sample if address)
        chosen: list[str] = []
        while counts and len(chosen) < MAX_PREFIXES:
            frequent = [text for text, count in counts.items() if count >= MIN_PREFIX_USES and text.count("/") > 2]
            chosen += sorted(frequent, key=counts.__getitem__, reverse=True)[: MAX_PREFIXES - len(chosen)]
            above: Counter[str] = Counter()
            for text, count in counts.items():
                parent = text[: text.rfind("/", 0, -1) + 1]
                if count < MIN_PREFIX_USES and parent.count("/") > 2:
                    above[parent] += count
            counts = above
        found = cls(list(dict.fromkeys(chosen)))
        hosts = dict.fromkeys(
            address[: address.find("/", 8) + 1]
            for address in sample
            if address and found.split(address)[0] == _NO_PREFIX
        )
        return cls([*found.texts, *itertools.islice((host for host in hosts if host), MAX_HOSTS)])

    def split(self, address: str) -> tuple[int, str]:
        """The longest known prefix and what follows it."""
        at = address.rfind("/") + 1
        while at > 8:  # behind https://
            number = self._numbers.get(address[:at])
            if number is not None:
                return number, address[at:]
            at = address.rfind("/", 0, at - 1) + 1
        return _NO_PREFIX, address

    def join(self, number: int, rest: str) -> str:
        return rest if number == _NO_PREFIX else self.texts[number - 1] + rest


class TablePacker:
    """Packs products: rows one by one as they are read, then blocks of rows. `learn` comes first."""

    def __init__(self, prefixes: Prefixes, dictionary: bytes = b"") -> None:
        self.prefixes = prefixes
        self.dictionary = dictionary
        self._compressor = _compressor(dictionary)

    @classmethod
    def learn(cls, sample: Sequence[FeedProduct], expected: int) -> "TablePacker":
        """From the first products of a feed, of which about `expected` are to come."""
        prefixes = Prefixes.learn(address for product in sample for address in (product.link, product.image))
        packer = cls(prefixes)
        rows = [PackedProduct(product.id, packer.row(product)) for product in sample]
        blocks: list[bytes | bytearray | memoryview[int]] = [
            _encode_block(rows[at : at + ROWS_A_BLOCK]) for at in range(0, len(rows), ROWS_A_BLOCK)
        ]
        whole = sum(map(len, blocks)) * max(1, expected) // max(1, len(sample))
        size = min(MAX_DICTIONARY_BYTES, whole // DICTIONARY_SHARE)
        if size < MIN_DICTIONARY_BYTES or len(blocks) < 8:
            return packer
        try:
            dictionary = zstandard.train_dictionary(size, blocks, level=LEVEL).as_bytes()
        except zstandard.ZstdError:  # rows so much alike, or so few, that there is nothing to learn
            return packer
        return cls(prefixes, dictionary)

    def row(self, product: FeedProduct) -> bytes:
        """One product's row."""
        link_prefix, link = self.prefixes.split(product.link)
        image_prefix, image = self.prefixes.split(product.image)
        return _encoder.encode(_Row(link_prefix, image_prefix, _with_addresses(product, link, image)))

    def reader(self) -> "TableReader":
        """A reader of this packer's rows, for use before the table has a head."""
        return TableReader(TableHead(TABLE_VERSION, 0, 0, 0, 0, 1, self.prefixes.texts, self.dictionary))

    def block(self, rows: Sequence[PackedProduct]) -> bytes:
        """A block of rows with different ids."""
        return self._compressor.compress(_encode_block(sorted(rows)))


class TableReader:
    """Unpacks blocks of one version. Not for several threads at once."""

    def __init__(self, head: TableHead) -> None:
        self.head = head
        self._prefixes = Prefixes(head.prefixes)
        self._decompressor = (
            zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(head.dictionary))
            if head.dictionary
            else zstandard.ZstdDecompressor()
        )

    def find(self, block: bytes, product_id: str) -> FeedProduct | None:
        """One product of a block. Raises TableError for damaged bytes."""
        parts = self._unpack(block)
        try:
            at = parts.ids.index(product_id)
        except ValueError:
            return None
        return self._product(parts.rows[at])

    def find_reference(self, block: bytes, reference: int) -> FeedProduct | str | None:
        """A product by its reference; the id of the one that stands for a group, where the reference is a group's."""
        parts = self._unpack(block)
        stand_in: str | None = None
        for row_id, row in zip(parts.ids, parts.rows, strict=True):
            if place_of(row_id) == reference:
                if not is_group(row_id):
                    return self._product(row)
                stand_in = _text_decoder.decode(row)
        return stand_in

    def find_in_group(self, block: bytes, group: str) -> str | None:
        """The id of the product that stands for a group, out of the group's block."""
        parts = self._unpack(block)
        try:
            return _text_decoder.decode(parts.rows[parts.ids.index(group_id(group))])
        except ValueError:
            return None

    def all(self, block: bytes) -> list[FeedProduct]:
        """All products of a block. Raises TableError for damaged bytes."""
        parts = self._unpack(block)
        return [self._product(row) for row_id, row in zip(parts.ids, parts.rows, strict=True) if not is_group(row_id)]

    def row(self, row: bytes | msgspec.Raw) -> FeedProduct:
        """A product of its row."""
        return self._product(row)

    def _unpack(self, block: bytes) -> _Block:
        try:
            return _block_decoder.decode(self._decompressor.decompress(block))
        except (zstandard.ZstdError, msgspec.DecodeError) as error:
            raise TableError(f"damaged block of a product table: {error}") from error

    def _product(self, row: bytes | msgspec.Raw) -> FeedProduct:
        try:
            parts = _row_decoder.decode(row)
            link = self._prefixes.join(parts.link_prefix, parts.product.link)
            image = self._prefixes.join(parts.image_prefix, parts.product.image)
        except (msgspec.DecodeError, IndexError) as error:
            raise TableError(f"damaged row of a product table: {error}") from error
        return _with_addresses(parts.product, link, image)


def _with_addresses(product: FeedProduct, link: str, image: str) -> FeedProduct:
    return msgspec.structs.replace(product, link=link, image=image)


def _encode_block(rows: Sequence[PackedProduct]) -> bytes:
    return _encoder.encode(_Block([row.id for row in rows], [msgspec.Raw(row.row) for row in rows]))


def _compressor(dictionary: bytes) -> zstandard.ZstdCompressor:
    if not dictionary:
        return zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)
    known = zstandard.ZstdCompressionDict(dictionary)
    known.precompute_compress(level=LEVEL)
    return zstandard.ZstdCompressor(dict_data=known, level=LEVEL, write_dict_id=False)
