"""What lies in the journal's mirror: Parquet files under names that say their content, and manifests.

    parquet/bid/2026-11-29T21/00000001-00000003.9f86d081884c7d659a2feaa0c55ad015.parquet
    manifests/0000000042.json.zst

A manifest names all files of one moment, and has what the small files beside them say: whoever has it has a whole
journal. Nothing is ever written a second time under a name that it has.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Protocol

import msgspec
import zstandard

from core.errors import InputError
from journal.archive import FORGOTTEN_FILE, STATE_FILE, STORED_FILE

VERSION: Final = 1
"""The version of manifests. A reader of this release refuses a later one."""

FILES: Final = "parquet/"
MANIFESTS: Final = "manifests/"
SUMS_FILE: Final = "rollups/rollups.json"
SMALL_FILES: Final = (SUMS_FILE, FORGOTTEN_FILE, STATE_FILE, STORED_FILE)
"""Files whose content stands in the manifest, in the order of restoring: last the one that says that all is there."""

# 128 bits of SHA-256: nobody can find a second content with the same digest.
DIGEST_CHARS: Final = 32
# A manifest of 100,000 files has some 15 MB; one that would unpack to more than this is not ours.
_MAX_BYTES: Final = 256 * 1024 * 1024
_PATH: Final = re.compile(r"(?!.*\.\.)([A-Za-z0-9][\w.-]*/){1,3}[A-Za-z0-9][\w.-]*\.parquet", re.ASCII)
_OBJECT: Final = re.compile(rf"{FILES}.+\.[0-9a-f]{{{DIGEST_CHARS}}}\.parquet")
_MANIFEST: Final = re.compile(rf"{MANIFESTS}(?P<number>\d{{10}})\.json\.zst", re.ASCII)
_Amount = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A number of bytes or nanoseconds, within what a file can have."""
_SUFFIX: Final = ".parquet"

_compress: Final[Callable[[bytes], bytes]] = zstandard.ZstdCompressor().compress


class ObjectStore(Protocol):
    """What a mirror asks of a store (core.bucket). Every method raises UnavailableError."""

    def put(self, name: str, path: Path, mime: str) -> None:
        """Store a file."""

    def create(self, name: str, content: bytes) -> bool:
        """Store a content under an unused name; False where the name exists already."""

    def read(self, name: str) -> bytes | None:
        """A content; None where there is none."""

    def get(self, name: str, path: Path, most: int) -> bool:
        """Write a content of at most so many bytes into a file; whether there is one."""

    def names(self, under: str) -> Iterable[str]:
        """The names that begin with `under`."""

    def remove(self, name: str) -> None:
        """Remove an object, if there is one."""


class MirroredFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as the folder had it, and the beginning of its SHA-256."""

    size: _Amount
    mtime_ns: _Amount
    digest: str


class MirrorManifest(msgspec.Struct, frozen=True):
    """All files at one moment (`taken_ms`) by their path below `parquet/`, and the contents of the small files.

    `id` is used once; `writer` is for people. The next manifest is made `every_s` seconds after `made_ms`, even if its
    files are the same. `is_last`: its writer has ended, and will not write another.
    """

    number: int
    id: str
    writer: str
    made_ms: int
    taken_ms: int
    every_s: int
    files: Mapping[str, MirroredFile]
    small: Mapping[str, str]
    is_last: bool = False
    version: int = VERSION


class FolderSnapshot(NamedTuple):
    """Files by their path below the folder: those that the mirror has, and links to those that it lacks.

    `is_whole`: there were no other files. `erased_ms`: persons erased before this moment are in none of the files.
    """

    mirrored: Mapping[str, MirroredFile]
    links: Mapping[str, Path]
    small: Mapping[str, str]
    is_whole: bool
    erased_ms: int = 0


class _ManifestVersion(msgspec.Struct):
    version: int = 0


def object_name(path: str, file: MirroredFile) -> str:
    """Where a file lies in the store."""
    return f"{FILES}{path.removesuffix(_SUFFIX)}.{file.digest}{_SUFFIX}"


def manifest_name(number: int) -> str:
    """Where a manifest lies in the store; the names ascend as the numbers do."""
    return f"{MANIFESTS}{number:010d}.json.zst"


def number_of(name: str) -> int | None:
    """The inverse; None for what is no manifest."""
    found = _MANIFEST.fullmatch(name)
    return int(found["number"]) if found is not None else None


def is_ours(name: str) -> bool:
    """Whether an object is a file or a manifest of a mirror; other objects beside them are left alone."""
    return _OBJECT.fullmatch(name) is not None or _MANIFEST.fullmatch(name) is not None


def encode_manifest(manifest: MirrorManifest) -> bytes:
    """JSON, compressed."""
    return _compress(msgspec.json.encode(manifest))


def decode_manifest(content: bytes) -> MirrorManifest:
    """The inverse. Raises InputError for what is damaged, of a later release, or would leave the folder."""
    try:
        if zstandard.frame_content_size(content) > _MAX_BYTES:  # otherwise a damaged length would be allocated
            raise InputError("a manifest of the journal's mirror says that it is larger than any of ours")
        text = zstandard.ZstdDecompressor().decompress(content, max_output_size=_MAX_BYTES)
        version = msgspec.json.decode(text, type=_ManifestVersion).version
        if version != VERSION:
            raise InputError(
                f"a manifest of the journal's mirror has the version {version}, this release reads {VERSION}",
                hint="a later release wrote it: install that one",
            )
        manifest = msgspec.json.decode(text, type=MirrorManifest)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise InputError(f"a manifest of the journal's mirror cannot be read: {error}") from error
    odd = [path for path in manifest.files if _PATH.fullmatch(path) is None]
    odd += [name for name in manifest.small if name not in SMALL_FILES]
    if odd:
        raise InputError(f"a manifest of the journal's mirror names {odd[0]!r}, which is no file of a journal")
    return manifest
