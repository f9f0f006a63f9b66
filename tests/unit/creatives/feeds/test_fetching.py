"""Feeds are fetched over real HTTP: bounded, guarded, and without showing anybody's password."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from creatives.feeds.faults import FeedError
from creatives.feeds.fetching import FeedFetcher, Fetched, Validators, mask_url

BODY = b"id,title\n1,One\n"


@contextlib.asynccontextmanager
async def serving(answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The address of a real server."""
    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def body_of(fetched: Fetched) -> bytes:
    assert fetched.file is not None
    with fetched.file as file:
        return file.read()


async def refusal(fetcher: FeedFetcher, url: str) -> FeedError:
    with pytest.raises(FeedError) as refused:
        await fetcher.fetch(url, Validators())
    return refused.value


async def test_a_feed_comes_with_its_validators_and_is_not_sent_twice() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        headers = {"ETag": '"v1"', "Last-Modified": "Sun, 29 Nov 2026 10:00:00 GMT"}
        return web.Response(body=BODY, headers=headers, content_type="text/csv", charset="iso-8859-2")

    async with serving(answer) as url:
        fetcher = FeedFetcher(allow_private=True)
        first = await fetcher.fetch(f"{url}/feed.csv", Validators())
        assert body_of(first) == BODY
        assert (first.charset, first.size) == ("iso-8859-2", len(BODY))
        assert first.modified_ms == 1_795_946_400_000
        assert (await fetcher.fetch(f"{url}/feed.csv", first.validators)).file is None


async def test_a_body_sent_with_gzip_arrives_packed() -> None:
    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"})

    async with serving(answer) as url:
        fetched = await FeedFetcher(allow_private=True).fetch(url, Validators())
    assert gzip.decompress(body_of(fetched)) == BODY


async def test_user_and_password_go_to_their_host_only() -> None:
    seen: list[tuple[str, str]] = []

    async def other(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(("other", request.headers.get("Authorization", "")))
        return web.Response(body=BODY)

    async with serving(other) as elsewhere:

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            seen.append(("first", request.headers.get("Authorization", "")))
            raise web.HTTPFound(f"{elsewhere}/moved")

        async with serving(answer) as url:
            address = url.replace("http://", "http://shop:p%40ss@")
            fetched = await FeedFetcher(allow_private=True).fetch(address, Validators())
            body_of(fetched)
    assert seen == [("first", "Basic c2hvcDpwQHNz"), ("other", "")]


async def test_redirects_end_and_never_lead_inside() -> None:
    async def loop(request: web.BaseRequest) -> web.StreamResponse:
        raise web.HTTPFound(f"http://{request.host}/again")

    async with serving(loop) as url:
        assert (await refusal(FeedFetcher(allow_private=True), url)).code == "redirects"
        # The guard is at the socket: a server that we may call cannot send us to one that we may not.
        for inside in (
            "http://127.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/",
            "http://localhost/",
        ):
            fault = await refusal(FeedFetcher(), inside)
            assert fault.code in ("address", "unreachable")
        assert (await refusal(FeedFetcher(), f"{url}/feed.xml")).code in ("address", "unreachable")


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "file:///etc/passwd", "https://a.example:8443/feed", "https:///x", "nonsense", "http://[/"],
)
async def test_only_web_addresses_on_usual_ports_are_fetched(url: str) -> None:
    assert (await refusal(FeedFetcher(), url)).code == "address"


async def test_a_body_that_breaks_off_is_truncated() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(BODY)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(answer) as url:
        assert (await refusal(FeedFetcher(allow_private=True), url)).code == "truncated"


async def test_bytes_and_time_are_bounded() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 10_000)
        return response

    async def silent(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(endless) as url:
        assert (await refusal(FeedFetcher(allow_private=True, max_bytes=100_000), url)).code == "too_large"
    async with serving(silent) as url:
        assert (await refusal(FeedFetcher(allow_private=True, total_s=0.2), url)).code == "timeout"


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_another_status_is_told_with_the_address_masked(status: int) -> None:
    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    async with serving(answer) as url:
        fault = await refusal(FeedFetcher(allow_private=True), f"{url}/feed.xml?token=topsecret")
    assert fault.code == "status"
    assert "topsecret" not in str(fault)
    assert str(status) in fault.message


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://a.example/feed.xml", "https://a.example/feed.xml"),
        ("https://a.example/feed?lang=pl&page=1", "https://a.example/feed?lang=pl&page=1"),
        ("https://shop:pass@a.example/feed", "https://***@a.example/feed"),
        ("https://a.example/feed?apiKey=abc&lang=pl", "https://a.example/feed?apiKey=***&lang=pl"),
        ("https://a.example/f?x=9f8e7d6c5b4a39281706f5e4d3c2b1a0", "https://a.example/f?x=***"),
        ("https://a.example/9f8e7d6c5b4a39281706f5e4d3c2b1a0.xml", "https://a.example/***.xml"),
        ("https://a.example/f?9f8e7d6c5b4a39281706f5e4d3c2b1a0", "https://a.example/f?***"),
        ("https://a.example/buty-sportowe-damskie-jesien/feed.xml", "https://a.example/buty-sportowe-damskie-jesien/feed.xml"),
        ("https://[bad", "***"),
    ],
)  # fmt: skip
def test_passwords_and_keys_are_masked_once_and_for_all(url: str, masked: str) -> None:
    assert mask_url(url) == masked
    assert mask_url(masked) == masked
