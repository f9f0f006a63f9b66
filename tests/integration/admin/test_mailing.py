"""`POST /v1/recommendations`: products, reason and time for many people, over the API and real profiles."""

import contextlib
import datetime
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from core.ids import new_user_id
from core.model import Advertiser
from creatives.products.interactions import InteractionLog
from creatives.products.refresh import fit_advertiser
from segments.facts.event import Event, Item, Kind, person_digest
from segments.facts.facts import DAY_S
from segments.identity.persons import Identities
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, running_api
from tests.kit.feeds import google, item
from tests.kit.products import product_shop
from tests.kit.profiles import EventRig, catalogue, event_rig
from tests.kit.shoppers import baskets, visits

FEED = google(*(item(name, "<g:product_type>shoes</g:product_type>") for name in "ABCDE"))
HOUR_MS = 3_600_000


@pytest.fixture
async def api(tmp_path: Path, valkey: str, clock: ManualClock) -> AsyncIterator[Api]:
    """The API over one engine: what is asked here lies in Redis."""
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as running:
        yield running


@contextlib.asynccontextmanager
async def stocked(valkey: str, clock: ManualClock, advertiser_id: int) -> AsyncIterator[EventRig]:
    """A worker, and the shop's products with tables: A and B sell best, D goes with A."""
    published = catalogue(advertisers=(Advertiser(id=advertiser_id, name="Shoes"), Advertiser(id=999, name="Other")))
    async with (
        event_rig(valkey, clock, published=published) as rig,
        product_shop(valkey, clock, advertiser_id) as products,
    ):
        await products.load(FEED)
        log = InteractionLog(products.store)
        start_s = clock.now_ms() // 1000 - DAY_S
        log.add(advertiser_id, visits(*["AB"] * 20, *["AC"] * 5, start_s=start_s, gap_s=60))
        log.add(advertiser_id, baskets(*["AD"] * 12, start_s=start_s))
        await log.flush()
        await fit_advertiser(products.store, advertiser_id, clock)
        yield rig


async def happen(
    rig: EventRig,
    shop_id: int,
    user: str,
    kind: str,
    name: str,
    *,
    ago_h: float = 0,
    **more: Any,  # noqa: ANN401 - members of Event
) -> None:
    at_ms = rig.clock.now_ms() - int(ago_h * HOUR_MS)
    await rig.send(Event(kind, shop_id, user, at_ms, items=(Item(name, "shoes", 5_000_000),), **more))
    await rig.settle()


async def advise(shop: Shop, *people: Mapping[str, str], **more: object) -> list[dict[str, Any]]:
    answer = await shop.caller.post(
        "/v1/recommendations", {"advertiser_id": shop.advertiser["id"], "people": list(people), **more}
    )
    assert answer.status == 200, answer.body
    assert answer.body["timezone"] == "Europe/Warsaw"
    items: list[dict[str, Any]] = answer.body["items"]
    return items


def shown(advice: dict[str, Any]) -> list[str]:
    return [one["product"]["id"] for one in advice["products"]]


