"""Mirrors a folder once, or fills it, and is killed at a call of the store.

Arguments: folder, endpoint, number of the call, whether after it, seconds by which its clock is ahead.
"""

import sys
from pathlib import Path

from core.bucket import Bucket
from core.clock import SystemClock
from core.telemetry.metrics import Telemetry
from journal.archive import Archive
from journal.mirroring import Mirror
from journal.snapshots import take_snapshot
from tests.kit.object_store import FailingObjects, be_killed
from tests.kit.s3 import JOURNAL, place


class _LaterClock(SystemClock):
    __slots__ = ("_later_ms",)

    def __init__(self, later_s: int) -> None:
        self._later_ms = later_s * 1000

    def now_ms(self) -> int:
        return super().now_ms() + self._later_ms


def mirror(folder: Path, endpoint: str, at: int, after: bool, later_s: int) -> int:
    """Mirror the folder with a store that fails at call number `at`; returns how many calls there were."""
    store = FailingObjects(Bucket(place(endpoint), JOURNAL), at, be_killed, after=after)
    archive = Archive(folder / "parquet")
    archive.folder.mkdir(exist_ok=True)
    made = Mirror(store, archive.folder, _LaterClock(later_s), Telemetry(), writer="a process", every_s=1)
    made.begin()
    made.look()
    made.put(take_snapshot(archive, folder / "mirroring", made.mirrored))
    return store.calls


if __name__ == "__main__":
    sys.stdout.write(
        f"{mirror(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == 'after', int(sys.argv[5]))}\n"
    )
