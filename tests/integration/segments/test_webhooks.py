"""Audience hooks, from an event to a receiver over HTTP."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import TestServer

from core.clock import ManualClock
from core.ids import new_user_id
from core.keys import WEBHOOK_BODIES, WEBHOOK_DEAD, WEBHOOK_QUEUE, event_dead
from core.model import Segment
from segments.audiences.callout import Caller
from segments.audiences.dead_letters import read_dead_letters, send_again
from segments.audiences.due import pseudonym
from segments.audiences.hooks import FIRST_RETRY_MS, MAX_ATTEMPTS, DueEntries, HookTarget, WebhookSender
from segments.audiences.leftovers import KEPT_DAYS, expiry_commands
from segments.facts.event import FORGET, Event, Item, Kind, order_key, pack_event
from segments.identity.persons import Identities
from segments.profiles.log import partition_of
from tests.kit.profiles import PARTITIONS, EventRig, catalogue, event_rig

CART = Segment(id=7, advertiser_id=1, name="carts", rule="cart.value >= 500 PLN and cart.age in 1h..14d", webhook_id=4)
SECRET = "whsec"


class Receiver:
    """Remembers calls and answers with `status`."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.calls: list[tuple[bytes, str]] = []
        self.status = 204
        self.before_answer: Callable[[], Awaitable[object]] | None = None

    async def receive(self, request: web.Request) -> web.Response:
        self.calls.append((await request.read(), request.headers.get("Grosz-Signature", "")))
        if self.before_answer is not None:
            await self.before_answer()
        return web.Response(status=self.status)

    def server(self) -> TestServer:
        application = web.Application()
        application.router.add_post("/hook", self.receive)
        return TestServer(application)


async def pass_due(rig: EventRig) -> int:
    """Queue what is due in all partitions."""
    await rig.leases.balance()
    due = DueEntries(rig.store, rig.leases, rig.directory, rig.clock)
    return sum([await due.step(partition) for partition in range(PARTITIONS)])


async def abandon(rig: EventRig, user: str) -> None:
    await rig.send(Event(Kind.ADD_TO_CART, 1, user, rig.clock.now_ms(), items=(Item("a", "shoes", 640_000_000),)))
    await rig.settle()


async def queue_call(rig: EventRig, clock: ManualClock, *users: str) -> None:
    """Carts that the users left, for so long that a call is due for each."""
    for user in users:
        await abandon(rig, user)
    clock.advance(3_602)
    await pass_due(rig)


@contextlib.asynccontextmanager
async def hooked(url: str, clock: ManualClock, receiver: Receiver) -> AsyncIterator[tuple[EventRig, WebhookSender]]:
    """A shop whose abandoned carts are told to `receiver`."""
    async with (
        event_rig(url, clock, published=catalogue([CART])) as rig,
        receiver.server() as server,
        Caller(allow_private=True) as caller,
    ):
        target = HookTarget(4, 1, str(server.make_url("/hook")), receiver.secret)
        yield (
            rig,
            WebhookSender(rig.store, caller, lambda number: target if number == 4 else None, clock, rig.worker_metrics),
        )


