"""What an advertiser's products have to do with each other, as one value: fitted by the worker, read by everybody else.

Products have numbers here, from 0, in the order of `ids`. Money is micros, moments are unix ms.
"""

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from core.errors import CatalogueError
from creatives.products.blend import LENGTHS, SHARES, Blend
from creatives.products.tables import Table, Tables

MODEL_VERSION: Final = 2
"""The version that is written. Version 1 is the same without attributes, and is read as well."""

OLDEST_MODEL_VERSION: Final = 1
ATTRIBUTES: Final = ("size", "color", "gender", "age_group")
"""Members of a product that similar ones may have in common, beside category and brand."""

# The value of a size that is no number: sizes are compared as numbers.
NO_STEP: Final = float("nan")


class ModelError(CatalogueError):
    """A model of another version, or damaged bytes."""


class ProductModel(msgspec.Struct, frozen=True):
    """Tables over an advertiser's products, and of each product what choosing needs before it is looked up."""

    fitted_ms: int
    interactions: int  # how many it was fitted to
    ids: list[str]
    category_names: list[str]
    brand_names: list[str]
    categories: npt.NDArray[np.int32]  # number of the name, -1 for none
    brands: npt.NDArray[np.int32]
    prices: npt.NDArray[np.int64]  # 0: unknown
    sizes: npt.NDArray[np.float32]  # NO_STEP: no number
    trends: npt.NDArray[np.float32]  # share of views of the last days over the share before; 0 without views
    in_feed: npt.NDArray[np.bool_]
    attributes: npt.NDArray[np.int32]  # a row a product, a column each of ATTRIBUTES: number of the text, -1 for none
    blend: Blend

    @property
    def tables(self) -> Tables:
        return self.blend.tables

    def in_common(self, number: int, others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether a product and each of `others` (a row each) share category, brand, and each of ATTRIBUTES."""
        columns = (self.categories, self.brands, *self.attributes.T)
        return np.stack([(column[others] == column[number]) & (column[number] >= 0) for column in columns], axis=1)

    def numbers(self) -> dict[str, int]:
        """The number of each product id. Keep the result beside the model: it takes a moment to make."""
        return {product_id: number for number, product_id in enumerate(self.ids)}


class _Stored(msgspec.Struct, array_like=True):
    """The stored form, as an array: append fields at the end, with a default."""

    model_version: int
    fitted_ms: int
    interactions: int
    ids: list[str]
    category_names: list[str]
    brand_names: list[str]
    arrays: list[bytes]


_TABLES: Final = ("following", "together", "bought", "content")
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Stored)


def pack_model(model: ProductModel) -> bytes:
    """Stored form: about 1 KB a product with long rows, a tenth of it for those that are seldom seen."""
    tables = model.tables
    arrays: list[npt.NDArray[Any]] = [
        model.categories, model.brands, model.prices, model.sizes, model.trends, model.in_feed, tables.popularity,
        model.blend.shares,
    ]  # fmt: skip
    for name in _TABLES:
        table: Table = getattr(tables, name)
        # Weights of half precision change no rank that anybody would notice.
        arrays += [np.diff(table.starts).astype(np.uint8), table.numbers, table.weights.astype(np.float16)]
    arrays.append(model.attributes)
    stored = _Stored(
        MODEL_VERSION, model.fitted_ms, model.interactions, model.ids, model.category_names, model.brand_names,
        [array.tobytes() for array in arrays],
    )  # fmt: skip
    return zstandard.ZstdCompressor(level=3).compress(_encoder.encode(stored))


def unpack_model(blob: bytes) -> ProductModel:
    """A model from its stored form. Raises ModelError for another version or damaged bytes."""
    try:
        stored = _decoder.decode(zstandard.ZstdDecompressor().decompress(blob))
        if not OLDEST_MODEL_VERSION <= stored.model_version <= MODEL_VERSION:
            raise ModelError(f"a product model of version {stored.model_version}; this release reads {MODEL_VERSION}")
        return _model(stored)
    except (zstandard.ZstdError, msgspec.DecodeError, ValueError, IndexError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"damaged product model: {error}") from error


def _model(stored: _Stored) -> ProductModel:
    kinds: tuple[type[np.generic], ...] = (
        np.int32,
        np.int32,
        np.int64,
        np.float32,
        np.float32,
        np.bool_,
        np.float32,
        np.float64,
    )
    plain: list[npt.NDArray[Any]] = [np.frombuffer(stored.arrays[at], dtype=kind) for at, kind in enumerate(kinds)]
    if any(len(array) != len(stored.ids) for array in plain[:-1]):
        raise ValueError("arrays of different lengths")
    tables_end = len(kinds) + 3 * len(_TABLES)
    tables = [_table(stored.arrays[at : at + 3]) for at in range(len(kinds), tables_end, 3)]
    attributes = np.full((len(stored.ids), len(ATTRIBUTES)), -1, dtype=np.int32)
    if stored.model_version > 1:
        attributes = np.frombuffer(stored.arrays[tables_end], dtype=np.int32).reshape(attributes.shape)
    shares = plain[7].astype(np.float64).reshape(LENGTHS, SHARES)
    following, together, bought, content = tables
    blend = Blend(Tables(following, together, bought, content, plain[6].astype(np.float32)), shares)
    return ProductModel(
        stored.fitted_ms, stored.interactions, stored.ids, stored.category_names, stored.brand_names,
        plain[0].astype(np.int32), plain[1].astype(np.int32), plain[2].astype(np.int64), plain[3].astype(np.float32),
        plain[4].astype(np.float32), plain[5].astype(np.bool_), attributes, blend,
    )  # fmt: skip


def _table(arrays: list[bytes]) -> Table:
    lengths = np.frombuffer(arrays[0], dtype=np.uint8)
    starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int32)
    numbers = np.frombuffer(arrays[1], dtype=np.int32)
    if starts[-1] != len(numbers):
        raise ValueError("a table of another length")
    return Table(starts, numbers, np.frombuffer(arrays[2], dtype=np.float16).astype(np.float32))
