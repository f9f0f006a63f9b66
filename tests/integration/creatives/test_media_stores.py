"""Media in a folder and in a bucket: one behaviour, and what only a bucket has to do."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from admin.roles.local_state import media_store
from core.bucket import Bucket
from core.config import MediaSettings, Settings
from core.errors import UnavailableError
from creatives.media.kinds import BadMediaError
from creatives.media.s3_store import MEDIA, TRUSTED_S, BucketStore
from creatives.media.store import FolderStore, Media
from creatives.media.web import media_routes
from tests.kit.media import box, mp4
from tests.kit.s3 import BUCKET, emptied, place, s3_server


def spot(number: int = 0) -> bytes:
    """A file; pictures are looked at in a process of their own, which takes its time."""
    return mp4() + box(b"free", b"x" * number)


DATA = spot()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(server: str) -> str:
    """Of a server with an empty bucket."""
    emptied(server)
    return server


def machine(endpoint: str, folder: Path, cache_bytes: int = 10**9) -> BucketStore:
    """What one machine has of a bucket."""
    return BucketStore(folder / "media", folder / "cache", Bucket(place(endpoint), MEDIA), cache_bytes)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FolderStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "media")
    return machine(request.getfixturevalue("endpoint"), tmp_path)


async def keep(store: FolderStore, data: bytes) -> Media:
    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 1_000):
            await asyncio.sleep(0)
            yield data[at : at + 1_000]

    return await store.keep(parts())


async def test_what_is_kept_is_found_listed_and_removed(store: FolderStore, tmp_path: Path) -> None:
    media, again, other = await keep(store, DATA), await keep(store, DATA), await keep(store, spot(1))
    assert media == again
    found = store.find(media.name)
    assert found is not None
    assert found.read_bytes() == DATA
    assert sorted(store.names()) == sorted([media.name, other.name])
    store.copy_into(tmp_path / "media")
    assert (tmp_path / "media" / media.name).read_bytes() == DATA
    store.remove(media.name)
    store.remove(media.name)
    assert store.find(media.name) is None
    assert store.names() == [other.name]
    assert store.adopt() == 0


async def test_what_is_refused_is_not_kept(store: FolderStore) -> None:
    for data in (b"", b"<svg/>", DATA[:40]):
        with pytest.raises(BadMediaError):
            await keep(store, data)
    assert store.names() == []
    assert store.find("0" * 64 + ".mp4") is None
    assert store.find("../../etc/passwd") is None


async def test_what_is_kept_is_served_whole_and_in_ranges(store: FolderStore) -> None:
    media = await keep(store, DATA)
    app = web.Application()
    app.add_routes(media_routes(store))
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get(f"/m/{media.name}")).read() == DATA
        part = await client.get(f"/m/{media.name}", headers={"Range": "bytes=10-19"})
        assert (part.status, await part.read()) == (206, DATA[10:20])
        assert (await client.get("/m/" + "0" * 64 + ".mp4")).status == 404


async def test_another_machine_has_it_too_and_keeps_it_when_the_bucket_is_away(tmp_path: Path) -> None:
    with s3_server() as endpoint:
        media = await keep(machine(endpoint, tmp_path / "one"), DATA)
        other = machine(endpoint, tmp_path / "two")
        found = await asyncio.gather(*(asyncio.to_thread(other.find, media.name) for _ in range(8)))
        assert {each.read_bytes() for each in found if each is not None} == {DATA}
        assert len(found) == 8
    assert other.find(media.name) == found[0] is not None
    long_ago = time.time() - TRUSTED_S - 1
    os.utime(found[0], (long_ago, long_ago))
    assert other.find(media.name) == found[0], "it is not asked for in a day's time either"
    with pytest.raises(UnavailableError, match="does not answer"):
        other.find("0" * 64 + ".mp4")
    with pytest.raises(UnavailableError, match="does not answer"):
        await keep(other, spot(2))
    assert os.listdir(tmp_path / "two" / "media") == [], "what the bucket has not is not kept"
    app = web.Application()
    app.add_routes(media_routes(other))
    async with TestClient(TestServer(app)) as client:
        assert (await client.get(f"/m/{media.name}")).status == 200
        assert (await client.get("/m/" + "0" * 64 + ".mp4")).status == 503


async def test_a_file_has_the_same_etag_wherever_and_whenever_it_is_served(endpoint: str, tmp_path: Path) -> None:
    one, two = machine(endpoint, tmp_path / "one"), machine(endpoint, tmp_path / "two")
    media = await keep(one, DATA)
    tags = set()
    for store in (one, two, two):
        app = web.Application()
        app.add_routes(media_routes(store))
        async with TestClient(TestServer(app)) as client:
            tags.add((await client.get(f"/m/{media.name}")).headers["ETag"])
    assert len(tags) == 1


async def test_what_was_taken_away_elsewhere_is_served_for_a_day(endpoint: str, tmp_path: Path) -> None:
    one, two = machine(endpoint, tmp_path / "one"), machine(endpoint, tmp_path / "two")
    media = await keep(one, DATA)
    found = two.find(media.name)
    assert found is not None
    one.remove(media.name)
    assert two.find(media.name) == found
    long_ago = time.time() - TRUSTED_S - 1
    os.utime(found, (long_ago, long_ago))
    assert two.find(media.name) is None


async def test_a_bucket_that_is_set_later_takes_over_the_folder(endpoint: str, tmp_path: Path) -> None:
    media = await keep(FolderStore(tmp_path / "media"), DATA)
    settings = Settings(media=MediaSettings(
        bucket=BUCKET, endpoint=endpoint, region="us-east-1", access_key="key", secret_key="secret", prefix="grosz/"
    ))  # fmt: skip
    store = media_store(settings, tmp_path)
    assert store.adopt() == 1
    assert store.adopt() == 0
    assert machine(endpoint, tmp_path / "two").names() == [media.name]
    assert type(media_store(msgspec.structs.replace(settings, media=MediaSettings()), tmp_path)) is FolderStore


async def test_the_longest_unused_go_where_a_machine_has_fetched_too_much(endpoint: str, tmp_path: Path) -> None:
    one = machine(endpoint, tmp_path / "one")
    kept = [await keep(one, spot(number)) for number in (2, 3, 4)]
    two = machine(endpoint, tmp_path / "two", cache_bytes=kept[1].size + kept[2].size)
    for number, media in enumerate(kept):
        found = two.find(media.name)
        assert found is not None
        os.utime(found, (time.time() - 100 + number,) * 2)
    assert sorted(os.listdir(tmp_path / "two" / "cache")) == sorted(media.name for media in kept[1:])


async def test_what_somebody_put_into_the_bucket_under_a_name_of_ours_is_not_served(
    endpoint: str, tmp_path: Path
) -> None:
    media = await keep(machine(endpoint, tmp_path / "one"), DATA)
    (tmp_path / "page").write_bytes(b"<script>")
    Bucket(place(endpoint), MEDIA).put(media.name, tmp_path / "page", "text/html")
    with pytest.raises(UnavailableError, match="not what was uploaded"):
        machine(endpoint, tmp_path / "two").find(media.name)
    assert os.listdir(tmp_path / "two" / "cache") == []


async def test_a_bucket_that_is_not_there_says_which(endpoint: str, tmp_path: Path) -> None:
    store = BucketStore(tmp_path, tmp_path / "cache", Bucket(place(endpoint)._replace(bucket="no-such-bucket"), MEDIA))
    with pytest.raises(UnavailableError, match=r"'no-such-bucket'.*NoSuchBucket"):
        await keep(store, DATA)


def test_more_names_than_one_answer_has_are_listed(endpoint: str, tmp_path: Path) -> None:
    bucket = Bucket(place(endpoint), MEDIA, page=2)
    (tmp_path / "x").write_bytes(b"x")
    for number in range(5):
        bucket.put(f"{number}", tmp_path / "x", "image/png")
    assert sorted(bucket.names()) == ["0", "1", "2", "3", "4"]
