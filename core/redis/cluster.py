"""The bid path's Redis client for a Redis Cluster: the interface of PipelinedRedis, one connection a primary.

A batch is split by node and joined again. The slot table comes from CLUSTER SLOTS at the start, after MOVED and after a
node was lost; when all known nodes are gone, from the seeds again. MOVED and ASK are followed: a redirected command has
not been done, so sending it again is safe. A node that cannot be reached costs only its own commands: they are answered
with `UnreachableReply` in their places, so that the other users of a batch still get their profiles.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from core.clock import Clock
from core.errors import ConfigError, UnavailableError
from core.redis.client import MAX_IN_FLIGHT, PipelinedRedis
from core.redis.slots import SLOTS, command_slot
from core.redis.url import RedisAddress, parse_redis_urls
from core.redis.wire import Command

# A slot moves once; when one command is redirected more often than this, the nodes disagree with each other.
MAX_REDIRECTIONS = 5

# The slot table is asked for at most this often, however many commands are redirected while slots move.
REFRESH_INTERVAL_S = 0.5

# A node that takes longer may be busy or half dead; another one knows the same table.
REFRESH_TIMEOUT_S = 1.0

Node = tuple[str, int]  # host and port, as the cluster announces them


class UnreachableReply(hiredis.ReplyError):
    """Takes the place of a reply when the command's node could not be reached or did not answer in time."""


class _Redirection:
    """Where a command has to go next. `asking`: for this command only (ASK), while the slot is being moved."""

    __slots__ = ("asking", "node", "slot")

    def __init__(self, slot: int, node: Node, asking: bool) -> None:
        self.slot, self.node, self.asking = slot, node, asking


