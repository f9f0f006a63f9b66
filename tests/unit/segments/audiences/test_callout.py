"""Webhooks cannot be turned against our own network."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from segments.audiences.callout import Caller, PublicResolver, check_url, is_public


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https://", "https://user:pw@example.com/", "https://localhost/",
        "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/",
        "https://10.1.2.3/", "https://169.254.169.254/latest/meta-data", "https://metadata.internal/", "https://redis/",
        "https://example.com:0/", "https://[", "https://example.com/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused(url: str) -> None:
    assert check_url(url, allow_private=False) is not None


@pytest.mark.parametrize("url", ["https://example.com/hook", "https://93.184.216.34:8443/x"])
def test_an_address_of_the_internet_is_fine(url: str) -> None:
    assert check_url(url, allow_private=False) is None


def test_a_setting_allows_private_addresses() -> None:
    assert check_url("http://127.0.0.1:8080/", allow_private=True) is None


@pytest.mark.parametrize(
    ("address", "public"),
    [("8.8.8.8", True), ("192.168.1.1", False), ("100.64.0.1", False), ("224.0.0.1", False), ("2606:4700::1111", True),
     ("fe80::1%eth0", False), ("2002:0a00:0001::", False), ("no address", False)],
)  # fmt: skip
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


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


async def test_a_name_with_one_private_address_is_refused() -> None:
    with pytest.raises(OSError, match="private"):
        await PublicResolver(Answering("8.8.8.8", "10.0.0.1")).resolve("evil.example", 443)


async def test_a_call_to_such_a_name_fails_without_connecting() -> None:
    async with Caller(resolver=Answering("127.0.0.1")) as caller:
        assert "private" in await caller.post("https://evil.example/", b"{}", {})
