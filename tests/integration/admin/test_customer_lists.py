"""Customer lists over the API, at the console and on the command line: hashed before they leave, of one shop alone."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright
from typer.testing import CliRunner

from admin.cli import app
from core.catalogue.codec import encode_catalogue
from core.clock import ManualClock, SystemClock
from core.ids import new_user_id
from core.keys import CATALOGUE_SNAPSHOT, person
from segments.facts.event import person_digest
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, running_api
from tests.kit.console import PASSWORD
from tests.kit.console import person as somebody
from tests.kit.profiles import catalogue, event_rig

CSV = "name,E-mail,phone\nJan,Jan@example.pl ,\nOla,,+48 600 100 200\nX,nobody,\n"
LISTS = "/v1/advertisers/{}/customer-lists"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
async def api(tmp_path: Path, valkey: str, clock: ManualClock) -> AsyncIterator[Api]:
    """Lists lie in Redis, so one engine of the database is enough."""
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as running:
        yield running


async def known(valkey: str, advertiser_id: int, email: str = "jan@example.pl") -> None:
    """A device whose owner has logged in at the shop."""
    async with event_rig(valkey, SystemClock()) as rig:
        key = person(advertiser_id, person_digest(advertiser_id, sha256(email)).hex())
        await rig.store.commands([("SADD", key, new_user_id())])


async def test_a_list_is_made_added_to_read_and_deleted(api: Api, valkey: str) -> None:
    shop = await make_shop(api, "szpilka")
    await known(valkey, shop.advertiser["id"])
    path, caller = LISTS.format(shop.advertiser["id"]), shop.caller
    made = await caller.call("PUT", f"{path}/vip?days=30", data=CSV.encode())
    assert made.status == 200, made.body
    told = made.body
    assert (told["rows"], told["matched"], told["devices"], told["faulty"]) == (2, 1, 1, 1)
    assert told["faults"] == [{"line": 4, "column": "email", "message": "is no e-mail address"}]
    assert told["ignored"] == ["name"]
    added = await caller.call("POST", f"{path}/vip", data=b"email\nola@example.pl\n")
    assert (added.body["stored"]["rows"], added.body["match_rate"]) == (3, 0.0)
    (listed,) = (await caller.get(path)).body["items"]
    assert (listed["rule"], listed["rows"], listed["matched"]) == ("has list.vip", 3, 1)
    forgotten = await caller.post(
        f"/v1/advertisers/{shop.advertiser['id']}/forget-customer", {"email": "OLA@example.pl"}
    )
    assert forgotten.body == {"entries": 1}
    assert (await caller.call("DELETE", f"{path}/vip")).body == {"gone": 1}
    assert (await caller.get(path)).body["count"] == 0
    assert (await caller.call("DELETE", f"{path}/vip")).status == 404


async def test_nobody_reads_changes_or_learns_of_another_shop_s_lists(api: Api, shop: Shop, valkey: str) -> None:
    rival = await make_shop(api, "rival")
    theirs = LISTS.format(rival.advertiser["id"])
    await known(valkey, rival.advertiser["id"])
    assert (await rival.caller.call("PUT", f"{theirs}/vip", data=CSV.encode())).body["matched"] == 1
    forget = f"/v1/advertisers/{rival.advertiser['id']}/forget-customer"
    for method, path, body in (
        ("GET", theirs, None), ("PUT", f"{theirs}/vip", CSV), ("POST", f"{theirs}/vip", CSV),
        ("DELETE", f"{theirs}/vip", None),
    ):  # fmt: skip
        answer = await shop.caller.call(method, path, data=body.encode() if body else None)
        assert answer.status == 404, (method, answer.body)
    assert (await shop.caller.post(forget, {"email": "jan@example.pl"})).status == 404
    own = await shop.caller.call("PUT", f"{LISTS.format(shop.advertiser['id'])}/vip", data=CSV.encode())
    assert (own.body["matched"], own.body["devices"]) == (0, 0)
    assert (await rival.caller.get(theirs)).body["items"][0]["matched"] == 1
    reader = await api.caller("read", advertisers=(shop.advertiser["id"],))
    path = LISTS.format(shop.advertiser["id"])
    assert (await reader.get(path)).status == 200
    assert (await reader.call("DELETE", f"{path}/vip")).status == 403
    assert (await reader.call("PUT", f"{path}/vip", data=CSV.encode())).status == 403


@pytest.mark.parametrize(
    ("name", "query", "body", "says"),
    [
        ("Vip", "", CSV, "is no name of a customer list"),
        ("vip", "?days=0", CSV, ""),
        ("vip", "?nights=3", CSV, ""),
        ("vip", "", "", "the file is empty"),
        ("vip", "", "name,city\nJan,Radom\n", "names no column that is known"),
        ("vip", "", "email\nnobody\n", "the list names nobody"),
    ],
)
async def test_what_is_no_list_is_refused_with_what_to_do(
    api: Api, shop: Shop, name: str, query: str, body: str, says: str
) -> None:
    del api
    path = f"{LISTS.format(shop.advertiser['id'])}/{name}{query}"
    answer = await shop.caller.call("PUT", path, data=body.encode())
    assert answer.status == 422, answer.body
    assert says in answer.body["detail"]
    assert answer.body.get("hint") or answer.body["errors"]
    assert (await shop.caller.get(LISTS.format(shop.advertiser["id"]))).body["count"] == 0


@pytest.mark.needs_package("chromium")
async def test_the_console_hashes_in_the_browser_and_makes_an_audience(
    api: Api, shop: Shop, valkey: str, tmp_path: Path
) -> None:
    advertiser_id = shop.advertiser["id"]
    await known(valkey, advertiser_id)
    await somebody(api, "read", "trade", advertisers=(advertiser_id,))
    file, sent = tmp_path / "customers.csv", []
    file.write_bytes(("\ufeff" + CSV.replace("\n", "\r\n")).encode())
    address = f"http://127.0.0.1:{api.client.port}"
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await (await chromium.new_context(locale="pl-PL")).new_page()
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: sent.append(request.post_data or "" if request.method != "GET" else ""))
        await page.goto(f"{address}/login?next=/advertisers/{advertiser_id}/customers")
        await page.fill("[name=email]", "ada@szpilka.example")
        await page.fill("[name=password]", PASSWORD)
        await page.click("main form button")
        await page.fill("[name=name]", "vip")
        await page.set_input_files("[name=file]", str(file))
        await page.click("#customers button")
        await page.locator("#known-lists tbody", has_text="has list.vip").wait_for()
        told = await page.inner_text("#customers [role=status]")
        faults = await page.inner_text("#customers .faults")
        await chromium.close()
    assert "Osoby: 2, znane tutaj: 1 (50%), urządzenia: 1" in told.replace("\xa0", "")
    assert faults == "wiersz 4: to nie adres e-mail"
    assert wrong == []
    upload = next(body for body in sent if body.startswith("email_sha256"))
    assert upload.splitlines()[1:3] == [f"{sha256('jan@example.pl')},,", f",{sha256('+48600100200')},"]
    assert not any("jan@example.pl" in body.lower() or "600" in body for body in sent)
    segments = (await shop.caller.get("/v1/segments")).body["items"]
    assert [(one["name"], one["rule"]) for one in segments] == [("vip", "has list.vip")]


async def test_the_page_shows_and_deletes_only_own_lists(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    for one, name in ((shop, "mine"), (rival, "theirs")):
        await one.caller.call("PUT", f"{LISTS.format(one.advertiser['id'])}/{name}", data=CSV.encode())
    browser = await somebody(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    own = f"/advertisers/{shop.advertiser['id']}/customers"
    shown = await browser.get(own)
    assert ("mine" in shown.text, "theirs" in shown.text) == (True, False)
    other = own.replace(str(shop.advertiser["id"]), str(rival.advertiser["id"]))
    assert (await browser.get(other)).status == 404
    csrf = await browser.csrf()
    assert (await browser.post(other, {"csrf": csrf, "drop": "theirs"})).status == 404
    assert (await browser.post(own, {"csrf": "x", "drop": "mine"})).status == 403
    assert (await browser.post(own, {"csrf": csrf, "drop": "mine"})).headers["Location"] == own
    assert "has list.mine" not in (await browser.get(own)).text
    reader = await somebody(api, "read", advertisers=(shop.advertiser["id"],), email="bea@szpilka.example")
    assert 'id="customers"' not in (await reader.get(own)).text


def command(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["audience", *arguments])
    return found.exit_code, found.output


def test_the_command_line_hashes_a_file_and_says_what_became_of_it(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROSZ_REDIS_URL", valkey)
    monkeypatch.chdir(tmp_path)

    async def publish() -> None:
        async with event_rig(valkey, SystemClock()) as rig:
            await rig.store.commands([("SET", CATALOGUE_SNAPSHOT, encode_catalogue(catalogue()))])

    asyncio.run(publish())
    asyncio.run(known(valkey, 1))
    file = tmp_path / "customers.csv"
    file.write_text(CSV)
    code, told = command("import", "1", str(file), "--list", "vip")
    assert (code, "2 persons, 1 of them known here (50.0%): 1 devices" in told) == (0, True), told
    assert "line 4: email is no e-mail address" in told
    assert "`has list.vip`" in told
    told_again: dict[str, Any] = json.loads(command("import", "1", str(file), "--list", "vip", "--add", "--json")[1])
    assert (told_again["stored"]["rows"], told_again["faults"][0]["line"]) == (4, 4)
    assert "vip" in command("lists", "1")[1]
    assert command("forget-customer", "1", "--phone", "+48 600 100 200")[1].startswith("1 entries")
    assert command("drop-list", "1", "--list", "vip")[0] == 0
    assert json.loads(command("lists", "1", "--json")[1]) == []
    assert not list(Path(tmp_path).glob("grosz-list-*"))
