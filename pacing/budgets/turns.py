"""Commands of everything that is handled in one turn of the event loop, sent to Redis as one batch.

Notices come in bursts: when a socket round ends, dozens wait. A task, a future and a deadline for each of them cost
more than the settlement itself, so they share one of each, and the answers of a burst leave together too.
"""

import asyncio
import logging
from collections.abc import Callable

import hiredis

from core.errors import UnavailableError
from core.telemetry.logs import WITHOUT_CONTENT
from pacing.budgets.transitions import Command, Transitions

Done = Callable[[object], None]
"""Given the reply, or None when Redis did not do it or nobody knows whether it did."""

_log = logging.getLogger("grosz.pacing.turns")


class TurnBatch:
    """Collects commands and sends them together in the event loop's next turn."""

    __slots__ = ("_commands", "_dones", "_running", "_transitions")

    def __init__(self, transitions: Transitions) -> None:
        self._transitions = transitions
        self._commands: list[Command] = []
        self._dones: list[Done] = []
        self._running: set[asyncio.Task[None]] = set()

    def add(self, command: Command, done: Done) -> None:
        """Send a command with all others of this turn; `done` is called once, and again with None if it raises.

        `done` is given None for an error reply.
        """
        if not self._commands:
            asyncio.get_running_loop().call_soon(self._flush)
        self._commands.append(command)
        self._dones.append(done)

    async def run(self, command: Command) -> object:
        """The same for a caller that waits: the reply, or None."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def done(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        self.add(command, done)
        return await future

    def _flush(self) -> None:
        commands, dones = self._commands, self._dones
        self._commands, self._dones = [], []
        task = asyncio.create_task(self._send(commands, dones))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _send(self, commands: list[Command], dones: list[Done]) -> None:
        try:
            replies = await self._transitions.run_many(commands)
        except UnavailableError:
            replies = [None] * len(commands)
        for reply, done in zip(replies, dones, strict=True):
            if not _handled(done, None if isinstance(reply, hiredis.ReplyError) else reply):
                _handled(done, None)  # so that the waiting caller gets an answer


def _handled(done: Done, reply: object) -> bool:
    try:
        done(reply)
    except Exception:  # a fault of ours with one notice must not leave the others of its turn unanswered
        _log.exception("a reply of Redis could not be handled", extra=WITHOUT_CONTENT)
        return False
    return True
