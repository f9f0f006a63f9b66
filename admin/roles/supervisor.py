"""Everything on one machine: the embedded Redis, and one process for each role, watched and restarted.

The supervisor itself does no work that could fail: it reserves the ports, starts the children, says when all can serve,
starts a dead one again with growing pauses, and ends them in an order in which nobody misses whom it still needs.
It holds each port without listening on it: only its own children share it, and a second Grosz is refused.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from admin.roles.local_state import complete, url_of, write_endpoints
from core.config import ENVIRONMENT_PREFIX, Settings, TrackSettings, to_environment
from core.errors import ConfigError, UnavailableError
from core.processes import DRAIN_TIMEOUT_S, PRIVATE_UMASK, READY_PIPE, die_with_parent, give_way
from core.redis.embedded import EmbeddedServer
from core.telemetry.logs import set_up_logging

# Starting takes one to two seconds, with 100,000 line items ten, on a machine with other work three times as long; a
# role that is not ready by now has a fault that waiting does not mend.
READY_TIMEOUT_S = 90.0

# Pauses before a dead role is started again: at once the first time, so that a crash costs a second, and never so
# often that a role which cannot start keeps a core busy.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
# A process that lived this long was healthy; its next death starts the pauses anew.
HEALTHY_AFTER_S = 30.0

_REDIS_POLL_S = 0.25

# Later groups serve earlier ones while those drain: bids and notices first, then what settles and publishes them.
_STOP_ORDER: tuple[tuple[str, ...], ...] = (("bidder", "tracker"), ("worker",), ("admin",))

# Who has seconds gives way to those who have milliseconds, on a machine with fewer cores than busy roles.
_NICENESS = {"admin": 5, "worker": 5}

_AGAIN_S = 0.1

_STANDARD_ERROR = 2
_COMMAND = ("-m", "admin.cli")

ALL_ROLES = ("admin", "worker", "tracker", "bidder")

log = logging.getLogger("grosz.supervisor")


class Child:
    """One role process and those that follow it when it dies."""

    def __init__(self, role: str, number: int, environment: Mapping[str, str]) -> None:
        self.role = role
        self.name = f"{role}-{number}"
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self.started = 0.0
        self._environment = environment

    async def start(self) -> None:
        """Start the process; `ready` is set when it says that it can serve."""
        self.ready.clear()
        self.started = time.monotonic()
        reading, writing = os.pipe()
        try:
            self.process = await asyncio.create_subprocess_exec(
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
        finally:
            os.close(writing)
        asyncio.get_running_loop().add_reader(reading, self._on_ready_pipe, reading)
        while not give_way(self.process.pid, _NICENESS.get(self.role, 0)):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(_AGAIN_S)

    def _on_ready_pipe(self, reading: int) -> None:
        if os.read(reading, 64):
            self.ready.set()
        asyncio.get_running_loop().remove_reader(reading)
        os.close(reading)

    async def stop(self) -> None:
        """Ask the process to drain; end it if it does not."""
        process = self.process
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


class Supervisor:
    """Runs `roles` with `settings` until told to stop. `announce` gets the one line that says where to reach them."""

    def __init__(
        self,
        settings: Settings,
        *,
        roles: Sequence[str] = ALL_ROLES,
        environ: Mapping[str, str],
        announce: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._roles = tuple(roles)
        self._environ = environ
        self._announce = announce
        self._redis: EmbeddedServer | None = None
        self._ports: list[socket.socket] = []
        self._children: list[Child] = []
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Drain and end; `run` returns when everything has ended."""
        self._stop.set()

    async def run(self) -> None:
        """Start everything, keep it running, end it. Raises GroszError when it does not come up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            settings = self._prepare()
            environment = _child_environment(self._environ, settings)
            self._children = [
                Child(role, number, environment)
                for role in self._roles
                for number in range(_processes_of(role, settings))
            ]
            await asyncio.gather(*(child.start() for child in self._children))
            if await self._come_up():
                self._announce(ready_line(settings, self._roles))
                await self._keep()
        finally:
            await self._end()

    def _prepare(self) -> Settings:
        """Ports, Redis and local state: everything that the children need before they start."""
        settings = self._reserve_ports(self._settings)
        redis_url = settings.redis.url
        if not redis_url:
            self._redis = EmbeddedServer(Path(settings.data.directory))
            self._redis.start()
            redis_url = self._redis.url
        settings = complete(settings, redis_url)
        write_endpoints(settings, self._roles)
        return settings

    def _reserve_ports(self, settings: Settings) -> Settings:
        for role in self._roles:
            component = _COMPONENTS[role]
            current = getattr(settings, component)
            held = reserve_port(current.host, current.port, role)
            self._ports.append(held)
            changed = msgspec.structs.replace(current, port=held.getsockname()[1])
            settings = msgspec.structs.replace(settings, **{component: changed})
        if settings.track.public_url == TrackSettings().public_url:  # nobody chose one, so it follows the port
            track = msgspec.structs.replace(settings.track, public_url=url_of(settings.track.host, settings.track.port))
            settings = msgspec.structs.replace(settings, track=track)
        return settings

    async def _come_up(self) -> bool:
        """Wait until every role can serve; False when told to stop meanwhile."""
        waits = [asyncio.create_task(_ready_or_dead(child)) for child in self._children]
        stopping = asyncio.create_task(self._stop.wait())
        everything = asyncio.gather(*waits)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await asyncio.wait((everything, stopping), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            late = ", ".join(child.name for child in self._children if not child.ready.is_set())
            raise UnavailableError(
                f"not ready within {READY_TIMEOUT_S:.0f} s: {late}", hint="see the log above"
            ) from None
        finally:
            everything.cancel()
            for task in (stopping, *waits):  # the first failure leaves the other waits running
                task.cancel()
            await asyncio.gather(everything, stopping, *waits, return_exceptions=True)
        if self._stop.is_set():
            return False
        everything.result()
        return True

    async def _keep(self) -> None:
        """Start again what dies, until told to stop."""
        tasks = [asyncio.create_task(_keep_child(child)) for child in self._children]
        tasks.append(asyncio.create_task(self._keep_redis()))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *tasks):
            task.cancel()
        results = await asyncio.gather(stopping, *tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _keep_redis(self) -> None:
        if self._redis is None:
            return await _forever()
        while True:
            await asyncio.sleep(_REDIS_POLL_S)
            if not self._redis.alive():
                log.error("the embedded Redis server ended; it is started again")
                # In this thread, although it blocks for 0.1 s: the server dies with the thread that started it.
                self._redis.restart()

    async def _end(self) -> None:
        for group in _STOP_ORDER:
            await asyncio.gather(*(child.stop() for child in self._children if child.role in group))
        if self._redis is not None:
            self._redis.stop()
        for held in self._ports:
            held.close()


def _processes_of(role: str, settings: Settings) -> int:
    return {"bidder": settings.bid.workers, "tracker": settings.track.workers}.get(role, 1)


_COMPONENTS = {"bidder": "bid", "tracker": "track", "worker": "worker", "admin": "admin"}


def reserve_port(host: str, port: int, role: str) -> socket.socket:
    """A bound socket that does not listen: it keeps the port (0: any) for this process's children.

    Raises ConfigError when somebody uses the port already, also somebody who would share it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port:
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(alone, host, port, role)
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(held, host, port, role)
    except BaseException:
        held.close()
        raise
    return held


