"""Creatives before an exchange that reviews them: sent, asked for, decided, and what bidders then know."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from admin.reviews.client import session
from admin.reviews.loop import ReviewLoop
from admin.reviews.states import RENEW_MS
from admin.reviews.store import ReviewStore
from bidder.targeting.approval import unapproved_creatives
from core.catalogue.follower import read_catalogue
from core.clock import ManualClock
from core.redis.client import control_redis
from core.telemetry.metrics import Telemetry
from loadtest.exchange.reviewing import PATH, REASON, ReviewService
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Answer, Api, Caller

PENDING_S, EXPIRES_S = 10, 20


class Review:
    """An exchange with its service, and the loop of the admin role."""

    def __init__(self, api: Api, clock: ManualClock, service: ReviewService, owner: Caller, exchange: int) -> None:
        self.api, self.clock, self.service, self.owner, self.exchange = api, clock, service, owner, exchange
        self.telemetry = Telemetry()
        self.woken = 0
        self.loop = ReviewLoop(
            ReviewStore(api.store), clock, self.telemetry, self._wake, lambda _: "https://track.example/1.png", 3
        )
        self._calls: aiohttp.ClientSession | None = None

    def _wake(self) -> None:
        self.woken += 1

    async def rounds(self, count: int = 1, pause_s: float = 3) -> None:
        """Rounds of the loop, as time goes on."""
        async with session() as calls:
            for _ in range(count):
                await self.loop.step(calls, patience_s=60)
                self.clock.advance(pause_s)

    async def states(self) -> list[str]:
        """What the API says, by creative."""
        answer = await self.owner.get(f"/v1/approvals?exchange_id={self.exchange}")
        return [one["state"] for one in answer.body["items"]]

    async def refused(self, redis_url: str) -> dict[int, set[int]]:
        """What bidders know after the next publication: exchanges that must not get a creative."""
        await self.api.publisher.publish()
        redis = control_redis(redis_url)
        try:
            found = await read_catalogue(redis)
        finally:
            await redis.aclose()
        assert all(each.review_token == "" for each in found.exchanges)
        return {
            number: set(ids) for number, ids in unapproved_creatives(found, [c.id for c in found.creatives]).items()
        }


@pytest.fixture
async def review(api: Api, shop: Shop, clock: ManualClock) -> AsyncIterator[Review]:
    service = ReviewService(clock, pending_s=PENDING_S, expires_s=EXPIRES_S)
    server = TestServer(service.app())
    await server.start_server()
    owner = await api.caller()
    exchange = {
        "key": "ssp", "review": "before", "review_url": str(server.make_url(PATH)), "review_token": "hush-hush",
    }  # fmt: skip
    made = await owner.made("/v1/exchanges", exchange)
    assert made["review_token"] == "***"
    await api.publisher.start()
    yield Review(api, clock, service, owner, made["id"])
    await server.close()


async def another(shop: Shop) -> dict[str, Any]:
    """One more creative of the shop."""
    copied = (await shop.caller.post(f"/v1/creatives/{shop.creative['id']}/copy", {"status": "active"})).body
    return dict((await shop.caller.post(f"/v1/creatives/{copied['id']}/resume")).body)


async def test_a_service_approves_rejects_and_lets_expire_and_bidders_follow(
    review: Review, shop: Shop, valkey: str
) -> None:
    ids = [shop.creative["id"], (await another(shop))["id"], (await another(shop))["id"]]
    assert await review.refused(valkey) == {number: {review.exchange} for number in ids}
    await review.rounds()
    assert (review.service.refused, await review.states()) == (2, ["pending"] * 3)
    await review.rounds(2)  # what was answered 500 is sent again after a second
    assert await review.states() == ["pending"] * 3
    assert await review.refused(valkey) == {number: {review.exchange} for number in ids}
    await review.rounds(4)
    states = await review.states()
    assert sorted(states) == ["approved", "approved", "rejected"]
    denied = ids[states.index("rejected")]
    assert await review.refused(valkey) == {number: {review.exchange} if number == denied else set() for number in ids}
    (shown,) = (await review.owner.get("/v1/approvals?state=rejected")).body["items"]
    assert (shown["creative_id"], shown["reason"], shown["next_attempt"]) == (denied, REASON, None)

    await review.rounds(8)
    assert sorted(await review.states()) == ["approved", "expired", "rejected"]
    expired = ids[(await review.states()).index("expired")]
    assert await review.refused(valkey) == {
        number: {review.exchange} if number in (denied, expired) else set() for number in ids
    }
    await review.rounds(2, RENEW_MS / 1000)  # sent again by itself
    await review.rounds(5)
    assert sorted(await review.states()) == ["approved", "approved", "rejected"]

    again = await shop.caller.post(f"/v1/creatives/{denied}/approvals/{review.exchange}/submit")
    assert (again.status, again.body["state"]) == (202, "rejected")
    await review.rounds(6)
    assert await review.states() == ["approved"] * 3
    assert set().union(*(await review.refused(valkey)).values()) == set()
    log = (await review.owner.get(f"/v1/change-log?kind=creatives&object_id={denied}")).body["items"]
    told = [entry["new"] for entry in log if entry["action"] == "review"]
    assert told == ["approved", "pending", f"rejected: {REASON}"]
    assert review.woken >= 6


async def test_a_changed_creative_is_reviewed_anew_and_bids_nowhere_meanwhile(
    review: Review, shop: Shop, valkey: str
) -> None:
    await review.rounds(7)
    assert await review.states() == ["approved"]
    number = shop.creative["id"]
    await shop.caller.patch(f"/v1/creatives/{number}", {"html": '<a href="${CLICK_URL}">new</a>'})
    assert await review.refused(valkey) == {number: {review.exchange}}
    assert await review.states() == []  # nothing is said of the new version yet
    await review.rounds(7)
    (shown,) = (await review.owner.get("/v1/approvals")).body["items"]
    assert (shown["crid"], shown["reference"]) == (f"{number}-2", f"{number}-2")
    # The second ad that the service got is the one that it rejects.
    assert shown["state"] == "rejected"


async def test_a_service_that_is_away_or_strange_decides_nothing(review: Review, shop: Shop, valkey: str) -> None:
    one = f"/v1/exchanges/{review.exchange}"
    for url, problem in (("http://127.0.0.1:9/v1", "cannot be called"), (f"{review.api.client.make_url('/x')}", "40")):
        await review.owner.patch(one, {"review_url": url})
        await review.rounds(2)
        (shown,) = (await review.owner.get("/v1/approvals")).body["items"]
        assert shown["state"] == "pending"
        assert problem in shown["problem"]
        assert shown["attempts"] >= 1
    assert await review.refused(valkey) == {shop.creative["id"]: {review.exchange}}


async def test_an_audit_of_the_future_hides_no_later_decision(
    review: Review, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = review.service._shown

    def ahead(known: Any) -> dict[str, Any]:  # noqa: ANN401 - the service's own
        shown = plain(known)
        return shown | {"audit": shown["audit"] | {"lastmod": shown["audit"]["lastmod"] + 10**12}}

    monkeypatch.setattr(review.service, "_shown", ahead)
    await review.rounds(7)
    assert await review.states() == ["approved"]


async def test_a_service_that_hangs_holds_up_no_other_exchange(review: Review, shop: Shop) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        asked.set()
        await over.wait()
        return web.Response(status=503)

    app = web.Application()
    app.add_routes([web.route("*", "/ads", hang)])
    server = TestServer(app)
    await server.start_server()
    silent = {"key": "silent", "review": "after", "review_url": str(server.make_url("/"))}
    number = (await review.owner.made("/v1/exchanges", silent))["id"]
    async with session() as calls:
        while await review.states() != ["approved"]:
            await review.loop.step(calls, patience_s=0.1)
            review.clock.advance(3)
        assert asked.is_set()
        (other,) = (await review.owner.get(f"/v1/approvals?exchange_id={number}")).body["items"]
        assert (other["state"], other["submitted"], other["problem"]) == ("pending", None, "")
        await review.loop.close()
    over.set()
    await server.close()


async def test_an_exchange_without_an_interface_is_decided_by_hand(api: Api, shop: Shop, valkey: str) -> None:
    owner = await api.caller()
    exchange = (await owner.made("/v1/exchanges", {"key": "mail", "review": "before"}))["id"]
    plain = (await owner.made("/v1/exchanges", {"key": "plain"}))["id"]
    one = f"/v1/creatives/{shop.creative['id']}/approvals"

    async def told(body: object, caller: Caller = owner, number: int = exchange) -> Answer:
        return await caller.call("PUT", f"{one}/{number}", body)

    assert (await told({"state": "approved"})).body["state"] == "approved"
    found = await api.store.catalogue(0)
    assert [(each.approved, each.rejected) for each in found.approvals] == [((exchange,), ())]
    assert (await told({"state": "rejected"})).codes == {"/reason": "required"}
    assert (await told({"state": "rejected", "reason": "no"})).body["reason"] == "no"
    assert [each.rejected for each in (await api.store.catalogue(0)).approvals] == [(exchange,)]
    assert (await told({"state": "approved"}, number=plain)).status == 422
    assert (await told({"state": "approved"}, shop.caller)).status == 403
    assert (await owner.post(f"{one}/{exchange}/submit")).status == 422
    assert (await owner.post(f"{one}/999/submit")).status == 404
    stranger = (await make_shop(api, "other")).caller
    assert (await stranger.get("/v1/approvals")).body["items"] == []
    assert (await stranger.post(f"{one}/{exchange}/submit")).status == 404


async def test_pages_of_approvals_follow_each_other(api: Api, shop: Shop) -> None:
    owner = await api.caller()
    exchanges = [(await owner.made("/v1/exchanges", {"key": f"e{n}", "review": "after"}))["id"] for n in range(3)]
    for number in exchanges:
        await owner.call("PUT", f"/v1/creatives/{shop.creative['id']}/approvals/{number}", {"state": "approved"})
    first = (await owner.get("/v1/approvals?limit=2")).body
    second = (await owner.get(f"/v1/approvals?limit=2&cursor={first['next']}")).body
    assert [one["exchange_id"] for one in (*first["items"], *second["items"])] == exchanges
    assert second["next"] is None
    assert (await owner.get("/v1/approvals?cursor=x")).status == 422


async def test_an_exchange_may_decide_on_more_ads_than_a_statement_has_parameters(review: Review) -> None:
    store = ReviewStore(review.api.store)
    assert await store.by_reference(review.exchange, [str(number) for number in range(40_000)]) == []
