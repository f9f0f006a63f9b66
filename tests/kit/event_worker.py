"""An event worker as a process of its own, for tests that kill it: `python -m tests.kit.event_worker URL WORKER_ID`."""

import asyncio
import sys

from core.clock import SystemClock
from tests.kit.profiles import event_rig


async def main(url: str, worker_id: str) -> None:
    """Work until killed."""
    async with event_rig(url, SystemClock(), worker_id=worker_id) as rig:
        await rig.worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
