"""The console's pages over HTTP: who gets in, what he sees and changes, what nobody gets past."""

import re
from urllib.parse import quote

from admin.console.kinds import PAGES
from core.clock import ManualClock
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api
from tests.kit.console import PASSWORD, Browser, person

LIST_PAGES = [f"/{name}" for name in PAGES]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def test_without_a_session_every_page_leads_to_the_login(api: Api) -> None:
    stranger = Browser(api.client)
    own = ["/", "/attention", "/explain", "/start", "/account", "/reports", "/reports.csv", "/reports.xlsx", "/figures"]
    own += ["/live", "/live/rows", "/given-up", "/line-items/1/hours", "/approvals", "/reports/saved"]
    own += ["/line-items/1/recorded", "/line-items/1/forecast", "/advertisers/1/audiences", "/exchanges/1/traffic"]
    own += ["/advertisers/1/customers", "/advertisers/1/shop", "/advertisers/1/events", "/creatives/1/ad", "/visitors"]
    own += ["/line-items/1/delivery", "/line-items/1/findings", "/feeds/1/runs"]
    for path in (*own, *LIST_PAGES, "/line-items/1", "/line-items.csv"):
        answer = await stranger.get(path)
        assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/login"), path
    for path in ("/line-items", "/line-items/1", "/line-items/1/pause", "/start", "/explain", "/logout", "/approvals",
                 "/reports/saved", "/start/count", "/start/forecast", "/advertisers/1/customers"):  # fmt: skip
        assert (await stranger.post(path, {"name": "x"})).headers["Location"] == "/login", path


async def test_the_login_leads_back_and_nowhere_else(api: Api) -> None:
    await person(api)
    browser = Browser(api.client)
    wanted = await browser.get("/line-items?q=a%26b")
    login = await browser.get(wanted.headers["Location"])
    assert dict(login.fields)["next"] == "/line-items?q=a%26b"
    form = {"email": "ada@szpilka.example", "password": PASSWORD}
    assert (await browser.post("/login", form | {"next": "//evil.example"})).headers["Location"] == "/"
    answer = await browser.post("/login", form | {"next": "/line-items?q=a%26b"})
    assert answer.headers["Location"] == "/line-items?q=a%26b"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_a_wrong_password_says_so_and_failures_are_counted(api: Api) -> None:
    await person(api)
    browser = Browser(api.client)
    wrong = await browser.post("/login", {"email": "ada@szpilka.example", "password": "wrong wrong wrong"})
    assert wrong.status == 401
    assert "the address or the password is wrong" in wrong.text
    for _ in range(5):
        await browser.post("/login", {"email": "ada@szpilka.example", "password": "wrong wrong wrong"})
    assert (await browser.post("/login", {"email": "ada@szpilka.example", "password": PASSWORD})).status == 429


async def test_the_setup_link_makes_the_first_administrator_once(api: Api) -> None:
    token = await api.accounts.make_setup_link()
    browser = Browser(api.client)
    path = f"/setup?token={quote(token)}"
    short = await browser.fill(path, {"name": "Ada", "email": "ada@szpilka.example", "password": "short"})
    assert short.status == 422
    assert dict(short.fields)["email"] == "ada@szpilka.example"
    made = await browser.fill(path, {"name": "Ada", "email": "ada@szpilka.example", "password": PASSWORD})
    assert (made.status, made.headers["Location"]) == (303, "/")
    assert (await browser.get("/")).status == 200
    used = await browser.get(path)
    assert used.status == 410
    assert "used up or too old" in used.text
    assert (
        await Browser(api.client).post(
            "/setup", {"token": token, "email": "b@b.example", "name": "B", "password": PASSWORD}
        )
    ).status == 401


