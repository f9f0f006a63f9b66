"""A headless Chromium of our own, driven through Chromium's DevTools protocol.

It speaks over two inherited file descriptors and not over a port: nobody else on the machine can reach a browser that
reads what we may read.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from core.errors import UnavailableError
from creatives.preview.browser import browser_arguments

# One message holds the body of one request or answer at most, beside addresses that a page may make long.
_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_CALL_S: Final = 30.0
_LOG_LINES: Final = 3
# Chromium reads commands from descriptor 3 and answers on 4; ours has whichever number was free.
_START: Final = "import os,sys; fd=int(sys.argv[1]); os.dup2(fd,3); os.dup2(fd,4); os.execv(sys.argv[2],sys.argv[2:])"
_END: Final = b"\0"

EventHandler = Callable[[str, dict[str, Any], str], None]
"""Called with the name of an event, its members and the session that it belongs to."""


class Devtools:
    """Commands to one browser, and what it tells."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_event: EventHandler) -> None:
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._gone = False

    async def call(self, method: str, session: str = "", **members: object) -> dict[str, Any]:
        """The result of a command. Raises UnavailableError when the browser is gone, silent, or refuses it."""
        if self._gone:
            raise UnavailableError("the browser ended")
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        number = self.tell(method, session, **members)
        self._waiting[number] = future
        try:
            return await asyncio.wait_for(future, _CALL_S)
        except TimeoutError:
            raise UnavailableError(f"the browser does not answer {method}") from None
        finally:
            del self._waiting[number]

    def tell(self, method: str, session: str = "", **members: object) -> int:
        """Send a command whose result is not waited for; returns its number."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": members} | ({"sessionId": session} if session else {})
        self._writer.write(json.dumps(message).encode() + _END)
        return number

    async def listen(self) -> None:
        """Read until the browser ends; then every call that waits raises UnavailableError."""
        try:
            while True:
                self._take(json.loads((await self._reader.readuntil(_END))[:-1]))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            pass  # whatever ended it, the calls that wait get an error
        finally:
            self._gone = True
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(UnavailableError("the browser ended"))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self._on_event(message["method"], message.get("params", {}), message.get("sessionId", ""))
            return
        future = self._waiting.get(message.get("id", 0))
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(UnavailableError(f"the browser refuses: {message['error'].get('message', '')}"))
        else:
            future.set_result(message.get("result", {}))


@contextlib.asynccontextmanager
async def running_browser(program: str, gate_port: int, on_event: EventHandler) -> AsyncIterator[Devtools]:
    """A new browser without history, cookies or any other way out than the gate; it ends with the context.

    Raises UnavailableError if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="grosz-tag-", ignore_cleanup_errors=True) as folder:
        ours, theirs = socket.socketpair()
        log = Path(folder) / "log"
        with log.open("wb") as output, theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", _START, str(theirs.fileno()), program, "--remote-debugging-pipe",
                *browser_arguments(gate_port, folder), "about:blank", pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=output,
                start_new_session=True, env={"HOME": folder, "PATH": os.environ.get("PATH", "")},
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours, limit=_MAX_MESSAGE_BYTES)
        browser = Devtools(reader, writer, on_event)
        listening = asyncio.create_task(browser.listen())
        try:
            await _greet(browser, log)
            yield browser
        finally:
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await listening


async def _greet(browser: Devtools, log: Path) -> None:
    try:
        await browser.call("Browser.getVersion")
    except UnavailableError as error:
        lines = (await asyncio.to_thread(log.read_text, errors="replace")).strip().splitlines()[-_LOG_LINES:]
        raise UnavailableError(
            f"Chromium does not start: {error.message}", hint=" ".join(lines)[:500] or "it says nothing about why"
        ) from None
