"""Kill -9 in the middle of spending: what was acknowledged stays, nothing is half done, nothing counts twice."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from core.clock import ManualClock
from core.errors import UnavailableError
from core.model import Budget
from core.redis.embedded import EmbeddedServer
from pacing.budgets.levels import broken_invariants
from pacing.ledger.audit import audit
from tests.kit.fixtures import REPOSITORY
from tests.kit.money import ADVERTISER, TIMING, Shop, catalogue, line_item

BUDGET = 2_000_000
PRESENT = catalogue(line_item(daily_budget=Budget(micros=BUDGET)))


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock, PRESENT)
    yield shop
    await shop.close()


async def tokens(shop: Shop, count: int) -> list[str]:
    """Reserved bids of 10,000 micros each."""
    book, client = await shop.bidder()
    found: list[str] = []
    while len(found) < count:
        lease = book.reserve(0, 10_000, shop.clock.now_ms())
        if lease:
            found.append(shop.token(lease))
        else:
            shop.clock.advance(0.25)
            await client.tick()
    return found


async def bill_until_durable(shop: Shop, token: str) -> int:
    """As an exchange does: again and again until it is answered 204. 1 when it was."""
    for _ in range(500):
        if (await shop.desk.bill(token, "1.00", "PLN")).status == 204:
            return 1
        await asyncio.sleep(0.02)
    return 0


async def until_connected(shop: Shop) -> None:
    """Return when the restarted server is reached: the notices may all have been settled before it was killed."""
    for _ in range(500):
        try:
            await shop.transitions.snapshot(ADVERTISER, "")
        except UnavailableError:
            await asyncio.sleep(0.02)
        else:
            return
    raise TimeoutError("the restarted server is not reached")


async def check(shop: Shop, bills: int) -> None:
    result = await audit(shop.transitions, shop.store, ADVERTISER)
    assert result.differences == []
    assert result.spent_micros == bills * 1_000
    await shop.writer.drain(ADVERTISER)
    notices = [row.head.notice for row in shop.store.rows[ADVERTISER]]
    assert len(notices) == len(set(notices)) == bills


@pytest.mark.parametrize("moment_s", [0.002, 0.01, 0.03])
async def test_a_server_killed_while_settling_loses_and_repeats_nothing(
    shop: Shop, valkey_server: EmbeddedServer, moment_s: float
) -> None:
    bids = await tokens(shop, 120)
    # Every notice is sent twice at once, as exchanges do.
    notices = [asyncio.create_task(bill_until_durable(shop, token)) for token in bids for _ in range(2)]
    await asyncio.sleep(moment_s)
    assert valkey_server.pid is not None
    os.kill(valkey_server.pid, signal.SIGKILL)
    valkey_server.restart()  # in this thread: the server dies with the thread that started it
    assert sum(await asyncio.gather(*notices)) == 240
    await until_connected(shop)
    await check(shop, 120)


async def test_leases_outlive_a_restart_until_the_bank_ends_the_epoch(
    shop: Shop, valkey_server: EmbeddedServer
) -> None:
    book, client = await shop.bidder()
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    assert valkey_server.pid is not None
    os.kill(valkey_server.pid, signal.SIGKILL)
    await client.tick()  # Redis is away: counted, not raised
    valkey_server.restart()  # in this thread: the server dies with the thread that started it
    await bill_until_durable(shop, shop.token(lease))
    await shop.bank.tick()
    assert shop.counted("grosz_money_rebuilds_total", "restarted") == 1
    await client.tick()
    assert not book.open[0]
    await client.tick()
    assert book.open[0]
    await check(shop, 1)


CHILD = """
import asyncio, sys
from core.clock import ManualClock
from tests.adversity.test_money_under_fire import PRESENT, tokens
from tests.kit.money import Shop

async def main():
    shop = await Shop.open(sys.argv[1], ManualClock(), PRESENT)
    for token in await tokens(shop, 50):
        print(token)
    print("holding", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_killed_bidder_loses_no_bill_and_its_leases_come_back(shop: Shop) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, shop.url, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    bids: list[str] = []
    while (line := (await child.stdout.readline()).decode().strip()) != "holding":
        assert line
        bids.append(line)
    child.kill()
    await child.wait()
    held = (await shop.transitions.snapshot(ADVERTISER, "")).levels["a"].micros.exposure
    assert held >= 500_000
    for token in bids[:20]:
        assert (await shop.desk.bill(token, "1.00", "PLN")).outcome == "billed"
    shop.clock.advance(60)  # beyond what the child's clock had reached when it died
    await shop.bank.tick()
    assert (await shop.transitions.snapshot(ADVERTISER, "")).levels["a"].micros.exposure == held - 200_000
    shop.clock.advance(TIMING.quarantine_ms / 1000)
    await shop.bank.tick()
    snapshot = await shop.transitions.snapshot(ADVERTISER, "")
    assert snapshot.levels["a"].micros.exposure == 0
    assert broken_invariants(snapshot.levels, snapshot.leases.values()) == []
    await check(shop, 20)
