"""A Redis Cluster whose nodes go away: one, all, the one that was named at the start; and what is then no Redis at all.

Whoever asks hears a RedisError or UnavailableError and nothing else, and finds the cluster again by itself.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions

from core.clock import SystemClock
from core.errors import ConfigError, UnavailableError
from core.processes import is_alive
from core.redis.client import control_cluster, control_redis
from core.redis.cluster import PipelinedCluster
from tests.kit.asking import bid_status
from tests.kit.cluster import RealCluster
from tests.kit.fixtures import find_free_port
from tests.kit.processes import RunningGrosz, descendants
from tests.kit.server_node import ServerNode, server_program

CLOCK = SystemClock()
AWAY_S = 1.5
BACK_S = 30.0


@pytest.fixture
def cluster() -> Iterator[RealCluster]:
    """A cluster of this test alone, since its nodes are killed."""
    cluster = RealCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def soon(seconds: float = 10.0) -> float:
    return CLOCK.monotonic() + seconds


async def until(works: Callable[[], Awaitable[object]]) -> None:
    """Until a call works again; meanwhile it may only fail as what it is said to."""
    began = time.monotonic()
    while True:
        try:
            await works()
        except (UnavailableError, redis.exceptions.RedisError):
            assert time.monotonic() - began < BACK_S
            await asyncio.sleep(0.05)
        else:
            return


async def test_all_nodes_away_is_an_error_of_redis_and_passes(cluster: RealCluster) -> None:
    control = control_cluster(cluster.url, timeout_s=0.3)
    pipelined = await PipelinedCluster.open(cluster.url, clock=CLOCK)
    await until(lambda: control.set("k", "v"))  # 0.3 s may pass where other tests have the processor
    for node in cluster.nodes:
        node.kill()
    for _ in range(5):
        with pytest.raises(redis.exceptions.RedisError):
            await control.get("k")
        with pytest.raises(redis.exceptions.RedisError):
            _ = await control.initialize()
        with pytest.raises(UnavailableError):
            await pipelined.batch([("GET", "k")], soon(0.2))
    for node in cluster.nodes:
        node.start()
    await until(lambda: control.set("k", "v"))
    await until(lambda: pipelined.batch([("GET", "k")], soon()))
    await control.aclose()
    await pipelined.close()


async def test_frozen_nodes_are_an_error_of_redis_and_pass(cluster: RealCluster) -> None:
    control = control_cluster(cluster.url, timeout_s=0.3)
    await until(lambda: control.set("k", "v"))
    for node in cluster.nodes:
        node.freeze()
    with pytest.raises((redis.exceptions.RedisError, OSError)):
        await control.get("k")
    for node in cluster.nodes:
        node.thaw()
    await until(lambda: control.get("k"))
    await control.aclose()


@pytest.mark.parametrize("gone", [0, 1])
async def test_one_of_several_urls_is_enough(cluster: RealCluster, gone: int) -> None:
    urls = ", ".join([f"redis://127.0.0.1:{find_free_port()}", cluster.url][:: 1 if gone == 0 else -1])
    pipelined = await PipelinedCluster.open(urls, clock=CLOCK)
    assert await pipelined.batch([("SET", "k", "v")], soon()) == [b"OK"]
    control = control_cluster(urls)
    assert await control.get("k") == b"v"
    await control.aclose()
    await pipelined.close()


async def test_a_process_that_starts_before_the_cluster_finds_it(cluster: RealCluster) -> None:
    for node in cluster.nodes:
        node.kill()
    with pytest.raises(UnavailableError):
        await PipelinedCluster.open(cluster.url, clock=CLOCK)
    pipelined = await PipelinedCluster.open(cluster.url, clock=CLOCK, required=False)
    assert not pipelined.connected
    control = control_cluster(cluster.url, timeout_s=0.3)
    for node in cluster.nodes:
        node.start()
    await until(lambda: pipelined.batch([("SET", "k", "v")], soon()))
    await until(lambda: control.get("k"))
    await pipelined.close()
    await control.aclose()


async def test_what_is_no_cluster_is_a_wrong_setting(tmp_path: Path) -> None:
    node = ServerNode(server_program(), tmp_path)
    node.start()
    with pytest.raises(ConfigError, match="not part of a cluster"):
        await PipelinedCluster.open(node.url, clock=CLOCK, required=False)
    with pytest.raises(ConfigError, match=r"redis\.cluster"):
        _ = control_redis(f"{node.url},{node.url}")
    node.kill()


class Switch:
    """A seed's address, like a name in the DNS: what stands behind it may change."""

    def __init__(self) -> None:
        self.target = 0

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def switched(switch: Switch) -> AsyncIterator[str]:
    server = await asyncio.start_server(switch.forward, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_when_all_known_nodes_are_gone_the_seeds_are_asked_again(cluster: RealCluster) -> None:
    other, switch = RealCluster(), Switch()
    try:
        other.start()
        switch.target = cluster.nodes[0].port
        async with switched(switch) as seed:
            control, pipelined = control_cluster(seed, timeout_s=0.3), await PipelinedCluster.open(seed, clock=CLOCK)
            await until(lambda: control.set("k", "first"))
            other.nodes[0].ask("PING")
            for node in cluster.nodes:
                node.kill()
            switch.target = other.nodes[0].port
            await until(lambda: control.set("k", "second"))
            await until(lambda: pipelined.batch([("GET", "k")], soon()))
            assert await pipelined.batch([("GET", "k")], soon()) == [b"second"]
            await control.aclose()
            await pipelined.close()
    finally:
        other.stop()


@pytest.mark.parametrize("answer", [b"!what\r\n", b"$-7\r\n", b"*x\r\n", b":1e9\r\n", b"\xff\xfe\x00\r\n"])
async def test_what_cannot_be_read_is_an_error_of_redis(answer: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_024):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for control in (control_redis(url, timeout_s=0.3), control_cluster(url, timeout_s=0.3)):
        with pytest.raises(redis.exceptions.RedisError):
            await asyncio.wait_for(control.get("k"), 20)
        await control.aclose()
    server.close()


def test_no_role_ends_while_all_nodes_are_away(cluster: RealCluster, tmp_path: Path) -> None:
    urls = ",".join(node.url for node in cluster.nodes)
    environ = {"GROSZ_REDIS_URL": urls, "GROSZ_REDIS_CLUSTER": "true"}
    with RunningGrosz(tmp_path / "data", "--seed", "demo", environ=environ) as up:
        before = set(descendants(up.process.pid))
        assert len(before) == 4
        port = int(up.urls["bid"].rpartition(":")[2])
        for away, back in (("freeze", "thaw"), ("kill", "start")):
            for node in cluster.nodes:
                getattr(node, away)()
            began = time.monotonic()
            while time.monotonic() - began < AWAY_S:
                assert bid_status(port) in (200, 204)
            for node in cluster.nodes:
                getattr(node, back)()
        began = time.monotonic()
        while time.monotonic() - began < 2 * AWAY_S:
            assert bid_status(port) in (200, 204)
        assert {pid for pid in before if is_alive(pid)} == before, "no role ends with the cluster"
        assert up.end(signal.SIGTERM) == 0
