"""`grosz user` and `grosz events` against a real server."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.cli import app
from core.catalogue.codec import encode_catalogue
from core.clock import SystemClock
from core.errors import InputError
from core.ids import new_user_id
from core.keys import CATALOGUE_SNAPSHOT, user_touches
from pacing.notices.touches import Touch, TouchKind, pack_touch
from segments.facts.event import Event, Item, Kind, person_digest
from segments.facts.facts import Facts
from tests.kit.profiles import catalogue, event_rig

EMAIL = hashlib.sha256(b"jan@example.pl").hexdigest()


@pytest.fixture
def deployment(valkey: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A published catalogue; commands find the server through the environment."""
    monkeypatch.setenv("GROSZ_REDIS_URL", valkey)
    monkeypatch.chdir(tmp_path)

    async def publish() -> None:
        async with event_rig(valkey, SystemClock()) as rig:
            await rig.store.commands([("SET", CATALOGUE_SNAPSHOT, encode_catalogue(catalogue()))])

    asyncio.run(publish())
    return valkey


def happen(url: str, *events: Event) -> None:
    """Store events and apply everything that waits."""

    async def run() -> None:
        async with event_rig(url, SystemClock()) as rig:
            if events:
                await rig.send(*events)
            await rig.settle()
            await rig.leases.release_all()

    asyncio.run(run())


def facts_of(url: str, user: str) -> Facts | None:
    """What is stored at advertiser 1."""

    async def run() -> Facts | None:
        async with event_rig(url, SystemClock()) as rig:
            return await rig.facts(user)

    return asyncio.run(run())


def cart_of_a_known_person(url: str, user: str) -> None:
    now_ms = SystemClock().now_ms() - 60_000
    login = Event(Kind.LOGIN, 1, user, now_ms, person=person_digest(1, EMAIL))
    happen(url, login, Event(Kind.ADD_TO_CART, 1, user, now_ms, items=(Item("a", "shoes", 640_000_000),)))


def test_a_till_file_ends_carts_and_reports_bad_lines(deployment: str, tmp_path: Path) -> None:
    user = new_user_id()
    cart_of_a_known_person(deployment, user)
    file = tmp_path / "till.csv"
    file.write_text(
        f"email_sha256,transaction_id,value,currency,item_id\n{EMAIL},till-7,640.00,PLN,a\n"
        f"{'12' * 32},till-8,10,PLN,b\n{EMAIL},till-9,dear,PLN,c\n"
    )
    result = CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"])
    assert result.exit_code == 1
    assert "accepted 1, unmatched 1, dropped 0, invalid 1" in result.stdout
    assert "line 4: /value" in result.stderr
    happen(deployment)
    facts = facts_of(deployment, user)
    assert facts is not None
    assert (facts.cart, facts.purchases, facts.purchases_micros) == ([], 1, 640_000_000)
    assert facts.visits == 1, "a purchase at a till is no visit"


def test_a_spreadsheets_semicolons_are_understood(deployment: str, tmp_path: Path) -> None:
    user = new_user_id()
    file = tmp_path / "till.csv"
    file.write_text(f"\ufeffuser_id;transaction_id;value;currency;item_id\n{user};till-7;640.00;PLN;a\n")
    result = CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"])
    assert result.stdout == "accepted 1, unmatched 0, dropped 0, invalid 0\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("user_id,miejsce\nx,Łódź\n".encode("cp1250"), "is not in UTF-8"),
        (b"", "has no header"),
        (b"\n\n", "has no header"),
        (b"user_id,value\n" + b"x" * 200_000 + b",1\n", "is not a CSV file"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(
    deployment: str, tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "till.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"], catch_exceptions=False)
    assert caught.value.hint


def test_importing_a_file_twice_counts_its_orders_once(deployment: str, tmp_path: Path) -> None:
    user = new_user_id()
    file = tmp_path / "orders.ndjson"
    file.write_text(json.dumps({"event": "purchase", "user_id": user, "value": 5, "transaction_id": "A"}) + "\n\n")
    for _ in range(2):
        assert CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"]).exit_code == 0
    happen(deployment)
    facts = facts_of(deployment, user)
    assert facts is not None
    assert facts.purchases == 1


