"""Keeps the exchange rates current from a file or an address, such as the European Central Bank's.

The bank publishes on working days at about 16:00 in Frankfurt. A source that is away, or says something unreadable or
older, leaves the rates in force as they are; their age is a metric, an alert and a finding of the doctor.
"""

import asyncio
import datetime
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp

from admin.rates.reference import MAX_FILE_BYTES, ReferenceRates, read_reference_rates
from admin.rates.store import BASE, RatesInForce, rates_in_force, replace_rates
from admin.store.catalogue import CatalogueStore
from admin.store.changes import SYSTEM, Actor
from core.clock import Clock
from core.errors import GroszError, UnavailableError
from core.moments import utc_day
from core.network.bodies import read_answer
from core.telemetry.metrics import Merge, Telemetry

ECB_DAILY: Final = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
# After a failure: soon enough to have the day's rates, rare enough for a public service.
RETRY_S: Final = 600.0

log = logging.getLogger("grosz.rates")


async def fetch(source: str) -> bytes:
    """The bytes of a source: `ecb`, an http(s) address, or a file's path. Raises UnavailableError."""
    address = ECB_DAILY if source == "ecb" else source
    try:
        if not address.startswith(("http://", "https://")):
            return await asyncio.to_thread(_read_file, Path(address))
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(address) as answer:
            if answer.status != 200:
                raise UnavailableError(f"the source of exchange rates answered {answer.status}: {address}")
            return await read_answer(answer.content, MAX_FILE_BYTES + 1)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"the source of exchange rates cannot be read: {address}: {error}") from None


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


class RateDesk:
    """Reads and replaces the rates in force; `committed` is told of each change."""

    def __init__(self, store: CatalogueStore, clock: Clock, committed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._committed = committed

    async def current(self) -> RatesInForce:
        async with self._store.database.read() as connection:
            return await rates_in_force(connection)

    def today(self) -> datetime.date:
        return utc_day(self._clock.now_ms())

    async def replace(self, new: ReferenceRates, source: str, actor: Actor) -> None:
        """`new` becomes effective with the next catalogue version."""
        async with self._store.write(actor) as writer:
            await replace_rates(writer, new, source)
        self._committed()

    async def refresh(self, source: str, actor: Actor = SYSTEM) -> bool:
        """Whether the source had rates of a later day, which are now in force. Raises GroszError."""
        new = read_reference_rates(await fetch(source), BASE)
        old = await self.current()
        if old.as_of is not None and new.as_of <= old.as_of:
            return False
        # A currency that the source has dropped keeps its last rate: an advertiser may count in it.
        await self.replace(ReferenceRates(new.as_of, {**old.rates, **new.rates}), source, actor)
        return True


class RateLoop:
    """The admin role's loop: asks the source now, then every `interval_s` seconds."""

    def __init__(self, desk: RateDesk, source: str, interval_s: float, telemetry: Telemetry) -> None:
        self._desk = desk
        self._source = source
        self._interval_s = interval_s
        self._age_days = telemetry.gauge(
            "grosz_fx_rates_age_days", "Days since the exchange rates in force were published.", merge=Merge.MAX
        ).labels()
        self._refreshes = telemetry.counter(
            "grosz_fx_refreshes_total", "Attempts to refresh the exchange rates, by outcome.", ("outcome",)
        )

    async def run(self) -> None:
        """Refresh until cancelled; without a source only the age is told."""
        while True:
            pause_s = await self.step()
            await asyncio.sleep(pause_s)

    async def step(self) -> float:
        """One attempt; returns the seconds until the next."""
        pause = self._interval_s
        if self._source:
            try:
                outcome = "changed" if await self._desk.refresh(self._source) else "unchanged"
            except GroszError as error:
                log.warning("exchange rates stay as they are: %s", error.message)
                outcome, pause = "failed", min(RETRY_S, self._interval_s)
            self._refreshes.labels(outcome).inc()
        age = (await self._desk.current()).age_days(self._desk.today())
        self._age_days.set(age or 0)
        return pause
