"""A bucket over HTTP and the store in memory that other tests use behave alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bucket import Bucket
from core.errors import ConfigError, UnavailableError
from journal.manifests import ObjectStore
from tests.kit.object_store import MemoryObjects
from tests.kit.s3 import JOURNAL, emptied, place, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["memory", "bucket"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjects()
    endpoint = request.getfixturevalue("server")
    emptied(endpoint)
    return Bucket(place(endpoint), JOURNAL, page=2)


def test_what_is_put_is_read_fetched_listed_and_removed(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"PAR1")
    store.put("parquet/a", tmp_path / "file", "application/octet-stream")
    assert store.read("parquet/a") == b"PAR1"
    assert store.get("parquet/a", tmp_path / "fetched", 4)
    assert (tmp_path / "fetched").read_bytes() == b"PAR1"
    for name in ("parquet/c", "parquet/b", "manifests/1"):
        assert store.create(name, name.encode())
    assert list(store.names("parquet/")) == ["parquet/a", "parquet/b", "parquet/c"]
    assert list(store.names("")) == ["manifests/1", "parquet/a", "parquet/b", "parquet/c"]
    for _ in range(2):
        store.remove("parquet/a")
    assert list(store.names("parquet/")) == ["parquet/b", "parquet/c"]


def test_a_file_that_is_larger_than_it_should_be_is_not_fetched(store: ObjectStore, tmp_path: Path) -> None:
    store.create("parquet/a", b"PAR1")
    with pytest.raises(UnavailableError, match="more than 3 bytes under parquet/a"):
        store.get("parquet/a", tmp_path / "fetched", 3)


def test_a_name_that_is_taken_is_not_created_again(store: ObjectStore) -> None:
    assert store.create("manifests/1", b"first")
    assert not store.create("manifests/1", b"second")
    assert store.read("manifests/1") == b"first"


def test_what_is_not_there_is_told(store: ObjectStore, tmp_path: Path) -> None:
    assert store.read("nothing") is None
    assert not store.get("nothing", tmp_path / "x", 4)
    assert list(store.names("nothing")) == []


def test_a_store_that_is_away_or_refuses_says_which_setting_to_look_at(server: str) -> None:
    away = Bucket(place("http://127.0.0.1:9"), JOURNAL)
    with pytest.raises(UnavailableError, match="the store of the journal's mirror") as told:
        away.read("x")
    assert told.value.hint == "see journal.mirror_endpoint"
    missing = Bucket(place(server)._replace(bucket="no-such-bucket"), JOURNAL)
    with pytest.raises(UnavailableError, match=r"'no-such-bucket'.*NoSuchBucket") as told:
        missing.read("x")
    assert "journal.mirror_bucket" in told.value.hint


def test_an_endpoint_that_is_none_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="cannot be asked") as told:
        Bucket(place("http://no host"), JOURNAL)
    assert "journal.mirror_endpoint" in told.value.hint
