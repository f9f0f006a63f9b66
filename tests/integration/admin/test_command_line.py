"""`grosz line-item ...`, through the API and straight to the database: the same commands, the same answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.cli import feed, fx, ledger, migrate
from admin.cli.objects import advertiser, campaign, conversion, key, line_item, people, webhook
from core.clock import ManualClock
from core.errors import AccessError, InputError, NotFoundError
from tests.kit.api import running_api


@pytest.fixture(params=["http", "data"])
async def options(
    request: pytest.FixtureRequest, tmp_path: Path, valkey: str, clock: ManualClock
) -> AsyncIterator[list[str]]:
    """Options that reach an empty installation one way or the other."""
    if request.param == "data":
        await _run(migrate.app, "--data", str(tmp_path))
        yield ["--data", str(tmp_path)]
        return
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as api:
        caller = await api.caller()
        secret = caller.headers["Authorization"].removeprefix("Bearer ")
        yield ["--url", str(api.client.make_url("/")), "--key", secret]


async def _run(app: object, *arguments: str) -> str:
    """Runs a command in a thread, as its own process would; raises what it raised."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments))  # type: ignore[arg-type]  # a Typer app
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_objects_are_made_listed_changed_and_ended(options: list[str]) -> None:
    shop = json.loads(await _run(advertiser, "create", "--set", "name=Szpilka", "--json", *options))
    mine = f"advertiser_id={shop['id']}"
    group = json.loads(await _run(campaign, "create", "--set", mine, "--set", "name=Spring", "--json", *options))
    made = json.loads(
        await _run(
            line_item, "create", "--set", mine, "--set", f"campaign_id={group['id']}", "--set", "name=Carts",
            "--set", "bid.amount=4.20", "--set", "max_cpm.amount=6", "--set", 'targeting.countries=["POL"]', "--json",
            *options,
        )
    )  # fmt: skip
    assert made["targeting"]["countries"] == ["POL"]
    assert made["warnings"][0]["code"] == "no_creative"
    number = str(made["id"])
    assert "4.20 PLN" in await _run(line_item, "show", number, *options)
    assert "Carts" in await _run(line_item, "list", "bid.min=2", *options)
    assert "Carts" not in await _run(line_item, "list", "bid.min=5", *options)
    changed = json.loads(await _run(line_item, "update", number, "--set", "bid.amount=5.00", "--json", *options))
    assert (changed["bid"]["amount"], changed["version"]) == ("5.00", 2)
    assert "paused" in await _run(line_item, "pause", number, *options)
    assert "active" in await _run(line_item, "resume", number, *options)
    copied = json.loads(await _run(line_item, "copy", number, "--json", *options))
    assert copied["name"] == "Carts (copy)"
    assert "archived" in await _run(line_item, "archive", number, *options)
    left = json.loads(await _run(line_item, "list", "--json", *options))
    assert [item["id"] for item in left["items"]] == [copied["id"]]


