"""Bodies that lie about their coding, have no end, or are bombs are refused with the right status."""

import asyncio
import functools
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from core.network.bodies import MAX_MEMBERS, BodyRefused, inflate, read_answer, read_body

# Without a time in it: names of tests are made of it, and several processes must agree on them.
packed = functools.partial(gzip.compress, mtime=0)

LIMIT = 10_000


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", packed(b"content")),
        ("x-gzip", packed(b"content")),
        ("gzip", packed(b"con") + packed(b"tent")),
        ("deflate", zlib.compress(b"content")),
        ("deflate", zlib.compress(b"content")[2:-4]),
    ],
)
def test_a_body_is_inflated(coding: str, body: bytes) -> None:
    assert inflate(body, coding, LIMIT) == b"content"


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", b'{"event": "page_view"}', 400),
        ("gzip", b"", 400),
        ("gzip", packed(b"content")[:-3], 400),
        ("gzip", packed(b"content") + b"garbage", 400),
        ("gzip", packed(b"") * (MAX_MEMBERS + 1), 400),
        ("gzip", packed(bytes(LIMIT + 1)), 413),
        ("gzip", packed(bytes(LIMIT)) + packed(b"x"), 413),
        ("deflate", b"\xff\xff\xff", 400),
        ("deflate", zlib.compress(b"content") + b"more", 400),
        ("deflate", zlib.compress(bytes(LIMIT + 1)), 413),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(coding: str, body: bytes, status: int) -> None:
    with pytest.raises(BodyRefused) as caught:
        inflate(body, coding, LIMIT)
    assert (caught.value.status, caught.value.closes) == (status, True)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = await read_body(request, LIMIT)
            again = await read_body(request, LIMIT)
        except BodyRefused as error:
            return web.Response(status=error.status)
        return web.Response(text=f"{len(body)} {body == again}")

    app = web.Application()
    app.add_routes([web.post("/", handle)])
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    yield server
    await server.close()


@pytest.mark.parametrize(
    ("coding", "body", "answer"),
    [
        ("", b"plain", (200, "5 True")),
        ("identity", b"plain", (200, "5 True")),
        ("GZIP", packed(b"packed"), (200, "6 True")),
        ("gzip", b"plain", (400, "")),
        ("br", b"plain", (415, "")),
        ("gzip, gzip", b"plain", (415, "")),
        ("", bytes(LIMIT), (200, "10000 True")),
        ("", bytes(LIMIT + 1), (413, "")),
        ("gzip", packed(bytes(50_000_000)), (413, "")),
    ],
)
async def test_what_a_port_answers_to_a_body(
    server: TestServer, coding: str, body: bytes, answer: tuple[int, str]
) -> None:
    headers = {"Content-Encoding": coding} if coding else {}
    async with (
        ClientSession() as session,
        session.post(server.make_url("/"), data=_chunks(body), headers=headers) as got,
    ):
        assert (got.status, await got.text()) == answer


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def test_an_answer_is_read_whole_however_many_pieces_it_comes_in() -> None:
    has_first = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first, ")
        await has_first.wait()
        await response.write(b"second")
        await response.write_eof()
        return response

    app = web.Application()
    app.router.add_get("/", slowly)
    async with TestServer(app) as server, ClientSession() as session, session.get(server.make_url("/")) as answer:
        assert await answer.content.read(3) == b"fir", "the first piece is here"
        reading = asyncio.create_task(read_answer(answer.content, LIMIT))
        await asyncio.sleep(0)
        has_first.set()
        assert await reading == b"st, second"
    async with TestServer(app) as server, ClientSession() as session, session.get(server.make_url("/")) as answer:
        assert await read_answer(answer.content, 3) == b"fir"
