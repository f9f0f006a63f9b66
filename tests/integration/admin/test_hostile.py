"""Who means harm: other tenants' ids on every route, guesses of passwords, bytes that no client library would send."""

import asyncio
import base64
import gzip
import zlib
from typing import Any

import msgspec
import pytest

from admin.api.listing import fields_of
from admin.store.kinds import KIND_BY_NAME, KINDS, LINE_ITEMS
from core.clock import ManualClock
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Answer, Api, Caller

PASSWORD = "correct horse battery"
TENANT_KINDS = [kind.name for kind in KINDS if kind.tenant]


async def raw(api: Api, method: str, path: str, headers: dict[str, bytes], body: bytes = b"") -> tuple[int, bytes]:
    """(status, body) of a request whose bytes are not touched by any client."""
    url = api.client.make_url("/")
    reader, writer = await asyncio.open_connection(url.host, url.port)
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: localhost", b"Connection: close"]
    lines += [b"Content-Length: %d" % len(body), *(name.encode() + b": " + text for name, text in headers.items())]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


async def one_of_each(api: Api, shop: Shop) -> dict[str, dict[str, Any]]:
    """An object of every kind that belongs to an advertiser, and the advertiser itself."""
    advertiser = shop.advertiser["id"]
    owner = await api.caller()
    exchanges = (await owner.get("/v1/exchanges")).body["items"]
    exchange = exchanges[0] if exchanges else await owner.made("/v1/exchanges", {"key": "ssp"})
    own = {"advertiser_id": advertiser, "external_id": "theirs"}
    made = {"advertisers": shop.advertiser, "campaigns": shop.campaign, "creatives": shop.creative}
    made["line-items"] = await shop.caller.made("/v1/line-items", shop.line_item(name="secret plan"))
    made["segments"] = await shop.caller.made("/v1/segments", own | {"name": "all", "rule": "visits.count >= 1"})
    made["webhooks"] = await shop.caller.made("/v1/webhooks", own | {"name": "w", "url": "https://rival.example/"})
    made["feeds"] = await shop.caller.made("/v1/feeds", own | {"name": "f", "url": "https://rival.example/f"})
    made["conversions"] = await shop.caller.made("/v1/conversions", own | {"name": "c"})
    listed = {"name": "l", "kind": "domains", "values": ["secret.example"]}
    made["lists"] = await shop.caller.made("/v1/lists", own | listed)
    made["deals"] = await shop.caller.made("/v1/deals", own | {"exchange_id": exchange["id"], "deal_id": "D"})
    return made


def missing(answer: Answer) -> str:
    """What a refusal says, without the id."""
    text: str = answer.body["detail"]
    return "".join(letter for letter in text if not letter.isdigit())


