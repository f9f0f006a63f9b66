"""Every scenario of the load test against the real thing, in a shortened form; speed is not judged here."""

import asyncio
import datetime
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from loadtest.audit import Ledger, LedgerLine, settled_audit
from loadtest.books import load_books
from loadtest.catalogue import make_catalogue
from loadtest.demo import run_demo
from loadtest.faults import TcpProxy
from loadtest.report import Report, make_report
from loadtest.run import misbehave, run_scenario
from loadtest.scenario import Scenario, load_scenario, scenario_names
from loadtest.series import Series
from loadtest.tally import BillKey
from tests.kit.processes import RunningGrosz, grosz

replace = msgspec.structs.replace

# Made consent strings permit every vendor; the bidder has to be one to use them.
REGISTERED = {"GROSZ_CONSENT_VENDOR_ID": "755"}

# These need a bidder of their own, below.
SPECIAL = {"redis-outage", "many-line-items", "budget-exhaustion"}


def shortened(name: str, urls: dict[str, str]) -> Scenario:
    """Three hundred requests of a scenario, with its notices told soon."""
    scenario = load_scenario(name)
    return replace(
        scenario,
        url=f"{urls['bid']}/openrtb2/demo",
        track_url=urls["track"],
        rate=100.0,
        duration_s=2.0,
        connections=16,
        processes=1,
        traffic=replace(scenario.traffic, templates=100, users=1_000),
        notices=replace(scenario.notices, bill_delay_ms=50, click_delay_ms=100, late_delay_ms=500, drain_s=5),
        shoppers=replace(
            scenario.shoppers, count=min(10, scenario.shoppers.count), page_seconds=0.1, return_after_s=0.3
        ),
        checks=replace(scenario.checks, share=1.0),
    )


async def run(scenario: Scenario) -> Report:
    series = await run_scenario(scenario, lambda _: None, asyncio.Event())
    return make_report(scenario, series, 0)


def assert_right(report: Report) -> None:
    """Everything was answered, and nothing that was answered breaks a rule."""
    assert report.violations == {}, report.examples
    assert report.count("offered") > 100
    assert report.count("answered") == report.count("offered")


def import_catalogue(data: Path, document: object) -> Path:
    """Put a catalogue into an empty data directory; returns its file."""
    file = data / "imported.json"
    data.mkdir()
    file.write_text(json.dumps(document))
    done = grosz("catalogue", "import", str(file), "--data", str(data))
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture(scope="module")
def up() -> Iterator[RunningGrosz]:
    with (
        tempfile.TemporaryDirectory(prefix="grosz-") as directory,
        RunningGrosz(Path(directory) / "data", "--seed", "demo", environ=REGISTERED) as running,
    ):
        yield running


@pytest.mark.parametrize("name", sorted(set(scenario_names()) - SPECIAL))
async def test_a_scenario_runs_without_a_violation(up: RunningGrosz, name: str) -> None:
    report = await run(shortened(name, up.urls))
    assert_right(report)
    assert report.count("bids") > 0


async def test_the_demos_load_is_bid_on_won_paid_and_shopped_for(up: RunningGrosz) -> None:
    seen: list[int] = []

    def progress(series: Series) -> None:
        seen.append(series.total.counts["answered"])

    result = await run_demo(f"{up.urls['bid']}/openrtb2/demo", up.urls["track"], 3.0, progress)
    assert result.violations == {}
    assert result.answered == result.requests
    assert result.bids >= result.won >= result.billed > 0 < result.paid_micros
    assert result.shopper_visits > 0
    assert seen == sorted(seen)


