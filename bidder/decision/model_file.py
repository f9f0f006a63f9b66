"""The pricing model as it lies on disk, and as the score stage reads it.

An artefact is a directory: `manifest.json` (format, fields, vocabulary, columns, metrics), `weights.npy` (float32,
(rows, 2 heads, columns): the materialised logits of every (field, value)) and `SHA256SUMS`. Never pickle. One row per
value was measured at 16 us for 100 campaigns against 78 us for hashing at request time (docs/evidence.md).
The heads are P(click | impression) and P(conversion | click).

Checksums say that a file is what was written, not that it is a model: every number that the bid path will use as an
index, an edge or a logit is checked here, so that an artefact is either refused with its reason or prices each bid.
"""

import ast
import hashlib
import itertools
import math
import pathlib
import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from core.errors import ConfigError

FORMAT = 2
"""What is written. Format 1 is read as well: its user field `cart`, a logit for having one, is left out, since what a
cart is worth is its own term of the formula; its hours are of UTC, where format 2 has the user's."""

CLICK, CONVERSION = 0, 1
MANIFEST, WEIGHTS, SUMS = "manifest.json", "weights.npy", "SHA256SUMS"
PRIOR_DIRECTORY = pathlib.Path(__file__).parent / "prior"

REQUEST_FIELDS = frozenset(("hour", "device", "size", "position", "deal"))
USER_FIELDS = frozenset(("last_visit_hours", "visits", "products_viewed"))
_LEFT_OUT = frozenset(("cart",))  # of format 1

MAX_LOGIT = 30.0
"""Sums of logits are clipped to this: a probability of 1e-13, beyond which only overflow lies."""

MAX_ROWS = 4_000_000
MAX_COLUMNS = 10_000

# msgspec's own ranges stop what the checks below would otherwise stumble over.
_Row = Annotated[int, Meta(ge=0, lt=MAX_ROWS)]
_YEAR_S = 365 * 86_400
_COLUMN = re.compile(r"default|advertiser:[1-9][0-9]{0,9}")


class FieldVocabulary(msgspec.Struct, frozen=True):
    """Rows of one feature. `other` serves values the model has not seen; `edges` makes numbers into buckets."""

    other: _Row
    rows: dict[str, _Row] = {}
    edges: tuple[float, ...] = ()  # a number falls in bucket i when i edges are <= it; bucket i has row other + 1 + i


class Manifest(msgspec.Struct, frozen=True):
    format: Annotated[int, Meta(ge=1, le=1_000_000)]
    name: Annotated[str, Meta(max_length=200)]
    rows: Annotated[int, Meta(ge=1, le=MAX_ROWS)]
    columns: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_COLUMNS)]
    """"default" first, then "advertiser:7" and the like for weights of their own."""
    request_fields: dict[str, FieldVocabulary]
    user_fields: dict[str, FieldVocabulary]
    bias: tuple[float, float]  # logits of the two heads
    version: Annotated[int, Meta(ge=0, le=2**16 - 1)] = 0  # tokens and the journal's bids have it; 0: not numbered
    frequency_decay: float = 0.15  # docs/evidence.md, "Frequency": exp(-0.15 n)
    purchase_floor: float = 0.15  # of the interest is left right after a purchase ...
    purchase_cycle_s: float = 30 * 86_400.0  # ... and all of it is back after so long
    notes: str = ""

    @property
    def hours_are_local(self) -> bool:
        """Whether the hours are those of the user's clock, and not UTC."""
        return self.format >= 2


class Model(msgspec.Struct, frozen=True):
    """A loaded artefact; the bias of both heads is in the manifest and not in the weights."""

    manifest: Manifest
    weights: NDArray[np.float32]  # (rows, 2, columns)


def load_model(directory: pathlib.Path = PRIOR_DIRECTORY) -> Model:
    """Read and verify an artefact. Raises ConfigError, with the reason, for one that cannot price every bid."""
    _verify(directory)
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
        shape = (manifest.rows, 2, len(manifest.columns))
        weights = _read_weights((directory / WEIGHTS).read_bytes(), shape)
    except (ValueError, OSError) as error:  # msgspec's errors are ValueErrors too
        raise ConfigError(f"model {directory.name} cannot be read: {error}", hint="train it again") from error
    fault = _fault_of_manifest(manifest) or _fault_of_weights(weights)
    if fault:
        raise ConfigError(
            f"model {directory.name}: {fault}",
            hint="train it again with this version, or go back to the previous artefact",
        )
    return Model(manifest, weights)