async def test_writes_need_the_forms_token_and_our_own_page(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    path = f"/line-items/{line_item['id']}/pause"
    assert (await browser.post(path, {})).status == 403
    assert (await browser.post(path, {"csrf": "x" * 43})).status == 403
    csrf = await browser.csrf()
    assert (await browser.post(path, {"csrf": csrf}, Sec_Fetch_Site="cross-site")).status == 403
    assert (await browser.post(path, {"csrf": csrf}, Content_Type="text/plain")).status in (403, 415)
    assert (await shop.caller.get(f"/v1/line-items/{line_item['id']}")).body["status"] == "active"
    assert (await browser.post(path, {"csrf": csrf})).status == 303
    assert (await shop.caller.get(f"/v1/line-items/{line_item['id']}")).body["status"] == "paused"


async def test_every_page_shows_its_objects_and_carries_its_headers(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item(name="Abandoned carts"))
    browser = await person(api)
    paths = [
        "/",
        "/attention",
        "/explain",
        "/start",
        "/account",
        "/figures",
        "/live",
        "/given-up",
        *LIST_PAGES,
        *(f"/{name}/new" for name in PAGES),
    ]
    paths += [f"/line-items/{line_item['id']}", f"/line-items/{line_item['id']}/delivery"]
    paths += [f"/campaigns/{shop.campaign['id']}", f"/creatives/{shop.creative['id']}"]
    for path in paths:
        answer = await browser.get(path)
        assert answer.status == 200, (path, answer.text[-500:])
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text), path
        assert not re.search(r"<script(?![^>]*\ssrc=)", answer.text), path
    assert "Abandoned carts" in (await browser.get("/line-items")).text


async def test_texts_of_advertisers_are_escaped_everywhere(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item(name=HOSTILE, notes=HOSTILE))
    browser = await person(api)
    searched = f"/line-items?q={quote(HOSTILE)}"
    one = f"/line-items/{line_item['id']}"
    for path in ("/", "/line-items", searched, one, f"{one}/delivery", f"/explain?exchange={quote(HOSTILE)}"):
        text = (await browser.get(path)).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path


