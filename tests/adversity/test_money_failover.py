"""A real replica takes over, with and without the last settlements of the server that died."""

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.clock import ManualClock, SystemClock
from core.model import Budget
from core.redis.client import PipelinedRedis
from pacing.budgets.leases import LeaseBook
from pacing.budgets.levels import broken_invariants
from pacing.ledger.audit import audit
from tests.kit.money import ADVERTISER, Shop, catalogue, line_item
from tests.kit.server_node import POLL_S, ServerNode, server_program

BUDGET = 2_000_000


@pytest.fixture
def pair() -> Iterator[tuple[ServerNode, ServerNode]]:
    """A server and its replica."""
    program = server_program()
    with tempfile.TemporaryDirectory(prefix="grosz-replica-") as folder:
        settings: dict[str, str | int] = {"appendonly": "yes", "repl_diskless_sync_delay": 0}
        nodes = [ServerNode(program, Path(folder) / name, **settings) for name in ("first", "second")]
        for node in nodes:
            node.start()
        nodes[1].ask("REPLICAOF", "127.0.0.1", nodes[0].port)
        while "'master_link_status': 'up'" not in str(nodes[1].ask("INFO", "replication")):
            time.sleep(POLL_S)
        yield nodes[0], nodes[1]
        for node in nodes:
            node.kill()


@pytest.fixture
async def shop(pair: tuple[ServerNode, ServerNode], clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(pair[0].url, clock, catalogue(line_item(daily_budget=Budget(micros=BUDGET))))
    yield shop
    snapshot = await shop.transitions.snapshot(ADVERTISER, "")
    assert broken_invariants(snapshot.levels, snapshot.leases.values()) == []
    assert snapshot.levels["a"].micros.exposure <= BUDGET
    await shop.close()


async def bids(shop: Shop, book: LeaseBook, count: int) -> list[str]:
    """Tokens of reserved bids."""
    found = []
    for _ in range(count):
        lease = book.reserve(0, 1_000, shop.clock.now_ms())
        assert lease
        found.append(shop.token(lease, 1_000))
    return found


async def bill(shop: Shop, token: str) -> str:
    return (await shop.desk.bill(token, "0.50", "PLN")).outcome


def wait_for_replica(pair: tuple[ServerNode, ServerNode]) -> None:
    """Until the second server has all that the first has written.

    WAIT would not do: it waits for the writes of the connection that asks, and those are another connection's.
    """
    written = offset(pair[0], "master")
    deadline = time.monotonic() + 30
    while offset(pair[1], "slave") < written:
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def offset(node: ServerNode, side: str) -> int:
    """How far a server has come in the stream of changes, as a `master` or as a `slave`."""
    found = re.search(rf"'{side}_repl_offset': (\d+)", str(node.ask("INFO", "replication")))
    assert found is not None
    return int(found[1])


async def fail_over(shop: Shop, pair: tuple[ServerNode, ServerNode]) -> None:
    """The first server is gone; everybody is connected to the second."""
    pair[0].kill()
    pair[1].ask("REPLICAOF", "NO", "ONE")
    await shop.redis.close()
    shop.redis = await PipelinedRedis.open(pair[1].url, clock=SystemClock())
    shop.transitions.redis = shop.redis


async def test_a_replica_that_has_everything_goes_on(shop: Shop, pair: tuple[ServerNode, ServerNode]) -> None:
    book, client = await shop.bidder()
    tokens = await bids(shop, book, 6)
    assert [await bill(shop, token) for token in tokens[:3]] == ["billed"] * 3
    wait_for_replica(pair)
    await fail_over(shop, pair)
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "restarted") == 1
    await client.tick()
    assert not book.open[0]
    assert [await bill(shop, token) for token in tokens] == ["duplicate_bill"] * 3 + ["billed"] * 3
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (result.spent_micros, result.differences) == (6 * 500, [])


async def test_settlements_that_the_replica_missed_come_back_from_the_ledger(
    shop: Shop, pair: tuple[ServerNode, ServerNode]
) -> None:
    book, client = await shop.bidder()
    tokens = await bids(shop, book, 6)
    assert await bill(shop, tokens[0]) == "billed"
    wait_for_replica(pair)
    pair[1].ask("REPLICAOF", "NO", "ONE")  # cut off: what comes now it does not have
    assert [await bill(shop, token) for token in tokens[1:4]] == ["billed"] * 3
    await shop.writer.drain(ADVERTISER)
    await fail_over(shop, pair)
    await asyncio.sleep(0.01)  # the second clock has passed what the first has written
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "contradicted") == 1
    await client.tick()
    assert not book.open[0]
    outcomes = [await bill(shop, token) for token in tokens]
    assert outcomes == ["duplicate_bill"] * 4 + ["late_bill"] * 2
    await shop.writer.drain(ADVERTISER)
    notices = [row.head.notice for row in shop.store.rows[ADVERTISER]]
    assert len(notices) == len(set(notices)) == 6
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert (result.spent_micros, result.differences) == (6 * 500, [])
