"""The pricing model as it lies on disk, and as the score stage reads it.

An artefact is a directory: `manifest.json` (format, fields, vocabulary, columns, metrics), `weights.npy` (float32,
(rows, 2 heads, columns): the materialised logits of every (field, value)) and `SHA256SUMS`. Never pickle. One row per
value was measured at 16 us for 100 campaigns against 78 us for hashing at request time (docs/evidence.md).
The heads are P(click | impression) and P(conversion | click).
"""

import hashlib
import pathlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError

FORMAT = 1
CLICK, CONVERSION = 0, 1
MANIFEST, WEIGHTS, SUMS = "manifest.json", "weights.npy", "SHA256SUMS"
PRIOR_DIRECTORY = pathlib.Path(__file__).parent / "prior"


class FieldVocabulary(msgspec.Struct, frozen=True):
    """Rows of one feature. `other` serves values the model has not seen; `edges` makes numbers into buckets."""

    other: int
    rows: dict[str, int] = {}
    edges: tuple[float, ...] = ()  # a number falls in bucket i when i edges are <= it; bucket i has row other + 1 + i


class Manifest(msgspec.Struct, frozen=True):
    format: int
    name: str
    rows: int
    columns: tuple[str, ...]  # "default" first, then "advertiser:7" and the like for weights of their own
    request_fields: dict[str, FieldVocabulary]
    user_fields: dict[str, FieldVocabulary]
    bias: tuple[float, float]  # logits of the two heads
    frequency_decay: float = 0.15  # docs/evidence.md, "Frequency": exp(-0.15 n)
    notes: str = ""


class Model(msgspec.Struct, frozen=True):
    """A loaded artefact; the bias of both heads is in the manifest and not in the weights."""

    manifest: Manifest
    weights: NDArray[np.float32]  # (rows, 2, columns)


def load_model(directory: pathlib.Path = PRIOR_DIRECTORY) -> Model:
    """Read and verify an artefact. Raises ConfigError when a file is missing, altered or of another format."""
    _verify(directory)
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
        weights = np.load(directory / WEIGHTS, allow_pickle=False)
    except ValueError as error:  # msgspec's errors are ValueErrors too
        raise ConfigError(f"model {directory.name} cannot be read: {error}", hint="train it again") from error
    shape = (manifest.rows, 2, len(manifest.columns))
    if manifest.format != FORMAT or weights.shape != shape or not np.isfinite(weights).all():
        raise ConfigError(
            f"model {directory.name}: format {manifest.format}, weights {weights.shape}; "
            f"this version reads format {FORMAT} with finite weights of shape {shape}",
            hint="train it again with this version, or go back to the previous artefact",
        )
    return Model(manifest, weights.astype(np.float32))


def _verify(directory: pathlib.Path) -> None:
    try:
        sums = dict(line.split("  ", 1)[::-1] for line in (directory / SUMS).read_text().splitlines() if "  " in line)
        if not {MANIFEST, WEIGHTS} <= sums.keys():
            raise ConfigError(f"model {directory.name}: {SUMS} does not name its files", hint="copy the artefact again")
        for name, expected in sums.items():
            actual = hashlib.sha256((directory / name).read_bytes()).hexdigest()
            if actual != expected:
                raise ConfigError(f"model {directory.name}: {name} was altered", hint="copy the artefact again")
    except OSError as error:
        raise ConfigError(
            f"model {directory.name}: {error}", hint="an artefact is a directory with manifest.json and SHA256SUMS"
        ) from error
