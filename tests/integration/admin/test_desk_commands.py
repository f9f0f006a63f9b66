"""Commands about audiences, visitors, money and the whole catalogue: over the API and on the machine, alike."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer import Typer
from typer.testing import CliRunner

from admin.cli import audience, audit, catalogue, events, ledger, setup_link, user
from core import keys
from core.clock import SystemClock
from core.errors import AccessError, CatalogueError, InputError, NotFoundError
from core.ids import new_user_id
from core.keys import WEBHOOK_DEAD
from segments.audiences.hooks import MAX_ATTEMPTS, Delivery
from tests.integration.admin.conftest import Shop, bring_books, make_shop
from tests.kit.api import Api, running_api
from tests.kit.profiles import event_rig


class Desk:
    """A running admin with a shop, and the options by which a command reaches it."""

    def __init__(self, api: Api, redis_url: str, shop: Shop, exchange: dict[str, Any], options: list[str]) -> None:
        self.api, self.redis_url, self.shop, self.exchange, self.options = api, redis_url, shop, exchange, options
        self.number = str(shop.advertiser["id"])

    async def run(self, app: Typer, *arguments: str, code: int = 0) -> str:
        """What a command prints; raises what it raised."""
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *self.options])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    async def said(self, app: Typer, *arguments: str, code: int = 0) -> Any:  # noqa: ANN401 - parsed JSON
        return json.loads(await self.run(app, *arguments, "--json", code=code))

    async def happen(self, file: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Import events, and let a worker apply them."""
        file.write_text("\n".join(map(json.dumps, rows)))
        bad = any(row.get("value") == "dear" for row in rows)
        done: dict[str, Any] = await self.said(
            events.app, "import", str(file), "--advertiser", self.number, "--online", code=int(bad)
        )
        published = await self.api.store.catalogue(0)
        async with event_rig(self.redis_url, SystemClock(), published=published) as rig:
            await rig.settle()
            await rig.leases.release_all()
        return done

    async def settle_books(self) -> None:
        """Bring the counters into being, and rows into the ledger, as the worker does."""
        await bring_books(self.api, self.redis_url)


@pytest.fixture(params=["http", "data"])
async def desk(
    request: pytest.FixtureRequest, tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, SystemClock()) as api:
        shop, caller = await make_shop(api, "szpilka"), await api.caller()
        exchange = await caller.made("/v1/exchanges", {"key": "demo"})
        secret = caller.headers["Authorization"].removeprefix("Bearer ")
        options = ["--url", str(api.client.make_url("/")), "--key", secret]
        if request.param == "data":
            monkeypatch.setenv("GROSZ_REDIS_URL", valkey)
            options = ["--data", str(tmp_path)]
        yield Desk(api, valkey, shop, exchange, options)


async def test_events_fill_segments_that_every_audience_command_counts(desk: Desk, tmp_path: Path) -> None:
    mine = {"advertiser_id": desk.shop.advertiser["id"]}
    everyone = await desk.shop.caller.made("/v1/segments", {**mine, "name": "all", "rule": "everyone"})
    buyers = {**mine, "name": "buyers", "rule": "purchases.count > 0"}
    bought = await desk.shop.caller.made("/v1/segments", buyers)
    await desk.api.publisher.publish()
    users = [new_user_id() for _ in range(3)]
    rows: list[dict[str, Any]] = [{"event": "page_view", "user_id": one} for one in users]
    rows.append({"event": "purchase", "user_id": users[0], "value": 250, "transaction_id": "A1"})
    rows.append({"event": "purchase", "user_id": users[1], "value": "dear", "transaction_id": "A2"})
    rows.append({"event": "login", "user_id": users[2], "valu": 250})
    done = await desk.happen(tmp_path / "events.ndjson", rows)
    assert (done["accepted"], done["invalid"]) == (5, 1)
    assert (done["faults"][0]["line"], "/value" in done["faults"][0]["fault"]) == (5, True)

    sizes = await desk.said(audience.app, "sizes", desk.number)
    assert sizes == [
        {"segment": everyone["id"], "name": "all", "visitors": 3},
        {"segment": bought["id"], "name": "buyers", "visitors": 1},
    ]
    both = await desk.said(audience.app, "overlap", str(everyone["id"]), str(bought["id"]))
    assert both["visitors"] == 1
    tags = await desk.said(audience.app, "tags", desk.number)
    counted = {one["event"]: one["today"] + one["yesterday"] for one in tags["events"]}  # midnight may lie between
    assert counted == {"login": 1, "page_view": 3, "purchase": 1}
    assert [(one["written"], one["meant"]) for one in tags["ignored"]] == [("valu", "value")]
    counted = await desk.said(audience.app, "count", desk.number, "purchases.count > 0")
    assert counted == {"visitors": 1, "share": 1.0, "asked": 3}
    grid = await desk.said(audience.app, "matrix", desk.number, "lifetime_value:100,500", "lifecycle")
    assert sum(cell["visitors"] for row in grid for cell in row) == 3
    assert "lifetime_value" in await desk.run(
        audience.app, "matrix", desk.number, "lifetime_value:1", "score:2", "--rules"
    )
    assert (await desk.said(audience.app, "progress"))["running"] is False
    assert await desk.said(audience.app, "matches", "demo") == []
    assert (await desk.run(audience.app, "matches", "demo")).startswith("day")


