"""The writer of the ledger, where its store does not answer."""

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

import pytest

from core.clock import ManualClock
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from pacing.budgets.transitions import StreamEntry, Transitions
from pacing.ledger.rows import LedgerRow, LedgerStore, LedgerWriter, is_row


class Away:
    """A store without the schema that its writer needs, or that was away when the worker started."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def last_stream_id(self, advertiser_id: int) -> str:
        self.asked.set()
        raise UnavailableError("the database does not answer")

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None:
        raise AssertionError("nothing is known to be new")


async def test_a_store_that_never_answered_is_logged_once_and_seen_as_rows_that_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, clock, telemetry = Away(), ManualClock(), Telemetry()
    writer = LedgerWriter(cast("Transitions", None), cast("LedgerStore", store), lambda: [7, 8], telemetry, clock)
    with caplog.at_level(logging.WARNING, "grosz.pacing.ledger"):
        running = asyncio.create_task(writer.run())
        await store.asked.wait()
        await asyncio.sleep(0)
        running.cancel()
    clock.advance(90)
    (waited,) = [
        sample.value
        for family in telemetry.families()
        for sample in family.samples
        if sample.name == "grosz_ledger_wait_seconds"
    ]
    assert waited == 90
    said = [record.getMessage() for record in caplog.records if record.name == "grosz.pacing.ledger"]
    assert said == ["ledger rows wait in Redis: the database does not answer"]
    assert writer.trouble() == "rows wait in Redis for 90 s: the database does not answer"


def test_a_row_that_cannot_be_read_is_a_row_and_a_mark_is_none() -> None:
    assert is_row(StreamEntry("1-0", {b"row": b"\xff"}))
    assert not is_row(StreamEntry("1-1", {b"epoch": b"e"}))
