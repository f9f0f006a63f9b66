"""Money on a real Redis Cluster: the node that has an advertiser's counters is killed, frozen or emptied.

One of each kind of what tests/adversity/test_money_under_fire.py and test_money_failover.py do to a single server.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from core import keys
from core.clock import ManualClock, SystemClock
from core.redis.cluster import PipelinedCluster
from core.redis.url import parse_redis_urls
from tests.adversity.test_money_failover import wait_for_replica
from tests.adversity.test_money_under_fire import PRESENT, bill_until_durable, check, tokens, until_connected
from tests.kit.cluster import NODE_TIMEOUT_MS, ClusterNode, RealCluster
from tests.kit.money import ADVERTISER, Shop

pytestmark = pytest.mark.timeout(120)

BILLS = 60
FROZEN_S = 1.5 * NODE_TIMEOUT_MS / 1000  # until the other nodes take it for dead


@pytest.fixture
def cluster() -> Iterator[RealCluster]:
    """A cluster of this test alone, since its nodes are killed."""
    cluster = RealCluster(is_durable=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def node(cluster: RealCluster) -> ClusterNode:
    """The node that has the advertiser's money."""
    return cluster.node_of(keys.money_levels(ADVERTISER))


@pytest.fixture
async def shop(cluster: RealCluster, clock: ManualClock) -> AsyncIterator[Shop]:
    seeds = parse_redis_urls(",".join(each.url for each in cluster.nodes))
    shop = Shop(await PipelinedCluster.open(seeds, clock=SystemClock()), clock, PRESENT, cluster.url)
    await shop.bank.tick()
    yield shop
    await shop.redis.close()


async def billed(shop: Shop, bids: list[str]) -> list[asyncio.Task[int]]:
    """Every notice on its way twice at once, as exchanges send them, some of them settled."""
    notices = [asyncio.create_task(bill_until_durable(shop, token)) for token in bids for _ in range(2)]
    await asyncio.sleep(0.01)
    return notices


async def test_a_node_killed_while_settling_loses_and_repeats_nothing(
    shop: Shop, cluster: RealCluster, node: ClusterNode
) -> None:
    notices = await billed(shop, await tokens(shop, BILLS))
    node.kill()
    node.start()
    cluster.wait_until_agreed()
    assert sum(await asyncio.gather(*notices)) == 2 * BILLS
    await until_connected(shop)
    await check(shop, BILLS)


async def test_a_node_that_is_frozen_while_settling_loses_and_repeats_nothing(
    shop: Shop, cluster: RealCluster, node: ClusterNode
) -> None:
    notices = await billed(shop, await tokens(shop, BILLS))
    node.freeze()
    await asyncio.sleep(FROZEN_S)
    node.thaw()
    cluster.wait_until_agreed()
    assert sum(await asyncio.gather(*notices)) == 2 * BILLS
    await check(shop, BILLS)


async def test_a_replica_that_takes_over_goes_on_with_the_money(
    shop: Shop, cluster: RealCluster, node: ClusterNode
) -> None:
    replica = cluster.add_replica(node)
    bids = await tokens(shop, BILLS)
    for token in bids[: BILLS // 2]:
        assert await bill_until_durable(shop, token)
    wait_for_replica((node, replica))
    node.kill()
    notices = await billed(shop, bids)  # the first half for the third time
    cluster.wait_until_agreed()
    await until_connected(shop)
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "restarted") == 1
    assert sum(await asyncio.gather(*notices)) == 2 * BILLS
    assert "'role': 'master'" in str(replica.ask("INFO", "replication"))
    await check(shop, BILLS)


async def test_leases_outlive_a_killed_node_until_the_bank_ends_the_epoch(
    shop: Shop, cluster: RealCluster, node: ClusterNode
) -> None:
    book, client = await shop.bidder()
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    node.kill()
    await client.tick()  # the node is away: counted, not raised
    node.start()
    cluster.wait_until_agreed()
    assert await bill_until_durable(shop, shop.token(lease))
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "restarted") == 1
    await client.tick()
    assert not book.open[0]
    await check(shop, 1)


async def test_the_counters_of_an_emptied_node_come_back_from_the_ledger(
    shop: Shop, cluster: RealCluster, node: ClusterNode
) -> None:
    bids = await tokens(shop, BILLS)
    for token in bids[: BILLS // 2]:
        assert await bill_until_durable(shop, token)
    await shop.writer.drain(ADVERTISER)
    node.ask("FLUSHALL")
    assert (await shop.desk.bill(bids[-1], "1.00", "PLN")).status == 503  # no epoch: nothing was done
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "lost") == 2  # the beginning, and this
    for token in bids:  # the first half again: duplicates; the others are late
        assert await bill_until_durable(shop, token)
    await check(shop, BILLS)
