"""The console where something is odd: nonsense in forms, Redis away, sessions that end, ads that are hostile."""

import html
import re
from typing import Any
from urllib.parse import quote

import pytest

from admin.store.ledger import SqlLedgerStore
from core.clock import ManualClock
from loadtest.exchange.faults import TcpProxy
from pacing.bank.bank import calendar
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, running_api
from tests.kit.console import PASSWORD, Browser, person
from tests.kit.ledger_rows import a_row

LONG = "9" * 5_000


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/line-items", {"action": "pause", "id": "²"}),
        ("/line-items", {"action": "pause", "id": LONG}),
        ("/line-items", {"action": "pause"}),
        ("/explain", {"exchange": "demo", "request": "{}", "line_item_id": "²"}),
        ("/explain", {"exchange": "demo", "request": "{}", "line_item_id": LONG}),
        ("/explain", {"exchange": "demo", "request": "[" * 100_000}),
        ("/explain", {"exchange": "demo", "request": '{"a":' * 3_000 + "1" + "}" * 3_000}),
        ("/explain", {"exchange": "demo", "request": '{"a":"\\ud800"}'}),
        ("/start", {"size": "²x²"}),
        ("/start", {"advertiser_id": f"1{LONG}"}),
        ("/line-items/new", {"name": "x", "cart": "[" * 100_000}),
        ("/line-items/new", {"name": "x", "cart": '"\\ud800"'}),
        ("/line-items/new", {"name": "x", "start": "0001-01-01T00:00+14:00"}),
    ],
)
async def test_forms_of_nonsense_are_refused_and_never_a_fault(
    api: Api, shop: Shop, path: str, changes: dict[str, str]
) -> None:
    browser = await person(api)
    owner = {"csrf": await browser.csrf(), "advertiser_id": str(shop.advertiser["id"])}
    assert (await browser.post(path, owner | changes)).status == 422


