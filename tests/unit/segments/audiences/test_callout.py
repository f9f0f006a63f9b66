"""Webhooks cannot be turned against our own network, whatever a name or an address says when it is called."""

import socket

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from segments.audiences.callout import Caller


class Answering(AbstractResolver):
    """A name server under a test's control."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "64:ff9b::a00:1", "::127.0.0.1", "fec0::1", "2002:7f00:1::", "224.0.0.1"]
)
async def test_a_call_to_a_name_of_a_private_address_fails_without_connecting(address: str) -> None:
    async with Caller(resolver=Answering("8.8.8.8", address)) as caller:
        assert "private" in await caller.post("https://evil.example/", b"{}", {})


@pytest.mark.parametrize(
    "url", ["https://[64:ff9b::a00:1]/", "https://[::127.0.0.1]/", "https://0x7f.1/", "http://a.example/"]
)
async def test_a_url_that_was_saved_before_it_was_judged_is_not_called(url: str) -> None:
    async with Caller() as caller:
        assert await caller.post(url, b"{}", {}) != ""


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.add_routes([web.post("/", elsewhere)])
    async with TestServer(app) as server, Caller(allow_private=True) as caller:
        assert await caller.post(str(server.make_url("/")), b"{}", {}) == "answered 307"
