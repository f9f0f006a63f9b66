"""Calls to addresses that others chose end at the public internet, whatever the address looks like."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from core.network.outgoing import NotPublicError, PublicResolver, check_url, guarded_connector, is_public, public_socket

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::3fff:fdd2",
    "2001:db8::1", "2002:7f00:1::", "2002:0a00:0001::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd12::1",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::1111%1", "no address", "", "8.8.8.8 ", "1.1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::200e"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_outside_the_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.binary(min_size=4, max_size=4), st.sampled_from(["::", "::ffff:", "64:ff9b::", "::ffff:0:"]))
def test_no_ipv6_spelling_makes_an_ipv4_address_public(packed: bytes, prefix: str) -> None:
    assert not is_public(prefix + socket.inet_ntoa(packed))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https://", "https://user:pw@example.com/", "https://@example.com/",
        "https://localhost/", "https://localhost./", "https://127.0.0.1/", "https://127.1/", "https://2130706433/",
        "https://0x7f.1/", "https://0177.0.0.1/", "https://127.0.0.1./", "https://①②⑦.0.0.1/", "https://[::1]/",
        "https://[::127.0.0.1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[fec0::1]/",
        "https://[2002:a00:1::]/", "https://224.0.0.1/", "https://10.1.2.3/", "https://169.254.169.254/latest/meta-data",
        "https://metadata.internal/", "https://printer.local./", "https://redis/", "https://example.com:0/", "https://[",
        "https://example.com/\n", "https://exam ple.com/", "https://example.com/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_a_url_that_may_not_be_called_is_refused(url: str) -> None:
    assert check_url(url, allow_private=False) is not None


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook", "https://93.184.216.34:8443/x", "https://[2606:4700::1111]/", "https://żółw.pl/"],
)
def test_a_url_of_the_internet_is_fine(url: str) -> None:
    assert check_url(url, allow_private=False) is None


def test_schemes_and_private_addresses_are_the_callers_choice() -> None:
    assert check_url("http://127.0.0.1:8080/", allow_private=True) is None
    assert check_url("http://example.com/feed.xml", allow_private=False, schemes=("http", "https")) is None
    fault = check_url("file:///etc/passwd", allow_private=True, pointer="/source")
    assert fault is not None
    assert (fault.pointer, fault.message) == ("/source", "only http and https URLs are called")


class Answering(AbstractResolver):
    """A name server under a test's control: it gives its answers in turn."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None: ...


async def test_a_name_with_one_private_address_is_refused() -> None:
    with pytest.raises(NotPublicError, match="private"):
        await PublicResolver(Answering(("8.8.8.8", "10.0.0.1"))).resolve("evil.example", 443)


@pytest.fixture
async def listener() -> AsyncIterator[tuple[int, list[str]]]:
    """A server of this machine, and the peers that have connected to it."""
    peers: list[str] = []

    async def meet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(str(writer.get_extra_info("peername")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], peers
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "127.1", "rebinding.example"]
)
async def test_nothing_of_this_machine_is_connected_to(host: str, listener: tuple[int, list[str]]) -> None:
    port, peers = listener
    resolver = Answering(("127.0.0.1",)) if host == "rebinding.example" else None
    async with aiohttp.ClientSession(connector=guarded_connector(resolver=resolver)) as session:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await session.get(f"http://{host}:{port}/")
    assert peers == []


async def test_the_socket_decides_where_a_resolver_lets_an_address_through(listener: tuple[int, list[str]]) -> None:
    """Literals never reach a resolver; this is what stops them, and any way to a socket that nobody thought of."""
    port, peers = listener
    connector = aiohttp.TCPConnector(resolver=Answering(("127.0.0.1",)), socket_factory=public_socket)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="private network"):
            await session.get(f"http://shop.example:{port}/")
    assert peers == []


async def test_a_setting_lets_private_addresses_be_called(listener: tuple[int, list[str]]) -> None:
    port, peers = listener
    async with aiohttp.ClientSession(connector=guarded_connector(allow_private=True)) as session:
        assert (await session.get(f"http://127.0.0.1:{port}/")).status == 200
    assert len(peers) == 1


def test_a_socket_of_another_family_is_refused() -> None:
    with pytest.raises(NotPublicError):
        public_socket((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/valkey.sock",)))