async def test_numbers_that_int_refuses_are_no_fault(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    csrf = await browser.csrf()
    counted = await browser.post("/count", {"csrf": csrf, "advertiser_id": f"00000000001{LONG}", "rule": "x"})
    assert "choose an advertiser first" in counted.text
    saved = await browser.post(f"/line-items/{line_item['id']}", {"csrf": csrf, "version": "²", "name": "kept"})
    assert saved.status == 303


@pytest.mark.parametrize("origin", ["http://[", "null", "https://evil.example", "http://127.0.0.1.evil.example", "x"])
async def test_a_form_of_another_origin_is_refused_where_the_browser_sends_no_metadata(api: Api, origin: str) -> None:
    browser = Browser(api.client)
    browser.headers = {"Origin": origin}
    answer = await browser.post("/login", {"email": "ada@szpilka.example", "password": PASSWORD})
    assert answer.status == 403


async def test_the_language_changes_on_the_page_that_is_seen(api: Api, shop: Shop) -> None:
    token = quote(await api.accounts.make_setup_link())
    stranger = Browser(api.client)
    seen = await stranger.get(f"/setup?token={token}")
    assert dict(seen.fields)["next"] == f"/setup?token={token}"
    form = {"token": token, "name": "", "email": "", "password": "short"}
    refused = await stranger.post("/setup", form)
    assert dict(refused.fields)["next"] == f"/setup?token={token}"
    browser = await person(api)
    for path in ("/line-items?q=a%26b", f"/campaigns/{shop.campaign['id']}"):
        assert ("next", path) in (await browser.get(path)).fields


async def test_a_script_whose_session_is_over_leads_the_whole_page_to_the_login(api: Api) -> None:
    stranger = Browser(api.client)
    answer = await stranger.post("/line-items/1/cell", {"path": "bid", "bid": "1"}, HX_Request="true")
    assert answer.headers["HX-Redirect"] == "/login"
    assert answer.text == ""


async def test_a_saved_form_says_so(api: Api, shop: Shop) -> None:
    browser = await person(api)
    path = f"/campaigns/{shop.campaign['id']}"
    saved = await browser.fill(path, {"name": "renamed"})
    assert "Saved." in (await browser.get(saved.headers["Location"])).text
    assert "Saved." not in (await browser.get(path)).text


async def test_a_csv_holds_every_row_of_the_list_that_is_seen(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    await rival.caller.made("/v1/line-items", rival.line_item())
    operations = [{"action": "create", "document": shop.line_item(name=f"row {number}")} for number in range(620)]
    answer = await shop.caller.post("/v1/line-items/bulk", {"operations": operations})
    assert answer.body["failed"] == 0
    browser = await person(api)
    listed = await browser.get(f"/line-items?advertiser_id={shop.advertiser['id']}")
    (link,) = [link for link in listed.links if ".csv" in link]
    rows = (await browser.get(link)).text.splitlines()[1:]
    assert len({row.split(",")[0] for row in rows}) == 620
    assert "Only of:" in listed.text
    assert "/line-items.csv?q=a%26b%20%C5%BC" in (await browser.get("/line-items?q=a%26b%20%C5%BC")).links
    assert "szpilka" in listed.text
    assert ("advertiser_id", str(shop.advertiser["id"])) in listed.fields  # a search keeps the filter


async def spend(api: Api, clock: ManualClock, advertiser: int, spent: dict[int, tuple[int, int]]) -> None:
    """Books what line items spent today (micros, impressions)."""
    day = calendar("Europe/Warsaw", clock.now_ms()).day
    rows = [
        a_row(f"{1790000000000 + at}-0", line_item_id=one, day=day, charge_micros=micros, impressions=impressions)
        for at, (one, (micros, impressions)) in enumerate(spent.items())
    ]
    await SqlLedgerStore(api.store.database).append(advertiser, rows)


async def test_the_overview_sums_all_line_items_of_an_advertiser(api: Api, shop: Shop, clock: ManualClock) -> None:
    """More than a page of the API, one of them archived since it spent."""
    budget = {"spend": {"amount": "10.00"}}
    operations = [{"action": "create", "document": shop.line_item(daily_budget=budget)} for _ in range(520)]
    made = (await shop.caller.post("/v1/line-items/bulk", {"operations": operations})).body["results"]
    first, last = (await shop.caller.get("/v1/line-items?limit=1")).body["items"][0]["id"], made[-1]["id"]
    await spend(api, clock, shop.advertiser["id"], {first: (1_500_000, 3), last: (2_250_000, 4)})
    await shop.caller.post(f"/v1/line-items/{first}/archive", {})
    browser = await person(api)
    text = re.sub(r"\s+|&nbsp;", " ", (await browser.get("/")).text)
    assert "PLN3.75" in text
    assert 'class="number">7</td>' in text
    assert 'class="number">519</td>' in text
    assert "PLN5,190.00" in text
    listed = [link for link in (await browser.get("/")).links if link.endswith("/delivery")]
    assert listed == [f"/line-items/{last}/delivery", f"/line-items/{first}/delivery"]


@pytest.mark.parametrize("trouble", ["cut", "hangs"])
async def test_pages_stand_without_redis(any_database_url: str, valkey: str, clock: ManualClock, trouble: str) -> None:
    proxy = TcpProxy(valkey.partition("://")[2].partition("?")[0])
    address = f"redis://127.0.0.1:{await proxy.start()}"
    async with running_api(any_database_url, address, clock) as api:
        shop = await make_shop(api, "szpilka")
        line_item = await shop.caller.made("/v1/line-items", shop.line_item(name="Abandoned carts"))
        await spend(api, clock, shop.advertiser["id"], {line_item["id"]: (7_250_000, 3)})
        browser = await person(api)
        csrf = await browser.csrf()
        if trouble == "cut":
            proxy.cut()
        else:
            proxy.delay_s = 600
        one = f"/line-items/{line_item['id']}"
        for path in ("/", f"{one}/delivery", f"/advertisers/{shop.advertiser['id']}/shop"):
            answer = await browser.get(path)
            assert answer.status == 200, path
            assert "Redis does not answer" in answer.text, path
        assert "7.25" in (await browser.get("/")).text  # the ledger knows
        for path in ("/line-items", one, "/attention"):
            assert (await browser.get(path)).status == 200, path
        assert (await browser.get(f"{one}/findings")).status in (200, 503)
        form = {"csrf": csrf, "advertiser_id": str(shop.advertiser["id"]), "rule": "last_visit in 7d"}
        assert 'class="fault"' in (await browser.post("/count", form)).text
    await proxy.close()


async def test_a_line_item_that_is_not_published_has_a_page_of_its_delivery(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    await api.publisher.publish()
    await shop.caller.post(f"/v1/line-items/{line_item['id']}/archive", {})
    await api.publisher.publish()
    browser = await person(api)
    assert (await browser.get(f"/line-items/{line_item['id']}/delivery")).status == 200
    found = await browser.get(f"/line-items/{line_item['id']}/findings")
    assert found.status == 200
    assert "The bidders do not have this line item" in found.text


async def test_empty_lists_say_what_would_be_in_them(api: Api, shop: Shop) -> None:
    browser = await person(api)
    empty = await browser.get("/conversions")
    assert "<h1>What counts as a conversion</h1>" in empty.text
    assert "Every purchase counts as a conversion" in empty.text
    assert any(link.startswith("/reports?by=day&measure=conversions") for link in empty.links)
    assert "Every purchase" not in (await browser.get("/conversions?q=x")).text
    assert "A deal is an agreement" in (await browser.get("/deals")).text


async def test_what_a_form_does_not_send_is_kept_and_what_is_unticked_is_cleared(api: Api, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item(several_per_request=True))
    browser = await person(api)
    path = f"/line-items/{line_item['id']}"
    await browser.post(path, {"csrf": await browser.csrf(), "name": "only the name"})
    kept = (await shop.caller.get(f"/v1{path}")).body
    assert (kept["name"], kept["creative_ids"]) == ("only the name", line_item["creative_ids"])
    assert kept["several_per_request"] is True
    page = await browser.get(path)
    unticked = [field for field in page.fields if field not in (("several_per_request", "1"), ("name", ""))]
    assert len(unticked) == len(page.fields) - 1
    await browser.post(path, unticked)
    cleared = (await shop.caller.get(f"/v1{path}")).body
    assert (cleared["several_per_request"], cleared["creative_ids"]) == (False, line_item["creative_ids"])


async def test_an_ad_is_previewed_without_rights(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    markup = '<a href="${CLICK_URL}" data-e="${CLICK_URL_ENC}"><script>1</script>ad</a>'
    creative = {name: shop.creative[name] for name in ("advertiser_id", "width", "height", "landing_url")}
    made = await shop.caller.made(
        "/v1/creatives", creative | {"name": "ad", "html": markup, "advertiser_domain": "a.b"}
    )
    path = f"/creatives/{made['id']}/ad"
    browser = await person(api, "read", advertisers=(shop.advertiser["id"],))
    seen = await browser.get(path)
    assert seen.status == 200
    policy = seen.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy
    assert "connect-src 'none'" in policy
    assert seen.headers["Referrer-Policy"] == "no-referrer"
    assert '<a href="https://szpilka.example/" data-e="https%3A%2F%2Fszpilka.example%2F"><script>' in seen.text
    page = await browser.get(f"/creatives/{made['id']}")
    assert f'src="{path}" sandbox="allow-scripts"' in page.text
    assert "<script>1" not in page.text
    missing = await browser.get("/creatives/4000000000/ad")
    assert (await browser.get(f"/creatives/{rival.creative['id']}/ad")).status == missing.status == 404
    assert (await Browser(api.client).get(path)).headers["Location"].startswith("/login")


async def test_faults_of_a_form_are_told_in_polish_and_escaped(api: Api, shop: Shop) -> None:
    browser = await person(api)
    browser.cookies["grosz_language"] = "pl"
    owner = {"csrf": await browser.csrf(), "advertiser_id": str(shop.advertiser["id"])}
    hook = await browser.post("/webhooks/new", owner | {"name": "Anna", "mail": "<b>@x", "url": ""})
    assert "to nie jest adres e-mail" in hook.text
    creative = await browser.post("/creatives/new", owner | {"name": "ad", "width": "x", "height": "250"})
    assert "wpisz liczbę całkowitą" in creative.text
    creative = await browser.post(
        "/creatives/new", owner | {"name": "ad", "width": "300", "height": "250", "landing_url": "<i>"}
    )
    assert "&lt;i&gt;&#39; ma złą postać: Pełny adres http lub https." in creative.text
    document = {
        "name": "x",
        "campaign_id": str(shop.campaign["id"]),
        "bid": "0",
        "max_cpm": "1",
        "end": "2020-01-01T00:00",
    }
    line_item = await browser.post("/line-items/new", owner | document)
    assert "stawka musi być większa od zera: aby przestać licytować, wstrzymaj linię" in line_item.text
    assert "must be" not in line_item.text
    missing = await browser.get("/line-items/4711")
    assert "nie ma obiektu: linia 4711" in missing.text


async def test_faults_of_a_new_campaign_name_the_inputs_that_people_see(api: Api, shop: Shop) -> None:
    browser = await person(api)
    browser.cookies["grosz_language"] = "pl"
    ad = {
        "size": "300x250",
        "image_url": "x",
        "landing_url": "https://szpilka.example/",
        "max_cpm": "40",
        "goal": "cpc",
    }
    sent = ad | {
        "csrf": await browser.csrf(),
        "advertiser_id": "new",
        "currency": "PLN",
        "audience": "everybody",
        "goal": "cpc",
    }
    no_bid = await browser.post("/start", sent | {"shop": "Obcas"})
    assert '<a href="#bid">i jest dla Ciebie wart' in no_bid.text
    no_shop = await browser.post("/start", sent | {"bid": "1", "landing_url": "nowhere"})
    assert '<a href="#shop">' in no_shop.text
    assert "/name:" not in no_shop.text
    no_image = await browser.post("/start", sent | {"bid": "1", "shop": "Obcas"})
    assert '<a href="#image_url">Adres obrazu</a>' in no_image.text


async def test_the_log_in_of_a_new_installation_says_how_the_first_person_comes_in(api: Api) -> None:
    browser = Browser(api.client)
    assert "Nobody can log in yet" in (await browser.get("/login")).text
    await person(api)
    assert "Nobody can log in yet" not in (await Browser(api.client).get("/login")).text


async def test_a_campaign_that_is_begun_in_polish_has_polish_names_and_the_shop_s_page_the_tag(
    api: Api, shop: Shop
) -> None:
    browser = await person(api)
    browser.cookies["grosz_language"] = "pl"
    ad = {"size": "300x250", "image_url": "https://szpilka.example/a.png", "landing_url": "https://szpilka.example/"}
    sent = ad | {"csrf": await browser.csrf(), "advertiser_id": str(shop.advertiser["id"]), "audience": "buyers"}
    made = await browser.post("/start", sent | {"goal": "cpc", "bid": "1", "max_cpm": "9", "action": "make"})
    assert made.status == 303, made.text
    (segment,) = (await shop.caller.get("/v1/segments")).body["items"]
    assert segment["name"] == "Kupujący"
    page = (await browser.get(f"/advertisers/{shop.advertiser['id']}/shop")).text
    assert f'https://track.example/tag.js" data-advertiser="{shop.advertiser["id"]}"' in html.unescape(page)


async def test_an_address_with_a_capital_letter_sets_up_and_logs_in(api: Api) -> None:
    browser = Browser(api.client)
    token = await api.accounts.make_setup_link()
    sent = {"token": token, "email": " Ada@Szpilka.example", "name": "Ada", "password": PASSWORD}
    assert (await browser.post("/setup", sent)).status == 303
    again = await Browser(api.client).post("/login", {"email": "ADA@szpilka.example ", "password": PASSWORD})
    assert again.status == 303


async def test_a_value_is_set_for_all_that_are_chosen_or_for_none(api: Api, shop: Shop) -> None:
    ids = [(await shop.caller.made("/v1/line-items", shop.line_item()))["id"] for _ in range(3)]
    browser = await person(api)
    chosen = [("csrf", await browser.csrf()), ("action", "set"), *(("id", str(one)) for one in ids)]

    async def values(member: str) -> list[Any]:
        return [item[member] for item in (await shop.caller.get("/v1/line-items")).body["items"]]

    page = (await browser.get("/line-items")).text
    assert '<option value="daily_budget.spend">' in page
    assert 'name="action" value="set"' not in (await browser.get("/segments")).text
    refused = await browser.post("/line-items", [*chosen, ("id", "999999"), ("path", "bid"), ("value", "4,50")])
    assert refused.status == 404
    assert {bid["amount"] for bid in await values("bid")} != {"4.50"}
    for path, value in (("bid", "4,50"), ("daily_budget.spend", "120"), ("end", "2027-03-01 12:00")):
        answer = await browser.post("/line-items", [*chosen, ("path", path), ("value", value)])
        assert answer.status == 303, answer.text
    assert [bid["amount"] for bid in await values("bid")] == ["4.50"] * 3
    assert [budget["spend"]["amount"] for budget in await values("daily_budget")] == ["120.00"] * 3
    assert [end[:16] for end in await values("end")] == ["2027-03-01T12:00"] * 3
    assert (await browser.post("/line-items", [*chosen, ("path", "end"), ("value", "")])).status == 303
    assert await values("end") == [None] * 3
    for path, value in (("bid", "lots"), ("targeting", "{}"), ("bid", "")):
        assert (await browser.post("/line-items", [*chosen, ("path", path), ("value", value)])).status == 422
    assert [bid["amount"] for bid in await values("bid")] == ["4.50"] * 3


async def test_a_refused_change_of_many_comes_back_in_the_list_with_what_was_ticked(api: Api, shop: Shop) -> None:
    first, second = [(await shop.caller.made("/v1/line-items", shop.line_item()))["id"] for _ in range(2)]
    browser, back = await person(api), "/line-items?q=&sort=name"
    form = [("csrf", await browser.csrf()), ("back", back), ("action", "set"), ("path", "bid"), ("value", "lots")]
    nobody = await browser.post("/line-items", form)
    assert "no row is chosen" in nobody.text
    assert ("id", str(first)) not in nobody.fields
    refused = await browser.post("/line-items", [*form, ("id", str(first))])
    assert (refused.status, "<li>Bid: write an amount like 12.50" in refused.text) == (422, True)
    assert ("id", str(first)) in refused.fields
    assert ("id", str(second)) not in refused.fields
    assert {("path", "bid"), ("value", "lots"), ("sort", "name"), ("back", back)} <= set(refused.fields)
    changed = await browser.post("/line-items", [*form, ("value", "3"), ("id", str(first)), ("id", str(second))])
    page = await browser.get(changed.headers["Location"])
    assert "Rows that were changed: 2" in page.text
    assert ("sort", "name") in page.fields
    assert not [link for link in page.links if "changed" in link]


async def test_unknown_addresses_and_objects_are_pages_with_links(api: Api, shop: Shop) -> None:
    browser = await person(api)
    assert (await browser.get("/nothing")).headers["Content-Type"].startswith("application/problem+json")
    browser.headers["Accept"] = "text/html,*/*"
    missing = await browser.get("/nothing/here")
    assert (missing.status, "there is no such page" in missing.text, "/campaigns" in missing.links) == (404, True, True)
    gone = await browser.get("/line-items/999")
    assert (gone.status, gone.links.count("/line-items") > 1, "GET /v1" in gone.text) == (404, True, False)
    assert (await browser.get("/v1/nothing")).headers["Content-Type"].startswith("application/problem+json")


async def test_a_refused_cell_keeps_what_was_typed(api: Api, shop: Shop) -> None:
    item = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    form = {"csrf": await browser.csrf(), "path": "bid", "bid": "lots"}
    cell = await browser.post(f"/line-items/{item['id']}/cell", form, HX_Request="true")
    assert 'value="lots"' in cell.text
    assert "write an amount like 12.50" in cell.text


async def test_rights_are_ticked_and_all_faults_of_a_person_are_told_at_once(api: Api) -> None:
    browser = await person(api)
    form = await browser.get("/users/new")
    assert [text for name, text in form.fields if name == "scopes"] == ["", "read"]
    typed = [("csrf", dict(form.fields)["csrf"]), ("name", "Jan"), ("email", "jan"), ("password", "short")]
    refused = await browser.post("/users/new", [*typed, ("scopes", ""), ("scopes", "read"), ("scopes", "trade")])
    assert refused.status == 422
    assert '<a href="#f-password">New password</a>: at least 12 characters are needed' in refused.text
    assert '<a href="#f-email">E-mail address</a>:' in refused.text
    assert [text for name, text in refused.fields if name == "scopes"] == ["", "read", "trade"]
    good = {"email": "jan@szpilka.example", "password": PASSWORD}
    made = await browser.post("/users/new", [*typed, *good.items(), ("scopes", "read"), ("scopes", "trade")])
    assert made.status == 303, made.text
    people = (await (await api.caller()).get("/v1/users?sort=-id")).body["items"]
    assert people[0]["scopes"] == ["read", "trade"]


async def test_what_needs_attention_leads_to_where_it_is_mended(api: Api, shop: Shop) -> None:
    await api.publisher.publish()
    browser = await person(api)
    page = await browser.get("/attention")
    assert '<a href="/line-items">line items</a>' in page.text, page.text
    assert '<a href="/feeds">products</a>' in page.text
    browser.cookies["grosz_language"] = "pl"
    assert '<a href="/feeds">produkty</a>' in (await browser.get("/attention")).text


async def test_a_column_of_an_exchange_goes_back_to_its_dialect(api: Api) -> None:
    owner = await api.caller()
    made = await owner.made("/v1/exchanges", {"key": "ssp", "billing_event": "win", "no_bid_style": "empty"})
    browser, place = await person(api), f"/exchanges/{made['id']}"
    answer = await browser.get(place)
    assert answer.text.count('<option value="">as usual</option>') == 2  # beside the one that is chosen
    await browser.fill(place, {"billing_event": ""})
    kept = (await owner.get(f"/v1{place}")).body
    assert (kept["billing_event"], kept["no_bid_style"]) == (None, "empty")
