"""Lua scripts over a pipelined connection: by digest, sent whole only to a server that does not know them yet."""

import hashlib
from collections.abc import Sequence
from typing import Final

import hiredis

from core.errors import UnavailableError
from segments.profiles.reading import Command, Pipeline

Argument = bytes | str | int


class Script:
    """One script; the keys of one call share a slot."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source: Final = source
        self.sha: Final = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)

    def in_full(self, command: Command) -> Command:
        """The same call with the script's source instead of its digest."""
        return ("EVAL", self.source, *command[2:])


async def run(redis: Pipeline, script: Script, calls: Sequence[Command], deadline: float) -> list[object]:
    """Answers of several calls of one script, in order.

    A server that lost the script (restart, failover, new cluster node) is sent its source once more. Any other error
    answer raises UnavailableError: scripts of ours do not fail in normal operation.
    """
    replies = await redis.batch(calls, deadline)
    missing = [at for at, reply in enumerate(replies) if _is_missing(reply)]
    if missing:
        again = await redis.batch([script.in_full(calls[at]) for at in missing], deadline)
        for at, reply in zip(missing, again, strict=True):
            replies[at] = reply
    check(replies)
    return replies


def check(replies: Sequence[object]) -> None:
    """Raise UnavailableError if an answer is an error."""
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise UnavailableError(f"Redis refused a command: {reply}", hint="see its log; is it out of memory?")


def _is_missing(reply: object) -> bool:
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")
