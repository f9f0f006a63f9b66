"""Scenarios of the load test in full against `grosz up`: `scripts/bench load [SCENARIO ...] [--out DIR] [--seconds N]`.

Without names: every scenario that needs no special set-up and ends within ten minutes. First the capacity is
searched for, then `steady` runs at 60 % of it and `overload` at twice it. HTML and JSON reports go to `--out`; the
table at the end is for docs/performance.md.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import msgspec

from loadtest.page import save_page
from loadtest.report import Report, make_report, save_report
from loadtest.run import run_scenario
from loadtest.scenario import Scenario, load_scenario, scenario_names
from loadtest.search import measure_rate, search
from tests.kit.processes import RunningGrosz

replace = msgspec.structs.replace

# They need a catalogue, a proxy or a night: docs/loadtest.md says how to run them.
SPECIAL = {"many-line-items", "budget-exhaustion", "redis-outage", "soak"}

GOAL_P99_MS = 10.0
START_RATE = 250.0
PROBE_S = 5.0


def aimed(name: str, urls: dict[str, str], seconds: float | None) -> Scenario:
    scenario = load_scenario(name)
    return replace(
        scenario,
        url=f"{urls['bid']}/openrtb2/demo",
        track_url=urls["track"],
        duration_s=min(scenario.duration_s, seconds or scenario.duration_s),
    )


async def capacity_of(urls: dict[str, str]) -> float:
    """Highest rate with p99 within the goal."""
    steady = replace(aimed("steady", urls, PROBE_S), connections=128)

    async def measure(rate: float) -> Report:
        return await measure_rate(steady, rate, lambda _: None, asyncio.Event())

    return (await search(START_RATE, GOAL_P99_MS, measure)).rate


async def run(scenario: Scenario, out: Path) -> Report:
    started_ms = time.time_ns() // 1_000_000
    series = await run_scenario(scenario, lambda _: None, asyncio.Event())
    report = make_report(scenario, series, started_ms)
    save_page(report, out / f"{scenario.name}.html")
    save_report(report, out / f"{scenario.name}.json")
    return report


def row(report: Report) -> str:
    latency = report.percentiles_ms["latency"]
    shown = " | ".join("-" if latency[name] is None else f"{latency[name]:.2f}" for name in ("p50", "p99", "p99.9"))
    missed = ", ".join(goal.goal for goal in report.goals if not goal.met) or "all met"
    cells = (
        report.scenario.name,
        f"{report.scenario.rate:,.0f}/s",
        shown,
        f"{report.share('in_time', 'offered'):.3%}",
        f"{report.count('bids'):,}",
        str(sum(report.violations.values())),
        f"{report.generator.cpu_share:.0%}",
        missed,
    )
    return f"| {' | '.join(cells)} |"


async def bench(names: list[str], out: Path, seconds: float | None, urls: dict[str, str]) -> None:
    capacity = await capacity_of(urls)
    print(f"capacity at p99 <= {GOAL_P99_MS:g} ms: {capacity:,.0f} requests/s, one bidder process\n")
    print("| scenario | rate | p50 ms | p99 ms | p99.9 ms | inside tmax | bids | violations | generator | goals |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rates = {"steady": 0.6 * capacity, "overload": capacity}
    for name in names:
        scenario = aimed(name, urls, seconds)
        print(row(await run(replace(scenario, rate=rates.get(name, scenario.rate) or START_RATE), out)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=sorted(set(scenario_names()) - SPECIAL))
    parser.add_argument("--out", type=Path, default=Path("loadtest-reports"))
    parser.add_argument("--seconds", type=float, help="at most this long each")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="grosz-bench-") as directory:
        registered = {"GROSZ_CONSENT_VENDOR_ID": "755"}
        with RunningGrosz(Path(directory) / "data", "--seed", "demo", "--workers", "1", environ=registered) as up:
            asyncio.run(bench(options.scenarios, options.out, options.seconds, up.urls))
    print(f"\nreports: {options.out}")


if __name__ == "__main__":
    main()
