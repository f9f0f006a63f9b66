"""Who gets in, and what he can reach: keys, logins, scopes, other advertisers' objects."""

import pytest

from core.clock import ManualClock
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, Caller

PASSWORD = "correct horse battery"


async def _user(api: Api, **changes: object) -> None:
    owner = await api.caller()
    document = {
        "email": "ada@szpilka.example",
        "name": "Ada",
        "scopes": ["read", "trade"],
        "password": PASSWORD,
        **changes,
    }
    await owner.made("/v1/users", document)


async def _login(
    api: Api, password: str = PASSWORD, email: str = "ada@szpilka.example"
) -> "tuple[int, dict[str, object]]":
    answer = await api.anonymous.post("/v1/login", {"email": email, "password": password})
    return answer.status, answer.body


async def test_nothing_is_told_without_a_key(api: Api) -> None:
    for path in ("/v1/advertisers", "/v1/line-items/1", "/v1/me", "/v1/change-log", "/v1/ledger", "/v1/nothing"):
        answer = await api.anonymous.get(path)
        assert answer.status == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    wrong = Caller(api.client, "grosz_wrong")
    assert (await wrong.get("/v1/me")).status == 401


async def test_each_scope_opens_only_its_own(api: Api, shop: Shop) -> None:
    reader = await api.caller("read")
    assert (await reader.get("/v1/line-items")).status == 200
    assert (await reader.post("/v1/line-items", shop.line_item())).status == 403
    assert (await reader.get("/v1/users")).status == 403
    assert (await reader.get("/v1/ledger?advertiser_id=1")).status == 403
    trader = await api.caller("trade")
    assert (await trader.post("/v1/line-items", shop.line_item())).status == 201
    assert (await trader.post("/v1/exchanges", {"key": "x"})).status == 403
    balance = {"balance": {"amount": "10"}}
    assert (await trader.patch(f"/v1/advertisers/{shop.advertiser['id']}", balance)).status == 403
    finance = await api.caller("trade", "finance")
    assert (await finance.patch(f"/v1/advertisers/{shop.advertiser['id']}", balance)).status == 200
    assert (await finance.get("/v1/ledger?advertiser_id=1")).status == 200


