"""Calls to addresses that advertisers configure, made so that they cannot be turned against our own network.

The name is resolved here, every address it has is checked, and the connection goes to a checked address: a name that
answers differently the second time gains nothing. Redirects are not followed.
"""

import errno
import ipaddress
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from core.errors import Fault

# A receiver that queues answers in milliseconds; one that works first should not hold a sender for long.
TIMEOUT_S: Final = 10
MAX_URL_CHARS: Final = 2_000


def check_url(url: str, *, allow_private: bool) -> Fault | None:
    """Why a URL may not be called, as far as its text shows; names are checked again when they are resolved."""
    if len(url) > MAX_URL_CHARS:
        return Fault("/url", "limit", f"longer than {MAX_URL_CHARS} characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return Fault("/url", "value", "not a URL")
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        return Fault("/url", "scheme", "only https is called")
    if not host or parts.username or parts.password:
        return Fault("/url", "value", "a host without user name and password is needed")
    if port == 0:
        return Fault("/url", "value", "port 0 cannot be called")
    if not allow_private and (_is_internal_name(host) or _is_private_literal(host)):
        return Fault("/url", "private", "lies in a private network", hint="use an address that the internet can reach")
    return None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet; an IPv4 address inside an IPv6 one is judged as itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if inner is not None:
            parsed = inner
    return parsed.is_global and not parsed.is_multicast


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those that have a private address among theirs."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._inner.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in results):
            raise OSError(errno.EACCES, f"{host} has an address in a private network")
        return results

    async def close(self) -> None:
        await self._inner.close()


class Caller:
    """One HTTP session for outgoing calls; enter it in the running loop."""

    def __init__(self, *, allow_private: bool = False, resolver: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Caller":
        inner = self._resolver or ThreadedResolver()
        resolver = inner if self._allow_private else PublicResolver(inner)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=50, limit_per_host=10, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str:
        """'' when the receiver answered 2xx, else why not. The answer's body is not read."""
        fault = check_url(url, allow_private=self._allow_private)
        if fault is not None:
            return fault.message
        if self._session is None:
            raise RuntimeError("enter the caller with `async with` first")
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"


def _is_internal_name(host: str) -> bool:
    return ("." not in host and ":" not in host) or host.endswith((".local", ".internal", ".localhost", ".lan"))


def _is_private_literal(host: str) -> bool:
    """Decimal, octal and hexadecimal spellings of an IPv4 address count as what they mean to a resolver."""
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        pass
    return ":" in host and not is_public(host)
