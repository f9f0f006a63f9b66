"""Calls to addresses that other people chose (webhooks, feeds), made so that they cannot reach our own network.

A URL is judged by its text when it is saved (`check_url`), but only the connection decides: `guarded_connector` makes
the socket itself, and refuses every address that is not one of the public internet. A name that answers differently
the second time, a redirect, another spelling of an address and an IPv4 address inside an IPv6 one all end at that
socket. `ipaddress.is_global` is not relied upon: what it says of translated and tunnelled ranges differs between
Python releases.

Ranges: IANA special-purpose address registries (IPv4, IPv6); RFC 6890, 6052 (64:ff9b::/96), 7526 (6to4 is obsolete).
"""

import errno
import ipaddress
import socket
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from core.errors import Fault

MAX_URL_CHARS: Final = 2_000

_NOT_PUBLIC_V4: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# All global unicast addresses lie in 2000::/3. Loopback, IPv4-compatible and IPv4-mapped addresses, 64:ff9b::/96,
# unique local, link-local, site-local (fec0::) and multicast ones lie outside of it.
_GLOBAL_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
# Protocol assignments with Teredo, documentation, 6to4. The tunnels lead to an IPv4 address of the sender's choice.
_NOT_PUBLIC_V6: Final = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_INTERNAL_SUFFIXES: Final = (".local", ".internal", ".intranet", ".localhost", ".lan", ".home", ".corp", ".home.arpa")


class NotPublicError(OSError):
    """A connection to an address outside the public internet was refused before it was made."""

    def __init__(self, host: str) -> None:
        super().__init__(errno.EACCES, f"{host} is an address in a private network")


def is_public(address: str) -> bool:
    """Whether an IP address in its usual spelling is one of the public internet; an address with a zone is not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_V4)
    # Whole-address comparison: `in` ignores a zone ("%eth0"), which only addresses of this machine's links have.
    return (
        parsed.scope_id is None
        and parsed in _GLOBAL_UNICAST_V6
        and not any(parsed in network for network in _NOT_PUBLIC_V6)
    )


def check_url(
    url: str, *, allow_private: bool, schemes: Iterable[str] = ("https",), pointer: str = "/url"
) -> Fault | None:
    """Why a URL may not be called, as far as its text shows; what its name leads to is judged when it is called.

    `schemes` are those of the public internet; with `allow_private` http is always one.
    """
    if len(url) > MAX_URL_CHARS:
        return Fault(pointer, "limit", f"longer than {MAX_URL_CHARS} characters")
    if not url.isprintable() or " " in url:
        return Fault(pointer, "value", "not a URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return Fault(pointer, "value", "not a URL")
    allowed = {*schemes, "http"} if allow_private else {*schemes}
    if parts.scheme not in allowed:
        return Fault(pointer, "scheme", f"only {' and '.join(sorted(allowed))} URLs are called")
    if not host or parts.username is not None or parts.password is not None:
        return Fault(pointer, "value", "a host without user name and password is needed")
    if port == 0:
        return Fault(pointer, "value", "port 0 cannot be called")
    if not allow_private and _is_internal(host):
        return Fault(pointer, "private", "lies in a private network", hint="use an address that the internet can reach")
    return None


def guarded_connector(
    *,
    allow_private: bool = False,
    limit: int = 50,
    limit_per_host: int = 10,
    resolver: AbstractResolver | None = None,
) -> aiohttp.TCPConnector:
    """A connector whose sockets lead to public addresses only; others raise aiohttp.ClientConnectorError.

    Names are resolved anew for each connection. Use it with `trust_env=False`: a proxy would connect in our place.
    """
    inner = resolver or ThreadedResolver()
    return aiohttp.TCPConnector(
        resolver=inner if allow_private else PublicResolver(inner),
        socket_factory=None if allow_private else public_socket,
        limit=limit,
        limit_per_host=limit_per_host,
        use_dns_cache=False,
    )


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address is private.

    The socket would refuse the private addresses only; a name with both kinds is an attack or a fault, and not called.
    """

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._inner.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in results):
            raise NotPublicError(host)
        return results

    async def close(self) -> None:
        await self._inner.close()


def public_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket for an address of the public internet; raises NotPublicError for any other."""
    family, kind, protocol, _, target = address
    host = str(target[0])
    if family not in (socket.AF_INET, socket.AF_INET6) or not is_public(host):
        raise NotPublicError(host)
    return socket.socket(family, kind, protocol)


def _is_internal(host: str) -> bool:
    """Whether a host name or literal can only be meant for a private network.

    Decimal, octal and hexadecimal spellings of an IPv4 address, and digits of other scripts, count as what they mean to
    a resolver.
    """
    plain = unicodedata.normalize("NFKC", host).lower().rstrip(".")
    if ":" in plain:
        return not is_public(plain)
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(plain)))
    except (OSError, UnicodeEncodeError):
        return "." not in plain or f".{plain}".endswith(_INTERNAL_SUFFIXES)
