import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.telemetry.metrics import CounterChild, GaugeChild, Telemetry
from core.telemetry.scrape import ScrapePoint


class Process:
    """One process of a role, as far as its metrics go."""

    def __init__(self, directory: Path | None, role: str = "bidder") -> None:
        telemetry = Telemetry()
        self.bids: CounterChild = telemetry.counter("grosz_bids_total", "Bids.").labels()
        self.connections: GaugeChild = telemetry.gauge("grosz_connections", "Connections.").labels()
        self.point = ScrapePoint(telemetry.families, directory=directory, role=role)
        self.point.open()

    def read(self, name: str) -> float:
        match = re.search(rf"^{name} (\S+)$", self.point.scrape().decode(), re.MULTILINE)
        assert match is not None
        return float(match[1])

    def die(self) -> None:
        """End as kill -9 does: the files stay, the lock goes."""
        assert self.point._alive is not None
        os.close(self.point._alive)
        self.point._alive = None


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    first, second = Process(tmp_path), Process(tmp_path)
    yield first, second
    first.point.close()
    second.point.close()


def test_process_alone_answers_for_itself() -> None:
    process = Process(None)
    process.bids.inc(3)
    assert process.read("grosz_bids_total") == 3
    process.point.close()


def test_whoever_is_scraped_answers_for_all(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.bids.inc(3)
    second.bids.inc(4)
    first.point.note()
    second.point.note()
    assert first.read("grosz_bids_total") == 7
    assert second.read("grosz_bids_total") == 7


def test_own_values_are_those_of_the_moment(pair: tuple[Process, Process]) -> None:
    first, second = pair
    second.bids.inc(4)
    second.point.note()
    first.bids.inc(1)
    assert first.read("grosz_bids_total") == 5


def test_other_roles_are_not_added(pair: tuple[Process, Process], tmp_path: Path) -> None:
    tracker = Process(tmp_path, role="tracker")
    tracker.bids.inc(100)
    tracker.point.note()
    assert pair[0].read("grosz_bids_total") == 0
    tracker.point.close()


def test_counts_of_a_process_that_ended_stay_and_its_gauges_go(pair: tuple[Process, Process]) -> None:
    first, second = pair
    second.bids.inc(4)
    second.connections.set(9)
    second.point.note()
    assert first.read("grosz_connections") == 9
    second.point.close()
    assert first.read("grosz_bids_total") == 4
    assert first.read("grosz_bids_total") == 4
    assert first.read("grosz_connections") == 0


def test_counts_of_a_killed_process_stay_as_last_noted(pair: tuple[Process, Process], tmp_path: Path) -> None:
    first, second = pair
    second.bids.inc(4)
    second.point.note()
    second.bids.inc(1)
    second.die()
    assert first.read("grosz_bids_total") == 4
    third = Process(tmp_path)
    third.bids.inc(1)
    third.point.note()
    assert first.read("grosz_bids_total") == 5
    assert third.read("grosz_bids_total") == 5
    third.point.close()


def test_process_that_was_never_noted_counts_nothing(pair: tuple[Process, Process]) -> None:
    first, second = pair
    second.die()
    assert first.read("grosz_bids_total") == 0


def test_note_of_another_version_is_passed_over(pair: tuple[Process, Process], tmp_path: Path) -> None:
    first, second = pair
    (tmp_path / f"{second.point._name}.note").write_bytes(b"\xc1")
    first.bids.inc()
    assert first.read("grosz_bids_total") == 1


def test_files_of_ended_processes_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(5):
        process = Process(tmp_path)
        process.bids.inc()
        process.point.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bidder.lock", "bidder.remainder"]
    last = Process(tmp_path)
    assert last.read("grosz_bids_total") == 5
    last.point.close()


async def test_loop_notes_without_being_asked(pair: tuple[Process, Process]) -> None:
    first, second = pair
    second.bids.inc(2)
    noting = asyncio.create_task(second.point.run())
    await asyncio.sleep(0)
    assert first.read("grosz_bids_total") == 2
    noting.cancel()
    await asyncio.gather(noting, return_exceptions=True)