async def test_each_person_gets_a_reason_products_and_a_time(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    shop_id = shop.advertiser["id"]
    left, looked, buyer, stranger = (new_user_id() for _ in range(4))
    async with stocked(valkey, clock, shop_id) as rig:
        await happen(rig, shop_id, left, Kind.ADD_TO_CART, "A", ago_h=0.5)
        await happen(rig, shop_id, looked, Kind.VIEW_ITEM, "E", ago_h=30)
        for number, ago_h in enumerate((60 * 24, 30 * 24)):
            await happen(rig, shop_id, buyer, Kind.PURCHASE, "C", ago_h=ago_h, order=number + 1)
        people = [{"user_id": user} for user in (left, looked, buyer, stranger)]
        items = await advise(shop, *people, count=2)
        assert [one["person"] for one in items] == [left, looked, buyer, stranger]
        assert [one["found"] for one in items] == [True, True, True, False]
        assert [one["reason"] for one in items] == ["cart", "viewed", "reorder", "bestsellers"]
        assert [shown(one) for one in items] == [["A", "D"], ["E", "C"], ["C", "A"], ["A", "B"]]
        assert [one["delay_s"] for one in items] == [1_800, 0, 0, 0]
        now = datetime.datetime.fromtimestamp(clock.now_ms() // 1000, datetime.UTC)
        due = datetime.datetime.fromisoformat(items[2]["next_purchase"])
        assert abs(due - now) < datetime.timedelta(seconds=1)
        assert [one["next_purchase"] is None for one in items] == [True, True, False, True]
        assert items[3]["usual_hour"] is None
        assert items[0]["products"][0]["why"] == "number 1 of the cart by value"


async def test_people_are_written_to_at_the_hours_at_which_they_come(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    shop_id = shop.advertiser["id"]
    users = [new_user_id() for _ in range(24)]
    async with stocked(valkey, clock, shop_id) as rig:
        midnight_ms = clock.now_ms() - clock.now_ms() % (24 * HOUR_MS)
        for hour, user in enumerate(users):
            times = [midnight_ms - day * 24 * HOUR_MS + hour * HOUR_MS for day in range(6, 0, -1)]
            await rig.send(*(Event(Kind.VIEW_ITEM, shop_id, user, at_ms, items=(Item("E"),)) for at_ms in times))
        await rig.settle()
        items = await advise(shop, *({"user_id": user} for user in users))
        moments = [datetime.datetime.fromisoformat(one["send_at"]) for one in items]
        now = datetime.datetime.fromtimestamp(clock.now_ms() // 1000, datetime.UTC)
        assert {moment.hour for moment in moments} == set(range(24)), "each at an hour of his own"
        assert [moment.hour for moment in moments] == list(range(24))
        assert all(now <= moment <= now + datetime.timedelta(days=3) for moment in moments)
        assert all(one["usual_hour"]["confidence"] > 0.6 for one in items)


async def test_five_hundred_people_are_five_hundred_mails_at_five_hundred_times(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    shop_id = shop.advertiser["id"]
    users = [new_user_id() for _ in range(500)]
    step_ms = 24 * HOUR_MS // len(users)
    async with stocked(valkey, clock, shop_id) as rig:
        midnight_ms = clock.now_ms() - clock.now_ms() % (24 * HOUR_MS)
        await rig.send(*(
            Event(Kind.VIEW_ITEM, shop_id, user, midnight_ms - day * 24 * HOUR_MS + at * step_ms,
                  items=(Item("ABCDE"[at % 5]),))
            for at, user in enumerate(users)
            for day in range(5, 1, -1)
        ))  # fmt: skip
        await rig.settle()
        items = await advise(shop, *({"user_id": user} for user in users), count=1)
    assert len({one["send_at"] for one in items}) >= 490, "who is due within his own hour is written to at once"
    assert all(one["reason"] == "viewed" and one["usual_hour"]["confidence"] > 0.5 for one in items)
    assert [shown(one) for one in items] == [["ABCDE"[at % 5]] for at in range(500)]


async def test_somebody_is_named_by_the_hash_of_his_e_mail(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    shop_id, digest = shop.advertiser["id"], hashlib.sha256(b"jan@example.pl").hexdigest()
    async with stocked(valkey, clock, shop_id) as rig:
        user = new_user_id()
        await happen(rig, shop_id, user, Kind.VIEW_ITEM, "E", person=person_digest(shop_id, digest))
        known, unknown = await advise(shop, {"email_sha256": digest.upper()}, {"email_sha256": "0" * 64})
        assert (known["found"], known["reason"], shown(known)[0]) == (True, "viewed", "E")
        assert (unknown["found"], unknown["reason"]) == (False, "bestsellers")


async def test_who_has_left_or_was_erased_is_not_known_any_more(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    shop_id = shop.advertiser["id"]
    async with stocked(valkey, clock, shop_id) as rig:
        identities = Identities(rig.store, rig.sizes, clock)
        out, erased = new_user_id(), new_user_id()
        for user in (out, erased):
            await happen(rig, shop_id, user, Kind.VIEW_ITEM, "E")
        await identities.opt_out(out, "test")
        await identities.forget(erased, "test")
        items = await advise(shop, {"user_id": out}, {"user_id": erased})
        assert [(one["found"], one["usual_hour"], shown(one)[0]) for one in items] == [(False, None, "A")] * 2


async def test_nothing_of_another_shop_is_told(api: Api, shop: Shop, valkey: str, clock: ManualClock) -> None:
    async with stocked(valkey, clock, shop.advertiser["id"]) as rig:
        user = new_user_id()
        await happen(rig, 999, user, Kind.VIEW_ITEM, "E", person=b"p" * 16)
        (one,) = await advise(shop, {"user_id": user})
        assert (one["found"], one["usual_hour"]) == (False, None)
        other = await make_shop(api, "books")
        restricted = await api.caller(advertisers=(other.advertiser["id"],))
        body = {"advertiser_id": shop.advertiser["id"], "people": [{"user_id": user}]}
        assert (await restricted.post("/v1/recommendations", body)).status == 404


@pytest.mark.parametrize(
    ("people", "pointer"),
    [([{}], "/people/0"), ([{"user_id": "A" * 22, "email_sha256": "0" * 64}], "/people/0"),
     ([{"user_id": "x"}], "/people/0/user_id"), ([{"email_sha256": "x"}], "/people/0/email_sha256"),
     ([], "/people"), ([{"email_sha256": "0" * 64}] * 1_001, "/people")],
)  # fmt: skip
async def test_a_person_is_named_by_one_thing(api: Api, shop: Shop, people: list[dict[str, str]], pointer: str) -> None:
    body = {"advertiser_id": shop.advertiser["id"], "people": people}
    answer = await shop.caller.post("/v1/recommendations", body)
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == pointer


async def test_a_thousand_people_a_call(api: Api, shop: Shop, valkey: str, clock: ManualClock) -> None:
    shop_id = shop.advertiser["id"]
    async with stocked(valkey, clock, shop_id) as rig:
        users = [new_user_id() for _ in range(1_000)]
        await rig.send(*(
            Event(Kind.VIEW_ITEM, shop_id, user, clock.now_ms(), items=(Item("ABCDE"[at % 5]),))
            for at, user in enumerate(users)
        ))  # fmt: skip
        await rig.settle()
        items = await advise(shop, *({"user_id": user} for user in users), count=1)
        assert [shown(one) for one in items] == [["ABCDE"[at % 5]] for at in range(1_000)]
