"""Every scenario of the load test against the real thing, in a shortened form; speed is not judged here.

Two `grosz up` serve all of them but the one that takes Redis away, and scenarios run side by side.
"""

import asyncio
import datetime
import gc
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from loadtest.exchange.exchange import ExchangeProcess
from loadtest.judging.audit import Ledger, LedgerLine, settled_audit
from loadtest.judging.books import load_books
from loadtest.measure.series import Series
from loadtest.measure.tally import BillKey, BillLine
from loadtest.report.report import AuditReport, Report, make_report
from loadtest.running.demo import run_demo
from loadtest.traffic.catalogue import Object, make_catalogue
from loadtest.traffic.scenario import Scenario, load_scenario, scenario_names
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.redis_outage import behind_a_proxy, run_with_trouble

replace = msgspec.structs.replace

# Made consent strings permit every vendor; the bidder has to be one to use them.
REGISTERED = {"GROSZ_CONSENT_VENDOR_ID": "755"}

# These need a bidder of their own, below.
SPECIAL = {"redis-outage", "many-line-items", "budget-exhaustion", "notice-storm"}
GENERAL = sorted(set(scenario_names()) - SPECIAL)

DAILY_BUDGET_MICROS = 50_000
POOR = 6  # the shop that can afford little, on an exchange of its own


def shortened(name: str, urls: Mapping[str, str], exchange: str = "demo", catalogue: Path | None = None) -> Scenario:
    """A hundred and fifty requests of a scenario, with its notices told soon and patience for a slow machine."""
    scenario = load_scenario(name)
    return replace(
        scenario,
        url=f"{urls['bid']}/openrtb2/{exchange}",
        track_url=urls["track"],
        rate=50.0,
        duration_s=3.0,
        connections=16,
        processes=1,
        # `overload` has an exchange give up after a second, for which a busy machine may not run this process at all.
        patience_s=5.0,
        # A bid that comes late is not won, and a busy machine may be late with each.
        traffic=replace(scenario.traffic, templates=100, users=1_000, tmax_ms=1_000),
        notices=replace(scenario.notices, bill_delay_ms=50, click_delay_ms=2_500, late_delay_ms=500, drain_s=5),
        shoppers=replace(
            scenario.shoppers, count=min(10, scenario.shoppers.count), page_seconds=0.1, return_after_s=0.3
        ),
        checks=replace(scenario.checks, share=1.0, catalogue=str(catalogue or "")),
    )


async def side_by_side(*scenarios: Scenario) -> dict[str, Report]:
    """Run scenarios at the same time, each as one process of it would, in this one."""

    kept = [Series() for _ in scenarios]
    processes = [ExchangeProcess(scenario, 0, series.add) for scenario, series in zip(scenarios, kept, strict=True)]
    await asyncio.gather(*(process.connect() for process in processes))
    # Each process collects garbage before it sends, which takes seconds in one that has run a thousand tests, and the
    # clock of the first one would run meanwhile: all of its answers would be late. What is frozen is not looked at.
    gc.collect()
    gc.freeze()
    start = time.monotonic()
    await asyncio.gather(*(process.run(start, asyncio.Event()) for process in processes))
    return {s.name: make_report(s, series, 0) for s, series in zip(scenarios, kept, strict=True)}


def bill_of(reports: Mapping[str, Report]) -> dict[str, BillLine]:
    """What all of them owe together."""
    total: dict[str, BillLine] = {}
    for report in reports.values():
        for key, line in report.bill.items():
            total[key] = total.get(key, BillLine()).plus(line)
    return total


async def ledger_of(data: Path) -> Ledger:
    """What the ledger of a data directory has, by line item."""
    totals: dict[BillKey, LedgerLine] = {}
    for ledger in await ledgers_by_day(data):
        for key, line in ledger.items():
            totals[key] = totals.get(key, LedgerLine()).plus(line)
    return totals


