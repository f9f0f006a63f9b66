import asyncio
import logging
from collections.abc import Iterator

import pytest

from core.errors import UnavailableError
from core.telemetry.metrics import CounterChild
from journal.repeating import POLL_S, repeat

_LONGEST_S = 3.0


class _ScriptedWork:
    """Fails where it is told to, and is cancelled at the end of the script."""

    def __init__(self, outcomes: str) -> None:
        self._outcomes: Iterator[str] = iter(outcomes)

    async def do(self) -> None:
        outcome = next(self._outcomes, "cancelled")
        if outcome == "cancelled":
            raise asyncio.CancelledError
        if outcome == "f":
            raise UnavailableError("nobody answers")


async def _pauses(outcomes: str, failures: CounterChild) -> list[float]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with pytest.raises(asyncio.CancelledError):
        await repeat(_ScriptedWork(outcomes).do, failures, "segments wait", _LONGEST_S, sleep)
    return pauses


async def test_pauses_grow_while_work_fails_and_are_short_again_after_it() -> None:
    failures = CounterChild()
    pauses = await _pauses("wffffwf", failures)
    assert pauses == [POLL_S, 1.0, 2.0, _LONGEST_S, _LONGEST_S, POLL_S, 1.0]
    assert failures.value == 5


async def test_only_the_first_failure_of_a_row_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="grosz.journal"):
        await _pauses("fffwff", CounterChild())
    said = [record.getMessage() for record in caplog.records if record.name == "grosz.journal"]
    assert said == ["segments wait: nobody answers"] * 2


async def test_other_errors_end_it() -> None:
    async def broken() -> None:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        await repeat(broken, CounterChild(), "segments wait", _LONGEST_S)
