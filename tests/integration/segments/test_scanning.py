import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
from redis.asyncio import Redis, RedisCluster

from core.errors import UnavailableError
from core.ids import new_user_id
from core.keys import event_cursor, user_facts, user_profile
from core.redis.client import control_cluster, control_redis
from segments.profiles.scanning import ClusterScanner, Scanner, ServerScanner
from tests.kit.cluster import RealCluster

USERS = 2_000

Client = TypeVar("Client", Redis, RedisCluster)


async def walk(scanner: Scanner) -> list[str]:
    position, found = "", []
    while True:
        position, users = await scanner.scan(position)
        found += users
        if not position:
            return found


@contextlib.asynccontextmanager
async def closing(client: Client) -> AsyncIterator[Client]:
    try:
        yield client
    finally:
        await client.aclose()


async def test_every_user_of_a_server_is_found_and_nothing_else(valkey: str) -> None:
    users = {new_user_id() for _ in range(USERS)}
    async with closing(control_redis(valkey)) as client:
        for user in users:
            await client.hset(user_profile(user), "m", "x")
            await client.hset(user_facts(user), "l", "x")
        await client.set(event_cursor(1), "0-0")
        scanner = ServerScanner(client)
        assert set(await walk(scanner)) == users
        assert await scanner.size() == 2 * USERS + 1
        assert await scanner.server() == await scanner.server()


async def test_a_server_that_is_away_is_unavailable() -> None:
    async with closing(control_redis("unix:///nowhere/server.sock")) as client:
        for call in (ServerScanner(client).server, ServerScanner(client).size):
            with pytest.raises(UnavailableError):
                await call()


async def test_every_user_of_a_cluster_is_found_node_by_node(cluster: RealCluster) -> None:
    users = {new_user_id() for _ in range(USERS)}
    async with closing(control_cluster(cluster.url)) as client:
        for user in users:
            await client.hset(user_profile(user), "m", "x")
        scanner = ClusterScanner(client)
        assert set(await walk(scanner)) == users
        assert await scanner.size() == USERS
        assert len((await scanner.server()).split()) == len(cluster.nodes)