class PipelinedCluster:
    """Connections to all primaries of one cluster, one each, shared by many callers."""

    def __init__(
        self,
        seeds: Sequence[RedisAddress],
        *,
        clock: Clock,
        max_in_flight: int = MAX_IN_FLIGHT,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._seeds = tuple(seeds)
        self._seed = seeds[0]  # its credentials count for all nodes
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._jitter = jitter
        self._nodes: dict[Node, PipelinedRedis] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._refresh: asyncio.Task[None] | None = None
        self._refreshed_at = clock.monotonic()
        self._closed = False

    @classmethod
    async def open(
        cls,
        url: str | Sequence[RedisAddress],
        *,
        clock: Clock,
        max_in_flight: int = MAX_IN_FLIGHT,
        required: bool = True,
        jitter: Callable[[], float] = random.random,
    ) -> "PipelinedCluster":
        """Connect to every primary that a node of `url` knows of; the nodes are asked one after the other.

        `required`: raise UnavailableError when none of them answers; otherwise go on trying with each call. A node that
        is not part of a cluster is a ConfigError. `max_in_flight` is a bound for each node.
        """
        seeds = parse_redis_urls(url) if isinstance(url, str) else url
        cluster = cls(seeds, clock=clock, max_in_flight=max_in_flight, jitter=jitter)
        try:
            await cluster._ask_seeds()
        except UnavailableError:
            if required:
                await cluster.close()
                raise
        except BaseException:
            await cluster.close()
            raise
        return cluster

    @property
    def connected(self) -> bool:
        """Whether every primary that serves slots can be reached."""
        return all(node is not None and node in self._nodes for node in set(self._slots)) and all(
            self._nodes[node].connected for node in set(self._slots) if node is not None
        )

    @property
    def in_flight(self) -> int:
        """Commands whose replies are still to come, of all nodes."""
        return sum(client.in_flight for client in self._nodes.values())

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        """See core.redis.client.Pipelined. Raises UnavailableError only when no node answered any of the commands."""
        slots = [command_slot(command) for command in commands]
        replies: list[object] = [None] * len(commands)
        todo: dict[Node, list[int]] = {}
        for position, slot in enumerate(slots):
            node = self._any_node() if slot is None else self._slots[slot]
            if node is None:
                replies[position] = UnreachableReply(f"no node serves slot {slot}")
                self._schedule_refresh()
            else:
                todo.setdefault(node, []).append(position)
        await self._send(commands, todo, replies, deadline)
        for _ in range(MAX_REDIRECTIONS):
            if not await self._follow(commands, replies, deadline):
                break
        if commands and all(isinstance(reply, UnreachableReply) for reply in replies):
            raise UnavailableError(f"no node of the Redis cluster answered: {replies[0]}")
        return replies

    async def close(self) -> None:
        """End; what is pending fails."""
        self._closed = True
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)
        await asyncio.gather(*(client.close() for client in self._nodes.values()))

    async def _send(
        self, commands: Sequence[Command], todo: dict[Node, list[int]], replies: list[object], deadline: float
    ) -> None:
        """Send each node its part and put the replies in their places."""
        waiting: list[tuple[list[int], asyncio.Future[list[object]]]] = []
        for node, positions in todo.items():
            try:
                part = [commands[position] for position in positions]
                waiting.append((positions, self._client(node).send(part, deadline)))
            except UnavailableError as error:
                self._give_up(positions, error, replies)
        try:
            for positions, future in waiting:
                try:
                    answers = await future
                except UnavailableError as error:
                    self._give_up(positions, error, replies)
                    continue
                for position, answer in zip(positions, answers, strict=True):
                    replies[position] = answer
        except asyncio.CancelledError:
            for _, future in waiting:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # nobody will ask for it any more
            raise

    def _give_up(self, positions: list[int], error: UnavailableError, replies: list[object]) -> None:
        for position in positions:
            replies[position] = UnreachableReply(error.message)
        self._schedule_refresh()

    async def _follow(self, commands: Sequence[Command], replies: list[object], deadline: float) -> bool:
        """Send redirected commands to their new nodes; False where there were none."""
        moved: dict[Node, list[int]] = {}
        asked: list[tuple[int, Node]] = []
        for position, reply in enumerate(replies):
            redirection = self._redirection(reply) if isinstance(reply, hiredis.ReplyError) else None
            if redirection is None:
                continue
            if redirection.asking:
                asked.append((position, redirection.node))
            else:
                self._slots[redirection.slot] = redirection.node
                moved.setdefault(redirection.node, []).append(position)
                self._schedule_refresh()
        if not moved and not asked:
            return False
        for node in {*moved, *(node for _, node in asked)}:
            await self._meet(node, deadline)
        await self._send(commands, moved, replies, deadline)
        for position, node in asked:
            try:
                answers = await self._client(node).batch([(b"ASKING",), commands[position]], deadline)
                replies[position] = answers[1]
            except UnavailableError as error:
                replies[position] = UnreachableReply(error.message)
        return True

    def _redirection(self, reply: hiredis.ReplyError) -> _Redirection | None:
        """What `MOVED 3999 127.0.0.1:6381` or `ASK 3999 127.0.0.1:6381` says; None for every other error."""
        words = str(reply).split()
        if len(words) != 3 or words[0] not in ("MOVED", "ASK"):
            return None
        host, _, port = words[2].rpartition(":")
        return _Redirection(int(words[1]), (host.strip("[]") or self._seed.host, int(port)), asking=words[0] == "ASK")

    def _client(self, node: Node) -> PipelinedRedis:
        client = self._nodes.get(node)
        if client is None:
            raise UnavailableError(f"Redis node {node[0]}:{node[1]} is not known yet")
        return client

    def _any_node(self) -> Node | None:
        for node, client in self._nodes.items():
            if client.connected:
                return node
        return None

    async def _meet(self, node: Node, deadline: float) -> None:
        """Connect to a new node within the deadline. It is kept even if that fails, since it goes on trying."""
        if node in self._nodes or self._closed:
            return
        client = self._nodes[node] = PipelinedRedis(
            self._seed.at(*node), clock=self._clock, max_in_flight=self._max_in_flight, jitter=self._jitter
        )
        await client.connect_until(deadline)

    def _schedule_refresh(self) -> None:
        if not self._closed and (self._refresh is None or self._refresh.done()):
            self._refresh = asyncio.create_task(self._refresh_slots(), name="redis cluster slots")

    async def _refresh_slots(self) -> None:
        wait_s = self._refreshed_at + REFRESH_INTERVAL_S - self._clock.monotonic()
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, REFRESH_INTERVAL_S))
        self._refreshed_at = self._clock.monotonic()
        for node, client in tuple(self._nodes.items()):
            try:
                await self._load_slots(client, node)
            except (UnavailableError, ConfigError):  # the next node may know
                continue
            return
        # All nodes that were known are gone, or there were none yet. If no seed knows more, the table stays as it is.
        with contextlib.suppress(UnavailableError, ConfigError):
            await self._ask_seeds()

    async def _ask_seeds(self) -> None:
        """Take over the slot table of the first seed that answers; if none does, raises the error of the last one."""
        for number, address in enumerate(self._seeds, 1):
            try:
                seed = await PipelinedRedis.open(address, clock=self._clock, jitter=self._jitter)
                try:
                    await self._load_slots(seed, (address.host, address.port))
                finally:
                    await seed.close()
            except UnavailableError:
                if number == len(self._seeds):
                    raise
            else:
                return

    async def _load_slots(self, client: PipelinedRedis, node: Node) -> None:
        """Take over the slot table of one node: connect to new primaries, close those that serve no slots any more."""
        deadline = self._clock.monotonic() + REFRESH_TIMEOUT_S
        (table,) = await client.batch([(b"CLUSTER", b"SLOTS")], deadline)
        if not isinstance(table, list):
            raise ConfigError(
                f"Redis at {node[0]}:{node[1]} is not part of a cluster: {table}",
                hint="set redis.cluster = false, or give the URL of a cluster node",
            )
        try:
            slots = _slots_of(table, node)
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise UnavailableError(f"Redis node {node[0]}:{node[1]} has a slot table that cannot be read") from error
        primaries = {primary for primary in slots if primary is not None}
        if not primaries:  # a node that was reset: with its table no node would be left to ask
            raise UnavailableError(f"Redis node {node[0]}:{node[1]} knows of no slots")
        await asyncio.gather(*(self._meet(primary, deadline) for primary in sorted(primaries)))
        self._slots = slots
        for gone in [known for known in self._nodes if known not in primaries]:
            await self._nodes.pop(gone).close()


def _slots_of(table: list[Any], asked: Node) -> list[Node | None]:
    """The primary of each slot, from an answer to CLUSTER SLOTS."""
    slots: list[Node | None] = [None] * SLOTS
    for first, last, primary, *_ in table:
        host = (primary[0] or b"").decode() or asked[0]  # an empty name stands for the host that was asked
        slots[first : last + 1] = [(host, int(primary[1]))] * (last + 1 - first)
    return slots
