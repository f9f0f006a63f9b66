"""Slots against the values that the cluster specification and a real server give."""

import pytest

from core.redis.slots import command_slot, key_slot


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 12739),
        (b"foo", 12182),
        (b"", 0),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
    ],
)
def test_a_key_has_the_slot_of_the_specification(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


def test_only_the_first_non_empty_braces_count() -> None:
    assert key_slot(b"foo{}{bar}") != key_slot(b"bar")
    assert key_slot(b"foo{{bar}}zap") == key_slot(b"{bar")
    assert key_slot(b"foo{bar}{zap}") == key_slot(b"bar")
    assert key_slot(b"{bar") != key_slot(b"bar")


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "foo"), (b"get", b"foo"), ("EVAL", "return 1", 1, "foo", "bar"), ("evalsha", "sha", "2", "foo", "bar"),
        ("XREAD", "COUNT", 1, "streams", "foo", "0"), ("OBJECT", "ENCODING", "foo"), ("XGROUP", "CREATE", "foo", "g"),
    ],
)  # fmt: skip
def test_a_command_goes_where_its_first_key_is(command: tuple[str | bytes | int, ...]) -> None:
    assert command_slot(command) == key_slot(b"foo")


@pytest.mark.parametrize("command", [("PING",), ("EVAL", "return 1", 0, "foo"), ("PUBLISH", "foo", "x"), ("TIME",)])
def test_a_command_without_keys_has_no_slot(command: tuple[str | int, ...]) -> None:
    assert command_slot(command) is None


def test_numbers_are_keys_as_they_are_sent() -> None:
    assert command_slot(("GET", 17)) == key_slot(b"17")
