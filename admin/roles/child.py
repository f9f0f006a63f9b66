"""A role's process under the supervisor: started, watched, started again with growing pauses, ended."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping

from admin.roles.pauses import Pauses
from core.errors import UnavailableError
from core.processes import DRAIN_TIMEOUT_S, READY_PIPE, die_with_parent, give_way

# Roles that have seconds to answer give way to those that have milliseconds, on a machine with fewer cores than busy
# roles.
_NICENESS = {"admin": 5, "worker": 5}

_AGAIN_S = 0.1

_STANDARD_ERROR = 2
_COMMAND = ("-m", "admin.cli")

log = logging.getLogger("grosz.supervisor")


class Child:
    """One role process and its successors. `changed` is called when a process becomes ready, and when it ends."""

    def __init__(
        self, role: str, number: int, environment: Mapping[str, str], changed: Callable[[], None] = lambda: None
    ) -> None:
        self.role = role
        self.name = f"{role}-{number}"
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._environment = environment
        self._changed = changed
        self._started = 0.0

    async def start(self) -> None:
        """Start the process; `ready` is set when it says that it can serve. Raises OSError where it cannot begin."""
        self.ready = asyncio.Event()
        self.process = await self._spawn(self.ready)

    async def _spawn(self, ready: asyncio.Event) -> asyncio.subprocess.Process:
        self._started = time.monotonic()
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *_COMMAND,
                self.role,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=_STANDARD_ERROR,  # standard output has one line, the supervisor's
                env={**self._environment, READY_PIPE: str(writing)},
                pass_fds=(writing,),
                preexec_fn=die_with_parent(),
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the roles in order
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        asyncio.get_running_loop().add_reader(reading, self._on_ready_pipe, reading, ready)
        try:
            while not give_way(process.pid, _NICENESS.get(self.role, 0)):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(_AGAIN_S)
        except OSError as error:  # it serves all the same
            log.warning("role keeps its priority", extra={"fields": {"child": self.name, "error": str(error)}})
        return process

    async def ready_or_dead(self) -> None:
        """Return when the process can serve; raises UnavailableError when it ends before."""
        process = self.process
        if process is None:
            raise UnavailableError(f"{self.name} was not started")
        ready, ended = asyncio.create_task(self.ready.wait()), asyncio.create_task(process.wait())
        try:
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if not self.ready.is_set():
            raise UnavailableError(f"{self.name} ended before it was ready", hint="see its log above")

    async def keep(self) -> None:
        """Start the process again whenever it ends, until cancelled.

        What keeps it from starting (no process or file handle left) is waited out like a death of the process.
        """
        pauses = Pauses()
        while True:
            process = self.process
            exit_code = await process.wait() if process is not None else 0
            if self.process is not process:
                continue  # a successor has taken its place (`renew`)
            self.ready.clear()
            self._changed()
            lived_s = time.monotonic() - self._started
            pause_s = pauses.after(lived_s)
            fields = {
                "child": self.name, "exit_code": exit_code, "lived_seconds": round(lived_s, 1), "pause_seconds": pause_s
            }  # fmt: skip
            log.error("role ended; it is started again", extra={"fields": fields})
            await asyncio.sleep(pause_s)
            try:
                await self.start()
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread left to watch it
                log.error("role cannot be started", extra={"fields": {"child": self.name, "error": str(error)}})

    async def renew(self, environment: Mapping[str, str], patience_s: float) -> bool:
        """Start a successor with `environment` beside the process, then let that drain: the port is never without one.

        False when the successor is not ready in time; then the process stays.
        """
        before, self._environment = self._environment, environment
        ready = asyncio.Event()
        successor = await self._spawn(ready)
        try:
            async with asyncio.timeout(patience_s):
                while not ready.is_set() and successor.returncode is None:  # noqa: ASYNC110 - either may come
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            log.error("successor is not ready", extra={"fields": {"child": self.name}})
        if not ready.is_set():
            self._environment = before
            await self._end(successor)
            return False
        old, self.process, self.ready = self.process, successor, ready
        self._changed()
        await self._end(old)
        return True

    async def stop(self) -> None:
        """Ask the process to drain; end it if it does not."""
        await self._end(self.process)

    async def _end(self, process: asyncio.subprocess.Process | None) -> None:
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S + 1.0):
                await process.wait()
        except TimeoutError:
            log.error("role does not end; killed", extra={"fields": {"child": self.name}})
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _on_ready_pipe(self, reading: int, ready: asyncio.Event) -> None:
        if os.read(reading, 64):
            fields = {"child": self.name, "after_seconds": round(time.monotonic() - self._started, 1)}
            log.info("role is ready", extra={"fields": fields})
            ready.set()
            self._changed()
        asyncio.get_running_loop().remove_reader(reading)
        os.close(reading)
