"""What all roles have in common: they start, say when they can serve, run until a signal, drain and end.

A role's module has one function, `async def build(role: RoleContext) -> None`: its composition root. It makes the
role's objects and registers their life here: loops to run, checks to be ready, ports to serve, what to do at the end.
`run` does the rest. On SIGTERM or SIGINT the role says "not ready", stops accepting, finishes what is in flight, closes
in the reverse order of opening, and is gone within `DRAIN_TIMEOUT_S`.
"""

import asyncio
import contextlib
import logging
import os
import platform
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import uvloop
from aiohttp import web

from admin.roles.health import HealthPages, health_routes
from admin.roles.http_metrics import counting
from admin.roles.pauses import Pauses
from core.clock import Clock, SystemClock
from core.collector import exempt_what_exists
from core.config import METRICS_PORTS, Settings, redacted
from core.network.gate import KEEP_ALIVE_S, Caps, Gate, fitted, raise_handle_limit
from core.network.headers import Edge, safe_headers
from core.network.proxies import Proxies
from core.network.refusals import server_logger
from core.processes import DRAIN_TIMEOUT_S, PRIVATE_UMASK, READY_PIPE
from core.telemetry.logs import WITHOUT_CONTENT, set_up_logging
from core.telemetry.metrics import Merge, Telemetry, process_families
from core.telemetry.scrape import ScrapePoint
from core.version import VERSION

# Connections that wait to be accepted while the loop is busy; aiohttp's own number.
BACKLOG = 128

# How long the rest of a body is read that no handler wanted, so that its sender gets the answer.
LINGER_S = 2.0

METRICS_ELSEWHERE = "metrics have a listener of their own: see telemetry.own_listener in docs/configuration.md\n"

_READY_POLL_S = 0.02
_PARENT_POLL_S = 1.0

EXIT_FAILED = 1

log = logging.getLogger("grosz.role")

Build = Callable[["RoleContext"], Awaitable[None]]
AsyncAction = Callable[[], Awaitable[None]]
Loop = Callable[[], Coroutine[None, None, None]]
"""Begins a background loop, which runs until it is cancelled."""


class Front(Protocol):
    """What reads a role's connections before its aiohttp application does."""

    def connection(self, gate: Gate, full: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """The protocol of a new connection, which may hand it over to one that `full` makes.

        It asks `gate` to admit the connection, and releases it unless it has handed it over.
        """
        ...

    async def drain(self) -> None:
        """Return when no connection is left that was not handed over."""
        ...


class RoleContext:
    """What a composition root is given, and where it registers what it made."""

    def __init__(self, name: str, settings: Settings, *, clock: Clock | None = None, supervised: bool = False) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock or SystemClock()
        self.telemetry = Telemetry()
        self.telemetry.add_source(process_families)
        build_info = self.telemetry.gauge(
            "grosz_build_info", "Always 1: the version of Grosz and of Python that the role runs.",
            ("version", "python"), merge=Merge.MAX,
        )  # fmt: skip
        build_info.labels(VERSION, platform.python_version()).set(1)
        run_directory = settings.telemetry.run_directory
        self.scrape_point = ScrapePoint(
            self.telemetry.families, directory=Path(run_directory) if run_directory else None, role=name
        )
        self.proxies = Proxies(settings.network.trusted_proxies)
        self._metrics_port = _own_metrics_port(name, settings)
        self.health = HealthPages(
            self.scrape_point,
            public_metrics=settings.telemetry.public_metrics,
            proxies=self.proxies,
            elsewhere=METRICS_ELSEWHERE if self._metrics_port is not None else "",
        )
        self._refused = self.telemetry.counter(
            "grosz_http_refused_total",
            "Connections and requests of the web ports that were refused unread.",
            ("reason",),
        )
        self.share_port = supervised  # the supervisor holds the port; its children listen on it together
        self._counting = counting(self.telemetry)
        self._drains: list[AsyncAction] = []
        self._closings: list[AsyncAction] = []
        self._loops: list[asyncio.Task[None]] = []
        self._loop_failures = self.telemetry.counter(
            "grosz_loop_failures_total", "Background loops that failed and were started again.", ("loop",)
        )

    def on_drain(self, action: AsyncAction) -> None:
        """Register what comes first at the end: stop accepting, finish what is in flight. All drains run together."""
        self._drains.append(action)

    def on_close(self, action: AsyncAction) -> None:
        """Register what comes last at the end: flush and close; in the reverse order of registration."""
        self._closings.append(action)

    def run_loop(self, loop: Loop, name: str) -> None:
        """Run a background loop until the end of the role. One that fails is logged, counted and started again.

        A value that nobody can read, or a fault of ours in one loop, must not close the ports that the role serves.
        """
        self._loops.append(asyncio.create_task(self._keep_running(loop, name), name=name))

    async def _keep_running(self, loop: Loop, name: str) -> None:
        pauses = Pauses()
        while True:
            began = time.monotonic()
            try:
                await loop()
            except Exception:
                log.exception("background loop failed; it is started again", extra={"fields": {"loop": name}})
            else:
                log.error("background loop ended; it is started again", extra={"fields": {"loop": name}})
            self._loop_failures.labels(name).inc()
            await asyncio.sleep(pauses.after(time.monotonic() - began))

    async def serve(
        self, app: web.Application, host: str, port: int, *, front: Front | None = None, public_url: str = ""
    ) -> None:
        """Serve an aiohttp app, with the health pages added, from now on until the drain; `front` reads first.

        `public_url` is what browsers reach it at; with https they are told to come by https only.
        """
        await self._listen(app, host, port, front, public_url, with_metrics=self._metrics_port is None)

    async def serve_metrics(self) -> None:
        """Serve metrics and health at a listener of their own, if there is to be one.

        Best effort: where another process has the port, the role goes on without it.
        """
        if self._metrics_port is None:
            return
        host = self.settings.telemetry.host
        try:
            await self._listen(web.Application(), host, self._metrics_port, None, "", with_metrics=True)
        except OSError as error:
            log.warning(
                "metrics are not served: %s", error, extra={"fields": {"host": host, "port": self._metrics_port}}
            )

    async def _listen(
        self,
        app: web.Application,
        host: str,
        port: int,
        front: Front | None,
        public_url: str,
        *,
        with_metrics: bool,
    ) -> None:
        app.add_routes(health_routes(self.health, with_metrics=with_metrics))
        app.on_response_prepare.append(safe_headers(Edge(public_url, self.proxies)))
        network = self.settings.network
        caps = fitted(Caps(network.max_connections, network.max_connections_per_address), raise_handle_limit())
        gate = Gate(caps, self.proxies, self.clock, self._count_refusal)
        app.middlewares[:0] = (gate.middleware, self._counting)
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=DRAIN_TIMEOUT_S / 2,
            handle_signals=False,
            auto_decompress=False,  # core.network.bodies does, for callers that may send much
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            logger=server_logger(self._count_refusal),
        )
        await runner.setup()
        full = cast(Callable[[], asyncio.Protocol], runner.server)  # made by setup()

        def connection() -> asyncio.Protocol:
            if front is None:
                return gate.watch(full())
            return front.connection(gate, lambda: gate.watch(full(), admitted=True))

        server = await asyncio.get_running_loop().create_server(
            connection, host, port, backlog=BACKLOG, reuse_port=self.share_port or None
        )
        self.run_loop(gate.sweep, "slow connections")

        async def stop_accepting() -> None:
            server.close()
            if front is not None:
                await front.drain()
            await runner.cleanup()

        self.on_drain(stop_accepting)

    def _count_refusal(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    async def shut_down(self) -> None:
        """Drain, end the loops, close; each step also when one before it failed, and the failures are logged."""
        self.health.drain()
        await _all_of("drain", self._drains)
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for action in reversed(self._closings):
            await _all_of("close", [action])
        self.scrape_point.close()


def _own_metrics_port(name: str, settings: Settings) -> int | None:
    """The port of the role's own listener for metrics, None where its own port serves them."""
    telemetry = settings.telemetry
    if not telemetry.own_listener or name not in METRICS_PORTS:
        return None
    port: int = getattr(telemetry, METRICS_PORTS[name])
    return port


def run(name: str, build: Build, settings: Settings, environ: Mapping[str, str]) -> int:
    """Run a role in this process until it is told to end; the process's exit code."""
    os.umask(PRIVATE_UMASK)
    set_up_logging(name, settings.telemetry.log_level, form=settings.telemetry.log_format)
    raise_handle_limit()
    ready_pipe = int(environ[READY_PIPE]) if READY_PIPE in environ else None
    context_settings = redacted(settings)
    log.info("starting", extra={"fields": {"settings": context_settings}})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_live(name, build, settings, ready_pipe))


