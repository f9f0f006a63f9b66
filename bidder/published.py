"""The catalogue as it is published in Redis: its bytes."""

import msgspec
import zstandard

from core.errors import CatalogueError
from core.model import Catalogue

FORMAT = b"C1"
"""First bytes of an encoded catalogue; changes when older processes could not read it."""

# 3 is zstandard's default: 100,000 line items shrink tenfold in under half a second.
COMPRESSION_LEVEL = 3
MAX_CATALOGUE_BYTES = 1024 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Catalogue)


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """Bytes to publish."""
    return FORMAT + zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(_encoder.encode(catalogue))


def decode_catalogue(data: bytes) -> Catalogue:
    """The inverse. Raises CatalogueError for bytes of another format or damaged ones."""
    if not data.startswith(FORMAT):
        raise CatalogueError(
            "the published catalogue is of another format", hint="run admin and bidders of the same version"
        )
    try:
        return _decoder.decode(
            zstandard.ZstdDecompressor().decompress(data[len(FORMAT) :], max_output_size=MAX_CATALOGUE_BYTES)
        )
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        raise CatalogueError(f"the published catalogue cannot be read: {error}", hint="publish it again") from error
