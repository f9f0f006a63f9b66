"""Forwarding headers count as far as trusted proxies wrote them, and no further."""

import pytest

from core.errors import ConfigError
from core.network.proxies import Proxies

PROXIES = Proxies(("10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7"),  # a stranger says anything
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.2.0.9"], "198.51.100.1"),  # two of our proxies in a row
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client's own invention in front
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),  # the same on two lines
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:9::1]:4711"], "2001:db8:9::1"),
        ("10.0.0.1", ["2001:db8:9::1"], "2001:db8:9::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1::5", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, , "], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),  # the client is in a trusted network itself
        (None, ["198.51.100.1"], ""),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_client_of_a_request(peer: str | None, forwarded: list[str], client: str) -> None:
    assert PROXIES.client_of(peer, forwarded) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "secure"),
    [
        ("10.0.0.1", ["https"], True),
        ("10.0.0.1", ["HTTPS "], True),
        ("10.0.0.1", ["http, https"], True),
        ("10.0.0.1", ["https, http"], False),
        ("10.0.0.1", [], False),
        ("192.0.2.7", ["https"], False),
        (None, ["https"], False),
    ],
)
def test_whether_a_request_came_by_tls(peer: str | None, forwarded: list[str], secure: bool) -> None:
    assert PROXIES.is_secure(peer, forwarded) is secure


def test_nobody_is_trusted_by_default() -> None:
    assert Proxies().client_of("127.0.0.1", ["198.51.100.1"]) == "127.0.0.1"
    assert not Proxies().is_secure("127.0.0.1", ["https"])


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "proxy.internal", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        Proxies([text])