async def test_a_cart_that_time_abandons_is_told_once_and_signed(valkey: str, clock: ManualClock) -> None:
    receiver, user = Receiver(), new_user_id()
    async with hooked(valkey, clock, receiver) as (rig, sending):
        await abandon(rig, user)
        assert await pass_due(rig) == 0, "an hour has not passed"
        clock.advance(3_602)
        assert await pass_due(rig) == 1
        assert await sending.step() == 1
        assert await sending.step() == 0
        body, signed = receiver.calls[0]
        document = json.loads(body)
        assert (document["segment_id"], document["cart"], document["visitor"]) == (7, ["a"], pseudonym(1, user))
        assert user not in body.decode()
        moment, digest = signed.removeprefix("t=").split(",v1=")
        assert hmac.new(SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest() == digest
        assert await rig.store.commands([("ZCARD", WEBHOOK_QUEUE), ("HLEN", WEBHOOK_BODIES)]) == [0, 0]


async def test_a_hook_without_a_secret_is_called_unsigned(valkey: str, clock: ManualClock) -> None:
    receiver = Receiver(secret="")
    async with hooked(valkey, clock, receiver) as (rig, sending):
        await queue_call(rig, clock, new_user_id())
        assert await sending.step() == 1
        assert [signed for _, signed in receiver.calls] == [""]


async def test_a_purchase_before_the_delay_cancels_the_call(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock, published=catalogue([CART])) as rig:
        user = new_user_id()
        await abandon(rig, user)
        clock.advance(60)
        await rig.send(Event(Kind.PURCHASE, 1, user, clock.now_ms(), order=order_key("A")))
        await rig.settle()
        clock.advance(3_602)
        assert await pass_due(rig) == 0
        assert await rig.store.commands([("ZCARD", WEBHOOK_QUEUE)]) == [0]


async def test_a_failing_receiver_is_tried_again_later_and_given_up_in_the_end(valkey: str, clock: ManualClock) -> None:
    receiver = Receiver()
    receiver.status = 500
    async with hooked(valkey, clock, receiver) as (rig, sending):
        await queue_call(rig, clock, new_user_id())
        assert await sending.step() == 1
        clock.advance(FIRST_RETRY_MS / 1000 - 1)
        assert await sending.step() == 0, "not before its time"
        clock.advance(1)
        for _ in range(MAX_ATTEMPTS - 1):
            assert await sending.step() == 1
            clock.advance(3_600)
        assert await sending.step() == 0
        assert len(receiver.calls) == MAX_ATTEMPTS
        assert len({body for body, _ in receiver.calls}) == 1, "repeats are identical"
        assert await rig.store.commands([("XLEN", WEBHOOK_DEAD), ("ZCARD", WEBHOOK_QUEUE)]) == [1, 0]


async def test_a_call_that_was_given_up_is_made_again_on_request(valkey: str, clock: ManualClock) -> None:
    receiver = Receiver()
    receiver.status = 500
    async with hooked(valkey, clock, receiver) as (rig, sending):
        await queue_call(rig, clock, new_user_id())
        for _ in range(MAX_ATTEMPTS):
            await sending.step()
            clock.advance(3_600)
        (letter,) = await read_dead_letters(rig.store)
        assert (letter.delivery.webhook_id, letter.reason) == (4, "answered 500")
        receiver.status, receiver.calls[:] = 204, receiver.calls[-1:]
        assert await send_again(rig.store, [letter, letter], clock.now_ms()) == 1
        assert await sending.step() == 1
        assert [body for body, _ in receiver.calls] == [letter.delivery.body] * 2, "as it was first made"
        assert await read_dead_letters(rig.store) == []


async def test_an_erasure_takes_back_calls_that_wait_are_being_made_or_were_given_up(
    valkey: str, clock: ManualClock
) -> None:
    receiver, forgotten, kept = Receiver(), new_user_id(), new_user_id()
    receiver.status = 500
    async with hooked(valkey, clock, receiver) as (rig, sending):
        identities = Identities(rig.store, rig.sizes, clock)
        for user in (forgotten, kept):
            await queue_call(rig, clock, user)
        await identities.forget(forgotten, "test")
        assert await sending.step() == 1, "a call that waits is not made any more"
        receiver.before_answer = lambda: identities.forget(kept, "test")
        clock.advance(FIRST_RETRY_MS / 1000)
        assert await sending.step() == 1
        assert await rig.store.commands([("ZCARD", WEBHOOK_QUEUE), ("HLEN", WEBHOOK_BODIES)]) == [0, 0]


async def test_a_visitor_who_leaves_the_shop_is_not_told_of_any_more(valkey: str, clock: ManualClock) -> None:
    receiver, user = Receiver(), new_user_id()
    async with hooked(valkey, clock, receiver) as (rig, sending):
        await queue_call(rig, clock, user)
        await rig.send(Event(FORGET, 1, user, clock.now_ms()))
        await rig.settle()
        assert await sending.step() == 0
        assert await rig.store.commands([("ZCARD", WEBHOOK_QUEUE), ("HLEN", WEBHOOK_BODIES)]) == [0, 0]


async def test_an_erasure_finds_what_was_given_up_and_nobody_elses(valkey: str, clock: ManualClock) -> None:
    receiver, forgotten, kept = Receiver(), new_user_id(), new_user_id()
    receiver.status = 500
    async with hooked(valkey, clock, receiver) as (rig, sending):
        for user in (forgotten, kept):
            await abandon(rig, user)
            poison = pack_event(Event(Kind.PAGE_VIEW, 1, user, clock.now_ms()))
            await rig.store.commands([("XADD", event_dead(partition_of(user)), "*", "e", poison, "reason", "test")])
        clock.advance(3_602)
        await pass_due(rig)
        for _ in range(MAX_ATTEMPTS):
            assert await sending.step() == 2
            clock.advance(3_600)
        await Identities(rig.store, rig.sizes, clock).forget(forgotten, "test")
        (hooks,) = await rig.store.commands([("XRANGE", WEBHOOK_DEAD, "-", "+")])
        assert isinstance(hooks, list)
        assert len(hooks) == 1
        assert pseudonym(1, kept) in repr(hooks)
        dead = [("XRANGE", event_dead(partition), "-", "+") for partition in range(PARTITIONS)]
        aside = repr(await rig.store.commands(dead))
        assert kept in aside
        assert forgotten not in aside


async def test_what_was_set_aside_goes_after_a_month(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        now_ms = clock.now_ms()
        month_ms = KEPT_DAYS * 86_400_000
        for stream in (WEBHOOK_DEAD, event_dead(3)):
            await rig.store.commands(
                [("XADD", stream, now_ms - month_ms - 1, "e", b"old"), ("XADD", stream, now_ms - month_ms, "e", b"new")]
            )
        await rig.store.commands(expiry_commands(range(PARTITIONS), now_ms))
        assert await rig.store.commands([("XLEN", WEBHOOK_DEAD), ("XLEN", event_dead(3))]) == [1, 1]


def test_two_shops_know_one_visitor_under_unrelated_names() -> None:
    assert pseudonym(1, "u") != pseudonym(2, "u")
