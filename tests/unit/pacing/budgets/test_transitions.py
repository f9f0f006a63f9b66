import re

import hiredis
import pytest

from core import keys
from core.clock import SystemClock
from core.errors import UnavailableError
from pacing.budgets.transitions import RedisBatch, Transitions, pairs, stream_entries

Replies = list[object]


class Scripted:
    """A connection that gives the replies it was told to and notes what it was asked."""

    def __init__(self, *replies: object) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[bytes | str | int, ...]] = []

    async def batch(self, commands: object, deadline: float) -> Replies:
        assert isinstance(commands, list)
        self.asked += commands
        return [self.replies.pop(0) for _ in commands]


def transitions(redis: RedisBatch) -> Transitions:
    return Transitions(redis, SystemClock())


async def test_a_server_that_does_not_know_the_script_gets_its_text() -> None:
    redis = Scripted(hiredis.ReplyError("NOSCRIPT No matching script."), 3)
    assert await transitions(redis).close(1, 10) == 3
    assert [command[0] for command in redis.asked] == ["EVALSHA", "EVAL"]
    assert redis.asked[0][2:] == redis.asked[1][2:]


@pytest.mark.parametrize("reply", [hiredis.ReplyError("LOADING"), hiredis.ReplyError("OOM"), b"text"])
async def test_a_server_that_does_not_do_it_is_unavailable(reply: object) -> None:
    with pytest.raises(UnavailableError):
        await transitions(Scripted(reply)).close(1, 10)
    with pytest.raises(UnavailableError):
        await transitions(Scripted(reply)).take_over(1)


async def test_an_error_among_plain_commands_is_raised() -> None:
    with pytest.raises(UnavailableError, match="WRONGTYPE"):
        await transitions(Scripted(1, hiredis.ReplyError("WRONGTYPE"))).commands([("A",), ("B",)])


def test_all_money_of_one_advertiser_lies_in_one_slot() -> None:
    families = [
        keys.money_levels(12), keys.money_meta(12), keys.money_pools(12), keys.money_leases(12),
        keys.money_closing(12), keys.money_processes(12), keys.money_notices(12, 5), keys.money_corrections(12),
        keys.money_ledger(12), keys.delivery(12, 20_000), keys.order(12, "digest"),
    ]  # fmt: skip
    assert {tag for key in families for tag in re.findall(r"\{(.*?)\}", key)} == {"a:12"}
    of_user = [keys.user_profile("x"), keys.user_touches("x")]
    assert {tag for key in of_user for tag in re.findall(r"\{(.*?)\}", key)} == {"x"}


def test_hashes_are_read_in_both_protocols() -> None:
    assert pairs([b"a", b"1", b"b", b"2"]) == pairs({b"a": b"1", b"b": b"2"}) == {b"a": b"1", b"b": b"2"}
    assert pairs(None) == {}
    assert [(entry.id, entry.fields) for entry in stream_entries([(b"1-0", [b"a", b"1"])])] == [("1-0", {b"a": b"1"})]
