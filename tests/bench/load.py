"""Load-test scenarios against `grosz up`: the capacity, 60 % of it, twice it, and the bill (about 8 minutes).

`scripts/bench load [NAME ...] [--out DIR] [--write-docs]`. NAME is `search`, which finds the capacity, or a scenario;
without names `search` and every scenario but the soak. HTML and JSON reports and the capacity stay in `--out`, so
single scenarios can be run again; `--write-docs` puts table and plots of all reports there into docs/performance.md.

The bidder has the first core to itself; the generator, Valkey, tracker, worker and admin share the last one, the latter
three at a lower priority, since on a machine of this size a busy tracker would keep Valkey from answering the bidder.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from core.redis.embedded import EmbeddedServer
from loadtest.judging.audit import Ledger, ledger_of_command, settled_audit
from loadtest.judging.books import load_books
from loadtest.report.page import save_page
from loadtest.report.report import Report, make_report, save_report
from loadtest.running.run import run_scenario
from loadtest.running.search import Found, measure_rate, search
from loadtest.traffic.catalogue import make_catalogue
from loadtest.traffic.scenario import Scenario, load_scenario, scenario_names
from tests.kit.fixtures import REPOSITORY
from tests.kit.load_docs import HEADER, OTHERS, describe, figures, load_reports, write_docs
from tests.kit.neighbours import Neighbours
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.redis_outage import behind_a_proxy, run_with_trouble

replace = msgspec.structs.replace

SEARCH = "search"
SOAK = "soak"  # a night; only by its name
REDIS_OUTAGE = "redis-outage"
NO_BID = "no-bid"

GOAL_P99_MS = 10.0
START_RATE = 500.0
PROBE_S = 4.0

# What each scenario is cut to, so that all of them fit into eight minutes; the rest of them 12 s.
SECONDS = {"steady": 40.0, "overload": 48.0, "black-friday": 30.0, "day-curve": 24.0, SOAK: 8 * 3600.0}
OTHERS_S = 12.0

# What a scenario offers at its peak, where it is not about capacity: three to four notices follow a won bid, and beside
# everything else on its core the tracker keeps up with about 1,500 a second.
CALM_RATE = 400.0
QUIET_SHARE = 0.6  # of the capacity, without notices

CORES = sorted(os.sched_getaffinity(0))

_LESS_URGENT = (" tracker", " worker", " admin")
_NICE = 10

# Each scenario's catalogue where it is not the demo's: line items and options of make_catalogue.
CATALOGUES: dict[str, dict[str, object]] = {
    "many-line-items": {"line_items": 100_000, "eligible": 60},
    "budget-exhaustion": {"line_items": 50, "advertisers": 5, "daily_budget": "0.05", "asap": True},
}

ENVIRON = {"GROSZ_CONSENT_VENDOR_ID": "755"}  # made consent strings permit every vendor


class Target:
    """A running `grosz up` with its catalogue and its ledger."""

    def __init__(self, up: RunningGrosz, data: Path) -> None:
        self.up = up
        command = (sys.executable, "-m", "admin.cli", "ledger", "export", "--data", str(data))
        self._ledger = f"cd {shlex.quote(str(REPOSITORY))} && {shlex.join(command)}"
        self.catalogue = data / "exported.json"
        done = grosz("catalogue", "export", str(self.catalogue), "--data", str(data))
        if done.returncode:
            raise SystemExit(done.stderr)

    async def ledger(self) -> Ledger:
        return await ledger_of_command(self._ledger)

    def aimed(self, name: str, seconds: float | None = None) -> Scenario:
        """A scenario against this target, cut to its length."""
        scenario = load_scenario(name)
        return replace(
            scenario,
            url=f"{self.up.urls['bid']}/openrtb2/demo",
            track_url=self.up.urls["track"],
            duration_s=seconds or min(scenario.duration_s, SECONDS.get(name, OTHERS_S)),
            processes=1,
            checks=replace(scenario.checks, catalogue=str(self.catalogue)),
        )


@contextlib.contextmanager
def running(name: str = "") -> Iterator[Target]:
    """`grosz up` with the catalogue of a scenario, its bidder alone on the first core."""
    with tempfile.TemporaryDirectory(prefix="grosz-bench-") as directory:
        data = Path(directory) / "data"
        arguments = ["--workers", "1"]
        if name in CATALOGUES:
            data.mkdir()
            file = data / "made.json"
            file.write_text(json.dumps(make_catalogue(**CATALOGUES[name])))  # type: ignore[arg-type]  # as listed
            done = grosz("catalogue", "import", str(file), "--data", str(data))
            if done.returncode:
                raise SystemExit(done.stderr)
        else:
            arguments += ["--seed", "demo"]
        with RunningGrosz(data, *arguments, environ=ENVIRON) as up:
            pin(up)
            yield Target(up, data)


def pin(up: RunningGrosz) -> None:
    """The bidder on the first core, all else on the last, and there those last that no bid waits for."""
    first, last = CORES[0], CORES[-1]
    for pid, command in up.family().items():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {first if command.endswith(" bidder") else last})
            if command.endswith(_LESS_URGENT):
                os.setpriority(os.PRIO_PROCESS, int(thread.name), _NICE)
    os.sched_setaffinity(0, {last})  # generator processes inherit it


async def capacity_of(target: Target) -> Found:
    """Highest rate with p99 within the goal."""
    steady = target.aimed("steady", PROBE_S)

    async def measure(rate: float) -> Report:
        neighbours = Neighbours(target.up.family())
        report = with_others(await measure_rate(steady, rate, lambda _: None, asyncio.Event()), neighbours.share())
        print(
            f"  {rate:,.0f}/s: p99 {report.percentiles_ms['latency']['p99']} ms, others {report.environment[OTHERS]}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        return report

    return await search(START_RATE, GOAL_P99_MS, measure)


def rated(scenario: Scenario, capacity: float) -> Scenario:
    """A scenario at the rate that the capacity allows."""
    if scenario.name in ("steady", "overload"):
        return replace(scenario, rate=round(0.6 * capacity))
    peaks = {"burst": scenario.arrival.burst_factor, "day": 1.8}
    most = CALM_RATE if scenario.notices.send and scenario.name != NO_BID else QUIET_SHARE * capacity
    return replace(scenario, rate=round(min(scenario.rate, most / peaks.get(scenario.arrival.shape, 1.0))))


async def run(target: Target, scenario: Scenario) -> Report:
    """Run a scenario and audit its bill."""
    before = await target.ledger()
    started_ms = time.time_ns() // 1_000_000
    neighbours = Neighbours(target.up.family())
    series = await run_scenario(scenario, lambda _: None, asyncio.Event())
    others = neighbours.share()
    audited = None
    if scenario.notices.send:
        audited = await settled_audit(series.total.bill, target.ledger, before, load_books(target.catalogue))
    return with_others(make_report(scenario, series, started_ms, audit=audited), others)


def with_others(report: Report, share: float) -> Report:
    """A report that says how much of the machine others used."""
    report.environment[OTHERS] = f"{share:.0%} of all cores"
    return report


async def run_with_redis_away(capacity: float) -> Report:
    """`redis-outage` against a Grosz of its own, behind a proxy."""
    with tempfile.TemporaryDirectory(prefix="grosz-bench-") as directory:
        server = EmbeddedServer(Path(directory) / "server")
        server.start()
        try:
            data = Path(directory) / "data"
            async with behind_a_proxy(server.url, data, ENVIRON, "--workers", "1") as (up, proxy):
                pin(up)
                scenario = rated(Target(up, data).aimed("redis-outage"), capacity)
                started_ms = time.time_ns() // 1_000_000
                neighbours = Neighbours([*up.family(), server.pid or 0])
                series = await run_with_trouble(scenario, proxy)
                return with_others(make_report(scenario, series, started_ms), neighbours.share())
        finally:
            server.stop()


def run_all(names: list[str], out: Path, keep: Callable[[Report], None]) -> float:
    """Run what is named, those against the demo catalogue against one Grosz; returns the capacity."""
    kept = out / "capacity.json"
    shared = [name for name in names if name not in CATALOGUES and name not in (SEARCH, REDIS_OUTAGE)]
    if SEARCH in names or shared:
        with running() as target:
            if SEARCH in names or not kept.exists():
                kept.write_text(json.dumps({"capacity": asyncio.run(capacity_of(target)).rate}))
            capacity = float(json.loads(kept.read_text())["capacity"])
            for name in shared:
                keep(asyncio.run(run(target, rated(target.aimed(name), capacity))))
    if not kept.exists():
        raise SystemExit(f"{kept} does not exist: let `search` find the capacity first")
    capacity = float(json.loads(kept.read_text())["capacity"])
    for name in names:
        if name in CATALOGUES:
            with running(name) as target:
                keep(asyncio.run(run(target, rated(target.aimed(name), capacity))))
        elif name == REDIS_OUTAGE:
            keep(asyncio.run(run_with_redis_away(capacity)))
    return capacity


def main() -> None:
    names = [SEARCH, *(name for name in scenario_names() if name != SOAK)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=names, help="search, or a scenario")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "loadtest-reports")
    parser.add_argument("--write-docs", action="store_true", help="refresh table and plots of docs/performance.md")
    options = parser.parse_args()
    if unknown := set(options.names) - {*names, SOAK}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join([*names, SOAK])}")
    options.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no Grosz is left behind

    def keep(report: Report) -> None:
        save_page(report, options.out / f"{report.scenario.name}.html")
        save_report(report, options.out / f"{report.scenario.name}.json")
        print(describe(report), flush=True)

    print(HEADER, flush=True)
    capacity = run_all(options.names, options.out, keep)
    print("\n" + "\n".join(figures(capacity, load_reports(options.out))))
    print(f"\nreports: {options.out}")
    if options.write_docs:
        write_docs(capacity, options.out, REPOSITORY / "docs" / "performance.md")


if __name__ == "__main__":
    main()
