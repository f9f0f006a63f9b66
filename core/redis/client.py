"""Redis as the parts of Grosz see it: an auto-pipelining connection for the bid path, redis-py for everything else.

`PipelinedRedis` is the bid path's client for one server; core.redis.cluster has the same interface for a cluster.
`control_redis` is the facade on redis-py (streams, scripts, publish and subscribe). Commands of the bid path are never
sent twice: after a fault the caller learns that it does not know, and decides.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import hiredis
import redis.asyncio
import redis.exceptions
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from core.clock import Clock
from core.errors import ConfigError, UnavailableError
from core.redis.url import RedisAddress, parse_redis_url, parse_redis_urls, split_urls
from core.redis.wire import Command, Wire

# The most commands that are sent and not answered. They take about 200 bytes each; ten thousand are half a second of a
# server's work, so a later call has no chance to meet a bid's deadline.
MAX_IN_FLIGHT = 10_000

# TCP, TLS and AUTH on a slow day. Longer than that, another try is the better bet.
CONNECT_TIMEOUT_S = 2.0

# First pause after a loss; doubled at each failure. A restarted local server is back within 0.1 s.
BACKOFF_FIRST_S = 0.05

# Longest pause. Thousands of bidder processes that try twice a second do not keep a server from coming up.
BACKOFF_LAST_S = 2.0

CONTROL_TIMEOUT_S = 5.0
CONTROL_RETRIES = 3

# Beginnings of error replies to a wrong configuration: a person has to change it, trying again does not help.
_REFUSALS = ("NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password", "ERR DB index", "ERR invalid DB")


class Pipelined(Protocol):
    """A connection to Redis as the bid path uses it."""

    @property
    def connected(self) -> bool:
        """Whether a call would be sent now."""
        ...

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        """Replies of the commands, in their order: bytes, int, None, lists of these, or hiredis.ReplyError.

        `deadline` is in seconds of Clock.monotonic(); a call may end up to 2 ms after it. Raises UnavailableError at
        the deadline, at once when the server is away or too much is in flight, and when the connection breaks: then the
        commands may or may not have been done.
        """
        ...

    async def close(self) -> None:
        """Close the connection; pending calls fail."""
        ...


class PipelinedRedis:
    """One connection to one server, shared by many callers."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        clock: Clock,
        max_in_flight: int = MAX_IN_FLIGHT,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._address = address
        self._monotonic = clock.monotonic
        self._max_in_flight = max_in_flight
        self._jitter = jitter
        self._tls = address.tls_context()
        self._wire: Wire | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._reason = "not connected yet"
        self._tried = asyncio.Event()
        self.reconnects = 0

    @classmethod
    async def open(
        cls,
        url: str | RedisAddress,
        *,
        clock: Clock,
        max_in_flight: int = MAX_IN_FLIGHT,
        required: bool = True,
        jitter: Callable[[], float] = random.random,
    ) -> "PipelinedRedis":
        """Connect, and stay connected until `close()`.

        `required`: raise UnavailableError when the first try fails; otherwise go on trying in the background. Wrong
        credentials or a wrong database are a ConfigError either way. `jitter` gives numbers from 0 to 1.
        """
        address = parse_redis_url(url) if isinstance(url, str) else url
        client = cls(address, clock=clock, max_in_flight=max_in_flight, jitter=jitter)
        try:
            client._wire = await client._connect()
        except UnavailableError as error:
            if required:
                raise
            client._reason = error.message
        client._keep()
        return client

    async def connect_until(self, deadline: float) -> None:
        """Begin to connect in the background and wait for it until `deadline`, without an error when it fails."""
        self._keep(at_once=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), max(deadline - self._monotonic(), 0.0))

    @property
    def connected(self) -> bool:
        """Whether a call would be sent now."""
        return self._wire is not None and not self._wire.closed

    @property
    def in_flight(self) -> int:
        """Commands whose replies are still to come."""
        return 0 if self._wire is None else self._wire.in_flight

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        """See `Pipelined.batch`."""
        if not commands:
            return []
        return await self.send(commands, deadline)

    def send(self, commands: Sequence[Command], deadline: float) -> asyncio.Future[list[object]]:
        """`batch` of at least one command, for a caller of several servers; raises at once what is known at once."""
        wire = self._wire
        if wire is None or wire.closed:
            place = self._address.place
            where = "" if place in self._reason else f" at {place}"  # the reason may name the place already
            raise UnavailableError(f"Redis{where} is not available: {self._reason}")
        if wire.in_flight + len(commands) > self._max_in_flight:
            raise UnavailableError(f"more than {self._max_in_flight} Redis commands are in flight")
        return wire.send(commands, deadline)

    async def close(self) -> None:
        """Close the connection; pending calls fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._wire is not None:
            self._wire.close("closed")
        self._reason = "closed"

    def _keep(self, *, at_once: bool = False) -> None:
        name = f"redis {self._address.place}"
        self._keeper = asyncio.create_task(self._keep_connected(at_once=at_once), name=name)

    async def _keep_connected(self, *, at_once: bool) -> None:
        failures = 0
        while True:
            wire = self._wire
            if wire is not None:
                self._reason = await asyncio.shield(wire.lost)
            if not at_once:
                await asyncio.sleep(backoff_s(failures) * (0.5 + self._jitter() / 2))
            at_once = False
            try:
                self._wire = await self._connect()
                self.reconnects += 1
                failures = 0
            except (UnavailableError, ConfigError) as error:  # a password may be mended meanwhile
                self._wire = None
                self._reason = error.message
                failures += 1
            self._tried.set()

    async def _connect(self) -> Wire:
        """A connection that has been let in and answers. Raises UnavailableError or ConfigError."""
        address, loop = self._address, asyncio.get_running_loop()
        wire = Wire(self._monotonic)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if address.path:
                    await loop.create_unix_connection(lambda: wire, address.path)
                else:
                    await loop.create_connection(lambda: wire, address.host, address.port, ssl=self._tls)
                replies = await wire.send(_greeting(address), self._monotonic() + CONNECT_TIMEOUT_S)
            self._check_greeting(replies)
        except OSError as error:  # includes TimeoutError, ssl.SSLError and UnavailableError
            wire.close("not let in")
            raise UnavailableError(
                f"cannot connect to Redis at {address.place}: {str(error) or type(error).__name__}",
                hint="check that it runs and that GROSZ_REDIS_URL is right",
            ) from error
        except BaseException:
            wire.close("given up")
            raise
        return wire

    def _check_greeting(self, replies: list[object]) -> None:
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                message = f"Redis at {self._address.place} refuses the connection: {reply}"
                if str(reply).startswith(_REFUSALS):
                    raise ConfigError(message, hint="check user name, password and database in GROSZ_REDIS_URL")
                raise UnavailableError(message)  # LOADING, MASTERDOWN: it passes


def backoff_s(failures: int) -> float:
    """Pause before the next try, before jitter: doubles from BACKOFF_FIRST_S to BACKOFF_LAST_S."""
    return float(min(BACKOFF_FIRST_S * 2 ** min(failures, 16), BACKOFF_LAST_S))


def _greeting(address: RedisAddress) -> list[Command]:
    greeting: list[Command] = []
    if address.username:
        greeting.append((b"AUTH", address.username, address.password))
    elif address.password:
        greeting.append((b"AUTH", address.password))
    if address.database:
        greeting.append((b"SELECT", address.database))
    # Without PING, a server that is still loading its data would count as one that serves.
    return [*greeting, (b"PING",)]


def control_redis(
    url: str, *, username: str = "", password: str = "", timeout_s: float = CONTROL_TIMEOUT_S
) -> redis.asyncio.Redis:
    """redis-py's client, for all but the bid path: bytes replies, RESP2, retries after connection faults.

    Nothing is connected until the first command. Raises ConfigError for a URL that cannot be read.
    """
    address = parse_redis_url(url, username=username, password=password)
    client = redis.asyncio.Redis.from_url(url, **_control_options(address, timeout_s))
    pool = client.connection_pool
    pool.connection_class = _translated(pool.connection_class)
    return client


def control_cluster(
    url: str, *, username: str = "", password: str = "", timeout_s: float = CONTROL_TIMEOUT_S
) -> redis.asyncio.RedisCluster:
    """The same for a Redis Cluster; `url` names any of its nodes, several of them separated by commas.

    All of its errors are RedisErrors. When all nodes that the cluster has told of are gone, those of `url` are asked
    again.
    """
    seeds = parse_redis_urls(url, username=username, password=password)
    client = cast(_Cluster, _Cluster.from_url(split_urls(url)[0], **_control_options(seeds[0], timeout_s)))
    client.seeds = [(seed.host, seed.port) for seed in seeds]
    for node in client.nodes_manager.startup_nodes.values():
        node.connection_class = _translated(node.connection_class)
    kept = client.nodes_manager.connection_kwargs
    kept["connection_class"] = client.connection_kwargs["connection_class"] = _translated(kept["connection_class"])
    return client


# What redis-py's cluster client raises besides RedisErrors while nodes are away: RedisClusterException, which is none,
# and the errors of code that takes for granted that there is a node.
_CLUSTER_FAULTS = (redis.exceptions.RedisClusterException, AttributeError, IndexError, KeyError, RuntimeError)


class _Cluster(redis.asyncio.RedisCluster):
    """redis-py's cluster client, whose every fault is a RedisError."""

    seeds: list[tuple[str, int]] = []

    async def initialize(
        self,
        additional_startup_nodes_info: list[tuple[str, int]] | None = None,
        last_failed_node_name: str | None = None,
    ) -> "_Cluster":
        """Ask the known nodes for the slot table, and the seeds if none of those answers."""
        known = self.nodes_manager.startup_nodes
        for host, port in self.seeds if self._initialize else ():
            node = ClusterNode(host, port, **self.nodes_manager.connection_kwargs)
            known.setdefault(node.name, node)
        with _as_connection_error():
            _ = await super().initialize(additional_startup_nodes_info, last_failed_node_name)
        return self

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as redis-py's
        with _as_connection_error():
            return await super().execute_command(*args, **kwargs)


