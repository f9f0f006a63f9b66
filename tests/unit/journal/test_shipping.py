import os
import time
from pathlib import Path

from core.telemetry.metrics import Telemetry
from journal.folders import SET_ASIDE_DAYS
from journal.shipping import SegmentShipper


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