async def test_another_advertisers_objects_do_not_exist(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    theirs = await rival.caller.made("/v1/line-items", rival.line_item(name="secret plan", external_id="theirs"))
    objects = [
        f"/v1/line-items/{theirs['id']}",
        f"/v1/campaigns/{rival.campaign['id']}",
        f"/v1/creatives/{rival.creative['id']}",
        f"/v1/advertisers/{rival.advertiser['id']}",
    ]
    for path in objects:
        missing = (await shop.caller.get(path.rsplit("/", 1)[0] + "/4000000000")).body["detail"]
        answers = [
            await shop.caller.get(path),
            await shop.caller.patch(path, {"notes": "mine now"}),
            await shop.caller.call("DELETE", path),
            await shop.caller.post(f"{path}/pause"),
        ]
        assert [answer.status for answer in answers] == [404] * 4, path
        assert answers[0].body["detail"].rstrip("0123456789") == missing.rstrip("0123456789")
    assert (await shop.caller.post(f"/v1/line-items/{theirs['id']}/copy")).status == 404
    for query in ("", "?q=secret", f"?advertiser_id={rival.advertiser['id']}", "?external_id=theirs&status=active"):
        assert (await shop.caller.get(f"/v1/line-items{query}")).body["items"] == []
    log = await shop.caller.get(f"/v1/change-log?advertiser_id={rival.advertiser['id']}")
    assert log.body["items"] == []


async def test_another_advertisers_objects_cannot_be_named(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    named = await shop.caller.post(
        "/v1/line-items", shop.line_item(campaign_id=rival.campaign["id"], creative_ids=[rival.creative["id"], 999])
    )
    assert named.codes == {
        "/campaign_id": "no_such_object",
        "/creative_ids/0": "no_such_object",
        "/creative_ids/1": "no_such_object",
    }
    messages = {error["message"].rstrip("0123456789") for error in named.body["errors"]}
    assert messages == {"there is no campaign ", "there is no creative "}
    foreign = await shop.caller.post("/v1/campaigns", {"advertiser_id": rival.advertiser["id"], "name": "x"})
    assert foreign.codes == {"/advertiser_id": "no_such_object"}
    moved = await shop.caller.patch(f"/v1/creatives/{shop.creative['id']}", {"advertiser_id": rival.advertiser["id"]})
    assert moved.status == 422
    bulk = await shop.caller.post(
        "/v1/creatives/bulk", {"operations": [{"action": "archive", "id": rival.creative["id"]}]}
    )
    assert bulk.body["results"][0]["status"] == 404


async def test_a_restricted_caller_cannot_make_advertisers_or_common_deals(api: Api, shop: Shop) -> None:
    owner = await api.caller()
    exchange = await owner.made("/v1/exchanges", {"key": "ssp"})
    assert (await shop.caller.post("/v1/advertisers", {"name": "Another"})).status == 403
    deal = {"exchange_id": exchange["id"], "deal_id": "D1"}
    assert (await shop.caller.post("/v1/deals", deal)).codes == {"/advertiser_id": "required"}
    common = await owner.made("/v1/deals", deal)
    assert (await shop.caller.get(f"/v1/deals/{common['id']}")).status == 200
    assert (await shop.caller.patch(f"/v1/deals/{common['id']}", {"name": "x"})).status == 403


async def test_a_key_is_shown_once_and_stored_hashed(api: Api) -> None:
    owner = await api.caller()
    headers = {"Idempotency-Key": "make-key"}
    made = await owner.post("/v1/api-keys", {"name": "sync"}, headers=headers)
    secret = made.body["secret"]
    assert secret.startswith(made.body["prefix"])
    assert (await Caller(api.client, secret).get("/v1/me")).body["name"] == "sync"
    assert "secret" not in (await owner.get(f"/v1/api-keys/{made.body['id']}")).body
    assert "secret" not in (await owner.post("/v1/api-keys", {"name": "sync"}, headers=headers)).body
    assert secret not in str((await owner.get("/v1/change-log")).body)
    listed = (await owner.get(f"/v1/api-keys/{made.body['id']}")).body
    assert listed["last_used_at"] is not None


async def test_a_key_ends_by_pause_and_by_time(api: Api, clock: ManualClock) -> None:
    owner = await api.caller()
    made = await owner.made("/v1/api-keys", {"name": "sync", "expires": "2026-12-01T00:00:00Z"})
    program = Caller(api.client, made["secret"])
    assert (await program.get("/v1/me")).status == 200
    await owner.post(f"/v1/api-keys/{made['id']}/pause")
    assert (await program.get("/v1/me")).status == 401
    await owner.post(f"/v1/api-keys/{made['id']}/resume")
    clock.advance(100 * 86_400)
    assert (await program.get("/v1/me")).status == 401


async def test_a_key_has_a_rate_limit_that_says_when_to_come_back(api: Api, clock: ManualClock) -> None:
    program = await api.caller("read", requests_per_minute=3)
    left = [(await program.get("/v1/me")).headers["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    refused = await program.get("/v1/me")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "20")
    clock.advance(20)
    assert (await program.get("/v1/me")).status == 200


async def test_a_login_opens_a_session_and_a_write_needs_its_csrf_token(api: Api) -> None:
    await _user(api)
    status, body = await _login(api)
    assert status == 200
    browser = api.anonymous  # the client keeps the cookie
    assert (await browser.get("/v1/me")).body["name"] == "ada@szpilka.example"
    assert (await browser.post("/v1/campaigns", {})).status == 403
    assert (await browser.post("/v1/campaigns", {}, headers={"X-CSRF-Token": "wrong"})).status == 403
    token = {"X-CSRF-Token": str(body["csrf_token"])}
    assert (await browser.post("/v1/campaigns", {}, headers=token)).status == 422
    assert (await browser.post("/v1/logout", headers=token)).status == 204
    assert (await browser.get("/v1/me")).status == 401


async def test_a_session_cookie_is_for_the_browser_alone(api: Api) -> None:
    await _user(api)
    answer = await api.anonymous.post("/v1/login", {"email": "ada@szpilka.example", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_guessing_a_password_locks_the_account_for_a_while(api: Api, clock: ManualClock) -> None:
    await _user(api)
    statuses = [(await _login(api, f"wrong password {number}"))[0] for number in range(5)]
    assert statuses == [401, 401, 401, 401, 429]
    assert (await _login(api))[0] == 429, "the right password does not help while the account rests"
    clock.advance(61)
    assert (await _login(api))[0] == 200


async def test_unknown_addresses_answer_like_wrong_passwords(api: Api) -> None:
    await _user(api)
    wrong, unknown = await _login(api, "wrong password"), await _login(api, email="eve@szpilka.example")
    assert wrong == unknown


async def test_brute_force_over_many_addresses_is_slowed_down(api: Api) -> None:
    statuses = [(await _login(api, email=f"user{number}@szpilka.example"))[0] for number in range(40)]
    assert statuses[:30] == [401] * 30
    assert set(statuses[30:]) == {429}


async def test_the_setup_link_makes_the_first_administrator_once(api: Api, clock: ManualClock) -> None:
    assert not await api.accounts.has_users()
    token = await api.accounts.make_setup_link()
    document = {"token": token, "email": "root@grosz.example", "name": "Root", "password": "a long password"}
    assert (await api.anonymous.post("/v1/setup", document | {"password": "short"})).status == 422
    assert (await api.anonymous.post("/v1/setup", document)).status == 201
    assert (await api.anonymous.post("/v1/setup", document | {"email": "b@grosz.example"})).status == 401
    status, body = await _login(api, "a long password", "root@grosz.example")
    assert (status, body["advertiser_ids"]) == (200, None)
    late = await api.accounts.make_setup_link()
    clock.advance(25 * 3600)
    assert (await api.anonymous.post("/v1/setup", document | {"token": late})).status == 401


async def test_a_new_password_ends_the_sessions(api: Api) -> None:
    await _user(api)
    await _login(api)
    owner = await api.caller()
    assert (await api.anonymous.get("/v1/me")).status == 200
    assert (await owner.patch("/v1/users/1", {"password": "another password"})).status == 200
    assert (await api.anonymous.get("/v1/me")).status == 401
    assert (await _login(api))[0] == 401


NEW_PASSWORD = "a password of my own"
OWN = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}


async def _browser(api: Api) -> Caller:
    """Somebody with a session of his own, apart from the client's cookies."""
    answer = await api.anonymous.post("/v1/login", {"email": "ada@szpilka.example", "password": PASSWORD})
    caller = Caller(api.client)
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    caller.headers = {"Cookie": cookie, "X-CSRF-Token": answer.body["csrf_token"]}
    api.client.session.cookie_jar.clear()
    return caller


async def test_people_change_their_own_password_and_keep_only_this_session(api: Api) -> None:
    await _user(api)
    one, other = await _browser(api), await _browser(api)
    assert (await one.post("/v1/me/password", OWN)).status == 204
    assert (await one.get("/v1/me")).status == 200
    assert (await other.get("/v1/me")).status == 401
    assert [(await _login(api, password))[0] for password in (PASSWORD, NEW_PASSWORD)] == [401, 200]
    log = (await (await api.caller()).get("/v1/change-log?kind=users")).body["items"]
    row, made = (row for row in log if row["field"] == "password")
    assert made["actor_kind"] == "api_key"
    assert (row["actor_kind"], row["actor_name"], row["action"]) == ("user", "ada@szpilka.example", "update")
    assert (row["old"], row["new"]) == ("***", "***")


async def test_an_administrators_new_password_for_somebody_is_in_the_change_log(api: Api) -> None:
    await _user(api)
    owner = await api.caller()
    assert (await owner.patch("/v1/users/1", {"password": NEW_PASSWORD})).status == 200
    log = (await owner.get("/v1/change-log?kind=users")).body["items"]
    changes = [row for row in log if row["field"] == "password"]
    assert [(row["actor_kind"], row["old"], row["new"]) for row in changes] == [("api_key", "***", "***")] * 2


async def test_a_password_is_changed_only_by_whoever_knows_it(api: Api, clock: ManualClock) -> None:
    await _user(api)
    browser = await _browser(api)
    csrf = browser.headers.pop("X-CSRF-Token")
    assert (await browser.post("/v1/me/password", OWN)).status == 403, "without the CSRF token"
    browser.headers["X-CSRF-Token"] = csrf
    assert (await api.anonymous.post("/v1/me/password", OWN)).status == 401
    assert (await (await api.caller()).post("/v1/me/password", OWN)).status == 403, "a key has no password"
    short = await browser.post("/v1/me/password", OWN | {"new_password": "short"})
    assert "/new_password" in short.codes
    for _ in range(4):
        assert (await browser.post("/v1/me/password", OWN | {"old_password": "x"})).codes == {"/old_password": "wrong"}
    fifth = await browser.post("/v1/me/password", OWN | {"old_password": "x"})
    assert (fifth.status, int(fifth.headers["Retry-After"]) > 0) == (429, True)
    assert (await browser.post("/v1/me/password", OWN)).status == 429, "the right one does not help while it rests"
    assert (await _login(api))[0] == 429
    assert (await browser.get("/v1/me")).status == 200
    clock.advance(61)
    assert (await browser.post("/v1/me/password", OWN)).status == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"name": "\xff"}', 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"name": "a", "notes": "nul\\u0000"}', 422),
        (b'{"name": 1e400}', 400),
        (b'{"name": "' + b"a" * 300 + b'"}', 422),
        (b'{"name": "x", "profile_retention_days": 99999999999999999999999999}', 422),
        (b'{"name": "x", "balance": {"amount": "-1"}}', 422),
        (b'{"name": "x", "balance": {"amount": "1e3"}}', 422),
    ],
)
async def test_odd_bodies_are_refused_with_a_problem(api: Api, body: bytes, status: int) -> None:
    owner = await api.caller()
    headers = owner.headers | {"Content-Type": "application/json"}
    async with api.client.post("/v1/advertisers", data=body, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"


async def test_other_content_types_and_methods_are_refused(api: Api) -> None:
    owner = await api.caller()
    answer = await owner.call("POST", "/v1/advertisers", data=b"<xml/>", headers={"Content-Type": "text/xml"})
    assert answer.status == 415
    assert (await owner.call("PUT", "/v1/advertisers")).status == 405
    for path in ("/v1/advertisers/0", "/v1/advertisers/-1", "/v1/advertisers/99999999999", "/v1/advertisers/a%00b"):
        assert (await owner.get(path)).status == 404, path


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE advertisers; --", "%' OR '1'='1", '<script>alert("x")</script>', "\\", "🦉"]
)
async def test_text_is_only_text(api: Api, text: str) -> None:
    owner = await api.caller()
    made = await owner.made("/v1/advertisers", {"name": text, "external_id": text})
    assert made["name"] == text
    async with api.client.get("/v1/advertisers", params={"name": text}, headers=owner.headers) as response:
        assert [item["id"] for item in (await response.json())["items"]] == [made["id"]]
    async with api.client.get("/v1/advertisers", params={"q": "zzz" + text}, headers=owner.headers) as response:
        assert (await response.json())["items"] == []