async def test_another_tenants_ids_are_unknown_on_every_route_of_every_kind(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    theirs = await one_of_each(api, rival)
    assert set(theirs) == {*TENANT_KINDS, "advertisers"}, "a new kind needs its line in one_of_each"
    for kind, value in theirs.items():
        nobody = f"/v1/{kind}/4000000000"
        path = f"/v1/{kind}/{value['id']}"
        routes: list[tuple[str, str, object]] = [
            ("GET", "", None),
            ("PATCH", "", {"notes": "mine now"}),
            ("DELETE", "", None),
            *(("POST", action, None) for action in ("/pause", "/resume", "/archive")),
        ]
        if kind != "advertisers":  # those are copied by callers without restriction alone: 403 for each id
            routes.append(("POST", "/copy", {}))
        for method, action, body in routes:
            for query in ("", "?dry_run=true") if method != "GET" else ("",):
                refused = await shop.caller.call(method, path + action + query, body)
                unknown = await shop.caller.call(method, nobody + action + query, body)
                assert (refused.status, missing(refused)) == (404, missing(unknown)), (method, path + action)
        operations = [
            {"action": "patch", "id": value["id"], "patch": {"notes": "mine now"}},
            *({"action": action, "id": value["id"]} for action in ("pause", "resume", "archive")),
        ]
        results = (await shop.caller.post(f"/v1/{kind}/bulk", {"operations": operations})).body["results"]
        assert [result["status"] for result in results] == [404] * 4, kind
        assert value["id"] not in await _listed(shop.caller, kind)
        now = await rival.caller.get(path)
        assert (now.body["version"], now.body["notes"]) == (value["version"], value["notes"])


async def _listed(caller: Caller, kind: str) -> set[int]:
    """Every id that a caller finds by any list of a kind."""
    found: set[int] = set()
    for query in ("", "q=secret", "external_id=theirs", "status=active&status=paused&status=archived", "id.min=1"):
        page = await caller.get(f"/v1/{kind}?{query}&total=true&limit=500")
        assert page.status == 200, page.body
        assert page.body["total"] == len(page.body["items"])
        found |= {item["id"] for item in page.body["items"]}
    return found


async def test_what_belongs_to_line_items_is_as_unknown_as_they_are(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    theirs = await one_of_each(api, rival)
    line_item, advertiser = theirs["line-items"]["id"], rival.advertiser["id"]
    await api.publisher.start()
    request = {"id": "1", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "site": {"domain": "news.example"}}
    asked = [
        await shop.caller.get(f"/v1/line-items/{line_item}/funnel"),
        await shop.caller.get(f"/v1/doctor?line_item_id={line_item}"),
        await shop.caller.get(f"/v1/budgets?advertiser_id={advertiser}"),
        await shop.caller.get(f"/v1/budgets?advertiser_id={advertiser}&object_id={line_item}"),
        await shop.caller.post("/v1/explain", {"exchange": "ssp", "line_item_id": line_item, "request": request}),
    ]
    assert [answer.status for answer in asked] == [404] * 5
    assert all("secret" not in str(answer.body) for answer in asked)
    for query in (f"object_id={line_item}", f"advertiser_id={advertiser}", "kind=line-items", "actor_kind=api_key"):
        rows = (await shop.caller.get(f"/v1/change-log?{query}&limit=500")).body["items"]
        assert {row["advertiser_id"] for row in rows} <= {shop.advertiser["id"]}, query
    everything = await shop.caller.post("/v1/explain", {"exchange": "ssp", "request": request})
    assert everything.status == 200
    assert "secret plan" not in str(everything.body)


async def test_a_copy_cannot_carry_an_object_to_another_tenant(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    own = await shop.caller.made("/v1/line-items", shop.line_item())
    stolen = {"advertiser_id": rival.advertiser["id"], "campaign_id": rival.campaign["id"]}
    copied = await shop.caller.post(f"/v1/line-items/{own['id']}/copy", stolen)
    assert copied.codes == {
        "/advertiser_id": "no_such_object", "/campaign_id": "no_such_object", "/creative_ids/0": "no_such_object",
    }  # fmt: skip


async def test_whoever_acts_for_one_shop_cannot_lend_it_money(api: Api, shop: Shop) -> None:
    advertiser = f"/v1/advertisers/{shop.advertiser['id']}"
    accountant = await api.caller("read", "trade", "finance", advertisers=(shop.advertiser["id"],))
    assert (await accountant.patch(advertiser, {"balance": {"amount": "1000000"}})).status == 403
    bank = await api.caller("trade", "finance")
    assert (await bank.patch(advertiser, {"balance": {"amount": "10"}})).status == 200
    trader = await api.caller("trade")
    read = (await trader.get(advertiser)).body
    assert (await trader.patch(advertiser, read)).status == 200, "what was read can be sent back"
    assert (await trader.patch(advertiser, {"balance": None})).status == 403
    assert (await trader.post(f"{advertiser}/copy", {})).status == 403, "a copy would have the balance too"
    assert (await bank.post(f"{advertiser}/copy", {})).status == 201


async def _user(api: Api) -> None:
    owner = await api.caller()
    await owner.made("/v1/users", {"email": "ada@szpilka.example", "name": "Ada", "password": PASSWORD})


async def _login(api: Api, password: str, email: str = "ada@szpilka.example") -> Answer:
    return await api.anonymous.post("/v1/login", {"email": email, "password": password})


async def test_guesses_sent_at_once_are_counted_one_by_one(api: Api) -> None:
    await _user(api)
    guesses = [_login(api, f"wrong password {number}") for number in range(15)]
    statuses = sorted(answer.status for answer in await asyncio.gather(*guesses))
    assert statuses == [401] * 4 + [429] * 11


async def test_a_locked_account_does_not_tell_that_it_exists(api: Api, clock: ManualClock) -> None:
    await _user(api)
    owner = await api.caller()
    await owner.made("/v1/users", {"email": "no-password@szpilka.example", "name": "Eve"})
    answers = []
    for email in ("ada@szpilka.example", "no-password@szpilka.example", "nobody@szpilka.example"):
        clock.advance(3600)  # the address that asks starts afresh
        tries = [await _login(api, "wrong password", email) for _ in range(6)]
        answers.append([(one.status, one.headers.get("Retry-After"), one.body) for one in tries])
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][-1][0] == 429


async def test_the_right_password_among_too_many_wrong_ones_does_not_get_in(api: Api, clock: ManualClock) -> None:
    await _user(api)
    for number in range(30):
        await _login(api, PASSWORD, f"user{number}@szpilka.example")
    refused = await _login(api, PASSWORD)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
    clock.advance(2)
    assert (await _login(api, PASSWORD)).status == 200


async def test_a_login_forgets_the_failures_and_a_new_password_ends_the_rest(api: Api, clock: ManualClock) -> None:
    await _user(api)
    for _ in range(2):
        for _ in range(4):
            assert (await _login(api, "wrong password")).status == 401
        assert (await _login(api, PASSWORD)).status == 200
        clock.advance(60)
    for _ in range(5):
        await _login(api, "wrong password")
    assert (await _login(api, PASSWORD)).status == 429
    owner = await api.caller()
    assert (await owner.patch("/v1/users/1", {"password": "another long password"})).status == 200
    assert (await _login(api, "another long password")).status == 200


async def test_a_strangers_setup_is_refused_before_anything_is_done_for_him(api: Api) -> None:
    version = await api.store.version()
    document = {"token": "x", "email": "a@b.example", "name": "A", "password": "a long password"}
    statuses = [(await api.anonymous.post("/v1/setup", document)).status for _ in range(40)]
    assert statuses == [401] * 30 + [429] * 10
    assert await api.store.version() == version


@pytest.mark.parametrize("text", [b"\xff\xfe", b"grosz_\xff", b"grosz_\xed\xa0\x80", b"\x80" * 300])
async def test_secrets_of_any_bytes_are_only_wrong(api: Api, text: bytes) -> None:
    await _user(api)
    answer = await _login(api, PASSWORD)
    session = answer.headers["Set-Cookie"].split(";")[0].encode()
    json = {"Content-Type": b"application/json"}
    assert (await raw(api, "GET", "/v1/me", {"Authorization": b"Bearer " + text}))[0] == 401
    assert (await raw(api, "GET", "/v1/me", {"Cookie": b"grosz_session=" + text}))[0] == 401
    assert (await raw(api, "POST", "/v1/campaigns", json | {"Cookie": session, "X-CSRF-Token": text}, b"{}"))[0] == 403


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match", "If-None-Match", "Content-Type", "Content-Encoding"])
async def test_headers_of_any_bytes_are_answered(api: Api, shop: Shop, name: str) -> None:
    headers = {"Content-Type": b"application/json", "Authorization": shop.caller.headers["Authorization"].encode()}
    for text in (b"\xff\xfe", b'"', b"\x80", b"9" * 400, b"W/", b"a/b; c=\xff"):
        for method in ("GET", "PATCH"):
            body = b"" if method == "GET" else b'{"notes": "x"}'
            path = f"/v1/campaigns/{shop.campaign['id']}"
            status, answer = await raw(api, method, path, headers | {name: text}, body)
            assert status < 500, (method, text, answer)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        (b"gzip", gzip.compress(b'{"name": "packed"}'), 201),
        (b"deflate", zlib.compress(b'{"name": "packed"}'), 201),
        (b"identity", b'{"name": "plain"}', 201),
        (b"gzip", b'{"name": "a lie"}', 400),
        (b"deflate", b"xx", 400),
        (b"gzip", gzip.compress(b'{"name": "' + b"a" * 64 * 1024 * 1024 + b'"}'), 413),
        (b"rot13", b'{"name": "x"}', 415),
        (b"gzip, gzip", gzip.compress(b'{"name": "x"}'), 415),
    ],
    ids=["gzip", "deflate", "identity", "no gzip", "no deflate", "bomb", "unknown", "two at once"],
)
async def test_a_body_is_what_its_encoding_says_or_is_refused(
    api: Api, encoding: bytes, body: bytes, status: int
) -> None:
    owner = await api.caller()
    headers = {"Content-Type": b"application/json", "Authorization": owner.headers["Authorization"].encode()}
    answered, text = await raw(api, "POST", "/v1/advertisers", headers | {"Content-Encoding": encoding}, body)
    assert answered == status, text
    again = headers | {"Content-Encoding": encoding, "Idempotency-Key": b"packed"}
    assert (await raw(api, "POST", "/v1/advertisers", again, body))[0] == status


