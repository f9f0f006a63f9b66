"""After an opt-out or an erasure nobody writes of the user again: every writer tries, then everything is searched.

`WRITERS` has every way in which something of one browser is written; a test holds it against the modules that use the
keys of a user, so that a new one cannot be forgotten here.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from core.clock import ManualClock, SystemClock
from core.ids import new_user_id
from core.keys import client_user, exchange_user, user_profile
from core.model import FrequencyCap, Segment
from core.redis.client import control_redis
from core.telemetry.metrics import Telemetry
from pacing.notices.conversions import ConversionDesk
from pacing.notices.web import routes as notice_routes
from segments.audiences.roster_import import RosterImporter
from segments.identity.persons import Identities
from tests.kit.fixtures import REPOSITORY
from tests.kit.money import LANDING, line_item
from tests.kit.money import Shop as Money
from tests.kit.money import catalogue as money_catalogue
from tests.kit.profiles import EventRig, catalogue
from tests.kit.tracker import API_KEY, EXCHANGE, tracker_application
from tests.kit.tracker import shop as tracker_shop

PERSON_HEX: Final = "ab" * 32
CLIENT_ID: Final = "a-first-party-id-of-the-shop"
SEGMENTS: Final = [Segment(id=7, advertiser_id=1, name="all", rule="everyone", webhook_id=4)]
CONSENT: Final = {"gdpr": 1, "consent": "all"}
"""The whole permission, as the tracker's stand-in for a decoder reads it."""

MODULES: Final = {
    "pacing/notices/touches.py": ("bill", "click"),
    "pacing/notices/lost_bids.py": ("loss",),
    "segments/audiences/rosters.py": ("customer list",),
    "segments/identity/persons.py": ("sync", "first-party id", "first-party id again"),
    "segments/profiles/store.py": ("event", "image", "server event", "login", "till"),
    "segments/worker/worker.py": ("login", "till"),
    "segments/worker/planning.py": ("login", "till"),
}
"""Modules that name a key of one user, and the writers below that stand for what they write.

The pass that brings changed rules to profiles writes by the store too: tests/integration/segments/test_reindex.py.
"""
READERS: Final = {
    "core/keys.py", "pacing/notices/conversions.py", "segments/profiles/scanning.py", "segments/profiles/reading.py",
    "admin/visitors/visitor_desk.py", "admin/products/mailing.py",
}  # fmt: skip


class World:
    """A tracker with both its sides and a worker, one browser, and bids of it that are out."""

    def __init__(
        self, url: str, client: "TestClient[web.Request, web.Application]", rig: EventRig, money: Money
    ) -> None:
        self.url, self.client, self.rig, self.money = url, client, rig, money
        self.identities = Identities(rig.store, rig.sizes, rig.clock)
        self.user = new_user_id()
        self.bid()

    def bid(self) -> None:
        """Three bids that will be billed, two that will be lost."""
        self.tokens = [self.money.token(1, user_id=self.user) for _ in range(3)]
        self.losing = [self.money.token(1, user_id=self.user) for _ in range(2)]

    @property
    def cookies(self) -> dict[str, str]:
        return {"grosz_uid": self.user}


Writer = Callable[[World], Awaitable[object]]


async def post(world: World, event: dict[str, object], **headers: str) -> None:
    cookies = {} if "Authorization" in headers else world.cookies
    answer = await world.client.post("/e/1", json=CONSENT | event, headers=headers, cookies=cookies)
    assert answer.status < 300, await answer.text()


async def event(world: World) -> None:
    await post(world, {"event": "add_to_cart", "items": [{"item_id": "a", "price": 20}]})


async def image(world: World) -> None:
    query = {"event": "page_view", "gdpr": "1", "consent": "all"}
    assert (await world.client.get("/e/1", params=query, cookies=world.cookies)).status < 300


async def server_event(world: World) -> None:
    body: dict[str, object] = {"event": "purchase", "transaction_id": "S-1", "value": 5, "user_id": world.user}
    await post(world, body, Authorization=f"Bearer {API_KEY}")


async def login(world: World) -> None:
    await post(world, {"event": "login", "email_sha256": PERSON_HEX})


