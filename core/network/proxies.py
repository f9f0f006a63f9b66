"""Who really sends a request that a reverse proxy passes on: `X-Forwarded-For` and its kin, from trusted proxies only.

Anybody can send these headers, so they count only as far as each hop that wrote them is one of ours: the list is read
from its end, and the first address that is no trusted proxy is the client.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final

from core.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The most entries of X-Forwarded-For that are looked at: a longer list is forged, and its end is still read.
_MAX_HOPS: Final = 32


class Proxies:
    """The networks that trusted reverse proxies are in."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ConfigError for a text that is neither an address nor a network."""
        try:
            self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(text.strip()) for text in networks)
        except ValueError as error:
            hint = "addresses or networks such as 10.0.0.0/8"
            raise ConfigError(f"network.trusted_proxies: {error}", hint=hint) from None

    def trusts(self, address: str) -> bool:
        """Whether an address is a trusted proxy's."""
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client_of(self, peer: str | None, forwarded_for: Iterable[str]) -> str:
        """The address of the client whose request came over a connection from `peer`; '' where nobody can tell.

        `forwarded_for`: the request's `X-Forwarded-For` lines, in their order.
        """
        address = peer or ""
        if not self.trusts(address):
            return address
        hops = [hop.strip() for hop in ",".join(forwarded_for).split(",") if hop.strip()]
        for hop in reversed(hops[-_MAX_HOPS:]):
            parsed = _parsed(_without_port(hop))
            if parsed is None:  # a trusted proxy wrote something else than an address: no better one is known
                return address
            address = str(parsed)
            if not self.trusts(address):
                return address
        return address

    def is_secure(self, peer: str | None, forwarded_proto: Iterable[str]) -> bool:
        """Whether a trusted proxy says, in `X-Forwarded-Proto` lines, that the request came to it by TLS."""
        last = ",".join(forwarded_proto).rpartition(",")[2]
        return self.trusts(peer or "") and last.strip().lower() == "https"


NO_PROXIES: Final = Proxies()
"""No proxy is trusted."""


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IP address; an IPv4 address that a dual-stack socket shows as `::ffff:a.b.c.d` counts as the IPv4 one."""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


def _without_port(hop: str) -> str:
    """Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
