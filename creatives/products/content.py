"""Products that resemble each other by what the feed says of them: for those that nobody has looked at yet.

Words of the title, category, brand, price band and audience are weighed by their rarity (inverse document frequency)
and compared by cosine. Words that a large part of the shop shares decide nothing and are left out.
"""

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp

from creatives.product import FeedProduct
from creatives.products.fitting import Matrix, top_rows
from creatives.products.tables import Table

NEIGHBOURS: Final = 30
# A word counts for nothing if more products have it: comparing them costs the square of their number.
MAX_PRODUCTS_OF_WORD: Final = 2_000
ROWS_AT_ONCE: Final = 500
MAX_WORDS: Final = 24
_WORD: Final = re.compile(r"\w{2,30}")


def words_of(product: FeedProduct) -> list[str]:
    """What a product is compared by."""
    words = _WORD.findall(product.title.lower())[:MAX_WORDS]
    category = product.category.lower()
    if category:
        words += [f"category:{category}", f"category:{category}:{_band(product)}"]
    if product.brand:
        words.append(f"brand:{product.brand.lower()}")
    if product.gender or product.age_group:
        words.append(f"for:{product.gender}:{product.age_group}:{category}")
    return words


def _band(product: FeedProduct) -> int:
    """Prices within about a quarter of each other share a band."""
    return round(math.log(max(1, product.price_micros)) / math.log(1.25))


def fit_content(products: Sequence[FeedProduct | None]) -> Table:
    """For each product the NEIGHBOURS most alike; None is a product that no feed has, without neighbours."""
    matrix = _weights(products)
    parts = [
        top_rows(_similar(matrix, start, min(start + ROWS_AT_ONCE, len(products))), NEIGHBOURS)
        for start in range(0, len(products), ROWS_AT_ONCE)
    ]
    lengths = [np.diff(part.starts) for part in parts]
    starts = np.concatenate(([0], np.cumsum(np.concatenate(lengths) if lengths else []))).astype(np.int32)
    numbers = np.concatenate([part.numbers for part in parts]) if parts else np.empty(0, np.int32)
    weights = np.concatenate([part.weights for part in parts]) if parts else np.empty(0, np.float32)
    return Table(starts, numbers, weights)


def _weights(products: Sequence[FeedProduct | None]) -> Matrix:
    """A matrix with a row of unit length for each product and a column for each word; rare words weigh more."""
    numbers: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for row, product in enumerate(products):
        if product is not None:
            for word in set(words_of(product)):
                rows.append(row)
                columns.append(numbers.setdefault(word, len(numbers)))
    values = np.ones(len(rows), dtype=np.float32)
    matrix: Matrix = sp.csr_matrix((values, (rows, columns)), shape=(len(products), max(1, len(numbers))))
    spread = np.bincount(columns, minlength=matrix.shape[1])
    rarity = np.log(max(1, len(products)) / np.maximum(spread, 1)) + 0.1
    rarity[spread > MAX_PRODUCTS_OF_WORD] = 0
    matrix = (matrix @ sp.diags(rarity.astype(np.float32))).tocsr()
    matrix.eliminate_zeros()
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scaled: Matrix = (sp.diags((1 / np.maximum(lengths, 1e-9)).astype(np.float32)) @ matrix).tocsr()
    return scaled


def _similar(matrix: Matrix, first: int, last: int) -> Matrix:
    """Cosines of the products `first` to `last` - 1 with all products, but for each with itself."""
    part = (matrix[first:last] @ matrix.T).tocsr()
    own = np.repeat(np.arange(first, last), np.diff(part.indptr)) == part.indices
    part.data[own] = 0
    part.eliminate_zeros()
    return part
