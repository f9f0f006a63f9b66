"""Several bidders side by side: the same load in short turns, so that what the machine does meanwhile hits all
alike."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from loadtest.report.compare import LEAST_S, Difference, compare_seconds
from loadtest.report.report import Report, SecondReport, make_report
from loadtest.running.run import Progress, run_scenario
from loadtest.traffic.scenario import NoticePlan, Scenario, ScenarioError


class Peer(NamedTuple):
    """One endpoint with the reports of its turns."""

    url: str
    reports: list[Report]

    @property
    def seconds(self) -> list[SecondReport]:
        """All seconds of load, without the first of each turn, which opens connections."""
        return [second for report in self.reports for second in report.seconds[1:]]


def check_peers(urls: Sequence[str], duration_s: float, turns: int) -> None:
    """Refuse a plan whose results could not be compared. Raises ScenarioError."""
    if len(urls) < 2:
        raise ScenarioError("give at least two endpoints to compare")
    if turns * (int(duration_s / turns) - 1) < LEAST_S:
        raise ScenarioError(
            f"{turns} turns in {duration_s:g} s leave less than {LEAST_S} s without the first second of each: give a "
            "longer --duration or fewer --turns"
        )


async def run_peers(
    scenario: Scenario, urls: Sequence[str], turns: int, progress: Progress, stop: asyncio.Event
) -> list[Peer]:
    """Run the scenario against each URL in turn, `turns` times; its duration is divided among the turns."""
    peers = [Peer(url, []) for url in urls]
    for turn in range(turns):
        # the order is reversed each time, so that no endpoint always goes first
        for peer in peers if turn % 2 == 0 else reversed(peers):
            if stop.is_set():
                return peers
            plan = msgspec.structs.replace(
                scenario,
                url=peer.url,
                duration_s=scenario.duration_s / turns,
                seed=scenario.seed + turn,
                notices=NoticePlan(send=False),  # other endpoints have other trackers
            )
            started_ms = time.time_ns() // 1_000_000
            peer.reports.append(make_report(plan, await run_scenario(plan, progress, stop), started_ms))
    return peers


def differences(peers: Sequence[Peer]) -> dict[str, list[Difference]]:
    """The differences of each endpoint to the first, by URL."""
    first = peers[0]
    return {peer.url: compare_seconds(first.seconds, peer.seconds, warm_up_s=0) for peer in peers[1:]}
