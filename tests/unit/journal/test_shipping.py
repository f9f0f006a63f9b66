import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from admin.roles.journal_shipping import segment_routes
from core.clock import SystemClock
from core.telemetry.metrics import Telemetry
from journal.folders import SET_ASIDE_DAYS
from journal.receiving import SegmentInbox
from journal.shipping import SegmentShipper

KEY = "k" * 32


@asynccontextmanager
async def receiver(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """The worker's port for other hosts: its URL, and where their segments arrive."""
    inbox = SegmentInbox(folder / "segments", SystemClock(), Telemetry(), max_bytes=2**20)
    app = web.Application()
    app.add_routes(segment_routes(inbox, KEY))
    async with TestServer(app) as server:
        yield str(server.make_url("/")), folder / "segments"
    inbox.close()


def segment(folder: Path, number: int) -> Path:
    path = folder / f"{SystemClock().now_ms():013d}-p-{number}.segment"
    folder.mkdir(exist_ok=True)
    path.write_bytes(b"rows")
    return path


async def test_a_segment_that_vanishes_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = segment(tmp_path / "here", 1), segment(tmp_path / "here", 2)

    def listed(_folder: Path) -> list[Path]:
        first.unlink(missing_ok=True)  # by hand, to make room, just after it was listed
        return [first, second]

    monkeypatch.setattr("journal.shipping.waiting_segments", listed)
    async with receiver(tmp_path / "worker") as (url, arrived):
        shipper = SegmentShipper(tmp_path / "here", url, KEY, Telemetry())
        assert await shipper.ship_waiting() == 1
        await shipper.close()
        assert [path.name for path in arrived.iterdir()] == [second.name]
    assert not second.exists()


async def test_a_segment_that_was_refused_long_ago_is_forgotten_where_it_lies(tmp_path: Path) -> None:
    segments = tmp_path / "segments"
    segments.mkdir()
    for name, days in (("old.refused", SET_ASIDE_DAYS + 1), ("new.refused", SET_ASIDE_DAYS - 1)):
        (segments / name).write_bytes(b"rows")
        os.utime(segments / name, (time.time() - days * 86_400,) * 2)
    shipper = SegmentShipper(segments, "http://127.0.0.1:1", "key", Telemetry())
    assert await shipper.ship_waiting() == 0
    await shipper.close()
    assert [path.name for path in segments.glob("*.refused")] == ["new.refused"]
