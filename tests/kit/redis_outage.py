"""`grosz up` behind a proxy before its Redis, and the scenario that slows the proxy down, cuts it and heals it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from loadtest.exchange.faults import TcpProxy
from loadtest.measure.series import Series
from loadtest.running.run import misbehave, run_scenario
from loadtest.traffic.scenario import Scenario
from tests.kit.processes import RunningGrosz

replace = msgspec.structs.replace


@asynccontextmanager
async def behind_a_proxy(
    redis: str, data: Path, environ: dict[str, str], *arguments: str
) -> AsyncIterator[tuple[RunningGrosz, TcpProxy]]:
    """Grosz with its demo catalogue; what it says to `redis` goes through the proxy."""
    proxy = TcpProxy(redis)
    address = {"GROSZ_REDIS_URL": f"redis://127.0.0.1:{await proxy.start()}"}
    up = RunningGrosz(data, "--seed", "demo", *arguments, environ=environ | address)
    try:
        await asyncio.to_thread(up.__enter__)  # in a thread: it blocks, and needs the proxy, which runs on this loop
        yield up, proxy
    finally:
        await asyncio.to_thread(up.__exit__, None, None, None)
        await proxy.close()


async def run_with_trouble(scenario: Scenario, proxy: TcpProxy) -> Series:
    """Run a scenario while `proxy` does what its plan says, instead of a proxy of the scenario's own."""
    scenario = replace(scenario, redis=replace(scenario.redis, listen_port=0))
    running = asyncio.create_task(run_scenario(scenario, lambda _: None, asyncio.Event()))
    trouble = asyncio.create_task(misbehave(proxy, scenario.redis, scenario.duration_s))
    try:
        return await running
    finally:
        trouble.cancel()
