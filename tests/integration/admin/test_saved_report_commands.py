"""`grosz report save`, `schedule`, `share` and the rest: on this machine and over the API they do the same."""

import asyncio
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from admin.cli import app
from core.clock import ManualClock, SystemClock
from core.errors import GroszError
from core.network.headers import Edge
from journal.rows import BILL
from journal.segment import SegmentFrame
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.journal_rows import JournalFolder, a_row

PUBLIC = "https://dsp.example"


class Machine:
    """An installation of two shops, of which the first has spent 3.00, and commands to it by one of the two ways."""

    def __init__(self, api: Api, options: list[str]) -> None:
        self.api, self.options = api, options

    async def run(self, *arguments: str) -> Any:  # noqa: ANN401 - what the command prints
        """What a command answers for machines."""
        ran = await asyncio.to_thread(CliRunner().invoke, app, ["report", *arguments, *self.options])
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code == 0, ran.output
        return json.loads(ran.stdout) if "--json" in arguments else ran.stdout


@pytest.fixture(params=["here", "over the API"])
async def machine(
    request: pytest.FixtureRequest, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Machine]:
    clock = ManualClock(SystemClock().now_ms())
    journal = JournalFolder(tmp_path / "journal", clock)
    bill = a_row(BILL, bid_id=1, bid_ms=clock.now_ms(), advertiser_id=1, line_item_id=1, impressions=1,
                 charge_micros=3_000_000, currency="PLN", entry="bill")  # fmt: skip
    journal.converter.write("made", [SegmentFrame(BILL.name, BILL.names, [list(bill)])])
    monkeypatch.setenv("GROSZ_ADMIN_PUBLIC_URL", PUBLIC)
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with running_api(database, valkey, clock, archive=journal.archive, edge=Edge(PUBLIC)) as api:
        for name in ("shoes", "hats"):
            await make_shop(api, name)
        options = ["--data", str(tmp_path)]
        if request.param != "here":
            secret = (await api.caller()).headers["Authorization"].removeprefix("Bearer ")
            options = ["--url", str(api.client.make_url("/")), "--key", secret]
        yield Machine(api, options)
    journal.close()


QUESTION = ("--by", "line_item", "--measure", "spend")


async def test_a_report_is_kept_run_changed_and_forgotten(machine: Machine) -> None:
    kept = await machine.run("save", "Spend", *QUESTION, "--advertiser", "1", "--only", "country=POL", "--json")
    assert (kept["id"], kept["name"], kept["advertiser_id"], kept["schedule"]) == (1, "Spend", 1, None)
    assert kept["request"]["filters"] == {"country": ["POL"]}
    await machine.run("save", "All", *QUESTION, "--replace", "1", "--json")
    (listed,) = (await machine.run("list", "--json"))["items"]
    assert (listed["name"], listed["advertiser_id"]) == ("All", None)
    assert "All" in await machine.run("list")
    answer = await machine.run("run", "1", "--json")
    assert answer["rows"] == [[1, "PLN", "3.00"]]
    assert "3.00" in await machine.run("run", "1")
    await machine.run("forget", "1")
    assert (await machine.run("list", "--json"))["items"] == []
    with pytest.raises(GroszError):
        await machine.run("run", "1")


async def test_a_report_is_sent_by_schedule_until_it_is_not(machine: Machine) -> None:
    await machine.run("save", "Spend", *QUESTION, "--every", "day", "--file", "--hour", "5")
    sent = await machine.run(
        "schedule", "1", "--every", "week", "--mail", "a@b.example", "--mail", "c@d.example", "--json"
    )
    assert sent["schedule"] == {"every": "week", "by": "mail", "to": ["a@b.example", "c@d.example"], "hour": 7}
    assert datetime.datetime.fromisoformat(sent["next_at"]).weekday() == 0
    assert "every week at 7:00 by mail" in await machine.run(
        "schedule", "1", "--every", "week", "--mail", "a@b.example"
    )
    off = await machine.run("schedule", "1", "--off", "--json")
    assert (off["schedule"], off["next_at"], off["request"]) == (None, None, sent["request"])
    for wrong in (
        (), ("--every", "day"), ("--mail", "a@b.example"), ("--every", "day", "--off"),
        ("--every", "day", "--file", "--webhook", "https://b.example/"), ("--every", "day", "--webhook", "ftp://b"),
        ("--every", "day", "--mail", "a@b\r\nBcc: c@d"),
    ):  # fmt: skip
        with pytest.raises(GroszError):
            await machine.run("schedule", "1", *wrong)


async def test_a_report_is_shown_by_a_link_until_it_is_revoked(machine: Machine) -> None:
    await machine.run("save", "Spend", *QUESTION)
    with pytest.raises(GroszError, match="one advertiser"):
        await machine.run("share", "1")
    with pytest.raises(GroszError, match="no advertiser 9"):
        await machine.run("share", "1", "--advertiser", "9")
    link = await machine.run("share", "1", "--advertiser", "1", "--days", "2", "--json")
    assert link["url"].endswith(link["path"])
    async with machine.api.client.get(link["path"]) as page:
        assert page.status == 200
        assert "3.00" in await page.text()
    assert [one["id"] for one in (await machine.run("links", "1", "--json"))["items"]] == [link["id"]]
    await machine.run("revoke", "1", str(link["id"]))
    async with machine.api.client.get(link["path"]) as page:
        assert page.status == 404
    with pytest.raises(GroszError):
        await machine.run("revoke", "1", "77")
    if "--data" in machine.options:
        assert link["url"].startswith(PUBLIC)


async def test_recipients_are_asked_and_forgotten(machine: Machine) -> None:
    found = await machine.run("recipients", "--invite", "ann@shoes.example", "--advertiser", "1", "--json")
    assert [(one["address"], one["confirmed_at"]) for one in found["items"]] == [("ann@shoes.example", None)]
    (mail,) = (await machine.run("deliveries", "--json"))["items"]
    assert (mail["target"], mail["state"]) == ("ann@shoes.example", "waiting")
    assert (await machine.run("deliveries", "--state", "dead", "--json"))["items"] == []
    with pytest.raises(GroszError):
        await machine.run("deliveries", "--send-again", str(mail["id"]))  # it was not set aside
    gone = await machine.run("recipients", "--forget", "ann@shoes.example", "--advertiser", "1", "--json")
    assert gone["items"] == []
    with pytest.raises(GroszError):
        await machine.run("recipients", "--invite", "ann@shoes.example", "--advertiser", "9")
