"""The tracker's shop side as a process, for tests that kill it: `python -m tests.kit.event_tracker URL PORT`."""

import asyncio
import sys

from aiohttp import web

from core.clock import SystemClock
from segments.identity.persons import Identities
from tests.kit.profiles import event_rig
from tests.kit.tracker import SERVER_KEYS, tracker_application


async def main(url: str, port: int) -> None:
    """Serve until killed."""
    async with event_rig(url, SystemClock(), server_keys=SERVER_KEYS) as rig:
        runner = web.AppRunner(
            tracker_application(rig, Identities(rig.store, rig.sizes, rig.clock)), auto_decompress=False
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
