import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import scrape
from core.scrape import ScrapePoint
from core.telemetry import CounterChild, GaugeChild, Telemetry


class Process:
    """One process of a role, as far as its metrics go."""

    def __init__(self, directory: Path | None, role: str = "bidder") -> None:
        telemetry = Telemetry()
        self.bids: CounterChild = telemetry.counter("grosz_bids_total", "Bids.").labels()
        self.connections: GaugeChild = telemetry.gauge("grosz_connections", "Connections.").labels()
        self.point = ScrapePoint(telemetry.families, directory=directory, role=role)

    async def read(self, name: str) -> float:
        match = re.search(rf"^{name} (\S+)$", (await self.point.scrape()).decode(), re.MULTILINE)
        assert match is not None
        return float(match[1])

    async def die(self) -> None:
        """End as kill -9 does: the socket file stays, nobody listens."""
        server = self.point._server
        assert server is not None
        path = Path(server.sockets[0].getsockname())
        server.close()
        await server.wait_closed()
        path.touch()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Process, Process]]:
    first, second = Process(tmp_path), Process(tmp_path)
    await first.point.open()
    await second.point.open()
    yield first, second
    await first.point.close()
    await second.point.close()


async def test_process_alone_answers_for_itself() -> None:
    process = Process(None)
    process.bids.inc(3)
    await process.point.open()
    assert await process.read("grosz_bids_total") == 3
    await process.point.close()


async def test_whoever_is_scraped_answers_for_all(pair: tuple[Process, Process]) -> None:
    first, second = pair
    first.bids.inc(3)
    second.bids.inc(4)
    assert await first.read("grosz_bids_total") == 7
    assert await second.read("grosz_bids_total") == 7


async def test_other_roles_are_not_added(pair: tuple[Process, Process], tmp_path: Path) -> None:
    tracker = Process(tmp_path, role="tracker")
    await tracker.point.open()
    tracker.bids.inc(100)
    assert await pair[0].read("grosz_bids_total") == 0
    await tracker.point.close()


async def test_counts_of_a_process_that_ended_stay_and_its_gauges_go(pair: tuple[Process, Process]) -> None:
    first, second = pair
    second.bids.inc(4)
    second.connections.set(9)
    assert await first.read("grosz_connections") == 9
    await second.point.close()
    assert await first.read("grosz_bids_total") == 4
    assert await first.read("grosz_bids_total") == 4
    assert await first.read("grosz_connections") == 0


async def test_counts_of_a_killed_process_stay_as_last_scraped(pair: tuple[Process, Process], tmp_path: Path) -> None:
    first, second = pair
    second.bids.inc(4)
    assert await first.read("grosz_bids_total") == 4
    await second.die()
    assert await first.read("grosz_bids_total") == 4
    third = Process(tmp_path)
    await third.point.open()
    third.bids.inc(1)
    assert await first.read("grosz_bids_total") == 5
    assert await third.read("grosz_bids_total") == 5
    await third.point.close()


async def test_stuck_process_is_counted_by_its_last_note(
    pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    second.bids.inc(4)
    assert await first.read("grosz_bids_total") == 4
    monkeypatch.setattr(scrape, "ANSWER_TIMEOUT_S", 0.05)
    stuck = asyncio.Event()

    async def never(self: ScrapePoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stuck.wait()
        writer.close()

    monkeypatch.setattr(ScrapePoint, "_answer", never)
    assert second.point._server is not None
    second.point._server.close()
    await second.point._server.wait_closed()
    await second.point.open()
    assert await first.read("grosz_bids_total") == 4
    stuck.set()


async def test_files_of_ended_processes_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(5):
        process = Process(tmp_path)
        await process.point.open()
        process.bids.inc()
        await process.point.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bidder.lock", "bidder.remainder"]
    last = Process(tmp_path)
    await last.point.open()
    assert await last.read("grosz_bids_total") == 5
    await last.point.close()
