"""Work that is repeated for as long as a process lives, with longer pauses while it cannot be done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from core.errors import UnavailableError
from core.telemetry.metrics import CounterChild

POLL_S: Final = 0.5

_log = logging.getLogger("grosz.journal")


async def repeat(
    work: Callable[[], Awaitable[object]],
    failures: CounterChild,
    waiting: str,
    longest_pause_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Call `work` until cancelled. After each UnavailableError the pause doubles; only the first in a row is logged."""
    pause_s = POLL_S
    while True:
        try:
            await work()
        except UnavailableError as error:
            failures.inc()
            if pause_s == POLL_S:
                _log.warning("%s: %s", waiting, error)
            pause_s = min(2 * pause_s, longest_pause_s)
        else:
            pause_s = POLL_S
        await sleep(pause_s)