async def till(world: World) -> None:
    body: dict[str, object] = {"event": "purchase", "transaction_id": "T-1", "value": 5, "email_sha256": PERSON_HEX}
    await post(world, body | {"offline": True}, Authorization=f"Bearer {API_KEY}")


async def customer_list(world: World) -> None:
    """What an import leaves for the worker to tell, and the entry that names the person."""

    async def pieces() -> AsyncIterator[bytes]:
        yield f"email_sha256\n{PERSON_HEX}\n".encode()

    await RosterImporter(world.rig.store, world.rig.clock).load(1, "vip", pieces(), replace=False, days=30)


async def first_party_id(world: World) -> None:
    await world.identities.adopt_client(1, CLIENT_ID, world.user)


async def first_party_id_again(world: World) -> None:
    await world.identities.user_of_client(1, CLIENT_ID)


async def sync(world: World) -> None:
    query = {"uid": "their-id-of-the-browser", "gdpr": "1", "gdpr_consent": "all"}
    answer = await world.client.get("/sync/demo", params=query, cookies=world.cookies, allow_redirects=False)
    assert answer.status < 400


async def bind(world: World) -> None:
    """What a sync does whose look at the tombstone came just before the opt-out."""
    await world.identities.bind(EXCHANGE.id, "their-id-of-the-browser", world.user)


async def bill(world: World) -> None:
    for token in world.tokens:
        assert (await world.client.get(f"/n/bill/{token}", params={"p": "5.00", "c": "PLN"})).status == 204


async def loss(world: World) -> None:
    for token in world.losing:
        assert (await world.client.get(f"/n/loss/{token}")).status == 204


async def click(world: World) -> None:
    for token in world.tokens:
        url = URL(f"/t/click/{token}").with_query({"to": LANDING})
        assert (await world.client.get(url, allow_redirects=False)).status == 302


