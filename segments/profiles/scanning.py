"""Walking over the keys of all users, on one server or on a cluster: what a pass over profiles stands on."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import RedisError

from core.errors import UnavailableError
from core.keys import user_profile

# How many keys one SCAN looks at. Half of them are users' profiles; a pass works on 50 profiles for 10 ms, and events
# wait for so long.
SCAN_COUNT: Final = 100

_USER_PREFIX, _USER_SUFFIX = user_profile("|").split("|")
_USER_PATTERN: Final = user_profile("*")


class Scanner(Protocol):
    """Walks over the keys of users."""

    async def server(self) -> str:
        """The id of the running server: positions are good only for the same one, since a restart reorders the keys."""
        ...

    async def size(self) -> int:
        """Number of all keys."""
        ...

    async def scan(self, position: str) -> tuple[str, list[str]]:
        """The next position ('' at the end) and some user ids; '' begins. A user may come more than once."""
        ...


class ServerScanner:
    """`Scanner` over one server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def server(self) -> str:
        with _translated():
            return str((await self._redis.info("server"))["run_id"])

    async def size(self) -> int:
        with _translated():
            return int(await self._redis.dbsize())

    async def scan(self, position: str) -> tuple[str, list[str]]:
        with _translated():
            cursor, keys = await self._redis.scan(int(position or 0), _USER_PATTERN, SCAN_COUNT)
        return (str(cursor) if cursor else ""), _users(keys)


class ClusterScanner:
    """`Scanner` over the primaries of a cluster, one after the other; a position is `<node name> <cursor>`.

    While slots move between nodes SCAN may miss keys; such a profile gets its windows at its next event.
    """

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster

    async def server(self) -> str:
        with _translated():
            found = [
                (node.name, await self._cluster.info("server", target_nodes=node)) for node in await self._primaries()
            ]
        return " ".join(f"{name}={server['run_id']}" for name, server in found)

    async def size(self) -> int:
        with _translated():
            return sum([int(await self._cluster.dbsize(target_nodes=node)) for node in await self._primaries()])

    async def scan(self, position: str) -> tuple[str, list[str]]:
        with _translated():
            nodes = await self._primaries()
            name, _, cursor = (position or f"{nodes[0].name} 0").partition(" ")
            at = [node.name for node in nodes].index(name)  # `server` has changed if it is gone
            # On a cluster the first part of the answer is the cursor of each node that was asked.
            found: tuple[Mapping[str, int], list[bytes]] = await self._cluster.execute_command(
                "SCAN", cursor, "MATCH", _USER_PATTERN, "COUNT", SCAN_COUNT, target_nodes=nodes[at]
            )
        cursors, keys = found
        following = cursors[name]
        if following:
            return f"{name} {following}", _users(keys)
        return (f"{nodes[at + 1].name} 0" if at + 1 < len(nodes) else ""), _users(keys)

    async def _primaries(self) -> list[ClusterNode]:
        connected = await self._cluster.initialize()
        return sorted(connected.get_primaries(), key=lambda node: str(node.name))


def _users(keys: Sequence[bytes | str]) -> list[str]:
    texts = [key.decode() if isinstance(key, bytes) else key for key in keys]
    return [text[len(_USER_PREFIX) : -len(_USER_SUFFIX)] for text in texts]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raise UnavailableError for the errors of redis-py."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise UnavailableError(f"Redis does not answer the background pass: {error}") from error
