import asyncio
import os
import signal

import pytest

from loadtest.measure.series import Series
from loadtest.report.report import make_report
from loadtest.running.run import run_scenario
from loadtest.traffic.scenario import NoticePlan, RedisPlan, Scenario, ScenarioError, TrafficPlan
from tests.kit.fake_bidder import FakeBidder, json_answer
from tests.kit.processes import descendants


def scenario(url: str, **changes: object) -> Scenario:
    values: dict[str, object] = {
        "name": "self-test", "url": f"{url}/bid", "rate": 200.0, "duration_s": 1.0, "connections": 4,
        "traffic": TrafficPlan(templates=4, users=10), "notices": NoticePlan(send=False),
    }  # fmt: skip
    return Scenario(**(values | changes))  # type: ignore[arg-type]  # the values are those of the test


async def test_several_processes_share_the_load_and_add_up() -> None:
    seen: list[int] = []

    def progress(series: Series) -> None:
        seen.append(series.total.counts["answered"])

    async with FakeBidder() as bidder:
        series = await run_scenario(scenario(bidder.url, processes=2), progress, asyncio.Event())
        assert series.total.counts["answered"] == len(bidder.heads)
        assert len(bidder.transports) == 4
    report = make_report(scenario(bidder.url, processes=2), series, 0)
    assert report.count("offered") == report.count("answered") == report.count("no_bid")
    assert 120 < report.count("offered") < 280
    assert seen == sorted(seen)
    assert report.passed


async def test_a_run_that_is_stopped_reports_what_there_is() -> None:
    stop = asyncio.Event()

    def stop_soon(series: Series) -> None:
        if series.total.counts["answered"] > 10:
            stop.set()

    async with FakeBidder() as bidder:
        series = await run_scenario(scenario(bidder.url, duration_s=600.0), stop_soon, stop)
        assert series.total.counts["answered"] == len(bidder.heads)


async def test_a_generator_that_dies_in_the_middle_fails_the_run() -> None:
    def kill_it(series: Series) -> None:
        for pid, command in descendants(os.getpid()).items():
            if "loadtest.exchange.worker" in command:
                os.kill(pid, signal.SIGKILL)

    async with FakeBidder() as bidder:
        with pytest.raises(ScenarioError, match="in the middle of the run"):
            await run_scenario(scenario(bidder.url, duration_s=60.0), kill_it, asyncio.Event())


async def test_a_target_where_nothing_listens_is_reported() -> None:
    async with FakeBidder() as bidder:
        pass
    with pytest.raises(ScenarioError, match=r"nothing answers at http.*start it with"):
        await run_scenario(scenario(bidder.url), lambda _: None, asyncio.Event())


async def test_the_redis_proxy_lives_as_long_as_the_run(free_port: int) -> None:
    async with FakeBidder(lambda _: json_answer(b"")) as bidder, FakeBidder() as redis:
        reachable: list[bool] = []

        async def knock() -> None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", free_port)
            except OSError:
                reachable.append(False)
            else:
                reachable.append(True)
                writer.close()

        knocks: list[asyncio.Task[None]] = []
        plan = RedisPlan(
            listen_port=free_port, upstream=f"127.0.0.1:{redis.port}", slow_at=0.1, cut_at=0.3, heal_at=0.9
        )
        await run_scenario(
            scenario(bidder.url, redis=plan),
            lambda _: knocks.append(asyncio.create_task(knock())),
            asyncio.Event(),
        )
        await asyncio.gather(*knocks)
        await knock()
    assert reachable[0]
    assert not reachable[-1]


async def test_a_proxy_without_an_upstream_is_refused(free_port: int) -> None:
    with pytest.raises(ScenarioError, match=r"redis\.upstream"):
        await run_scenario(
            scenario("http://127.0.0.1:1", redis=RedisPlan(listen_port=free_port)), lambda _: None, asyncio.Event()
        )