async def conversion(world: World) -> None:
    desk = ConversionDesk(world.money.transitions, Telemetry())
    await desk.record_conversion([world.user], 1, "order-1", 5_000_000, world.money.clock.now_ms() // 1000)


WRITERS: Final[dict[str, Writer]] = {
    "event": event, "image": image, "server event": server_event, "login": login, "till": till,
    "first-party id": first_party_id, "first-party id again": first_party_id_again, "sync": sync, "bind": bind,
    "customer list": customer_list,
    "bill": bill, "loss": loss, "click": click, "conversion": conversion,
}  # fmt: skip
OF_BIDS_THAT_WERE_OUT: Final = ("bill", "loss", "click")
"""What may come after an erasure although its browser did nothing; whatever else comes is a new visit."""


@pytest.fixture
async def world(valkey: str) -> AsyncIterator[World]:
    published = catalogue(SEGMENTS, exchanges=[EXCHANGE])
    async with contextlib.AsyncExitStack() as stack:
        shop = await stack.enter_async_context(tracker_shop(valkey, SystemClock(), published=published))
        capped = money_catalogue(line_item(caps=(FrequencyCap(impressions=9, window_s=3600),)))
        money = await Money.open(valkey, ManualClock(SystemClock().now_ms()), capped)
        stack.push_async_callback(money.close)
        await money.bidder()
        app = tracker_application(shop.rig, shop.identities)
        app.add_routes(notice_routes(money.desk))
        client = await stack.enter_async_context(TestClient(TestServer(app)))
        yield World(valkey, client, shop.rig, money)


async def everything(world: World) -> dict[str, str]:
    """Every key of the server with what it holds."""
    redis = control_redis(world.url)
    readers = {
        "string": redis.get, "hash": redis.hgetall, "set": redis.smembers, "stream": redis.xrange,
        "list": lambda key: redis.lrange(key, 0, -1), "zset": lambda key: redis.zrange(key, 0, -1),
    }  # fmt: skip
    try:
        found = {}
        async for key in redis.scan_iter():
            kind = await redis.type(key)
            name = kind.decode() if isinstance(kind, bytes) else kind
            if name != "none":  # it expired meanwhile
                found[repr(key)] = repr(await readers[name](key))  # type: ignore[operator]
        return found
    finally:
        await redis.aclose()


async def traces(world: World) -> list[str]:
    """Keys that name the user, a first-party or exchange id of his, or the person, but for the tombstone."""
    marks = (world.user, CLIENT_ID, "their-id-of-the-browser", PERSON_HEX)
    tombstone = repr(user_profile(world.user).encode())
    found = await everything(world)
    kept = [key for key, held in found.items() if any(mark in key or mark in held for mark in marks)]
    if tombstone in kept and await world.rig.store.commands([("HKEYS", user_profile(world.user))]) == [[b"m"]]:
        kept.remove(tombstone)
    return sorted(kept)


async def test_every_writer_writes_before(world: World) -> None:
    """Else the tests below would prove nothing."""
    quiet = []
    for name, write in WRITERS.items():
        before = await everything(world)
        await write(world)
        await world.rig.settle()
        if await everything(world) == before:
            quiet.append(name)
    assert set(quiet) <= {"first-party id again", "bind"}, "which write again what is there"
    assert len(await traces(world)) > 8


@pytest.mark.parametrize("known", [False, True])
async def test_after_an_opt_out_no_writer_leaves_anything(
    world: World, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if known:
        for write in WRITERS.values():
            await write(world)
            await world.rig.settle()
        world.bid()
    await world.identities.opt_out(world.user, "test")
    assert await traces(world) == []
    left = {}
    for name, write in WRITERS.items():
        await write(world)
        await world.rig.settle()
        if found := await traces(world):
            left[name] = found
    assert left == {}
    assert world.user not in caplog.text
    assert world.user not in repr(vars(world.money.store))


async def test_after_an_erasure_bids_that_were_out_leave_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for write in WRITERS.values():
        await write(world)
        await world.rig.settle()
    world.bid()
    await world.identities.forget(world.user, "test")
    assert await traces(world) == []
    for name in (*OF_BIDS_THAT_WERE_OUT, "bind", "first-party id", "first-party id again"):
        await WRITERS[name](world)
        assert await traces(world) == [], name
    assert world.user not in caplog.text


async def test_what_another_browser_has_claimed_since_stays_its_own(world: World) -> None:
    other = new_user_id()
    for user in (world.user, other):
        assert await world.identities.bind(EXCHANGE.id, "an-id-of-both", user)
    await world.identities.adopt_client(1, CLIENT_ID, world.user)
    first_party = client_user(1, _stored_id(await everything(world)))
    await world.rig.store.commands([("SET", first_party, other)])
    await world.identities.forget(world.user, "test")
    held, theirs = await world.rig.store.commands(
        [("GET", exchange_user(EXCHANGE.id, "an-id-of-both")), ("GET", first_party)]
    )
    assert isinstance(held, bytes)
    assert held.startswith(other.encode())
    assert theirs == other.encode()
    await world.identities.forget(other, "test")
    assert not any("an-id-of-both" in key for key in await everything(world))


def _stored_id(found: dict[str, str]) -> str:
    """The digest under which a shop's first-party id is kept."""
    prefix = client_user(1, "")
    return next(key[2:-1].removeprefix(prefix) for key in found if prefix in key)


async def test_a_bid_after_the_erasure_counts_again(world: World) -> None:
    await world.identities.forget(world.user, "test")
    world.money.clock.advance(61)
    world.tokens = [world.money.token(1, user_id=world.user)]
    await bill(world)
    assert len(await traces(world)) == 2


async def test_a_bid_for_somebody_who_opted_out_carries_no_id(world: World) -> None:
    await event(world)
    await world.rig.settle()
    await world.identities.opt_out(world.user, "test")
    now = world.rig.clock
    batch = await world.rig.reader.fetch([(world.user, 0, None)], now.now_ms(), now.monotonic() + 5)
    assert (batch.user_ids, batch.found) == ([None], [False])


def test_every_module_that_names_a_key_of_a_user_is_known_here() -> None:
    names = r"\b(user_profile|user_facts|user_aliases|exchange_user|client_user|person|user_touches)\("
    using = {
        str(path.relative_to(REPOSITORY))
        for package in ("core", "bidder", "segments", "pacing", "creatives", "admin", "journal")
        for path in (REPOSITORY / package).rglob("*.py")
        if re.search(names, path.read_text())
    }
    assert using - READERS == set(MODULES)
    assert {name for names in MODULES.values() for name in names} <= set(WRITERS)
