import asyncio

import pytest

from loadtest.peers import differences, run_peers
from loadtest.scenario import ScenarioError
from tests.kit.fake_bidder import FakeBidder
from tests.unit.loadtest.test_run import scenario


async def test_endpoints_take_turns_and_are_compared_with_the_first() -> None:
    async with FakeBidder() as first, FakeBidder() as second:
        plan = scenario(first.url, duration_s=3.0, rate=50.0)
        peers = await run_peers(plan, [first.url, second.url], 1, lambda _: None, asyncio.Event())
        assert len(first.heads) == pytest.approx(len(second.heads), rel=0.5)
    assert [len(peer.reports) for peer in peers] == [1, 1]
    found = differences(peers)
    assert list(found) == [second.url]
    assert {row.measure for row in found[second.url]} >= {"p50", "p99", "bid rate"}


async def test_one_endpoint_alone_is_no_comparison() -> None:
    with pytest.raises(ScenarioError, match="at least two"):
        await run_peers(scenario("http://127.0.0.1:1"), ["http://127.0.0.1:1"], 2, lambda _: None, asyncio.Event())