async def test_what_is_asked_wrongly_is_refused_in_words(desk: Desk) -> None:
    other = await make_shop(desk.api, "rival")
    theirs = {"advertiser_id": other.advertiser["id"], "name": "x", "rule": "everyone"}
    one = await other.caller.made("/v1/segments", theirs)
    mine = await desk.shop.caller.made("/v1/segments", {**theirs, "advertiser_id": desk.shop.advertiser["id"]})
    await desk.api.publisher.publish()
    for arguments in (("sizes", "99"), ("tags", "99"), ("overlap", "98", "99"), ("matches", "nobody")):
        with pytest.raises(NotFoundError):
            await desk.run(audience.app, *arguments)
    with pytest.raises((InputError, NotFoundError)):
        await desk.run(audience.app, "overlap", str(mine["id"]), str(one["id"]))
    for wrong in (["count", desk.number, "scoer > 1"], ["matrix", desk.number, "score:9999999999999", "lifecycle"]):
        with pytest.raises(InputError):
            await desk.run(audience.app, *wrong)


async def test_calls_that_were_given_up_are_shown_and_made_again(desk: Desk) -> None:
    await desk.api.publisher.publish()
    async with event_rig(desk.redis_url, SystemClock()) as rig:
        packed = msgspec.msgpack.encode(Delivery(4, b"{}", MAX_ATTEMPTS - 1))
        await rig.store.commands([("XADD", WEBHOOK_DEAD, "*", "id", "d1", "delivery", packed, "reason", "status 500")])
    (shown,) = await desk.said(audience.app, "hooks")
    assert (shown["webhook"], shown["delivery"], shown["reason"]) == (4, "d1", "status 500")
    assert await desk.said(audience.app, "hooks", "--send-again") == {"sent_again": 1}
    assert await desk.said(audience.app, "hooks") == []


async def test_a_visitor_is_shown_and_erased(desk: Desk, tmp_path: Path) -> None:
    await desk.api.publisher.publish()
    visitor = new_user_id()
    await desk.happen(tmp_path / "one.jsonl", [{"event": "page_view", "user_id": visitor}])
    shown = await desk.said(user.app, "show", visitor)
    assert [one["advertiser_id"] for one in shown["advertisers"]] == [desk.shop.advertiser["id"]]
    erased = await desk.said(user.app, "forget", visitor, "--yes")
    assert erased == {"user_ids": [visitor], "advertisers": 1, "exchange_ids": 0}
    assert (await desk.said(user.app, "show", visitor, code=1))["found"] is False
    with pytest.raises(InputError, match="is not a user id"):
        await desk.run(user.app, "show", "../../etc/passwd")