@contextlib.contextmanager
def _as_connection_error() -> Iterator[None]:
    try:
        yield
    except _CLUSTER_FAULTS as error:
        if isinstance(error, redis.exceptions.RedisError):
            raise
        raise redis.exceptions.ConnectionError(f"the Redis cluster is not available: {error}") from error


class _SaysConnectionError:
    """A mixin for redis-py's connection classes that turns foreign errors into its ConnectionError. Writing to a
    connection that was reset a moment ago raises a bare RuntimeError in uvloop, and an answer that is not RESP raises
    whatever its parser stumbled over; callers expect neither from Redis, and their loops would end."""

    async def send_packed_command(self, command: object, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc]  # of the class below
        except RuntimeError as error:
            raise redis.exceptions.ConnectionError(f"the connection is closed: {error}") from error

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as redis-py's
        try:
            return await super().read_response(*args, **kwargs)  # type: ignore[misc]  # of the class below
        except (ValueError, TypeError, RuntimeError, hiredis.HiredisError) as error:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]  # what follows belongs to no command
            raise redis.exceptions.ConnectionError(f"the server does not speak RESP as expected: {error}") from error


def _translated(connection_class: type[Any]) -> type[Any]:
    return type(connection_class.__name__, (_SaysConnectionError, connection_class), {})


def _control_options(address: RedisAddress, timeout_s: float) -> dict[str, Any]:
    return {
        "username": address.username or None,
        "password": address.password or None,
        "decode_responses": False,
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(ExponentialBackoff(cap=BACKOFF_LAST_S, base=BACKOFF_FIRST_S), CONTROL_RETRIES),
    }
