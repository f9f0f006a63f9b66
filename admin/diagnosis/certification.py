"""An exchange's acceptance test of the bidder on this machine, run from the console.

Its requests say `test: 1`: they are bid on, and spend, teach and count nothing. One run at a time; the newest report of
an exchange is kept until the process ends.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from core.clock import Clock
from core.errors import ConflictError, InputError, UnavailableError
from core.model import Exchange, Status

if TYPE_CHECKING:
    from loadtest.running.certify import CertifyCheck

_KEPT: Final = 50


class CertificationReport(msgspec.Struct, frozen=True):
    """What a run has found. `problem` is why it ended early, "" where it did not."""

    checks: Sequence["CertifyCheck"]
    finished_ms: int
    problem: str = ""

    def count(self, outcome: str) -> int:
        """How many checks had this outcome."""
        return sum(check.outcome == outcome for check in self.checks)


class CertificationDesk:
    """Runs certifications, one at a time. `bidder` is the bidder's URL, "" where it is on another machine."""

    def __init__(self, bidder: str, clock: Clock) -> None:
        self._bidder, self._clock = bidder.rstrip("/"), clock
        self._reports: dict[int, CertificationReport] = {}
        self._running: asyncio.Task[None] | None = None
        self._of = 0

    @property
    def is_here(self) -> bool:
        """Whether the bidder is on this machine."""
        return bool(self._bidder)

    def report(self, exchange_id: int) -> CertificationReport | None:
        """The newest report."""
        return self._reports.get(exchange_id)

    def is_running(self, exchange_id: int) -> bool:
        """Whether a run of this exchange goes on."""
        return self._running is not None and self._of == exchange_id

    async def run(self, exchange: Exchange, patience_s: float) -> None:
        """Start a run, and wait up to `patience_s` for its end. Raises InputError, UnavailableError, ConflictError."""
        if not self._bidder:
            raise UnavailableError("the bidder is not on this machine", hint="run grosz certify beside it")
        if exchange.status is not Status.ACTIVE:
            raise InputError("the exchange is paused: the bidder does not answer it", hint="resume it first")
        if self._running is not None:
            raise ConflictError("a certification runs already", hint="wait for its end, a minute at most")
        self._of = exchange.id
        self._running = asyncio.create_task(self._work(exchange))
        await asyncio.wait([self._running], timeout=patience_s)

    async def _work(self, exchange: Exchange) -> None:
        checks: list[CertifyCheck] = []
        try:
            problem = await asyncio.to_thread(self._ask, exchange, checks)
            kept = CertificationReport(tuple(checks), self._clock.now_ms(), problem)
            self._reports.pop(exchange.id, None)
            self._reports[exchange.id] = kept
            while len(self._reports) > _KEPT:
                del self._reports[next(iter(self._reports))]
        finally:
            self._running = None

    def _ask(self, exchange: Exchange, checks: list["CertifyCheck"]) -> str:
        """Run the checks into `checks`; the reason why the run ended early, "" where it did not."""
        from loadtest.running.certify import (  # loaded only when a run is asked for: it takes memory
            IN_TIME,
            certify,
        )

        headers = {}
        if exchange.bearer_token:
            headers["Authorization"] = f"Bearer {exchange.bearer_token}"
        if exchange.secret_header:
            headers[exchange.secret_header] = exchange.header_secret
        url = f"{self._bidder}/openrtb2/{exchange.key}"
        try:
            for check in certify(url, exchange.default_currency, headers):
                checks.append(check)
                if check.name == IN_TIME:
                    return "it took too long and was ended"
        except (ConnectionError, ValueError):
            return "the bidder does not answer"
        return ""