async def test_the_books_are_corrected_once_and_audited(desk: Desk) -> None:
    line = await desk.shop.caller.made("/v1/line-items", desk.shop.line_item())
    await desk.settle_books()
    options = ("--line-item", str(line["id"]), "--day", "2026-11-02", "--note", "billed twice")
    done = await desk.said(ledger.app, "correct", "invoice 7", *options, "--amount", "12.50", "--exchange", "demo")
    assert done["outcome"] == "corrected"
    again = await desk.run(ledger.app, "correct", "invoice 7", *options, "--amount", "12.50")
    assert again == "'invoice 7' was booked before: nothing has changed\n"
    (before,) = await desk.said(audit.app)  # the row is still in the stream
    await desk.settle_books()
    (after,) = await desk.said(audit.app)
    assert before == after
    assert (after["advertiser"], after["spent"]["amount"], after["differences"]) == ("szpilka", "12.50", [])
    assert (await desk.run(audit.app)).endswith("1 advertisers, 0 differences\n")
    with pytest.raises(NotFoundError, match="there is no line item 999"):
        await desk.run(ledger.app, "correct", "x", "--line-item", "999", *options[2:])
    with pytest.raises(NotFoundError, match="there is no exchange"):
        await desk.run(ledger.app, "correct", "x", *options, "--exchange", "nobody")
    with pytest.raises(InputError):
        await desk.run(ledger.app, "correct", "x", *options, "--amount", "1e3")


async def test_a_correction_of_what_was_archived_brings_its_counters_back_as_they_were(desk: Desk) -> None:
    line = await desk.shop.caller.made("/v1/line-items", desk.shop.line_item())
    await desk.settle_books()
    options = ("--line-item", str(line["id"]), "--note", "billed twice", "--day", "2026-11-02")
    await desk.run(ledger.app, "correct", "first", *options, "--amount", "12.50", "--impressions", "3")
    await desk.settle_books()
    await desk.shop.caller.post(f"/v1/campaigns/{line['campaign_id']}/archive")
    levels = keys.money_levels(desk.shop.advertiser["id"])
    async with event_rig(desk.redis_url, SystemClock()) as rig:
        (names,) = await rig.store.commands([("HKEYS", levels)])
        assert isinstance(names, list)
        # As the bank drops them once no day of theirs is kept.
        await rig.store.commands([("HDEL", levels, *(name for name in names if name != b"a"))])
    await desk.run(ledger.app, "correct", "second", *options, "--amount", "-2.00", "--impressions", "-1")
    (found,) = await desk.said(audit.app)
    assert (found["spent"]["amount"], found["differences"]) == ("10.50", [])
    await desk.settle_books()
    (found,) = await desk.said(audit.app)
    assert (found["spent"]["amount"], found["differences"]) == ("10.50", [])


async def test_before_the_counters_are_there_nothing_is_corrected(desk: Desk) -> None:
    line = await desk.shop.caller.made("/v1/line-items", desk.shop.line_item())
    options = ("--line-item", str(line["id"]), "--day", "2026-11-02", "--note", "x")
    with pytest.raises(Exception, match="the money counters are not there yet"):
        await desk.run(ledger.app, "correct", "early", *options)