async def test_one_shops_people_find_nothing_of_another(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    theirs = await rival.caller.made("/v1/line-items", rival.line_item(name="hidden plan"))
    segment = {"advertiser_id": rival.advertiser["id"], "name": "hidden segment", "rule": "last_visit in 7d"}
    their_segment = await rival.caller.made("/v1/segments", segment)
    browser = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    seen = []
    for path in ("/", "/explain", "/start", *LIST_PAGES, *(f"/{name}/new" for name in PAGES)):
        answer = await browser.get(path)
        seen.append(answer.status)
        assert "hidden plan" not in answer.text, path
        assert "hidden segment" not in answer.text, path
        assert "rival" not in answer.text, path
    assert 200 in seen
    assert 403 in seen  # people and keys are an administrator's
    missing = await browser.get("/line-items/4000000000")
    for path in (
        f"/line-items/{theirs['id']}",
        f"/line-items/{theirs['id']}/delivery",
        f"/segments/{their_segment['id']}",
    ):
        answer = await browser.get(path)
        assert answer.status == missing.status == 404
    csrf = await browser.csrf()
    for action in ("pause", "archive", "copy", "undo"):
        assert (await browser.post(f"/line-items/{theirs['id']}/{action}", {"csrf": csrf})).status == 404
    bulk = [("csrf", csrf), ("action", "pause"), ("id", str(theirs["id"]))]
    assert (await browser.post("/line-items", bulk)).status == 404
    assert (await browser.get("/attention")).status == 403
    assert (await rival.caller.get(f"/v1/line-items/{theirs['id']}")).body["status"] == "active"
    assert "hidden plan" not in (await browser.get("/line-items.csv?q=hidden")).text


async def test_a_reader_sees_forms_that_cannot_be_sent(api: Api, shop: Shop) -> None:
    browser = await person(api, "read")
    page = await browser.get(f"/campaigns/{shop.campaign['id']}")
    assert page.status == 200
    assert ">Save<" not in page.text
    csrf = await browser.csrf()
    assert (await browser.post(f"/campaigns/{shop.campaign['id']}", {"csrf": csrf, "name": "mine"})).status == 403


async def test_a_form_changes_what_was_changed_and_nothing_else(api: Api, shop: Shop) -> None:
    targeting = {"countries": ["POL"], "domains_deny": ["bad.example"], "hours_of_week": [1, 2]}
    document = shop.line_item(
        targeting=targeting, cart={"margin_ppm": 60_000}, caps=[{"impressions": 3, "window_s": 3600}]
    )
    before = await shop.caller.made("/v1/line-items", document)
    browser = await person(api)
    path = f"/line-items/{before['id']}"
    unchanged = await browser.fill(path, {})
    assert unchanged.status == 303
    assert (await shop.caller.get(f"/v1{path}")).body["version"] == before["version"]
    saved = await browser.fill(path, {"bid": "5,50", "caps": "4/1d, 1/30m banner", "targeting.countries": "POL, DEU"})
    assert saved.status == 303
    after = (await shop.caller.get(f"/v1{path}")).body
    assert after["bid"]["amount"] == "5.50"
    assert after["caps"] == [
        {"impressions": 4, "window_s": 86_400, "format": None},
        {"impressions": 1, "window_s": 1_800, "format": "banner"},
    ]
    assert (await browser.get(path)).text.count("4/1d, 1/30m banner") == 1
    assert after["targeting"]["countries"] == ["POL", "DEU"]
    changed = {"bid", "caps", "targeting", "version", "updated_at", "warnings"}
    assert {name: after[name] for name in after if name not in changed} == {
        name: before[name] for name in before if name not in changed
    }
    assert after["targeting"]["domains_deny"] == ["bad.example"]


async def test_a_refused_form_keeps_what_was_typed_and_says_where(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    path = f"/line-items/{line_item['id']}"
    refused = await browser.fill(path, {"bid": "9.999", "name": "kept text"})
    assert refused.status == 422
    assert ("name", "kept text") in refused.fields
    assert re.search(r'id="f-bid-fault" class="fault">[^<]+<', refused.text)
    nonsense = await browser.fill(path, {"daily_budget.spend": "lots"})
    assert nonsense.status == 422
    assert "12.50" in nonsense.text


async def test_somebody_elses_change_meanwhile_is_not_overwritten(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    path = f"/line-items/{line_item['id']}"
    page = await browser.get(path)
    await shop.caller.patch(f"/v1{path}", {"name": "changed meanwhile"})
    stale = await browser.post(path, [*((n, v) for n, v in page.fields if n != "name"), ("name", "mine")])
    assert stale.status == 409
    assert (await shop.caller.get(f"/v1{path}")).body["name"] == "changed meanwhile"


async def test_a_cell_is_edited_in_the_list(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    csrf = await browser.csrf()
    path = f"/line-items/{line_item['id']}/cell"
    cell = await browser.post(path, {"csrf": csrf, "path": "bid", "bid": "3,20"}, HX_Request="true")
    assert cell.status == 200
    assert 'value="3.20"' in cell.text
    assert "<html" not in cell.text
    refused = await browser.post(path, {"csrf": csrf, "path": "bid", "bid": "much"}, HX_Request="true")
    assert 'aria-invalid="true"' in refused.text
    plain = await browser.post(path, {"csrf": csrf, "path": "bid", "bid": "3.30", "back": "/line-items?q=line"})
    assert (plain.status, plain.headers["Location"]) == (303, "/line-items?q=line")
    elsewhere = await browser.post(path, {"csrf": csrf, "path": "bid", "bid": "3.30", "back": "//evil.example"})
    assert elsewhere.headers["Location"] == "/line-items"
    assert (await browser.post(path, {"csrf": csrf, "path": "targeting", "targeting": "{}"})).status == 422
    assert (await shop.caller.get(f"/v1/line-items/{line_item['id']}")).body["bid"]["amount"] == "3.30"


async def test_many_are_changed_at_once_or_none(api: Api, shop: Shop) -> None:
    ids = [(await shop.caller.made("/v1/line-items", shop.line_item()))["id"] for _ in range(3)]
    browser = await person(api)
    csrf = await browser.csrf()
    form = [("csrf", csrf), ("action", "pause"), *(("id", str(one)) for one in ids)]
    assert (await browser.post("/line-items", [*form, ("id", "999999")])).status == 404
    found = (await shop.caller.get("/v1/line-items")).body["items"]
    assert {item["status"] for item in found} == {"active"}
    assert (await browser.post("/line-items", form)).status == 303
    found = (await shop.caller.get("/v1/line-items")).body["items"]
    assert {item["status"] for item in found} == {"paused"}


async def test_the_last_change_is_undone(api: Api, shop: Shop) -> None:
    first = await shop.caller.made("/v1/line-items", shop.line_item(targeting={"countries": ["POL"]}))
    path = f"/line-items/{first['id']}"
    browser = await person(api)
    csrf = await browser.csrf()
    nothing = await browser.post(f"{path}/undo", {"csrf": csrf})
    assert nothing.status == 409
    await shop.caller.patch(
        f"/v1{path}", {"bid": {"amount": "9.00"}, "targeting": {"countries": ["DEU"]}, "name": "new"}
    )
    assert (await browser.post(f"{path}/undo", {"csrf": csrf})).status == 303
    undone = (await shop.caller.get(f"/v1{path}")).body
    for name in ("bid", "targeting", "name", "daily_budget", "caps"):
        assert undone[name] == first[name], name
    await browser.post(f"{path}/pause", {"csrf": csrf})
    await browser.post(f"{path}/undo", {"csrf": csrf})
    assert (await shop.caller.get(f"/v1{path}")).body["status"] == "active"
    await browser.post(f"{path}/archive", {"csrf": csrf})
    assert (await browser.post(f"{path}/undo", {"csrf": csrf})).status == 409


async def test_a_csv_holds_no_formulas(api: Api, shop: Shop) -> None:
    for name in ("=HYPERLINK(1)", "+1", "-1", "@x", "plain"):
        await shop.caller.made("/v1/line-items", shop.line_item(name=name))
    browser = await person(api)
    answer = await browser.get("/line-items.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    cells = [line.split(",")[2] for line in answer.text.splitlines()[1:]]
    assert sorted(cells) == sorted(["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "plain"])


async def test_a_rule_is_counted_beside_its_text(api: Api, shop: Shop) -> None:
    browser = await person(api)
    form = {"csrf": await browser.csrf(), "advertiser_id": str(shop.advertiser["id"])}
    counted = await browser.post("/count", form | {"rule": "last_visit in 7d"})
    assert re.search(r"Visitors now:\s+<strong>0</strong>", counted.text), counted.text
    wrong = await browser.post("/count", form | {"rule": "last_vist in 7d"})
    assert wrong.status == 200
    assert "last_visit" in wrong.text
    assert (await browser.post("/count", {"rule": "last_visit in 7d"})).status == 403
    foreign = await browser.post("/count", form | {"advertiser_id": "4000000000", "rule": "last_visit in 7d"})
    assert "there is no advertiser" in foreign.text


async def test_what_a_shop_sends_and_has(api: Api, shop: Shop) -> None:
    feed = {"advertiser_id": shop.advertiser["id"], "name": "products", "url": "https://szpilka.example/feed.xml"}
    made = await shop.caller.made("/v1/feeds", feed)
    browser = await person(api)
    path = f"/advertisers/{shop.advertiser['id']}/shop"
    assert (await browser.get(path)).status == 200
    assert (await browser.get(f"{path}?q=%00")).status == 422
    runs = f"/feeds/{made['id']}/runs"
    assert "was not loaded yet" in (await browser.get(runs)).text
    asked = await browser.post(runs, {"csrf": await browser.csrf()})
    assert asked.headers["Location"] == f"{runs}?asked"
    for missing in ("/advertisers/4000000000/shop", "/feeds/4000000000/runs"):
        assert (await browser.get(missing)).status == 404


async def test_the_card_of_a_visitor_is_for_administrators(api: Api, shop: Shop) -> None:
    browser = await person(api)
    assert (await browser.get("/visitors")).status == 200
    unknown = "A" * 22
    assert "Nothing is stored" in (await browser.get(f"/visitors?id={unknown}")).text
    assert (await browser.get("/visitors?id=%3Cscript%3E")).status == 422
    erased = await browser.post("/visitors", {"csrf": await browser.csrf(), "id": unknown})
    assert erased.status == 200, erased.text
    assert (await browser.post("/visitors", {"id": unknown})).status == 403
    exported = await browser.get(f"/visitors?id={unknown}&export")
    assert exported.headers["Content-Type"].startswith("application/json")
    assert "attachment" in exported.headers["Content-Disposition"]


async def test_one_shops_people_do_not_see_visitors_and_other_shops_data(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    feed = {"advertiser_id": rival.advertiser["id"], "name": "hidden", "url": "https://rival.example/feed.xml"}
    theirs = await rival.caller.made("/v1/feeds", feed)
    browser = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    assert (await browser.get(f"/advertisers/{shop.advertiser['id']}/shop")).status == 200
    assert (await browser.get(f"/advertisers/{rival.advertiser['id']}/shop")).status == 404
    assert (await browser.get(f"/feeds/{theirs['id']}/runs")).status == 404
    csrf = await browser.csrf()
    assert (await browser.post(f"/feeds/{theirs['id']}/runs", {"csrf": csrf})).status == 404
    counted = {"csrf": csrf, "advertiser_id": str(rival.advertiser["id"]), "rule": "last_visit in 7d"}
    assert "there is no advertiser" in (await browser.post("/count", counted)).text
    assert (await browser.get(f"/visitors?id={'A' * 22}")).status == 403
    assert (await browser.post("/visitors", {"csrf": csrf, "id": "A" * 22})).status == 403


async def test_the_language_is_chosen_and_kept(api: Api) -> None:
    browser = await person(api)
    assert "Przegląd" not in (await browser.get("/")).text
    browser.headers["Accept-Language"] = "pl-PL,pl;q=0.9"
    assert '<html lang="pl">' in (await browser.get("/")).text
    answer = await browser.post("/language", {"language": "en", "next": "/line-items"})
    assert answer.headers["Location"] == "/line-items"
    assert '<html lang="en">' in (await browser.get("/")).text
    assert (await browser.post("/language", {"language": "xx", "next": "//evil.example"})).headers["Location"] == "/"


async def test_an_explanation_names_line_items_and_reasons(api: Api, shop: Shop, clock: ManualClock) -> None:
    owner = await api.caller()
    await owner.made("/v1/exchanges", {"key": "demo", "name": "Demo"})
    await shop.caller.made("/v1/line-items", shop.line_item(name="Only in Germany", targeting={"countries": ["DEU"]}))
    await api.publisher.publish()
    browser = await person(api)
    answer = await browser.fill("/explain", {})
    assert answer.status == 200, answer.text
    assert "Only in Germany" in answer.text
    broken = await browser.fill("/explain", {"request": "{"})
    assert broken.status == 422
    assert "not JSON" in broken.text
    unknown = await browser.fill("/explain", {"exchange": "nobody"})
    assert unknown.status == 404


async def test_a_new_key_is_shown_once(api: Api) -> None:
    browser = await person(api)
    made = await browser.fill("/api-keys/new", {"name": "reports", "scopes": "read"})
    assert made.status == 200, made.text
    secret = re.search(r'value="(grosz_[^"]+)"', made.text)
    assert secret
    link = next(link for link in made.links if link.startswith("/api-keys/") and link[10:].isdigit())
    assert secret[1] not in (await browser.get(link)).text


async def test_the_session_ends_with_the_logout(api: Api) -> None:
    browser = await person(api)
    cookies = dict(browser.cookies)
    answer = await browser.post("/logout", {"csrf": await browser.csrf()})
    assert answer.headers["Location"] == "/login"
    browser.cookies = cookies
    assert (await browser.get("/")).headers["Location"] == "/login"


async def test_scripts_and_styles_are_ours_and_kept_for_a_year(api: Api) -> None:
    browser = await person(api)
    text = (await browser.get("/")).text
    addresses = re.findall(r'(?:src|href)="(/console/[^"]+)"', text)
    assert len(addresses) == 8
    assert not re.search(r'(?:src|href)="(https?:)?//', text)
    for address in addresses:
        answer = await browser.get(address)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
    assert (await browser.get("/console/000000000000/console.css")).status == 404
    assert (await browser.get(f"{addresses[0].rsplit('/', 1)[0]}/..%2f..%2fapp.py")).status == 404