async def ledgers_by_day(data: Path) -> list[dict[BillKey, LedgerLine]]:
    """The same of each day that may have any: a test may begin before midnight and end after it."""
    database = Database.open(f"sqlite+aiosqlite:///{data / 'grosz.sqlite'}")
    store = SqlLedgerStore(database)
    today = datetime.datetime.now(datetime.UTC).toordinal() - datetime.date(1970, 1, 1).toordinal()
    days: list[dict[BillKey, LedgerLine]] = []
    for day in (today - 1, today, today + 1):
        days.append({})
        for line in await store.day_lines(day):
            key = BillKey(str(line.line_item_id), line.currency)
            days[-1][key] = days[-1].get(key, LedgerLine()).plus(LedgerLine(line.charge_micros, line.impressions))
    await database.close()
    return days


async def audited(reports: Mapping[str, Report], data: Path, catalogue: Path) -> AuditReport:
    """The bill of scenarios that ran on an empty ledger, against that ledger."""
    return await settled_audit(bill_of(reports), lambda: ledger_of(data), {}, load_books(catalogue), attempts=20)


def assert_right(report: Report) -> None:
    """Everything was answered, and nothing that was answered breaks a rule."""
    assert report.violations == {}, report.examples
    assert report.count("offered") > 100
    assert report.count("answered") == report.count("offered")


class Ran:
    """Scenarios that ran side by side against a Grosz that is still there."""

    def __init__(self, urls: Mapping[str, str], reports: Mapping[str, Report], audit: AuditReport, data: Path) -> None:
        self.urls = urls
        self.reports = reports
        self.audit = audit
        self.data = data


@pytest.fixture(scope="module")
def general() -> Iterator[Ran]:
    """What needs nothing special, on the demo catalogue."""
    with tempfile.TemporaryDirectory(prefix="grosz-") as directory:
        data = Path(directory) / "data"
        with RunningGrosz(data, "--seed", "demo", environ=REGISTERED) as up:
            catalogue = data / "exported.json"
            done = grosz("catalogue", "export", str(catalogue), "--data", str(data))
            assert done.returncode == 0, done.stderr
            scenarios = [shortened(name, up.urls, catalogue=catalogue) for name in GENERAL]
            reports = asyncio.run(side_by_side(*scenarios))
            yield Ran(up.urls, reports, asyncio.run(audited(reports, data, catalogue)), data)


@pytest.mark.parametrize("name", GENERAL)
def test_a_scenario_runs_without_a_violation(general: Ran, name: str) -> None:
    report = general.reports[name]
    assert_right(report)
    assert report.count("bids") > 0


def test_the_bill_of_shops_in_several_currencies_agrees_to_the_micro(general: Ran) -> None:
    assert general.audit.agrees, general.audit
    assert len({line.currency for line in general.audit.lines}) > 1
    assert sum(line.ledger_impressions for line in general.audit.lines) > 100


async def test_the_demos_load_is_bid_on_won_paid_and_shopped_for(general: Ran) -> None:
    seen: list[int] = []

    def progress(series: Series) -> None:
        seen.append(series.total.counts["answered"])

    # The scenario that ran before on this installation may have left work for some seconds: speed is not judged here.
    place = f"{general.urls['bid']}/openrtb2/demo"
    result = await run_demo(place, general.urls["track"], 3.0, progress)
    for seconds in (3.0, 6.0, 12.0, 24.0):
        if result.billed:
            break
        seen.clear()
        result = await run_demo(place, general.urls["track"], seconds, progress)
    assert result.violations == {}
    assert result.answered == result.requests
    assert result.bids >= result.won >= result.billed > 0 < result.paid_micros
    assert result.shopper_visits > 0
    assert seen == sorted(seen)


