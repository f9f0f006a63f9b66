"""Every route of the console as its router has it, so that a new one is walked too: by strangers, without the token of
the form, with ids of another advertiser, with markup in every name."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from admin.console.kinds import PAGES
from core.clock import ManualClock
from tests.integration.admin.conftest import Shop, make_shop
from tests.integration.admin.test_hostile import one_of_each
from tests.kit.api import Api, Caller, running_api
from tests.kit.console import Browser, Page, person

_NOT_CONSOLE: Final = ("/v1", "/docs", "/openapi.json", "/shared/", "/confirm/", "/console/")
# The ways in: whoever has no session has no token of it.
# The last is what no other route has: a page that says so.
_OPEN: Final = {"/login", "/setup", "/password", "/password/forgotten", "/language", "/{address}"}
_ACTIONS: Final = ("pause", "resume", "archive", "copy", "undo")
_NOBODY: Final = 4_000_000_000
_THEIRS: Final = "zimorodek"
_MARKUP: Final = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
async def api(valkey: str, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    """The console over one engine: its routes are the same over each."""
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as running:
        yield running


def walked(api: Api, method: str, ids: Mapping[str, int]) -> Iterator[str]:
    """The addresses of all routes that are not open; `ids` by kind stand for what the path names."""
    for route in api.client.app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if route.method != method or path.startswith(_NOT_CONSOLE) or path in _OPEN:
            continue
        for kind in PAGES if "{kind}" in path else [path.split("/")[1]]:
            whole = path.replace("{kind}", kind).replace("{id}", str(ids.get(kind, _NOBODY)))
            assert "{" not in whole.replace("{action}", ""), f"what stands in {path}?"
            yield from (whole.replace("{action}", one) for one in _ACTIONS[: None if "{action}" in path else 1])


def ids_of(made: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    return {kind: int(one["id"]) for kind, one in made.items()}


def inline(address: str) -> str:
    """The first value that is edited in the list of an address's kind; "" where there is none."""
    kind = PAGES.get(address.split("/")[1])
    return next((one.field.path for one in (kind.columns if kind else ()) if one.inline), "")


def assert_private(answer: Page, address: str) -> None:
    """No answer is kept by a browser, shown in a frame of another site, or taken for another type."""
    headers = answer.headers
    assert answer.status < 500, (address, answer.text[-300:])
    assert answer.status != 429, address  # a refusal of all that one asks too often is none of what was asked
    assert headers["Cache-Control"] == "no-store", address
    assert headers["X-Content-Type-Options"] == "nosniff", address
    shown_in = "'self'" if address.endswith("/ad") and answer.status == 200 else "'none'"
    assert f"frame-ancestors {shown_in}" in headers["Content-Security-Policy"], address


async def last_change(owner: Caller) -> int:
    return int((await owner.get("/v1/change-log?limit=1")).body["items"][0]["id"])


async def test_a_stranger_is_led_to_the_login_by_every_route(api: Api) -> None:
    stranger = Browser(api.client)
    addresses = [(method, one) for method in ("GET", "POST") for one in walked(api, method, {})]
    assert len(addresses) > 150
    for method, address in addresses:
        answer = await (stranger.get(address) if method == "GET" else stranger.post(address, {"csrf": "x"}))
        assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/login"), address
        assert_private(answer, address)


async def test_no_form_is_taken_without_the_token_of_its_session(api: Api, shop: Shop) -> None:
    made = await one_of_each(api, shop)
    browser, other = await person(api), await person(api, email="bea@szpilka.example")
    owner = await api.caller()
    token, changed = await other.csrf(), await last_change(owner)
    for address in walked(api, "POST", ids_of(made)):
        for fields in ({}, {"csrf": token}):
            sent = {"action": "archive", "id": str(made["line-items"]["id"]), **fields}
            answer = await browser.post(address, sent)
            assert answer.status == 403, (address, fields)
            assert_private(answer, address)
    assert await last_change(owner) == changed


async def test_ids_of_another_advertiser_are_as_unknown_as_those_of_nobody(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, _THEIRS)
    theirs = ids_of(await one_of_each(api, rival))
    browser = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    owner = await api.caller()
    csrf, changed = await browser.csrf(), await last_change(owner)
    for method in ("GET", "POST"):
        pairs = zip(walked(api, method, theirs), walked(api, method, {}), strict=True)
        for address, unknown in (pair for pair in pairs if pair[0] != pair[1]):
            answers = []
            for one in (address, unknown):
                sent = {"csrf": csrf, "path": inline(one)}
                answer = await (browser.get(one) if method == "GET" else browser.post(one, sent))
                assert_private(answer, one)
                answers.append((answer.status, re.sub("[0-9]+", "", answer.text)))
            assert answers[0] == answers[1], address
            refused = (403, 404) if inline(address) or not address.endswith("/cell") else (403, 404, 422)
            assert answers[0][0] in refused, address
    assert await last_change(owner) == changed