def test_a_user_can_be_shown_and_forgotten(deployment: str) -> None:
    user = new_user_id()
    cart_of_a_known_person(deployment, user)
    shown = CliRunner().invoke(app, ["user", "show", user])
    assert shown.exit_code == 0
    document = json.loads(shown.stdout)
    assert document["advertisers"][0]["facts"]["cart_micros"] == 640_000_000
    forgotten = CliRunner().invoke(app, ["user", "forget", user, "--yes"])
    assert "erased 1 user id(s): 1 advertiser profile(s)" in forgotten.stdout
    again = CliRunner().invoke(app, ["user", "show", user])
    assert again.exit_code == 1
    assert json.loads(again.stdout)["advertisers"] == []


def test_ads_that_a_user_saw_are_shown_and_forgotten(deployment: str) -> None:
    user = new_user_id()
    touch = Touch(TouchKind.CLICK, 1, 2, 3, 4, 5, 20_700, 1_790_000_000)

    async def click() -> None:
        async with event_rig(deployment, SystemClock()) as rig:
            await rig.store.commands([("RPUSH", user_touches(user), pack_touch(touch))])

    asyncio.run(click())
    shown = CliRunner().invoke(app, ["user", "show", user])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["ads"] == [{**touch._asdict(), "kind": "click", "day": "2026-09-04"}]
    CliRunner().invoke(app, ["user", "forget", user, "--yes"])
    assert json.loads(CliRunner().invoke(app, ["user", "show", user]).stdout)["ads"] == []


def test_a_value_that_is_no_user_id_is_refused(deployment: str) -> None:
    result = CliRunner().invoke(app, ["user", "show", "jan@example.pl"])
    assert result.exit_code == 1
    assert "is not a user id" in str(result.exception)


def test_a_wrong_column_stops_a_file_before_anything_is_stored(deployment: str, tmp_path: Path) -> None:
    file = tmp_path / "till.csv"
    file.write_text(f"user_id,transaction_id,valu\n{new_user_id()},A,120\n")
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"], catch_exceptions=False)
    assert "did you mean 'value'?" in str(caught.value)
    left_out = CliRunner().invoke(
        app, ["events", "import", str(file), "--advertiser", "1", "--ignore", "valu", "--json"]
    )
    assert json.loads(left_out.stdout)["accepted"] == 1


@pytest.mark.parametrize("how", ["option", "column"])
def test_an_order_with_a_wrong_value_is_corrected_by_another_import(deployment: str, tmp_path: Path, how: str) -> None:
    user = new_user_id()
    file = tmp_path / "till.csv"
    runner = ["events", "import", str(file), "--advertiser", "1"]
    file.write_text(f"user_id,transaction_id,value\n{user},A,0\n")
    assert CliRunner().invoke(app, runner).exit_code == 0
    column = ("", "") if how == "option" else (",replace", ",PRAWDA")
    file.write_text(f"user_id,transaction_id,value{column[0]}\n{user},A,120.50{column[1]}\n")
    for _ in range(2):
        assert CliRunner().invoke(app, [*runner, "--replace"] if how == "option" else runner).exit_code == 0
    happen(deployment)
    facts = facts_of(deployment, user)
    assert facts is not None
    assert (facts.purchases, facts.purchases_micros) == (1, 120_500_000)


def test_a_polish_spreadsheet_of_tills_is_imported(deployment: str, tmp_path: Path) -> None:
    user = new_user_id()
    file = tmp_path / "kasa.csv"
    file.write_bytes(
        "\ufeffsep=;\r\nuser_id;transaction_id;value;currency;item_id;quantity\r\n"
        f"{user};10001;1\u00a0234,56;pln;red;2,00\r\n;;;;;\r\n".encode()
    )
    result = CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"])
    assert result.stdout == "accepted 1, unmatched 0, dropped 0, invalid 0\n"
    happen(deployment)
    facts = facts_of(deployment, user)
    assert facts is not None
    assert facts.purchases_micros == 1_234_560_000


def test_members_of_lines_that_are_nearly_known_are_said_once(deployment: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    row = {"event": "purchase", "user_id": new_user_id(), "valu": 5}
    bad = '{"event": "page_view", "user_id": "' + new_user_id() + '", "search_term": "\\ud800"}'
    file.write_bytes(b"\xef\xbb\xbf" + "\n".join([json.dumps(row), json.dumps(row), bad, "[1]"]).encode())
    result = CliRunner().invoke(app, ["events", "import", str(file), "--advertiser", "1"])
    assert "accepted 3, unmatched 0, dropped 0, invalid 1" in result.stdout
    assert result.stderr.count("did you mean 'value'?") == 1
    assert "line 4: not a JSON object" in result.stderr
    tags = CliRunner().invoke(app, ["audience", "tags", "1"])
    assert "valu" in tags.stdout
