"""What pacing says of a line item: among its warnings, at its target, and going on after a stop."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from core import keys
from core.clock import ManualClock
from core.redis.client import control_redis
from pacing.bank.bank import calendar
from pacing.pace.messages import MULTIPLIER, Multipliers, encode_multipliers
from pacing.pace.targets import TargetState, encode_targets
from tests.integration.admin.conftest import Shop, make_shop
from tests.integration.admin.test_budgets import packed
from tests.kit.api import Api

NOON_MS = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 12 * 3_600_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON_MS)


class Worker:
    """What the worker would publish."""

    def __init__(self, url: str) -> None:
        self._redis = control_redis(url)

    async def multiplier(self, line_item: int, value: float) -> None:
        records = np.array([(line_item, 0, value)], MULTIPLIER)
        await self._redis.set(keys.PACING_MULTIPLIERS, encode_multipliers(Multipliers(NOON_MS, records)))

    async def spent(self, advertiser: int, line_item: int, micros: int, budget: int) -> None:
        level = f"d{line_item}@{calendar('Europe/Warsaw', NOON_MS).day}"
        await self._redis.hset(keys.money_levels(advertiser), level, packed((budget, micros, 0, budget - micros, 0)))

    async def target(self, line_item: int, state: TargetState) -> None:
        await self._redis.set(keys.PACING_TARGETS, encode_targets({line_item: state}, NOON_MS))

    async def resumed(self) -> list[tuple[int, int]]:
        """Line items and the moments at which somebody resumed them."""
        found = await self._redis.hgetall(keys.PACING_RESUMED)
        return [(int(line_item), int(at_ms)) for line_item, at_ms in found.items()]

    async def close(self) -> None:
        await self._redis.aclose()


@pytest.fixture
async def worker(valkey: str) -> AsyncIterator[Worker]:
    running = Worker(valkey)
    yield running
    await running.close()


async def codes(shop: Shop, line_item: int) -> dict[str, str]:
    """Warnings of a line item that pacing gives, by code."""
    body = (await shop.caller.get(f"/v1/line-items/{line_item}")).body
    return {one["code"]: one["message"] for one in body["warnings"] if one["code"] in ("bid_too_low", "target_stopped")}


async def test_a_bid_that_is_too_low_for_its_budget_is_among_the_warnings(
    api: Api, shop: Shop, worker: Worker, clock: ManualClock
) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item(daily_budget={"spend": {"amount": "100.00"}}))
    advertiser = shop.advertiser["id"]
    assert await codes(shop, made["id"]) == {}
    await worker.multiplier(made["id"], 1.0)
    await worker.spent(advertiser, made["id"], 6_000_000, 100_000_000)
    clock.advance(6.0)
    (text,) = (await codes(shop, made["id"])).values()
    assert "of the daily budget can be spent" in text
    # Once pacing holds the bid back, the budget is what limits it. Multipliers are read again after five seconds.
    await worker.multiplier(made["id"], 0.5)
    assert await codes(shop, made["id"])
    clock.advance(6.0)
    assert await codes(shop, made["id"]) == {}


async def test_a_stopped_target_is_told_and_undone_by_one_call(
    api: Api, shop: Shop, worker: Worker, clock: ManualClock
) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item(target_cpa={"amount": "30.00"}))
    path = f"/v1/line-items/{made['id']}/target"
    assert (await shop.caller.get(path)).status == 404, "no worker has looked at it"
    await worker.target(made["id"], TargetState(0, 30_000_000, 297_000_000, 2.0, 0.8))
    answer = (await shop.caller.get(path)).body
    assert answer == {
        "line_item_id": made["id"], "stopped": False, "stopped_at": None,
        "cost_without_conversion": {"amount": "30.00", "currency": "PLN"},
        "stops_at": {"amount": "297.00", "currency": "PLN"}, "conversions": 2.0, "highest_multiplier": 0.8,
    }  # fmt: skip
    assert (await shop.caller.post(f"{path}/resume", {})).status == 409
    await worker.target(made["id"], TargetState(NOON_MS - 1_000, 298_000_000, 297_000_000, 0.0, 0.0001))
    assert (await shop.caller.get(path)).body["stopped"] is True
    assert list(await codes(shop, made["id"])) == ["target_stopped"]

    rival = await make_shop(api, "rival")
    reader = await api.caller("read", advertisers=(shop.advertiser["id"],))
    assert (await rival.caller.get(path)).status == 404
    assert (await rival.caller.post(f"{path}/resume", {})).status == 404
    assert (await reader.post(f"{path}/resume", {})).status == 403
    assert await worker.resumed() == []

    resumed = await shop.caller.post(f"{path}/resume", {})
    assert (resumed.status, resumed.body) == (202, {"line_item_id": made["id"], "resumed": True})
    assert await worker.resumed() == [(made["id"], clock.now_ms())]