def _fault_of_manifest(manifest: Manifest) -> str:
    """What is wrong; "" if nothing is."""
    if manifest.format not in (1, FORMAT):
        return f"format {manifest.format} is not one of those that this version reads, 1 and {FORMAT}"
    columns = manifest.columns
    if columns[0] != "default" or len(set(columns)) < len(columns) or not all(map(_COLUMN.fullmatch, columns)):
        return 'columns must be "default", then "advertiser:7" and the like, each once'
    if not all(abs(bias) <= MAX_LOGIT for bias in manifest.bias):
        return f"bias must lie between -{MAX_LOGIT:g} and {MAX_LOGIT:g}"
    if not 0.0 <= manifest.frequency_decay <= 10.0:
        return "frequency_decay must lie between 0 and 10"
    if not 0.0 <= manifest.purchase_floor <= 1.0:
        return "purchase_floor must lie between 0 and 1"
    if not 1.0 <= manifest.purchase_cycle_s <= _YEAR_S:
        return "purchase_cycle_s must lie between a second and a year"
    left_out = _LEFT_OUT if manifest.format == 1 else frozenset()
    return _fault_of_fields("request", manifest.request_fields, REQUEST_FIELDS, manifest.rows) or _fault_of_fields(
        "user", manifest.user_fields, USER_FIELDS | (left_out & manifest.user_fields.keys()), manifest.rows
    )


def _fault_of_fields(kind: str, fields: Mapping[str, FieldVocabulary], names: frozenset[str], rows: int) -> str:
    if fields.keys() != names:
        wrong = ", ".join(sorted(fields.keys() ^ names))
        return f"{kind} fields must be {', '.join(sorted(names))}: {wrong[:200]} is missing or unknown"
    for name, field in fields.items():
        edges = field.edges
        if kind == "user" and field.rows:
            return f"user field {name} is a number: it has edges, not rows"
        if kind == "request" and edges:
            return f"request field {name} is a word: it has rows, not edges"
        last = field.other + 1 + len(edges) if kind == "user" else max((field.other, *field.rows.values()))
        if last >= rows:
            return f"{kind} field {name} names row {last} of {rows}"
        if not all(map(math.isfinite, edges)) or any(low >= high for low, high in itertools.pairwise(edges)):
            return f"edges of {name} must be finite and ascend"
    return ""


def _read_weights(data: bytes, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The array of a .npy file of version 1.0. Raises ValueError for another type or shape.

    `np.load` is not used: on a damaged header it raises several kinds of exceptions, warns, or repairs.
    """
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("weights are not a .npy file of version 1.0")
    start = 10 + int.from_bytes(data[8:10], "little")
    try:
        header = ast.literal_eval(data[10:start].decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("the header of the weights cannot be read") from None
    wanted = {"descr": "<f4", "fortran_order": False, "shape": shape}
    if header != wanted:
        raise ValueError(f"weights are {str(header)[:200]}, not float32 of {shape}")
    if len(data) - start != 4 * math.prod(shape):
        raise ValueError(f"weights have {len(data) - start} bytes, not those of {shape}")
    return np.frombuffer(data, "<f4", offset=start).reshape(shape).astype(np.float32)


def _fault_of_weights(weights: NDArray[np.float32]) -> str:
    if not (np.abs(weights) <= MAX_LOGIT).all():  # not-a-number fails it too
        return f"weights must be finite and lie between -{MAX_LOGIT:g} and {MAX_LOGIT:g}"
    return ""


def _verify(directory: pathlib.Path) -> None:
    try:
        sums = dict(line.split("  ", 1)[::-1] for line in (directory / SUMS).read_text().splitlines() if "  " in line)
        if not {MANIFEST, WEIGHTS} <= sums.keys():
            raise ConfigError(f"model {directory.name}: {SUMS} does not name its files", hint="copy the artefact again")
        for name in (MANIFEST, WEIGHTS):
            actual = hashlib.sha256((directory / name).read_bytes()).hexdigest()
            if actual != sums[name]:
                raise ConfigError(f"model {directory.name}: {name} was altered", hint="copy the artefact again")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"model {directory.name}: {error}", hint="an artefact is a directory with manifest.json and SHA256SUMS"
        ) from error
