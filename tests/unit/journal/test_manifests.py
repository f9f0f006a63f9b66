"""What a mirror's names and manifests say, and which of them are refused."""

import msgspec
import pytest
import zstandard

from core.errors import InputError
from journal.manifests import (
    MirroredFile,
    MirrorManifest,
    decode_manifest,
    encode_manifest,
    is_ours,
    manifest_name,
    number_of,
    object_name,
)

DIGEST = "9f86d081884c7d659a2feaa0c55ad015"
PATH = "bid/2026-11-29T21/00000001-00000003.parquet"


def a_manifest(path: str = PATH, small: str = "streams.json") -> MirrorManifest:
    files = {path: MirroredFile(10, 5, DIGEST)}
    return MirrorManifest(7, "ab", "host", 2, 1, 60, files, {small: "{}"})


def packed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert decode_manifest(encode_manifest(a_manifest())) == a_manifest()


def test_names_say_number_and_content() -> None:
    assert number_of(manifest_name(42)) == 42
    assert number_of("manifests/readme.txt") is None
    name = object_name(PATH, MirroredFile(10, 5, DIGEST))
    assert name == f"parquet/bid/2026-11-29T21/00000001-00000003.{DIGEST}.parquet"
    assert is_ours(name)
    assert is_ours(manifest_name(1))


@pytest.mark.parametrize("name", ["parquet/bid.parquet", "0a1b.png", "manifests/1.json.zst", "parquet/notes.txt"])
def test_objects_of_others_are_none_of_ours(name: str) -> None:
    assert not is_ours(name)


@pytest.mark.parametrize(
    "path",
    [
        "../bid/x.parquet", "/etc/x.parquet", "bid/../../x.parquet", "bid/.x/y.parquet", "bid/x.json", "x.parquet",
        "a/b/c/d/e.parquet",
    ],
)  # fmt: skip
def test_a_path_that_would_leave_the_folder_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="no file of a journal"):
        decode_manifest(encode_manifest(a_manifest(path)))


@pytest.mark.parametrize("file", [MirroredFile(-1, 5, DIGEST), MirroredFile(10, 2**63, DIGEST)])
def test_a_size_or_a_time_that_no_file_has_is_refused(file: MirroredFile) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        decode_manifest(encode_manifest(msgspec.structs.replace(a_manifest(), files={PATH: file})))


def test_small_files_that_a_journal_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match=r"'\.bashrc'"):
        decode_manifest(encode_manifest(a_manifest(small=".bashrc")))


def test_a_manifest_of_a_later_release_says_so() -> None:
    later = msgspec.json.encode({"version": 2, "anything": True})
    with pytest.raises(InputError, match="version 2, this release reads 1"):
        decode_manifest(packed(later))


@pytest.mark.parametrize("content", [b"", b"no zstandard", packed(b"no JSON"), packed(b'{"version": 1}')])
def test_what_is_damaged_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        decode_manifest(content)


def test_what_would_fill_the_memory_is_not_unpacked() -> None:
    bomb = zstandard.ZstdCompressor().compress(b"\0" * (257 * 1024 * 1024))
    with pytest.raises(InputError, match="larger than any of ours"):
        decode_manifest(bomb)
