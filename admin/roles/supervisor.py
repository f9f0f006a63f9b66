"""Everything on one machine: the embedded Redis, and one process for each role, watched and restarted.

The supervisor itself does no work that could fail: it reserves the ports, starts the children, says when all can serve,
starts a dead one again with growing pauses, and ends them in an order in which nobody misses whom it still needs.
It holds each port without listening on it: only its own children share it, and a second Grosz is refused.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

import msgspec

from admin.roles.child import Child
from admin.roles.local_state import complete, url_of, write_endpoints, write_in_force
from admin.roles.redis_keeper import keep_server, start_server
from admin.roles.reloading import reload
from admin.roles.stand_in import StandIn
from core.config import ENVIRONMENT_PREFIX, METRICS_PORTS, Settings, TrackSettings, to_environment
from core.errors import ConfigError, GroszError, UnavailableError
from core.processes import PRIVATE_UMASK
from core.redis.embedded import EmbeddedServer
from core.telemetry.logs import set_up_logging

# Starting takes one to two seconds, with 100,000 line items ten, on a machine with other work three times as long; a
# role that is not ready by now has a fault that waiting does not mend.
READY_TIMEOUT_S = 90.0

# Later groups serve earlier ones while those drain: bids and notices first, then what settles and publishes them.
_STOP_ORDER: tuple[tuple[str, ...], ...] = (("bidder", "tracker"), ("worker",), ("admin",))

ALL_ROLES = ("admin", "worker", "tracker", "bidder")

log = logging.getLogger("grosz.supervisor")


class Supervisor:
    """Runs `roles` with `settings` until told to stop. `announce` gets the one line that says where to reach them."""

    def __init__(
        self,
        settings: Settings,
        *,
        roles: Sequence[str] = ALL_ROLES,
        environ: Mapping[str, str],
        announce: Callable[[str], None],
        read_again: Callable[[], Settings] | None = None,
    ) -> None:
        """`read_again` gives the settings anew at each SIGHUP; without it that signal changes nothing."""
        self._settings = settings
        self._read_again = read_again
        self._reloading: asyncio.Task[None] | None = None
        self._roles = tuple(roles)
        self._environ = environ
        self._announce = announce
        self._redis: EmbeddedServer | None = None
        self._ports: list[socket.socket] = []
        self._children: list[Child] = []
        self._stand_in: StandIn | None = None
        self._announced = False
        self._prepared = settings
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Drain and end; `run` returns when everything has ended."""
        self._stop.set()

    async def run(self) -> None:
        """Start everything, keep it running, end it. Raises GroszError when it does not come up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        keeping_redis: asyncio.Task[None] | None = None
        try:
            settings = await self._prepare()
            if self._stop.is_set():
                return
            if self._redis is not None:
                keeping_redis = asyncio.create_task(keep_server(self._redis), name="embedded Redis")
            environment = _child_environment(self._environ, settings)
            self._children = [
                Child(role, number, environment, self._changed)
                for role in self._roles
                for number in range(_processes_of(role, settings))
            ]
            if "bidder" in self._roles:
                self._stand_in = StandIn(settings.bid.host, settings.bid.port)
            await asyncio.gather(*(child.start() for child in self._children))
            if await self._come_up():
                self._announced = True
                self._announce(ready_line(settings, self._roles))
                await self._keep()
        finally:
            self._announced = False  # a process that ends now needs no stand-in
            await self._end(keeping_redis)

    async def _prepare(self) -> Settings:
        """Ports, Redis and local state: everything that the children need before they start."""
        settings = self._reserve_ports(self._settings)
        redis_url = settings.redis.url
        if not redis_url:
            program = Path(settings.redis.program) if settings.redis.program else None
            self._redis = EmbeddedServer(Path(settings.data.directory), program=program)
            await self._until_stopped(start_server(self._redis))
            redis_url = self._redis.url
        settings = complete(settings, redis_url)
        write_endpoints(settings, self._roles)
        write_in_force(settings)
        self._prepared = settings
        return settings

    def _completed(self, settings: Settings) -> Settings:
        """What `_prepare` made of the first settings, with everything that may change as it is in `settings`."""
        made = reload(self._prepared, settings).settings
        if settings.track.public_url == TrackSettings().public_url:
            track = msgspec.structs.replace(made.track, public_url=self._prepared.track.public_url)
            made = msgspec.structs.replace(made, track=track)
        return made if settings.money.token_keys else msgspec.structs.replace(made, money=self._prepared.money)

    async def _until_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, or leave it when told to stop."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
        if not working.cancelled():
            working.result()

    def _hang_up(self) -> None:
        if self._announced and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.create_task(self._reload(), name="reload")

    async def _reload(self) -> None:
        """Read the settings again and start the roles anew with them, one process after the other."""
        try:
            new = self._read_again() if self._read_again is not None else self._settings
        except GroszError as error:
            log.error("settings stay as they are: %s", error.message, extra={"fields": {"hint": error.hint}})
            return
        found = reload(self._settings, new)
        if found.refused:
            log.warning("these settings take a restart: %s", ", ".join(found.refused))
        if not found.changed:
            log.info("no setting has changed that can be taken over")
            return
        self._settings = found.settings
        completed = self._completed(found.settings)
        write_in_force(completed)
        environment = _child_environment(self._environ, completed)
        for child in sorted(self._children, key=lambda one: ALL_ROLES.index(one.role)):
            if not await child.renew(environment, READY_TIMEOUT_S):
                log.error("role is not ready with the new settings", extra={"fields": {"child": child.name}})
                return
        log.info("settings are in force: %s", ", ".join(found.changed))

    def _changed(self) -> None:
        """A process has become ready, or ended."""
        if self._stand_in is None:
            return
        if any(child.role == "bidder" and child.ready.is_set() for child in self._children):
            self._stand_in.step_aside()
        elif self._announced:
            self._stand_in.cover()

    def _reserve_ports(self, settings: Settings) -> Settings:
        for role in self._roles:
            component = _COMPONENTS[role]
            current = getattr(settings, component)
            held = reserve_port(current.host, current.port, role, self._ports)
            self._ports.append(held)
            changed = msgspec.structs.replace(current, port=held.getsockname()[1])
            settings = msgspec.structs.replace(settings, **{component: changed})
        for role in self._roles:
            settings = self._reserve_metrics_port(settings, role)
        if settings.track.public_url == TrackSettings().public_url:  # nobody chose one, so it follows the port
            track = msgspec.structs.replace(settings.track, public_url=url_of(settings.track.host, settings.track.port))
            settings = msgspec.structs.replace(settings, track=track)
        return settings

    def _reserve_metrics_port(self, settings: Settings, role: str) -> Settings:
        """The port of a role's own listener for metrics: the chosen one, or any where another process has that."""
        telemetry = settings.telemetry
        if not telemetry.own_listener or role not in METRICS_PORTS:
            return settings
        name = METRICS_PORTS[role]
        try:
            held = reserve_port(telemetry.host, getattr(telemetry, name), role, self._ports)
        except ConfigError as error:  # metrics must not keep a role from working
            log.warning("metrics of the %s are served at another port: %s", role, error.message)
            held = reserve_port(telemetry.host, 0, role)
        self._ports.append(held)
        telemetry = msgspec.structs.replace(telemetry, **{name: held.getsockname()[1]})
        return msgspec.structs.replace(settings, telemetry=telemetry)

    async def _come_up(self) -> bool:
        """Wait until every role can serve; False when told to stop meanwhile."""
        waits = [asyncio.create_task(child.ready_or_dead()) for child in self._children]
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
        tasks = [asyncio.create_task(child.keep(), name=child.name) for child in self._children]
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((stopping, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *tasks):
            task.cancel()
        results = await asyncio.gather(stopping, *tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _end(self, keeping_redis: asyncio.Task[None] | None) -> None:
        for group in _STOP_ORDER:
            await asyncio.gather(*(child.stop() for child in self._children if child.role in group))
        if self._stand_in is not None:
            await self._stand_in.close()
        if keeping_redis is not None:
            keeping_redis.cancel()
            await asyncio.gather(keeping_redis, return_exceptions=True)
        if self._redis is not None:
            self._redis.stop()
        for held in self._ports:
            held.close()


def _processes_of(role: str, settings: Settings) -> int:
    return {"bidder": settings.bid.workers, "tracker": settings.track.workers}.get(role, 1)


_COMPONENTS = {"bidder": "bid", "tracker": "track", "worker": "worker", "admin": "admin"}


def reserve_port(host: str, port: int, role: str, ours: Sequence[socket.socket] = ()) -> socket.socket:
    """A bound socket that does not listen: it keeps the port (0: any) for this process's children.

    Raises ConfigError when a process uses the port already, even one that would share it, and where it is one of
    `ours`: two roles that share a port would each get half of the other's requests.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if any(_overlap(host, port, held) for held in ours):
        raise ConfigError(
            f"the {role} role cannot have {host}:{port}: another role has this port",
            hint=f"choose another port ({_setting_of(role)}; 0 for any)",
        )
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
            hint=f"end what uses it, or choose another port ({_setting_of(role)}; 0 for any)",
        ) from error


def _setting_of(role: str) -> str:
    return f"GROSZ_{_COMPONENTS[role].upper()}_PORT"


def _overlap(host: str, port: int, held: socket.socket) -> bool:
    """Whether both take connections to the same address: by its number, or because one takes all of them."""
    other, number = held.getsockname()[:2]
    everywhere = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    return number == port and (host in everywhere or other in everywhere or other in _addresses(host))


def _addresses(host: str) -> set[str]:
    """All addresses of a name, which may have one of each family: which of them is bound is not said."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:  # binding says what is wrong with it
        return set()


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


def supervise(
    settings: Settings,
    *,
    roles: Sequence[str],
    environ: Mapping[str, str],
    announce: Callable[[str], None],
    read_again: Callable[[], Settings] | None = None,
) -> int:
    """Run `roles` in the foreground until SIGTERM or SIGINT; the process's exit code. Raises GroszError."""
    os.umask(PRIVATE_UMASK)
    set_up_logging("supervisor", settings.telemetry.log_level, form=settings.telemetry.log_format)
    supervisor = Supervisor(settings, roles=roles, environ=environ, announce=announce, read_again=read_again)
    asyncio.run(supervisor.run())
    return 0