async def _live(name: str, build: Build, settings: Settings, ready_pipe: int | None) -> int:
    started = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_loop_error)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    role = RoleContext(name, settings, supervised=ready_pipe is not None)
    exit_code = 0
    try:
        role.scrape_point.open()
        role.run_loop(role.scrape_point.run, "metrics notes")
        await role.serve_metrics()
        await build(role)
        if ready_pipe is not None:
            role.run_loop(partial(_watch_parent, stop), "parent watch")
        await _serve_until(stop, role, ready_pipe, started)
    finally:
        log.info("draining")
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await role.shut_down()
        except TimeoutError:
            log.error("drain took too long; what was left is dropped")
            exit_code = EXIT_FAILED
        log.info("stopped", extra={"fields": {"exit_code": exit_code}})
    return exit_code


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log an error of the event loop without its own text, which quotes the protocol, its transport and its data."""
    error = context.get("exception")
    caught = (type(error), error, error.__traceback__) if isinstance(error, BaseException) else None
    log.error("the event loop reports: %s", context.get("message"), exc_info=caught, extra=WITHOUT_CONTENT)


async def _serve_until(stop: asyncio.Event, role: RoleContext, ready_pipe: int | None, started: float) -> None:
    """Run until told to stop."""
    announcing = asyncio.create_task(_announce(role, ready_pipe, started))
    await stop.wait()
    announcing.cancel()
    await asyncio.gather(announcing, return_exceptions=True)


async def _announce(role: RoleContext, ready_pipe: int | None, started: float) -> None:
    """Say that the role can serve, once, when all its checks agree."""
    while role.health.faults():  # noqa: ASYNC110 - checks are asked, they do not call
        await asyncio.sleep(_READY_POLL_S)
    exempt_what_exists()
    log.info("ready", extra={"fields": {"seconds": round(time.monotonic() - started, 3)}})
    if ready_pipe is not None:
        with contextlib.suppress(BrokenPipeError):  # the supervisor is on its way out
            os.write(ready_pipe, b"ready\n")
        os.close(ready_pipe)


async def _watch_parent(stop: asyncio.Event) -> None:
    """End when the supervisor is gone. On Linux the kernel says so first; this is for everywhere else."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel has no event for it
        await asyncio.sleep(_PARENT_POLL_S)
    stop.set()
    await asyncio.Event().wait()


async def _all_of(step: str, actions: list[AsyncAction]) -> None:
    results = await asyncio.gather(*(action() for action in actions), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            log.error("failed to %s", step, exc_info=result)
