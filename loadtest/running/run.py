"""Runs a scenario: starts the generator processes together, adds up what they count, stops them in time."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from loadtest.exchange.faults import TcpProxy
from loadtest.exchange.worker import LINE_LIMIT, Failed, Message, Order, Ready
from loadtest.measure.series import Series
from loadtest.measure.tally import Delta
from loadtest.traffic.scenario import RedisPlan, Scenario, ScenarioError
from loadtest.wire.client import Target, parse_target, request_head

# Time for all processes to hear of the start before it comes.
_START_MARGIN_S = 0.2

# Making 20,000 templates takes 5 s on one core; a process that is not ready by then hangs.
_READY_S = 60.0

# Seconds to wait for a bidder behind the proxy: it is started by hand after the proxy.
BIDDER_START_S = 120.0

_ROOT = str(Path(__file__).resolve().parents[2])

Progress = Callable[[Series], None]

_decoder = msgspec.json.Decoder(Message)


class _Generator:
    """One child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, order: Order) -> "_Generator":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadtest.exchange.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT, limit=LINE_LIMIT, start_new_session=True,  # Ctrl-C is for the parent alone
        )  # fmt: skip
        generator = cls(process)
        await generator.say(msgspec.json.encode(order))
        return generator

    async def say(self, line: bytes) -> None:
        if self._process.stdin is not None:
            with suppress(ConnectionError):  # it has ended: its exit is noticed when its output is read
                self._process.stdin.write(line + b"\n")
                await self._process.stdin.drain()

    async def messages(self) -> AsyncIterator[Ready | Failed | Delta]:
        if self._process.stdout is not None:
            async for line in self._process.stdout:
                yield _decoder.decode(line)

    async def wait_ready(self) -> None:
        """Raises ScenarioError when the process cannot take part."""
        async for message in self.messages():
            if isinstance(message, Failed):
                raise ScenarioError(message.message)
            return
        raise ScenarioError("a generator process ended at once: see its output above")

    async def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def run_scenario(scenario: Scenario, progress: Progress, stop: asyncio.Event) -> Series:
    """Run to the end, or until `stop` is set; `progress` is called as counts come in. Raises ScenarioError."""
    scenario = _absolute(scenario)
    series = Series()
    generators: list[_Generator] = []
    try:
        async with _redis_proxy(scenario) as proxy:
            if proxy is not None:
                await _wait_until_ready(scenario.url)
            for index in range(scenario.processes):  # one by one: those that started are ended if the next one fails
                generators.append(await _Generator.start(Order(scenario, index)))  # noqa: PERF401  # see above
            async with asyncio.timeout(_READY_S):
                await asyncio.gather(*(generator.wait_ready() for generator in generators))
            start = time.monotonic() + _START_MARGIN_S
            for generator in generators:
                await generator.say(repr(start).encode())
            await _collect(generators, series, progress, stop, proxy, scenario)
    except TimeoutError:
        raise ScenarioError("the generators were not ready in time: use fewer templates or connections") from None
    finally:
        await asyncio.gather(*(generator.end() for generator in generators))
    return series


async def _collect(
    generators: list[_Generator],
    series: Series,
    progress: Progress,
    stop: asyncio.Event,
    proxy: TcpProxy | None,
    scenario: Scenario,
) -> None:
    async def listen(generator: _Generator) -> None:
        is_complete = False
        async for message in generator.messages():
            if isinstance(message, Delta):
                series.add(message)
                progress(series)
                is_complete = message.last
        if not is_complete:
            raise ScenarioError("a generator process ended in the middle of the run: see its output above")

    async def pass_on_stop() -> None:
        await stop.wait()
        for generator in generators:
            await generator.say(b"stop")

    tasks = [asyncio.create_task(pass_on_stop())]
    if proxy is not None:
        tasks.append(asyncio.create_task(misbehave(proxy, scenario.redis, scenario.duration_s)))
    try:
        await asyncio.gather(*map(listen, generators))
    finally:
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _redis_proxy(scenario: Scenario) -> AsyncIterator[TcpProxy | None]:
    plan = scenario.redis
    if not plan.listen_port:
        yield None
        return
    if not plan.upstream:
        raise ScenarioError("redis.upstream is missing: give the address that the proxy forwards to")
    proxy = TcpProxy(plan.upstream, plan.listen_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


async def _wait_until_ready(url: str) -> None:
    """Wait for a bidder behind the proxy, which cannot start before the proxy. Raises ScenarioError when it does not
    come."""
    target = parse_target(url)
    loop = asyncio.get_running_loop()
    limit = loop.time() + BIDDER_START_S
    while not await _is_ready(target):
        if loop.time() > limit:
            raise ScenarioError(f"nothing is ready at {url} after {BIDDER_START_S:.0f} s: start the bidder")
        await asyncio.sleep(0.2)


async def _is_ready(target: Target) -> bool:
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port)
    except OSError:
        return False
    try:
        writer.write(request_head(target._replace(path="/readyz"), "GET", (("Connection", "close"),), None))
        return (await reader.readline()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 404"))  # 404: another bidder than ours
    except OSError:
        return False
    finally:
        writer.close()


async def misbehave(proxy: TcpProxy, plan: RedisPlan, duration_s: float) -> None:
    """Lead a proxy through the plan: slow from `slow_at`, cut from `cut_at`, healthy from `heal_at`."""

    def slow() -> None:
        proxy.delay_s = plan.delay_ms / 1000

    elapsed = 0.0
    for at, act in sorted(
        ((plan.slow_at, slow), (plan.cut_at, proxy.cut), (plan.heal_at, proxy.heal)), key=lambda e: e[0]
    ):
        if at >= 1.0:
            return
        await asyncio.sleep(at * duration_s - elapsed)
        elapsed = at * duration_s
        act()


def _absolute(scenario: Scenario) -> Scenario:
    """The scenario with absolute file names: the caller's are relative to a folder that the processes do not run in."""

    def absolute(name: str) -> str:
        return str(Path(name).resolve()) if name else ""

    replace = msgspec.structs.replace
    traffic, market, checks = scenario.traffic, scenario.market, scenario.checks
    return replace(
        scenario,
        traffic=replace(traffic, recorded=absolute(traffic.recorded), user_file=absolute(traffic.user_file)),
        market=replace(market, histogram=absolute(market.histogram)),
        checks=replace(checks, catalogue=absolute(checks.catalogue)),
    )