async def test_a_value_that_is_given_twice_is_a_fault(api: Api, shop: Shop) -> None:
    for query in ("total=true&total=false", "sort=id&sort=name", "limit=1&limit=2", "q=a&q=b"):
        name = query.partition("=")[0]
        assert (await shop.caller.get(f"/v1/line-items?{query}")).codes == {name: "duplicate"}
    twice = await shop.caller.post("/v1/line-items?dry_run=false&dry_run=true", shop.line_item())
    assert twice.codes == {"dry_run": "duplicate"}
    assert (await shop.caller.get("/v1/line-items")).body["items"] == []


async def test_a_filter_by_a_value_that_nothing_can_have_says_which_there_are(shop: Shop) -> None:
    refused = await shop.caller.get("/v1/line-items?status=running&goal=cpm")
    assert refused.codes == {"status": "not_allowed"}
    assert refused.body["errors"][0]["allowed"] == ["active", "paused", "archived"]


async def test_made_up_cursors_show_nothing_that_is_not_the_callers(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    await rival.caller.made("/v1/line-items", rival.line_item())
    values = [None, True, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, "", "a\x00b", "ż" * 5000, "' OR 1=1 --"]
    for field in fields_of(LINE_ITEMS):
        for value in values:
            packed = msgspec.msgpack.encode((field, value, 0))
            cursor = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()[:6000]
            answer = await shop.caller.get(f"/v1/line-items?sort={field}&cursor={cursor}")
            assert answer.status in (200, 422), (field, value, answer.body)
            assert answer.status == 422 or answer.body["items"] == []


@pytest.mark.parametrize("kind", [kind for kind in KIND_BY_NAME if kind != "line-items"])
async def test_every_list_takes_every_filter_and_sort_that_is_documented(api: Api, kind: str) -> None:
    owner = await api.caller()
    samples = {
        "integer": "1",
        "amount": "1.50",
        "moment": "2026-11-01T00:00:00Z",
        "boolean": "true",
        "text": "'\"%_\\ż",
    }
    for name, field in fields_of(KIND_BY_NAME[kind]).items():
        text = field.allowed[0] if field.allowed else samples[field.kind]
        ends = ("", ".min", ".max") if field.has_range else ("",)
        for end in ends:
            async with api.client.get(
                f"/v1/{kind}", params={name + end: text, "sort": f"-{name}", "total": "true"}, headers=owner.headers
            ) as response:
                assert response.status == 200, (name, await response.text())


async def test_an_idempotency_key_belongs_to_one_request_of_one_caller(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    headers = {"Idempotency-Key": "k"}
    made = await shop.caller.post("/v1/line-items", shop.line_item(), headers=headers)
    assert made.status == 201
    others = [
        await shop.caller.post("/v1/line-items", shop.line_item(notes="another body"), headers=headers),
        await shop.caller.post("/v1/line-items?dry_run=true", shop.line_item(), headers=headers),
        await shop.caller.post(f"/v1/line-items/{made.body['id']}/pause", headers=headers),
        await shop.caller.patch(f"/v1/line-items/{made.body['id']}", shop.line_item(), headers=headers),
        await shop.caller.post("/v1/campaigns", shop.line_item(), headers=headers),
    ]
    assert [answer.status for answer in others] == [422] * 5
    assert (await shop.caller.get(f"/v1/line-items/{made.body['id']}")).body["version"] == 1
    theirs = await rival.caller.post("/v1/line-items", rival.line_item(), headers=headers)
    assert (theirs.status, theirs.body["advertiser_id"]) == (201, rival.advertiser["id"])
    assert "Idempotency-Replayed" not in theirs.headers


async def test_deep_and_odd_documents_are_refused_on_every_way_in(api: Api, shop: Shop) -> None:
    deep: Any = 1
    for _ in range(600):
        deep = {"a": deep}
    path = f"/v1/advertisers/{shop.advertiser['id']}"
    owner = await api.caller()
    await api.publisher.start()
    for document in ({"caps": deep}, {"name": {"a": deep}}, {"nothing": [deep]}):
        operations = [{"action": "create", "document": document}, {"action": "patch", "id": 1, "patch": document}]
        refused = [
            await owner.post("/v1/advertisers", document),
            await owner.patch(path, document),
            await owner.post(f"{path}/copy", document),
            await owner.post("/v1/advertisers/bulk", {"operations": operations, "atomic": True}),
            await owner.post("/v1/explain", {"exchange": "ssp", "request": document}),
        ]
        assert {answer.status for answer in refused} <= {400, 404, 422}, [answer.body for answer in refused]