def two_markets() -> Object:
    """Five hundred line items on one exchange, and three that can afford little on another."""
    rich = make_catalogue(500, advertisers=POOR - 1)
    poor = make_catalogue(3, advertisers=1, daily_budget=f"{DAILY_BUDGET_MICROS / 1e6:.2f}", asap=True)
    creatives = [item | {"id": 1_000 + item["id"], "advertiser_id": POOR} for item in objects(poor, "creatives")]
    moved = {
        "advertisers": [item | {"id": POOR, "name": "Poor shop"} for item in objects(poor, "advertisers")],
        "campaigns": [item | {"id": 900, "advertiser_id": POOR} for item in objects(poor, "campaigns")],
        "creatives": creatives,
        "exchanges": [item | {"id": 2, "key": "poor", "name": "Poor"} for item in objects(poor, "exchanges")],
        "line_items": [
            item | {"id": 900 + item["id"], "advertiser_id": POOR, "campaign_id": 900,
                    "creative_ids": [creative["id"] for creative in creatives]}
            for item in objects(poor, "line_items")
        ],
    }  # fmt: skip
    document: Object = {"format": rich["format"]}
    for kind, added in moved.items():
        document[kind] = [*objects(rich, kind), *added]
    for item in objects(document, "line_items"):
        item["targeting"] = item["targeting"] | {"exchanges": [2 if item["advertiser_id"] == POOR else 1]}
    return document


def objects(document: Object, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document[kind]  # type: ignore[assignment]  # lists of objects, by construction
    return found


@pytest.fixture(scope="module")
def two_exchanges() -> Iterator[Ran]:
    """What needs a made catalogue: a storm of notices among many line items, and budgets that end."""
    with tempfile.TemporaryDirectory(prefix="grosz-") as directory:
        data = Path(directory) / "data"
        data.mkdir()
        catalogue = data / "imported.json"
        catalogue.write_text(json.dumps(two_markets()))
        done = grosz("catalogue", "import", str(catalogue), "--data", str(data))
        assert done.returncode == 0, done.stderr
        with RunningGrosz(data, environ=REGISTERED) as up:
            spend_all = replace(shortened("budget-exhaustion", up.urls, "poor", catalogue), rate=100.0, duration_s=4.0)
            scenarios = [shortened(name, up.urls, "demo", catalogue) for name in ("many-line-items", "notice-storm")]
            reports = asyncio.run(side_by_side(*scenarios, spend_all))
            yield Ran(up.urls, reports, asyncio.run(audited(reports, data, catalogue)), data)


def test_after_a_storm_of_notices_the_ledger_agrees_to_the_micro(two_exchanges: Ran) -> None:
    assert two_exchanges.audit.agrees, two_exchanges.audit
    report = two_exchanges.reports["notice-storm"]
    assert_right(report)
    assert report.count("billed") > 50
    assert report.count("notice.bill.duplicate") > 0 < report.count("notice.bill.lost")


def test_budgets_are_spent_and_never_exceeded(two_exchanges: Ran) -> None:
    report = two_exchanges.reports["budget-exhaustion"]
    assert_right(report)
    days = asyncio.run(ledgers_by_day(two_exchanges.data))
    spent = [line.micros for ledger in days for key, line in ledger.items() if key.account in ("901", "902", "903")]
    assert all(micros <= DAILY_BUDGET_MICROS for micros in spent)
    assert sum(spent) > DAILY_BUDGET_MICROS  # the budgets of three line items were really used
    assert report.count("bids") < report.count("offered") / 2  # and then bidding stopped


def test_many_line_items_bid_without_a_violation(two_exchanges: Ran) -> None:
    report = two_exchanges.reports["many-line-items"]
    assert_right(report)
    assert report.count("bids") > 0


async def test_an_outage_of_redis_leaves_no_request_unanswered(tmp_path: Path, valkey: str) -> None:
    async with behind_a_proxy(valkey, tmp_path / "data", REGISTERED) as (up, proxy):
        scenario = replace(shortened("redis-outage", up.urls), duration_s=5.0)
        report = make_report(scenario, await run_with_trouble(scenario, proxy), 0)
    assert_right(report)
