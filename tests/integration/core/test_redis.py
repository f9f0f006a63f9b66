"""One behaviour suite for both clients of the bid path, against real servers; then what only one server has."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest
import redis.exceptions
import uvloop

from core.clock import SystemClock
from core.errors import ConfigError, UnavailableError
from core.redis.client import Pipelined, PipelinedRedis, control_cluster, control_redis
from core.redis.cluster import PipelinedCluster
from core.redis.url import parse_redis_url
from tests.kit.cluster import RealCluster
from tests.kit.tls import TlsFront, make_certificate

CLOCK = SystemClock()


def soon(seconds: float = 10.0) -> float:
    return CLOCK.monotonic() + seconds


@pytest.fixture(params=["plain", "cluster"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Pipelined]:
    opened: PipelinedRedis | PipelinedCluster
    if request.param == "plain":
        opened = await PipelinedRedis.open(request.getfixturevalue("valkey"), clock=CLOCK)
    else:
        opened = await PipelinedCluster.open(request.getfixturevalue("cluster").url, clock=CLOCK)
    yield opened
    await opened.close()


async def test_replies_come_in_the_order_of_the_commands(client: Pipelined) -> None:
    keys = [f"k{number}" for number in range(50)]
    assert await client.batch([("SET", key, number) for number, key in enumerate(keys)], soon()) == [b"OK"] * 50
    assert await client.batch([("GET", key) for key in keys], soon()) == [b"%d" % number for number in range(50)]


async def test_arguments_may_be_bytes_text_or_numbers(client: Pipelined) -> None:
    await client.batch([("HSET", b"\xff{h}", "zażółć", 7, b"raw\r\n\x00", -1)], soon())
    (reply,) = await client.batch([("HGETALL", b"\xff{h}")], soon())
    assert reply == ["zażółć".encode(), b"7", b"raw\r\n\x00", b"-1"]


async def test_an_empty_batch_has_no_replies(client: Pipelined) -> None:
    assert await client.batch([], soon()) == []


async def test_a_missing_key_is_none_and_an_error_stays_in_its_place(client: Pipelined) -> None:
    await client.batch([("SET", "{a}text", "x")], soon())
    replies = await client.batch([("GET", "{a}none"), ("INCR", "{a}text"), ("GET", "{a}text")], soon())
    assert replies[0] is None
    assert isinstance(replies[1], hiredis.ReplyError)
    assert "not an integer" in str(replies[1])
    assert replies[2] == b"x"


async def test_scripts_go_where_their_key_is(client: Pipelined) -> None:
    script = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
    replies = await client.batch([("EVAL", script, 1, f"{{k{n}}}", n) for n in range(20)], soon())
    assert replies == list(range(20))
    assert await client.batch([("EVAL", "return 5", 0)], soon()) == [5]


async def test_streams_are_found_behind_their_word(client: Pipelined) -> None:
    await client.batch([("XADD", f"s{n}", "1-1", "f", n) for n in range(9)], soon())
    replies = await client.batch([("XREAD", "COUNT", 1, "STREAMS", f"s{n}", "0") for n in range(9)], soon())
    assert replies == [[[b"s%d" % n, [[b"1-1", [b"f", b"%d" % n]]]]] for n in range(9)]


async def test_many_callers_at_once_get_their_own_replies(client: Pipelined) -> None:
    async def caller(number: int) -> list[object]:
        return await client.batch([("ECHO", f"{number}"), ("SET", f"c{number}", number), ("GET", f"c{number}")], soon())

    replies = await asyncio.gather(*(caller(number) for number in range(300)))
    assert replies == [[b"%d" % n, b"OK", b"%d" % n] for n in range(300)]


async def test_a_large_value_comes_back_whole(client: Pipelined) -> None:
    value = bytes(range(256)) * 8192
    assert await client.batch([("SET", "large", value), ("GET", "large")], soon()) == [b"OK", value]


async def test_a_cancelled_caller_does_not_shift_replies(client: Pipelined) -> None:
    task = asyncio.create_task(client.batch([("ECHO", "gone")] * 5, soon()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await client.batch([("ECHO", "mine")], soon()) == [b"mine"]


async def test_a_deadline_in_the_past_is_unavailable_and_shifts_nothing(client: Pipelined) -> None:
    with pytest.raises(UnavailableError):
        await client.batch([("ECHO", "late")], soon(-1))
    assert await client.batch([("ECHO", "mine")], soon()) == [b"mine"]


async def test_a_closed_client_is_unavailable(client: Pipelined) -> None:
    await client.close()
    assert not client.connected
    with pytest.raises(UnavailableError):
        await client.batch([("PING",)], soon())


async def test_an_argument_of_a_wrong_type_queues_nothing(valkey: str) -> None:
    client = await PipelinedRedis.open(valkey, clock=CLOCK)
    with pytest.raises(TypeError, match="must be"):
        await client.batch([("SET", "a", "1"), ("SET", "b", object())], soon())  # type: ignore[list-item]  # the point
    assert await client.batch([("ECHO", "mine"), ("EXISTS", "a")], soon()) == [b"mine", 0]
    assert client.in_flight == 0
    await client.close()


async def test_commands_above_the_bound_are_refused_at_once(valkey: str) -> None:
    client = await PipelinedRedis.open(valkey, clock=CLOCK, max_in_flight=10)
    first = asyncio.create_task(client.batch([("ECHO", "a")] * 8, soon()))
    await asyncio.sleep(0)
    assert client.in_flight == 8
    with pytest.raises(UnavailableError, match="in flight"):
        await client.batch([("ECHO", "b")] * 3, soon())
    assert await first == [b"a"] * 8
    assert await client.batch([("ECHO", "b")] * 3, soon()) == [b"b"] * 3
    await client.close()


async def test_user_password_and_database_are_used(valkey: str) -> None:
    control = await PipelinedRedis.open(valkey, clock=CLOCK)
    await control.batch([("ACL", "SETUSER", "bidder", "on", ">pa:ss@word", "~*", "+@all")], soon())
    path = parse_redis_url(valkey).path
    try:
        client = await PipelinedRedis.open(f"unix://bidder:pa%3Ass%40word@{path}?db=3", clock=CLOCK)
        assert await client.batch([("ACL", "WHOAMI"), ("SET", "here", 1)], soon()) == [b"bidder", b"OK"]
        await client.close()
        assert await control.batch([("EXISTS", "here")], soon()) == [0]
        with pytest.raises(ConfigError, match="WRONGPASS"):
            await PipelinedRedis.open(f"unix://bidder:wrong@{path}", clock=CLOCK, required=False)
        with pytest.raises(ConfigError, match="database"):
            await PipelinedRedis.open(f"unix://{path}?db=99", clock=CLOCK)
    finally:
        await control.batch([("ACL", "DELUSER", "bidder")], soon())
        await control.close()


async def test_tls_is_verified_unless_told_otherwise(valkey: str, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    async with TlsFront(certificate, key, unix_socket=parse_redis_url(valkey).path) as front:
        url = f"rediss://localhost:{front.port}/1"
        client = await PipelinedRedis.open(f"{url}?ssl_ca_certs={certificate}", clock=CLOCK)
        value = b"v" * 200_000
        assert await client.batch([("SET", "k", value), ("GET", "k")], soon()) == [b"OK", value]
        await client.close()
        with pytest.raises(UnavailableError, match="certificate"):
            await PipelinedRedis.open(url, clock=CLOCK)
        careless = await PipelinedRedis.open(f"{url}?ssl_cert_reqs=none", clock=CLOCK)
        assert await careless.batch([("PING",)], soon()) == [b"PONG"]
        await careless.close()


async def test_nobody_listening_is_unavailable_with_a_hint(free_port: int) -> None:
    with pytest.raises(UnavailableError, match="cannot connect") as caught:
        await PipelinedRedis.open(f"redis://127.0.0.1:{free_port}", clock=CLOCK)
    assert "GROSZ_REDIS_URL" in caught.value.hint
    client = await PipelinedRedis.open(f"redis://127.0.0.1:{free_port}", clock=CLOCK, required=False)
    assert not client.connected
    with pytest.raises(UnavailableError, match="cannot connect"):
        await client.batch([("PING",)], soon())
    await client.close()


async def test_a_single_server_is_not_taken_for_a_cluster(valkey: str) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        await PipelinedCluster.open(valkey, clock=CLOCK)


async def test_a_moved_slot_is_followed_and_learnt(cluster: RealCluster) -> None:
    client = await PipelinedCluster.open(cluster.url, clock=CLOCK)
    await client.batch([("SET", "{moving}k", "v")], soon())
    first, last = cluster.nodes[0], cluster.nodes[2]
    slot = int(str(first.ask("CLUSTER", "KEYSLOT", "{moving}k")))
    owner = next(node for node in cluster.nodes if node.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 1)
    target = last if owner is not last else first
    target_id, owner_id = (str(node.ask("CLUSTER", "MYID").decode()) for node in (target, owner))  # type: ignore[attr-defined]  # bytes
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner_id)
    owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    try:
        # Between the two: the old owner still has the old key and asks for new ones to be looked for at the target.
        replies = await client.batch([("GET", "{moving}k"), ("SET", "{moving}new", "n")], soon())
        assert replies == [b"v", b"OK"]
        owner.ask("MIGRATE", "127.0.0.1", target.port, "{moving}k", 0, 5000)
        for node in (target, owner, *cluster.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        assert await client.batch([("GET", "{moving}k"), ("GET", "{moving}new")], soon()) == [b"v", b"n"]
        assert await client.batch([("GET", "{moving}k"), ("SET", "other", "o")], soon()) == [b"v", b"OK"]
    finally:
        target.ask("FLUSHALL")
        for node in (owner, *cluster.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", owner_id)
        await client.close()


async def test_a_lost_node_costs_only_its_own_commands(cluster: RealCluster) -> None:
    client = await PipelinedCluster.open(cluster.url, clock=CLOCK)
    keys = [f"k{number}" for number in range(30)]
    await client.batch([("SET", key, key) for key in keys], soon())
    cluster.nodes[1].kill()
    replies: list[object] = []
    while not any(isinstance(reply, hiredis.ReplyError) for reply in replies):
        replies = await client.batch([("GET", key) for key in keys], soon())
    answered = [reply == key.encode() for key, reply in zip(keys, replies, strict=True)]
    assert any(answered)
    assert all(ok or isinstance(reply, hiredis.ReplyError) for ok, reply in zip(answered, replies, strict=True))
    cluster.nodes[1].start()
    while not client.connected or any(isinstance(reply, hiredis.ReplyError) for reply in replies):
        replies = await client.batch([("SET", key, key) for key in keys], soon())
        await asyncio.sleep(0.01)
    assert replies == [b"OK"] * 30
    await client.close()


async def test_the_facades_give_bytes(valkey: str, cluster: RealCluster) -> None:
    for control in (control_redis(valkey), control_cluster(cluster.url)):
        await control.set("k", "v")
        assert await control.get("k") == b"v"
        assert await control.hgetall("none") == {}
        await control.aclose()


def test_a_connection_that_was_reset_a_moment_ago_is_a_fault_of_redis_on_uvloop_too(
    valkey: str, cluster: RealCluster
) -> None:
    async def write_to_a_closed_transport() -> None:
        control = control_redis(valkey)
        many = await control_cluster(cluster.url).initialize()
        nodes = many.get_nodes()
        for connection in (
            control.connection_pool.make_connection(),  # type: ignore[no-untyped-call]
            *(node.connection_class(**node.connection_kwargs) for node in nodes),
        ):
            await connection.connect()
            connection._writer.transport.abort()
            await asyncio.sleep(0.01)
            with pytest.raises(redis.exceptions.ConnectionError):
                await connection.send_packed_command([b"*1\r\n$4\r\nPING\r\n"], check_health=False)
        assert await control.ping()
        assert await many.set("k", "v")
        await control.aclose()
        await many.aclose()

    uvloop.run(write_to_a_closed_transport())
