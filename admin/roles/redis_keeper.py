"""Keeps the embedded Redis server running: every role needs it, so it is watched no less than they are."""

import asyncio
import logging
import time

from admin.roles.pauses import Pauses
from core.errors import GroszError, UnavailableError
from core.redis.embedded import START_TIMEOUT_S, EmbeddedServer, ServerState

# The kernel tells the end of a process by a signal that asyncio keeps to itself; asking costs one system call.
_POLL_S = 0.05

# Between two questions whether a server that starts can answer.
_START_POLL_S = 0.02

log = logging.getLogger("grosz.supervisor")


async def start_server(server: EmbeddedServer) -> None:
    """Start the server and return when it answers. Raises ConfigError or UnavailableError.

    One that says that it is loading its data is waited for, however long that takes.
    """
    server.begin()
    silent_since = time.monotonic()
    while True:
        answer = await asyncio.to_thread(server.ask)
        if answer is ServerState.READY:
            server.note_program()
            return
        if answer is ServerState.LOADING:
            silent_since = time.monotonic()
        if not server.alive() or time.monotonic() - silent_since > START_TIMEOUT_S:
            raise UnavailableError(
                f"the embedded Redis server does not come up in {server.directory}", hint=f"see {server.log}"
            )
        await asyncio.sleep(_START_POLL_S)


async def keep_server(server: EmbeddedServer) -> None:
    """Start the server again whenever it ends, with growing pauses, until cancelled.

    Nobody waits for it here: roles connect again by themselves. It is started in this thread, since the kernel ends it
    with the thread that started it.
    """
    pauses = Pauses()
    started = time.monotonic()
    is_noted = True
    while True:
        while server.alive():
            if not is_noted and await asyncio.to_thread(server.ask) is ServerState.READY:
                server.note_program()
                is_noted = True
            await asyncio.sleep(_POLL_S)
        lived_s = time.monotonic() - started
        pause_s = pauses.after(lived_s)
        fields = {"lived_seconds": round(lived_s, 1), "pause_seconds": pause_s}
        log.error("the embedded Redis server ended; it is started again", extra={"fields": fields})
        await asyncio.sleep(pause_s)
        started = time.monotonic()
        try:
            server.begin()
            is_noted = False
        except (GroszError, OSError) as error:
            log.error("the embedded Redis server cannot be started", extra={"fields": {"error": str(error)}})