async def ledger_of(data: Path, advertisers: range) -> dict[BillKey, LedgerLine]:
    """What the ledger of a data directory has, by line item."""
    database = Database.open(f"sqlite+aiosqlite:///{data / 'grosz.sqlite'}")
    store = SqlLedgerStore(database)
    totals: dict[BillKey, LedgerLine] = {}
    today = datetime.datetime.now(datetime.UTC).toordinal() - datetime.date(1970, 1, 1).toordinal()
    for day in (today - 1, today, today + 1):
        for line in await store.day_lines(day):
            if line.advertiser_id in advertisers:
                key = BillKey(str(line.line_item_id), line.currency)
                old = totals.get(key, LedgerLine())
                totals[key] = LedgerLine(old.micros + line.charge_micros, old.impressions + line.impressions)
    await database.close()
    return totals


async def audited(scenario: Scenario, data: Path, advertisers: range) -> Report:
    """Run a scenario on an empty ledger and compare the bills."""
    series = await run_scenario(scenario, lambda _: None, asyncio.Event())

    async def read() -> Ledger:
        return await ledger_of(data, advertisers)

    audit = await settled_audit(series.total.bill, read, {}, load_books(Path(scenario.checks.catalogue)))
    return make_report(scenario, series, 0, audit=audit)


def with_catalogue(scenario: Scenario, file: Path) -> Scenario:
    return replace(scenario, checks=replace(scenario.checks, catalogue=str(file)))


async def test_after_a_storm_of_notices_the_ledger_agrees_to_the_micro(tmp_path: Path) -> None:
    data = tmp_path / "data"
    file = import_catalogue(data, make_catalogue(20, advertisers=2))
    with RunningGrosz(data, environ=REGISTERED) as up:
        scenario = with_catalogue(shortened("notice-storm", up.urls), file)
        report = await audited(scenario, data, range(1, 3))
    assert report.audit is not None
    assert report.audit.agrees, report.audit
    assert_right(report)
    assert report.count("billed") > 50
    assert report.count("notice.bill.duplicate") > 0 < report.count("notice.bill.lost")


async def test_budgets_are_spent_and_never_exceeded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    file = import_catalogue(data, make_catalogue(3, advertisers=1, daily_budget="0.05", asap=True))
    with RunningGrosz(data, environ=REGISTERED) as up:
        scenario = with_catalogue(shortened("budget-exhaustion", up.urls), file)
        report = await audited(replace(scenario, duration_s=4.0), data, range(1, 2))
        spent = await ledger_of(data, range(1, 2))
    assert report.audit is not None
    assert report.audit.agrees, report.audit
    assert_right(report)
    assert all(line.micros <= 50_000 for line in spent.values())
    assert sum(line.micros for line in spent.values()) > 50_000  # the budgets of three line items were really used
    assert report.count("bids") < report.count("offered") / 2  # and then bidding stopped


async def test_many_line_items_bid_without_a_violation(tmp_path: Path) -> None:
    data = tmp_path / "data"
    file = import_catalogue(data, make_catalogue(500, advertisers=5))
    with RunningGrosz(data, environ=REGISTERED) as up:
        report = await run(with_catalogue(shortened("many-line-items", up.urls), file))
    assert_right(report)
    assert report.count("bids") > 0


async def test_an_outage_of_redis_leaves_no_request_unanswered(tmp_path: Path, valkey: str) -> None:
    proxy = TcpProxy(valkey)
    environ = REGISTERED | {"GROSZ_REDIS_URL": f"redis://127.0.0.1:{await proxy.start()}"}
    up = RunningGrosz(tmp_path / "data", "--seed", "demo", environ=environ)
    try:
        await asyncio.to_thread(up.__enter__)  # it blocks, and needs the proxy of this loop meanwhile
        scenario = shortened("redis-outage", up.urls)
        scenario = replace(scenario, duration_s=5.0, redis=replace(scenario.redis, listen_port=0))
        running = asyncio.create_task(run(scenario))
        await misbehave(proxy, load_scenario("redis-outage").redis, scenario.duration_s)
        report = await running
    finally:
        await asyncio.to_thread(up.__exit__, None, None, None)
        await proxy.close()
    assert_right(report)
