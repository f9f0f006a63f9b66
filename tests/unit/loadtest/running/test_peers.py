import asyncio

import pytest

from loadtest.report.report import make_report
from loadtest.running.peers import Peer, check_peers, differences, run_peers
from loadtest.traffic.scenario import ScenarioError
from tests.kit.fake_bidder import FakeBidder
from tests.unit.loadtest.report import test_report
from tests.unit.loadtest.running.test_run import scenario


async def test_endpoints_take_turns() -> None:
    async with FakeBidder() as first, FakeBidder() as second:
        plan = scenario(first.url, duration_s=2.0, rate=50.0)
        peers = await run_peers(plan, [first.url, second.url], 2, lambda _: None, asyncio.Event())
        assert len(first.heads) == pytest.approx(len(second.heads), rel=0.5)
    assert [len(peer.reports) for peer in peers] == [2, 2]
    assert [report.scenario.duration_s for peer in peers for report in peer.reports] == [1.0] * 4


def test_each_endpoint_is_compared_with_the_first_without_the_seconds_that_open_connections() -> None:
    def peer(url: str, latency_s: float) -> Peer:
        series = test_report.series_of(seconds=11, latency_s=latency_s, slow=(0,))
        return Peer(url, [make_report(test_report.scenario(), series, 0)] * 2)

    found = differences([peer("a", 0.004), peer("b", 0.008), peer("c", 0.004)])
    assert list(found) == ["b", "c"]
    (p99,) = [row for row in found["b"] if row.measure == "p99"]
    assert p99.second - p99.first == pytest.approx(4, rel=0.02)
    assert p99.is_significant
    assert not any(row.is_significant for row in found["c"])


def test_what_could_not_be_compared_is_refused_before_the_run() -> None:
    with pytest.raises(ScenarioError, match="at least two"):
        check_peers(["a"], 60.0, 6)
    with pytest.raises(ScenarioError, match="fewer --turns"):
        check_peers(["a", "b"], 30.0, 15)
    check_peers(["a", "b"], 60.0, 6)
