"""The supply table from real servers to a bidder: fetched politely and within bounds, published, followed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from redis.asyncio import Redis

from admin.supply.crawling import Crawler, Declared, Found
from admin.supply.desk import SupplyDesk, SupplyLoop, outcomes
from admin.supply.reading import FileKind
from bidder.compile.supply import SupplyFollower
from bidder.targeting.quality import Quality
from core import keys
from core.clock import ManualClock
from core.supply import GOOD_FOR_MS, SupplyFile, packed
from core.telemetry.metrics import Telemetry

Serve = Callable[[dict[str, web.Response | str]], Awaitable[str]]


@pytest.fixture
async def store(valkey: str) -> AsyncIterator[Redis]:
    redis = Redis.from_url(valkey)
    yield redis
    await redis.aclose()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a site with these paths; its authority, which stands in for a domain."""
    runners: list[web.AppRunner] = []

    async def start(paths: dict[str, web.Response | str]) -> str:
        async def page(request: web.Request) -> web.StreamResponse:
            answer = paths.get(request.path)
            if answer is None:
                return web.Response(status=404)
            if isinstance(answer, web.Response):
                return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
            return web.Response(text=answer)

        app = web.Application()
        app.router.add_get("/{path:.*}", page)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


def ads(domain: str) -> Declared:
    return Declared(FileKind.ADS_TXT, domain)


async def fetched(domain: str, kind: FileKind = FileKind.ADS_TXT, *, private: bool = True) -> Found:
    (found,) = await Crawler(private=private).fetch([Declared(kind, domain)], 5)
    return found


async def test_a_file_is_fetched_and_read(serve: Serve) -> None:
    found = await fetched(await serve({"/ads.txt": "ssp.example, 4711, DIRECT"}))
    assert found.file is not None
    assert (found.file.read_ms, found.file.names("ssp.example/4711")) == (5, True)


async def test_redirects_are_followed_to_their_end_and_no_further(serve: Serve) -> None:
    real = await serve({"/files/ads.txt": "ssp.example, 4711, DIRECT"})
    moved = web.Response(status=301, headers={"Location": f"http://{real}/files/ads.txt"})
    assert (await fetched(await serve({"/ads.txt": moved}))).file is not None
    forever = web.Response(status=302, headers={"Location": "/ads.txt"})
    assert "redirects more than 5 times" in (await fetched(await serve({"/ads.txt": forever}))).problem


async def test_robots_are_asked_first(serve: Serve) -> None:
    paths: dict[str, web.Response | str] = {
        "/ads.txt": "ssp.example, 4711, DIRECT",
        "/robots.txt": "User-agent: Grosz\nDisallow: /ads.txt",
    }
    assert (await fetched(await serve(paths))).problem == "robots.txt does not allow it"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (web.Response(status=500), "answered 500"),
        (web.Response(text="<html>not found</html>"), "web page"),
        (web.Response(text="#" * (4 * 1024**2 + 1)), "larger than"),
    ],
    ids=["error", "page", "too large"],
)
async def test_what_cannot_be_had_is_said(serve: Serve, answer: web.Response, problem: str) -> None:
    found = await fetched(await serve({"/ads.txt": answer}))
    assert found.file is None
    assert problem in found.problem


async def test_a_missing_file_is_no_problem(serve: Serve) -> None:
    found = await fetched(await serve({}))
    assert (found.file, found.problem) == (None, "")


async def test_private_addresses_are_never_asked(serve: Serve) -> None:
    domain = await serve({"/ads.txt": "ssp.example, 4711, DIRECT"})
    found = await fetched(domain, private=False)
    assert found.file is None
    assert "private network" in found.problem
    redirecting = web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})
    inside = await fetched(await serve({"/ads.txt": redirecting}), private=False)
    assert inside.file is None


async def test_a_table_keeps_what_could_not_be_had_and_drops_what_is_gone(store: Redis, clock: ManualClock) -> None:
    desk = SupplyDesk(store, clock)
    one, two, three = (ads(f"{name}.example") for name in ("one", "two", "three"))
    file = SupplyFile(clock.now_ms(), packed(["ssp.example/1"]))
    await desk.take([Found(one, file), Found(two, file), Found(three, file)])
    await desk.take([Found(one, None, "answered 500"), Found(two, None)])
    assert set((await desk.table()).sites) == {"one.example", "three.example"}
    assert outcomes([Found(one, file), Found(two, None), Found(three, None, "?")]) == {
        "read": 1, "gone": 1, "failed": 1,
    }  # fmt: skip


async def test_two_who_change_the_table_lose_nothing(store: Redis, clock: ManualClock) -> None:
    file = SupplyFile(clock.now_ms(), packed(["ssp.example/1"]))
    await asyncio.gather(
        *(SupplyDesk(store, clock).take([Found(ads(f"d{number}.example"), file)]) for number in range(4))
    )
    assert set((await SupplyDesk(store, clock).table()).sites) == {f"d{number}.example" for number in range(4)}


async def test_a_bidder_follows_the_table_and_forgets_what_is_old(store: Redis, clock: ManualClock) -> None:
    quality = Quality()
    follower = SupplyFollower(store, quality, clock, Telemetry())
    await follower.step()
    assert quality.supply.count == 0
    desk = SupplyDesk(store, clock)
    await desk.take([Found(ads("buty.example"), SupplyFile(clock.now_ms(), packed(["ssp.example/1"])))])
    await follower.step()
    assert quality.supply.sites["buty.example"].names("ssp.example/1")
    clock.advance(GOOD_FOR_MS / 1000 + 1)
    await follower.step()
    assert quality.supply.count == 0
    await store.delete(keys.SUPPLY_TABLE, keys.SUPPLY_VERSION)
    await follower.step()
    assert quality.supply.count == 0


async def test_the_schedule_fetches_the_declared_domains(store: Redis, clock: ManualClock, tmp_path: Path) -> None:
    listed = tmp_path / "domains.txt"
    telemetry = Telemetry()
    loop = SupplyLoop(SupplyDesk(store, clock), Crawler(private=True), str(listed), 86_400, telemetry)
    assert await loop.step() == 600, "the file is missing: soon again"
    listed.write_text("not a domain")
    assert await loop.step() == 600
    listed.write_text("nobody.invalid\n")
    assert await loop.step() == 600, "nothing could be had"