async def test_naming_another_advertisers_objects_tells_and_changes_nothing(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, _THEIRS)
    theirs = ids_of(await one_of_each(api, rival))
    browser = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    report = {"name": _THEIRS, "advertiser_id": theirs["advertisers"], "request": {"measures": ["impressions"]}}
    owner = await api.caller()
    saved = (await owner.made("/v1/reports/saved", report))["id"]
    named = {f"{kind.removesuffix('s').replace('-', '_')}_id": str(number) for kind, number in theirs.items()}
    named |= {"segment": str(theirs["segments"]), "only": "advertiser", "values": str(theirs["advertisers"])}
    named |= {"measure": "impressions", "request": "{}", "exchange": "ssp", "rule": "everyone", "path": "status"}
    changed = await last_change(owner)
    for address in walked(api, "GET", {}):
        query = "&".join(f"{name}={value}" for name, value in named.items() if name != "request")
        answer = await browser.get(f"{address}?{query}&id={theirs['line-items']}&q=imorode")
        assert_private(answer, address)
        assert _THEIRS not in answer.text, address
        assert "secret plan" not in answer.text, address
    csrf = await browser.csrf()
    for address in walked(api, "POST", {}):
        number = str(theirs.get(address.split("/")[1], saved))
        for action in ("pause", "set", "share", "delete", "again", "save"):
            answer = await browser.post(address, {"csrf": csrf, **named, "id": number, "action": action})
            assert_private(answer, address)
            assert _THEIRS not in answer.text, address
            assert "secret plan" not in answer.text, address
    assert await last_change(owner) == changed
    assert (await owner.get(f"/v1/reports/saved/{saved}")).body["name"] == _THEIRS


async def test_every_page_is_shown_also_of_objects_without_names(api: Api, shop: Shop) -> None:
    made = ids_of(await one_of_each(api, shop))
    browser = await person(api)
    answers = {address: (await browser.get(address)).status for address in walked(api, "GET", made)}
    unknown = {address for address in answers if str(_NOBODY) in address}
    assert {answers.pop(f"/reports{ending}") for ending in ("", ".csv", ".xlsx")} == {404}  # no journal is kept here
    assert {address: status for address, status in answers.items() if status != 200 and address not in unknown} == {}
    assert {answers[address] for address in unknown} == {404}


async def test_markup_in_names_is_text_on_every_page(api: Api, shop: Shop) -> None:
    made, owner = await one_of_each(api, shop), await api.caller()
    for kind, one in made.items():
        if "name" in one:
            renamed = await owner.patch(f"/v1/{kind}/{one['id']}", {"name": _MARKUP})
            assert renamed.status == 200, (kind, renamed.body)
    await owner.made("/v1/exchanges", {"key": "odd", "name": _MARKUP})
    await owner.made("/v1/users", {"email": "odd@szpilka.example", "name": _MARKUP, "scopes": ["read"]})
    browser, seen = await person(api), 0
    for address in walked(api, "GET", ids_of(made)):
        answer = await browser.get(f"{address}?q=script")
        assert_private(answer, address)
        if answer.headers["Content-Type"].startswith("text/html"):
            assert "<script>alert" not in answer.text, address
            assert "<img src=x" not in answer.text, address
            seen += "&lt;script&gt;alert" in answer.text
        else:
            assert "attachment" in answer.headers["Content-Disposition"], address
    assert seen > 30


@pytest.mark.parametrize(
    "next_path", ["//evil.example", "/\\evil.example", "https://evil.example", "/%0d%0aX: y", "/a\r\nSet-Cookie: b=c"]
)
@pytest.mark.parametrize("address", ["/login", "/language", "/line-items"])
async def test_no_form_leads_elsewhere(api: Api, shop: Shop, address: str, next_path: str) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    browser = await person(api)
    where = next_path if address != "/line-items" else f"/line-items/{next_path}"
    fields = {
        "csrf": await browser.csrf(), "action": "pause", "id": str(made["id"]), "next": where, "back": where,
        "email": "ada@szpilka.example", "password": "correct horse battery", "language": "pl",
    }  # fmt: skip
    answer = await browser.post(address, fields)
    assert answer.status == 303
    location = answer.headers["Location"]
    assert location.startswith("/")
    assert location[1:2] not in ("/", "\\")
    assert "evil" not in location or location.startswith("/line-items/")
    assert "b" not in browser.cookies


@pytest.mark.parametrize(("method", "address"), [("GET", "/shared/x"), ("GET", "/confirm/x"), ("POST", "/confirm/x")])
async def test_pages_for_whoever_has_a_link_are_shown_in_no_frame(api: Api, method: str, address: str) -> None:
    stranger = Browser(api.client)
    answer = await (stranger.get(address) if method == "GET" else stranger.post(address, {}))
    assert answer.headers["Content-Type"].startswith("text/html")
    assert_private(answer, address)
