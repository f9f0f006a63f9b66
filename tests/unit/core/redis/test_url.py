"""Redis URLs."""

import pytest

from core.errors import ConfigError
from core.redis.url import RedisAddress, parse_redis_url


def test_parts_that_are_left_out_have_defaults() -> None:
    assert parse_redis_url("redis://") == RedisAddress(host="127.0.0.1", port=6379, database=0)
    assert parse_redis_url("redis://cache.internal/4") == RedisAddress(host="cache.internal", database=4)


def test_credentials_are_unquoted_and_stay_out_of_the_representation() -> None:
    address = parse_redis_url("rediss://us%40er:pa%2Fss@[::1]:7000/2")
    assert (address.username, address.password, address.host, address.port) == ("us@er", "pa/ss", "::1", 7000)
    assert address.tls
    assert "pa/ss" not in f"{address!r} {address} {address.place}"


def test_credentials_from_settings_fill_in_what_the_url_leaves_out() -> None:
    assert parse_redis_url("redis://h", username="u", password="p").password == "p"
    assert parse_redis_url("redis://:own@h", password="p").password == "own"


def test_a_unix_socket_takes_its_database_from_the_query() -> None:
    address = parse_redis_url("unix:///run/a%20b.sock?db=3")
    assert (address.path, address.database) == ("/run/a b.sock", 3)
    assert address.place == "unix:///run/a b.sock"


@pytest.mark.parametrize(
    "url", ["http://h", "h:6379", "redis://h:port", "redis://h:99999", "redis://h/x", "unix:///s?db=-1"]
)
def test_what_cannot_be_read_is_a_configuration_fault(url: str) -> None:
    with pytest.raises(ConfigError):
        parse_redis_url(url)


def test_missing_tls_files_are_a_configuration_fault() -> None:
    assert parse_redis_url("redis://h").tls_context() is None
    with pytest.raises(ConfigError, match="TLS"):
        parse_redis_url("rediss://h?ssl_ca_certs=/none/ca.pem").tls_context()