def _bind(unbound: socket.socket, host: str, port: int, role: str) -> None:
    try:
        unbound.bind((host, port))
    except OSError as error:
        raise ConfigError(
            f"the {role} role cannot have {host}:{port}: {os.strerror(error.errno or 0)}",
            hint=f"end what uses it, or choose another port (GROSZ_{_COMPONENTS[role].upper()}_PORT; 0 for any)",
        ) from error


def ready_line(settings: Settings, roles: Sequence[str]) -> str:
    """`ready bid=http://... track=... admin=...`: where each role that others call can be reached."""
    shown = {
        "bidder": f"bid={url_of(settings.bid.host, settings.bid.port)}",
        "tracker": f"track={url_of(settings.track.host, settings.track.port)}",
        "admin": f"admin={url_of(settings.admin.host, settings.admin.port)}",
    }
    return " ".join(["ready", *(text for role, text in shown.items() if role in roles)])


def _child_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The parent's environment with its settings replaced by the completed ones."""
    others = {name: value for name, value in environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    return {**others, **to_environment(settings)}


async def _ready_or_dead(child: Child) -> None:
    """Return when the child can serve; raises UnavailableError when it ends before."""
    process = child.process
    if process is None:
        raise UnavailableError(f"{child.name} was not started")
    ready, ended = asyncio.create_task(child.ready.wait()), asyncio.create_task(process.wait())
    try:
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        ended.cancel()
    if not child.ready.is_set():
        raise UnavailableError(f"{child.name} ended before it was ready", hint="see its log above")


async def _keep_child(child: Child) -> None:
    pause = FIRST_PAUSE_S
    while True:
        exit_code = await child.process.wait() if child.process is not None else 0
        lived = time.monotonic() - child.started
        pause = FIRST_PAUSE_S if lived >= HEALTHY_AFTER_S else pause
        fields = {"child": child.name, "exit_code": exit_code, "lived_seconds": round(lived, 1), "pause_seconds": pause}
        log.error("role ended; it is started again", extra={"fields": fields})
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
        await child.start()


async def _forever() -> None:
    await asyncio.Event().wait()


def supervise(
    settings: Settings, *, roles: Sequence[str], environ: Mapping[str, str], announce: Callable[[str], None]
) -> int:
    """Run `roles` in the foreground until SIGTERM or SIGINT; the process's exit code. Raises GroszError."""
    os.umask(PRIVATE_UMASK)
    set_up_logging("supervisor", settings.telemetry.log_level)
    asyncio.run(Supervisor(settings, roles=roles, environ=environ, announce=announce).run())
    return 0