async def test_the_catalogue_goes_out_and_comes_back(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.json"
    await desk.run(catalogue.app, "export", str(file))
    document = json.loads(file.read_bytes())
    assert [one["name"] for one in document["advertisers"]] == ["szpilka"]
    done = json.loads(await desk.run(catalogue.app, "import", str(file), "--json"))
    assert (done["created"], done["changed"]) == (0, 0)
    document["advertisers"][0]["name"] = "Szpilka 2"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    assert "changed 1" in await desk.run(catalogue.app, "import", str(file))
    assert (await desk.shop.caller.get(f"/v1/advertisers/{desk.number}")).body["name"] == "Szpilka 2"
    file.write_text('{"format": "grosz-catalogue/1", "advertisers": [{"id": 1, "nmae": "x"}]}')
    with pytest.raises((CatalogueError, InputError)) as refused:
        await desk.run(catalogue.app, "import", str(file))
    assert "/advertisers/0/nmae" in str(refused.value)
    await desk.shop.caller.post(f"/v1/creatives/{desk.shop.creative['id']}/archive")
    file.write_text(json.dumps({name: document[name] for name in ("format", "creatives")}))
    with pytest.raises((CatalogueError, InputError), match="that are archived"):
        await desk.run(catalogue.app, "import", str(file))
    file.write_text("not JSON")
    with pytest.raises(CatalogueError, match="JSON"):
        await desk.run(catalogue.app, "import", str(file))


async def test_secrets_and_set_up_links_are_for_the_machine_itself(desk: Desk, tmp_path: Path) -> None:
    if "--url" not in desk.options:
        assert "/setup" in await desk.run(setup_link.app)
        return
    with pytest.raises(InputError, match="no API gives one"):
        await asyncio.to_thread(
            CliRunner().invoke, setup_link.app, ["--url", "http://127.0.0.1:1"], catch_exceptions=False
        )
    with pytest.raises(InputError, match="never shows keys"):
        await desk.run(catalogue.app, "export", str(tmp_path / "x.json"), "--with-secrets")


async def test_what_is_of_all_shops_is_for_those_who_see_all_shops(api: Api, shop: Shop) -> None:
    restricted, visitor = await api.caller(advertisers=(shop.advertiser["id"],)), new_user_id()
    asked: list[tuple[str, str, object]] = [
        ("GET", f"/v1/visitors/{visitor}", None), ("DELETE", f"/v1/visitors/{visitor}", None),
        ("GET", "/v1/catalogue/export", None), ("POST", "/v1/catalogue/import", {"format": "grosz-catalogue/1"}),
        ("GET", "/v1/cookie-sync?exchange=demo", None), ("GET", "/v1/given-up-calls", None),
        ("POST", "/v1/given-up-calls/send-again", None), ("GET", "/v1/segment-pass", None),
    ]  # fmt: skip
    for method, path, body in asked:
        answer = await restricted.call(method, path, body)
        assert (path, answer.status, answer.body["detail"]) == (path, 403, "this needs access to all advertisers")
        assert (await api.anonymous.call(method, path, body)).status == 401


async def test_another_shops_audiences_and_books_do_not_exist(api: Api, shop: Shop) -> None:
    rival = await make_shop(api, "rival")
    line = await rival.caller.made("/v1/line-items", rival.line_item())
    theirs = f"/v1/advertisers/{rival.advertiser['id']}"
    mine = await api.caller("read", "trade", "finance", advertisers=(shop.advertiser["id"],))
    correction = {"name": "x", "line_item_id": line["id"], "note": "x", "day": "2026-11-02", "amount": "1"}
    asked: list[tuple[str, str, object]] = [
        ("GET", f"{theirs}/segment-sizes", None), ("GET", f"{theirs}/tags", None),
        ("GET", f"{theirs}/segment-overlap?left=1&right=2", None), ("POST", f"{theirs}/count", {"rules": ["everyone"]}),
        ("POST", f"{theirs}/matrix", {"rows": "score:1", "columns": "lifecycle"}),
        ("POST", f"{theirs}/events", {"events": [{"event": "page_view", "user_id": new_user_id()}]}),
        ("GET", f"/v1/audit?advertiser_id={rival.advertiser['id']}", None),
        ("POST", "/v1/ledger/corrections", correction),
    ]  # fmt: skip
    for method, path, body in asked:
        answer = await mine.call(method, path, body)
        assert (path, answer.status) == (path, 404)
    reader = await api.caller("read")
    assert (await reader.post("/v1/ledger/corrections", correction)).status == 403
    assert (await reader.get(f"/v1/audit?advertiser_id={rival.advertiser['id']}")).status == 403
    events_of_theirs = {"events": [{"event": "page_view", "user_id": new_user_id()}]}
    assert (await reader.post(f"{theirs}/events", events_of_theirs)).status == 403


async def test_a_key_that_is_none_gets_no_answer(desk: Desk) -> None:
    if "--url" in desk.options:
        desk.options = [*desk.options[:3], "nonsense"]
        with pytest.raises(AccessError):
            await desk.run(audience.app, "sizes", desk.number)