async def test_a_document_comes_from_a_file(options: list[str], tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text('{"name": "From a file", "currency": "EUR"}')
    made = json.loads(await _run(advertiser, "create", "--file", str(file), "--set", "notes=mine", "--json", *options))
    assert (made["currency"], made["notes"]) == ("EUR", "mine")


async def test_a_new_key_is_printed_whole(options: list[str]) -> None:
    output = await _run(key, "create", "--set", "name=sync", *options)
    assert "secret, shown this once: grosz_" in output


async def test_faults_and_missing_objects_are_errors_with_hints(options: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        await _run(advertiser, "create", "--set", "nmae=x", *options)
    assert {fault.pointer for fault in caught.value.faults} == {"/nmae", "/name"}
    assert "did you mean 'name'?" in str(caught.value)
    with pytest.raises(NotFoundError) as missed:
        await _run(advertiser, "show", "99", *options)
    assert (missed.value.code, missed.value.hint) == ("no_such_object", "see GET /v1/advertisers")


async def test_a_wrong_field_leaves_the_others_what_they_are(options: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        await _run(
            line_item, "create", "--set", "advertiser_id=1", "--set", "name=x", "--set", "goal=cpx",
            "--set", "bid.amount=abc", "--set", "max_cpm.amount=6", *options,
        )  # fmt: skip
    found = {fault.pointer: fault.code for fault in caught.value.faults}
    assert found == {"/campaign_id": "required", "/goal": "not_allowed", "/bid/amount": "pattern"}
    assert "one of cpm, cpc, cpa" in str(caught.value)


async def test_a_wrong_key_is_an_access_error(valkey: str, clock: ManualClock, tmp_path: Path) -> None:
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as api:
        with pytest.raises(AccessError):
            await _run(advertiser, "list", "--url", str(api.client.make_url("/")), "--key", "grosz_wrong")


async def test_a_plain_date_is_a_day_of_the_shop(options: list[str]) -> None:
    shop = json.loads(
        await _run(advertiser, "create", "--set", "name=a", "--set", "timezone=America/New_York", "--json", *options)
    )
    mine = f"advertiser_id={shop['id']}"
    flight = ("--set", "start=2026-12-01", "--set", "end=2026-12-24")
    made = json.loads(await _run(campaign, "create", "--set", mine, "--set", "name=b", *flight, "--json", *options))
    assert (made["start"], made["end"]) == ("2026-12-01T05:00:00.000Z", "2026-12-25T05:00:00.000Z")
    number = str(made["id"])
    changed = json.loads(await _run(campaign, "update", number, "--set", "end=2026-12-31", "--json", *options))
    assert changed["end"] == "2027-01-01T05:00:00.000Z"
    listed = json.loads(await _run(campaign, "list", mine, "start.min=2026-12-01", "--json", *options))
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    later = json.loads(await _run(campaign, "list", mine, "start.min=2026-12-02", "--json", *options))
    assert later["items"] == []


async def test_an_amount_without_its_member_is_told_the_members_name(options: list[str]) -> None:
    with pytest.raises(InputError, match=r"write --set bid\.amount=14"):
        await _run(line_item, "create", "--set", "bid=14", *options)


async def test_exchange_rates_are_set_shown_and_kept(options: list[str]) -> None:
    await _run(fx.app, "set", "USD=3.64", "eur=4.27", *options)
    shown = json.loads(await _run(fx.app, "set", "USD=3.70", "--json", *options))
    assert shown["rates"] == {"EUR": "4.27", "USD": "3.70"}
    assert shown == json.loads(await _run(fx.app, "show", "--json", *options))
    assert "3.7" in await _run(fx.app, "show", *options)
    with pytest.raises(InputError, match="not a rate"):
        await _run(fx.app, "set", "USD", *options)
    with pytest.raises(InputError):
        await _run(fx.app, "set", "USD=0", *options)


async def test_feeds_webhooks_conversions_and_people_are_objects_too(options: list[str]) -> None:
    shop = json.loads(await _run(advertiser, "create", "--set", "name=Szpilka", "--json", *options))
    mine = ("--set", f"advertiser_id={shop['id']}", "--set", "name=x", "--json")
    address = ("--set", "url=https://buty.example/x")
    for kind, fields in ((feed.app, address), (webhook, address), (conversion, ("--set", "event=sign_up"))):
        made = json.loads(await _run(kind, "create", *mine, *fields, *options))
        listed = json.loads(await _run(kind, "list", f"advertiser_id={shop['id']}", "--json", *options))
        assert [one["id"] for one in listed["items"]] == [made["id"]]
    person = ("--set", "email=jan@example.pl", "--set", "name=Jan", "--set", "scopes=read,trade")
    made = json.loads(await _run(people, "create", *person, "--json", *options))
    assert made["scopes"] == ["read", "trade"]
    assert "password" not in made
    assert "jan@example.pl" in await _run(people, "list", "name=Jan", *options)


async def test_names_that_look_like_markup_are_shown_as_they_are(options: list[str]) -> None:
    name = "[/b] buty [red]od zaraz"
    made = json.loads(
        await _run(advertiser, "create", "--set", f"name={name}", "--set", "domain=b.example", "--json", *options)
    )
    assert name in await _run(advertiser, "list", *options)
    assert name in await _run(advertiser, "show", str(made["id"]), *options)


async def test_a_bill_is_compared_from_anywhere(options: list[str], tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    bill.write_text("day,line_item,impressions,amount\n2026-11-01,7,0,0\n", encoding="utf-8")
    compare = ("compare", str(bill), "--exchange", "demo")
    assert json.loads(await _run(ledger.app, *compare, "--json", *options))[0]["agrees"]
    text = bill.read_text(encoding="utf-8")
    for encoding in ("utf-8-sig", "utf-16"):  # as Excel saves it
        bill.write_text(text, encoding=encoding)
        assert json.loads(await _run(ledger.app, *compare, "--json", *options))[0]["agrees"]
    bill.write_text(text + "2026-11-01,zażółć,0,0\n", encoding="cp1250")
    with pytest.raises(InputError, match="is not UTF-8"):
        await _run(ledger.app, *compare, *options)


async def test_the_ledger_of_a_day_is_exported_from_anywhere(options: list[str]) -> None:
    heads = "day,advertiser_id,advertiser,line_item_id,exchange,impressions,charge,currency"
    day = ("export", "--day", "2026-11-01")
    assert (await _run(ledger.app, *day, *options)).split() == [heads]
    assert json.loads(await _run(ledger.app, *day, "--json", *options)) == []
    if "--url" in options:
        with pytest.raises(InputError, match="a day is exported at a time"):
            await _run(ledger.app, "export", *options)
