"""The API over SQLite and over PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from admin.store.ledger import SqlLedgerStore
from core.clock import ManualClock, SystemClock
from core.redis.client import PipelinedRedis
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import LeaseBank
from pacing.budgets.transitions import Transitions
from pacing.ledger.rows import LedgerWriter
from tests.kit.api import Api, Caller, running_api
from tests.kit.mail_server import Post


class Shop(msgspec.Struct):
    """An advertiser with what a line item needs, and somebody who may only act for it."""

    advertiser: dict[str, Any]
    campaign: dict[str, Any]
    creative: dict[str, Any]
    caller: Caller

    def line_item(self, **changes: object) -> dict[str, Any]:
        """A document that can be created."""
        return {
            "advertiser_id": self.advertiser["id"],
            "campaign_id": self.campaign["id"],
            "name": "line item",
            "bid": {"amount": "4.00"},
            "max_cpm": {"amount": "6.00"},
            "creative_ids": [self.creative["id"]],
            **changes,
        }


async def make_shop(api: Api, name: str) -> Shop:
    """A shop made through the API."""
    owner = await api.caller()
    advertiser = await owner.made("/v1/advertisers", {"name": name, "domain": f"{name}.example"})
    caller = await api.caller("read", "trade", advertisers=(advertiser["id"],))
    campaign = await caller.made("/v1/campaigns", {"advertiser_id": advertiser["id"], "name": "campaign"})
    creative = await caller.made(
        "/v1/creatives",
        {
            "advertiser_id": advertiser["id"],
            "name": "ad",
            "width": 300,
            "height": 250,
            "html": '<a href="${CLICK_URL}">ad</a>',
            "landing_url": f"https://{name}.example/",
            "advertiser_domain": f"{name}.example",
        },
    )
    return Shop(advertiser, campaign, creative, caller)


async def bring_books(api: Api, redis_url: str) -> None:
    """Bring the money counters into being, and settled rows into the ledger, as the worker does."""
    redis = await PipelinedRedis.open(redis_url, clock=SystemClock())
    transitions, store = Transitions(redis, SystemClock()), SqlLedgerStore(api.store.database)
    found = await api.store.catalogue(0)
    writer = LedgerWriter(transitions, store, lambda: [one.id for one in found.advertisers], Telemetry())
    await LeaseBank(transitions, store, writer, lambda: found, SystemClock(), Telemetry()).tick()
    for one in found.advertisers:
        await writer.drain(one.id)
    await redis.close()


@pytest.fixture
async def api(any_database_url: str, valkey: str, clock: ManualClock) -> AsyncIterator[Api]:
    """The API, once over each engine."""
    async with running_api(any_database_url, valkey, clock) as running:
        yield running


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await make_shop(api, "szpilka")


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    """A real mail server."""
    made = Post(tmp_path)
    made.server.start()
    yield made
    made.server.stop()
