"""The tracker's shop side over real HTTP and a real server."""

import hashlib
import json
import random
from typing import Any

import pytest
from yarl import URL

from core.clock import ManualClock
from core.keys import USER_AUDIT, client_user, exchange_user, user_profile
from core.model import Segment
from core.ring import pack_record, record_number
from segments.facts.event import person_digest
from tests.kit.profiles import catalogue
from tests.kit.tracker import API_KEY, Shop, shop

CONSENT = {"gdpr": 1, "consent": "all"}
VIEW = {"event": "view_item", "items": [{"item_id": "red-heels", "price": 320}], **CONSENT}
SERVER = {"X-API-Key": API_KEY}
EMAIL = hashlib.sha256(b"jan@example.pl").hexdigest()


async def test_a_browser_event_is_stored_and_sets_our_cookie(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        answer = await site.client.post("/e/1", data=json.dumps(VIEW), headers={"Content-Type": "text/plain"})
        assert answer.status == 204
        await site.rig.settle()
        facts = await site.rig.facts(site.user_id())
        assert facts is not None
        assert [(product.id, product.price_micros) for product in facts.products] == [("red-heels", 320_000_000)]
        again = await site.client.post("/e/1", json=VIEW)
        assert "Set-Cookie" not in again.headers


async def test_the_cookie_is_for_third_party_use_over_https(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock, secure=True) as site:
        header = (await site.client.post("/e/1", json=VIEW)).headers["Set-Cookie"]
    for attribute in ("HttpOnly", "Secure", "SameSite=None", "Path=/"):
        assert attribute in header


@pytest.mark.parametrize(
    "words", [{}, {"gdpr": 1}, {"gdpr": 1, "consent": "ids"}, {"gdpr": 1, "consent": "garbage"},
              {"gdpr": 0, "ad_personalization": "denied"}],
)  # fmt: skip
async def test_without_consent_nothing_is_written_and_no_cookie_set(
    valkey: str, clock: ManualClock, words: dict[str, Any]
) -> None:
    async with shop(valkey, clock) as site:
        answer = await site.client.post("/e/1", json={"event": "page_view", **words})
        assert answer.status == 204
        assert "Set-Cookie" not in answer.headers
        assert await site.rig.settle() == 0


async def test_where_the_regulation_does_not_apply_no_consent_is_needed(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json={"event": "page_view", "gdpr": 0})
        assert await site.rig.settle() == 1


async def test_a_fault_names_its_field(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        bad = {"event": "add_to_cart", "items": [{"item_id": "a", "price": "dear"}], **CONSENT}
        answer = await site.client.post("/e/1", json=bad)
        document = await answer.json(content_type="application/problem+json")
    assert answer.status == 400
    assert [fault["pointer"] for fault in document["errors"]] == ["/items/0/price"]


@pytest.mark.parametrize("name", ["9", "x", "%C2%B2", "99999999999999999999", "-1"])
async def test_an_advertiser_that_does_not_exist_is_not_found(valkey: str, clock: ManualClock, name: str) -> None:
    async with shop(valkey, clock) as site:
        assert (await site.client.post(f"/e/{name}", json=VIEW)).status == 404
        assert (await site.client.get(f"/e/{name}?event=page_view&gdpr=0")).status == 404


@pytest.mark.parametrize("body", ["", "{", "[]", "5", '"x"', '{"events": 5}', '{"events": []}', "[5]"])
async def test_a_body_that_is_no_event_is_refused(valkey: str, clock: ManualClock, body: str) -> None:
    async with shop(valkey, clock) as site:
        assert (await site.client.post("/e/1", data=body)).status == 400


async def test_a_batch_is_judged_item_by_item(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW)
        user = site.user_id()
        rows = [
            {"event": "purchase", "user_id": user, "value": 5},
            {"event": "view_item", "user_id": user},
            {"event": "x"},
        ]
        answer = await site.client.post("/e/1", json={"events": rows}, headers=SERVER)
        results = (await answer.json())["results"]
    assert answer.status == 200
    assert [result["status"] for result in results] == ["accepted", "invalid", "invalid"]
    assert [result["errors"][0]["pointer"] for result in results[1:]] == ["/items", "/user_id"]


async def test_only_a_caller_with_a_key_may_name_a_user(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        victim = "A" * 22
        await site.client.post("/e/1", json={**VIEW, "user_id": victim})
        await site.rig.settle()
        assert await site.rig.facts(victim) is None
        wrong = await site.client.post("/e/1", json=VIEW, headers={"Authorization": "Bearer nonsense"})
        other_shop = await site.client.post("/e/2", json=VIEW, headers=SERVER)
    assert (wrong.status, other_shop.status) == (401, 401)


async def test_an_offline_purchase_by_hashed_email_ends_the_cart_on_every_device(
    valkey: str, clock: ManualClock
) -> None:
    email = hashlib.sha256(b"jan@example.pl").hexdigest()
    async with shop(valkey, clock) as site:
        cart = {"event": "add_to_cart", "items": [{"item_id": "a", "price": 640}], **CONSENT}
        login = {"event": "login", "email_sha256": email, **CONSENT}
        users = []
        for _ in range(2):
            site.client.session.cookie_jar.clear()
            await site.client.post("/e/1", json=[cart, login])
            users.append(site.user_id())
        await site.rig.settle()
        sale = {"event": "purchase", "email_sha256": email, "value": 640, "transaction_id": "till-7", "offline": True}
        answer = await site.client.post("/e/1", json=sale, headers=SERVER)
        assert (await answer.json())["results"] == [{"status": "accepted"}]
        await site.rig.settle()
        for user in users:
            facts = await site.rig.facts(user)
            assert facts is not None
            assert (facts.cart, facts.purchases, facts.purchases_micros) == ([], 1, 640_000_000)
        stranger = {**sale, "email_sha256": "12" * 32}
        answer = await site.client.post("/e/1", json=stranger, headers=SERVER)
        assert (await answer.json())["results"][0]["status"] == "unmatched"


async def test_pages_of_another_site_may_not_write_into_a_shops_profiles(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        foreign = await site.client.post("/e/1", json=VIEW, headers={"Origin": "https://rival.example"})
        framed = await site.client.post("/e/1", json=VIEW, headers={"Origin": "null"})
        own = await site.client.post("/e/1", json=VIEW, headers={"Origin": "https://www.buty.example"})
    assert (foreign.status, framed.status, own.status) == (403, 403, 204)
    assert own.headers["Access-Control-Allow-Origin"] == "https://www.buty.example"
    assert own.headers["Access-Control-Allow-Credentials"] == "true"


async def facts_count(site: Shop) -> int:
    """How many browsers have a profile."""
    await site.rig.settle()
    (keys,) = await site.rig.store.commands([("KEYS", "f:*")])
    return len(keys) if isinstance(keys, list) else 0


OWN = {"Origin": "https://buty.example"}
CLIENT = "2f1c9a52-6a0a-4f7e-8a51-0b3c7c1d2e3f"


async def without_cookies(site: Shop, body: dict[str, Any], advertiser: int = 1, **headers: str) -> int:
    """A browser that keeps no cookie of ours sends a beacon; the answer's status."""
    site.client.session.cookie_jar.clear()
    answer = await site.client.post(f"/e/{advertiser}", json=body, headers={**OWN, **headers})
    return answer.status


async def test_a_browser_that_keeps_no_cookie_is_one_visitor_by_the_shops_own_id(
    valkey: str, clock: ManualClock
) -> None:
    async with shop(valkey, clock) as site:
        for _ in range(3):
            assert await without_cookies(site, {"events": [VIEW], "client_id": CLIENT}) == 204
        assert await facts_count(site) == 1
        for _ in range(2):
            await without_cookies(site, {"events": [VIEW]})
        assert await facts_count(site) == 3, "without that id each beacon is somebody else"


async def test_the_first_page_sets_the_cookie_and_a_browser_that_drops_it_is_given_none_again(
    valkey: str, clock: ManualClock
) -> None:
    async with shop(valkey, clock) as site:
        await without_cookies(site, {"events": [VIEW], "client_id": CLIENT})
        first = site.user_id()
        assert first
        await site.client.post("/e/1", json={"events": [VIEW], "client_id": CLIENT}, headers=OWN)
        assert await facts_count(site) == 1, "cookie and first-party id are one visitor"
        await without_cookies(site, {"events": [VIEW], "client_id": CLIENT})
        assert site.user_id() == ""


@pytest.mark.parametrize(
    ("advertiser", "headers"),
    [(1, {"Origin": ""}), (1, {"Origin": "https://rival.example"}), (2, {"Origin": "https://books.example"})],
)
async def test_a_shops_own_id_means_nothing_elsewhere(
    valkey: str, clock: ManualClock, advertiser: int, headers: dict[str, str]
) -> None:
    async with shop(valkey, clock) as site:
        await without_cookies(site, {"events": [VIEW], "client_id": CLIENT})
        mine = site.user_id()
        await site.rig.settle()
        before = await site.rig.facts(mine)
        await without_cookies(site, {"events": [VIEW], "client_id": CLIENT}, advertiser, **headers)
        await site.rig.settle()
        assert await site.rig.facts(mine) == before
        assert await site.rig.facts(mine, 2) is None


@pytest.mark.parametrize("client_id", ["", "short", "x" * 65, "with space here 123456", 5, None, ["x"]])
async def test_an_id_of_another_shape_is_passed_over(valkey: str, clock: ManualClock, client_id: object) -> None:
    async with shop(valkey, clock) as site:
        for _ in range(2):
            assert await without_cookies(site, {"events": [VIEW], "client_id": client_id}) == 204
        assert await facts_count(site) == 2


async def test_without_consent_a_first_party_id_is_not_remembered(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        refused = {"event": "page_view", "gdpr": 1, "consent": "ids"}
        await without_cookies(site, {"events": [refused], "client_id": CLIENT})
        (keys,) = await site.rig.store.commands([("KEYS", client_user(1, "*"))])
        assert keys == []


async def test_opting_out_at_a_shop_ends_the_profile_behind_its_own_id(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        for status in (204, 204):
            assert await without_cookies(site, {"events": [VIEW], "client_id": CLIENT}) == status
        assert await facts_count(site) == 1
        assert await without_cookies(site, {"events": [{"name": "opt_out"}], "client_id": CLIENT}) == 204
        assert await facts_count(site) == 0


async def test_opting_out_at_a_shop_ends_its_part_of_the_profile_behind_our_cookie(
    valkey: str, clock: ManualClock
) -> None:
    published = catalogue([Segment(id=7, advertiser_id=1, name="all", rule="everyone")])
    login = {"event": "login", "email_sha256": EMAIL, **CONSENT}
    async with shop(valkey, clock, published=published) as site:
        await site.client.post("/e/1", json={"events": [VIEW, login]}, headers=OWN)
        await site.client.post("/e/2", json=VIEW, headers={"Origin": "https://books.example"})
        await site.rig.settle()
        user = site.user_id()
        assert await site.rig.sizes.size(7, clock.now_ms()) == 1
        await site.client.post("/e/1", json=VIEW, headers=OWN)  # still on its way when the visitor leaves
        leaving = await site.client.post("/e/1", json={"events": [{"event": "opt_out"}]}, headers=OWN)
        assert leaving.status == 204
        await site.rig.settle()
        assert await site.rig.facts(user, 1) is None
        assert await site.rig.facts(user, 2) is not None, "what other shops know is for /optout"
        assert await site.rig.sizes.size(7, clock.now_ms()) == 0
        assert await site.identities.devices(1, person_digest(1, EMAIL)) == []
        counted = {state.event for state in await site.rig.tags.report(1, clock.now_ms())}
        assert counted == {"view_item", "login"}
        (noted,) = await site.rig.store.commands([("XRANGE", USER_AUDIT, "-", "+")])
        assert b"leave" in repr(noted).encode()


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://rival.example"}])
async def test_no_other_page_can_make_a_shop_forget_its_visitor(
    valkey: str, clock: ManualClock, origin: dict[str, str]
) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW, headers=OWN)
        await site.client.post("/e/1", json={"event": "opt_out", **CONSENT}, headers=origin)
        await site.client.get("/e/1?event=opt_out&gdpr=0")
        assert await facts_count(site) == 1


async def test_only_the_opt_out_page_itself_can_opt_out(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW)
        await site.rig.settle()
        user = site.user_id()
        for elsewhere in ("https://rival.example", "null"):
            assert (await site.client.post("/optout", headers={"Origin": elsewhere})).status == 403
        assert await site.rig.facts(user) is not None
        own = str(site.client.make_url("/")).rstrip("/")
        pressed = await site.client.post("/optout", headers={"Origin": own}, allow_redirects=False)
        assert pressed.status == 303
        assert await site.rig.facts(user) is None


async def test_the_pixel_carries_an_event_without_scripts(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        query = {"event": "view_item", "items": "a:12.5:1,b", "gdpr": "0", "d": '{"attributes": {"tier": "gold"}}'}
        answer = await site.client.get("/e/1", params=query)
        assert (answer.status, answer.content_type) == (200, "image/gif")
        await site.rig.settle()
        facts = await site.rig.facts(site.user_id())
        assert facts is not None
        assert [product.id for product in facts.products] == ["a", "b"]
        assert facts.attributes == {"tier": "gold"}
        assert (await site.client.get("/e/1", params={"event": "view_item"})).status == 400


async def test_an_image_on_a_page_of_another_site_is_refused(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        for page, status in (("https://www.buty.example/7?a=b", 200), ("https://rival.example/buty.example", 403)):
            answer = await site.client.get("/e/1?event=page_view&gdpr=0", headers={"Referer": page})
            assert answer.status == status
        assert await site.rig.settle() == 1


QUERIES = [
    "event=search&search_term=%ED%A0%80", "event=%00", "d=%22ab%22", "d=[[1,2]]", "d=[[%22event%22,%22x%22]]", "d=5",
    "d=null", "d=[]", "d={%22event%22:null}", "event=view_item&items=:::,::,a:b:c,%25", "event=x&gdpr=%C2%B2",
    "event=x&time=1e400", "event=x&time=%C2%B2", "uid=%00", "uid=%ED%A0%80", "uid=%C2%B2&redirect=1",
    "event=purchase&value=1e308&items=a:1e308:9999", "event=x&place=POL", "event=x&attributes=1", "event=x&url=http://[",
    "event=x&consent=" + "C" * 4_000, "&".join(f"k{number}=1" for number in range(500)),
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
async def test_no_query_ends_in_a_fault_of_ours(valkey: str, clock: ManualClock, query: str) -> None:
    async with shop(valkey, clock) as site:
        for path in ("/e/1", "/sync/demo"):
            answer = await site.client.get(URL(f"{path}?{query}&gdpr=0", encoded=True), allow_redirects=False)
            assert answer.status < 500, await answer.text()


def random_json(draw: random.Random, depth: int = 3) -> object:
    """A value such as a broken page may send."""
    simple: tuple[object, ...] = (
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        "",
        "x",
        "\u0000",
        "²",
        "ad" * 200,
        "purchase",
        "2026-01-01",
        [],
        {},
    )
    if depth == 0 or draw.random() < 0.5:
        return draw.choice(simple)
    if draw.random() < 0.4:
        return [random_json(draw, depth - 1) for _ in range(draw.randrange(4))]
    names = ("event", "events", "name", "params", "ecommerce", "items", "item_id", "price", "quantity", "value", "time",
             "consent", "gdpr", "user_data", "place", "attributes", "client_id", "user_id", "email_sha256")  # fmt: skip
    return {draw.choice(names): random_json(draw, depth - 1) for _ in range(draw.randrange(6))}


@pytest.mark.parametrize(
    "headers", [{}, SERVER, {"Origin": "https://buty.example"}], ids=["page", "server", "own page"]
)
async def test_no_body_ends_in_a_fault_of_ours(valkey: str, clock: ManualClock, headers: dict[str, str]) -> None:
    draw = random.Random(7)
    async with shop(valkey, clock) as site:
        for _ in range(300):
            body = json.dumps(random_json(draw))
            if draw.random() < 0.2:
                body = body[: draw.randrange(len(body) + 1)]
            answer = await site.client.post("/e/1", data=body.encode(), headers=headers)
            assert answer.status < 500, body
        await site.rig.settle()


async def test_a_full_log_refuses_loudly_instead_of_losing(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock, max_backlog=1) as site:
        assert (await site.client.post("/e/1", json=VIEW)).status == 204
        answer = await site.client.post("/e/1", json=VIEW)
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert site.rig.intake_metrics.refused.value == 1
        await site.rig.settle()
        assert (await site.client.post("/e/1", json=VIEW)).status == 204


async def test_the_tag_is_small_cached_and_usable_with_integrity(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        answer = await site.client.get("/tag.js")
        body = await answer.read()
        assert len(body) < 3 * 1_024
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        again = await site.client.get("/tag.js", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status == 304


async def test_an_exchange_tells_its_id_and_is_told_ours(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        theirs = await site.client.get("/sync/demo?uid=theirs-1&gdpr=1&gdpr_consent=ids")
        assert (theirs.status, theirs.content_type) == (200, "image/gif")
        user = site.user_id()
        (mapped,) = await site.rig.store.commands([("GET", exchange_user(5, "theirs-1"))])
        assert mapped == user.encode()
        await site.client.get(URL("/sync/demo?gdpr=0&uid=a+b/c==", encoded=True))  # base64, as exchanges have it
        (plus,) = await site.rig.store.commands([("GET", exchange_user(5, "a+b/c=="))])
        assert plus == user.encode()
        ours = await site.client.get("/sync/demo?gdpr=0", allow_redirects=False)
        assert ours.status == 302
        assert ours.headers["Location"] == f"https://exchange.example/match?dsp=grosz&id={user}"
        assert (await site.client.get("/sync/demo?uid=theirs-1")).status == 451
        assert (await site.client.get("/sync/nobody?gdpr=0")).status == 404
        assert (await site.client.get("/sync/demo?gdpr=0&uid=" + "x" * 200)).status == 400


async def test_the_opt_out_page_is_in_the_browser_s_language(valkey: str, clock: ManualClock) -> None:
    wishes = {
        "pl": "pl", "pl-PL,pl;q=0.9,en;q=0.8": "pl", "en-GB,en;q=0.9": "en", "de, pl; q=0.3, en; q=0.2": "pl",
        "": "en", "de": "en", "pl;q=0": "en", ";;q=,,\x80;q=pl": "en", "pl" * 4_000: "en",
    }  # fmt: skip
    async with shop(valkey, clock) as site:
        for accepted, language in wishes.items():
            page = await site.client.get("/optout", headers={"Accept-Language": accepted})
            text = await page.text()
            assert f'<html lang="{language}">' in text, accepted
            assert ("Usuń mój profil" in text) == (language == "pl")
            assert page.headers["Vary"] == "Accept-Language"


async def test_opting_out_erases_the_profile_and_keeps_events_out(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW)
        await site.client.get("/sync/demo?uid=theirs-1&gdpr=0")
        await site.rig.settle()
        user = site.user_id()
        assert (await site.client.get("/optout")).status == 200
        assert await site.rig.facts(user) is not None, "looking at the page changes nothing"
        await site.client.post("/optout")
        assert await site.rig.facts(user) is None
        assert site.user_id() == ""
        (mapped,) = await site.rig.store.commands([("GET", exchange_user(5, "theirs-1"))])
        assert mapped is None
        assert (await site.client.post("/e/1", json=VIEW)).status == 204
        late = {**VIEW, "user_id": user}
        await site.client.post("/e/1", json=late, headers=SERVER)
        await site.rig.settle()
        assert await site.rig.facts(user) is None
        sync = await site.client.get("/sync/demo?gdpr=0", allow_redirects=False)
        assert sync.status == 200


async def test_an_export_has_the_impressions_with_their_formats(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW)
        user = site.user_id()
        ring = pack_record(7, 1_790_000_000) + pack_record(record_number(7, 2), 1_790_000_060) + b"cut"
        await site.rig.store.commands([("HSET", user_profile(user), "i", ring)])
        export = await site.identities.export(user, "test")
        assert export.impressions == ((7, 1_790_000_000, ""), (7, 1_790_000_060, "video"))


async def test_an_erased_profile_does_not_come_back_with_an_event_on_its_way(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW)
        user = site.user_id()
        await site.rig.settle()
        await site.client.post("/e/1", json=VIEW)  # stored, not yet applied
        assert (await site.identities.export(user, "test")).found
        erased = await site.identities.forget(user, "test")
        assert erased.user_ids == (user,)
        await site.rig.settle()
        export = await site.identities.export(user, "test")
        assert (export.found, export.opted_out) == (False, False)
        (length,) = await site.rig.store.commands([("XLEN", USER_AUDIT)])
        assert length == 3
        await site.client.post("/e/1", json=VIEW)
        await site.rig.settle()
        assert await site.rig.facts(user) is not None, "a later visit with consent begins a new profile"
