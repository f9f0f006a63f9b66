"""Cookie sync: two parties tell each other what they call the same browser.

An exchange that hosts the match sends our id as `buyeruid`; one that does not calls us with its own id, which we map.
Nothing but the ids is exchanged, and only where storing them is permitted (purpose 1).
"""

import datetime
import urllib.parse
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import Fault, UnavailableError
from core.ids import device_id, means_nobody
from core.keys import sync_counts
from core.model import Exchange
from core.moments import utc_day
from segments.facts.facts import DAY_S
from segments.identity.browsers import browser_of
from segments.identity.persons import Identities
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

# OpenRTB sets no bound on ids; the longest in use are 64 bytes in base64.
MAX_EXCHANGE_ID_CHARS: Final = 128
_COUNTED_DAYS: Final = 35
DEVICE: Final = "ifa"
"""Value in `user_id_sources` that says that the exchange syncs the device's advertising id."""


class SyncOutcome(msgspec.Struct, frozen=True):
    """What to answer: a fault with its status, a redirect to `location`, or a pixel."""

    status: int = 200
    location: str = ""
    set_cookie: bool = False
    fault: Fault | None = None


class MatchRate(msgspec.Struct, frozen=True):
    """Calls of one browser family at one exchange on one day (UTC). `returning` brought our cookie back."""

    day: str
    browser: str
    returning: int
    new: int
    refused: int
    opted_out: int

    @property
    def rate(self) -> float:
        """Share of permitted calls whose browser keeps our cookie; 0 without calls."""
        calls = self.returning + self.new
        return self.returning / calls if calls else 0.0


class CookieSync:
    """Both directions, with counts by exchange and browser."""

    def __init__(self, store: ProfileStore, identities: Identities, clock: Clock, metrics: IntakeMetrics) -> None:
        self._store = store
        self._identities = identities
        self._clock = clock
        self._metrics = metrics

    async def handle(
        self,
        exchange: Exchange,
        *,
        their_id: str,
        wants_redirect: bool,
        user_id: str,
        is_new: bool,
        permitted: bool,
        opted_out: bool,
        user_agent: str,
        look_only: bool = False,
    ) -> SyncOutcome:
        """One call. The redirect only ever goes to the exchange's configured address.

        `look_only`: answer alike, but store and count nothing.
        """
        browser = "" if look_only else browser_of(user_agent)
        if their_id and not _is_plain(their_id):
            fault = Fault("/uid", "value", f"expected up to {MAX_EXCHANGE_ID_CHARS} printable ASCII characters")
            return SyncOutcome(status=400, fault=fault)
        if their_id and means_nobody(their_id):  # a macro that was not replaced: the exchange may still be told our id
            if not look_only:
                self._metrics.syncs.labels(exchange.key, browser, "placeholder").inc()
            their_id = ""
        if DEVICE in exchange.user_id_sources:  # in the one form in which ids of bid requests are looked up
            their_id = device_id(their_id) or their_id
        try:
            if not permitted:
                await self._count(exchange, browser, "refused")
                fault = Fault("/gdpr_consent", "consent", "storing an id is not permitted", hint="pass gdpr_consent on")
                return SyncOutcome(status=451, fault=fault)
            if opted_out or await self._identities.opted_out(user_id):
                await self._count(exchange, browser, "opted_out")
                return SyncOutcome()
            if their_id and not look_only and not await self._identities.bind(exchange.id, their_id, user_id):
                self._metrics.syncs.labels(exchange.key, browser, "not_bound").inc()
            await self._count(exchange, browser, "new" if is_new else "returning")
        except UnavailableError:
            return SyncOutcome(status=503, fault=Fault("", "unavailable", "the id cannot be stored now"))
        redirect = exchange.sync_url and (wants_redirect or not their_id)
        location = exchange.sync_url.replace("{uid}", urllib.parse.quote(user_id, safe="")) if redirect else ""
        return SyncOutcome(location=location, set_cookie=not look_only)

    async def match_rates(self, exchange_id: int) -> list[MatchRate]:
        """Counts by day and browser, oldest first."""
        (reply,) = await self._store.commands([("HGETALL", sync_counts(exchange_id))])
        flat = reply if isinstance(reply, list) else []
        counts = {flat[at].decode(): int(flat[at + 1]) for at in range(0, len(flat), 2)}
        oldest = _day(self._clock.now_ms() - _COUNTED_DAYS * DAY_S * 1000)
        stale = [name for name in counts if name < oldest]
        if stale:
            await self._store.commands([("HDEL", sync_counts(exchange_id), *stale)])
        groups = sorted({tuple(name.split(":")[:2]) for name in counts if name >= oldest})
        return [
            MatchRate(
                day=datetime.date.fromisoformat(day).isoformat(),
                browser=browser,
                returning=counts.get(f"{day}:{browser}:returning", 0),
                new=counts.get(f"{day}:{browser}:new", 0),
                refused=counts.get(f"{day}:{browser}:refused", 0),
                opted_out=counts.get(f"{day}:{browser}:opted_out", 0),
            )
            for day, browser in groups
        ]

    async def _count(self, exchange: Exchange, browser: str, outcome: str) -> None:
        """Count a call of a browser family; "", of a call that only looks, is not counted."""
        if not browser:
            return
        self._metrics.syncs.labels(exchange.key, browser, outcome).inc()
        day = _day(self._clock.now_ms())
        key = sync_counts(exchange.id)
        commands: list[Command] = [
            ("HINCRBY", key, f"{day}:{browser}:{outcome}", 1),
            ("EXPIRE", key, _COUNTED_DAYS * DAY_S),
        ]
        await self._store.commands(commands)


def _day(at_ms: int) -> str:
    return f"{utc_day(at_ms):%Y%m%d}"


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_EXCHANGE_ID_CHARS and text.isascii() and text.isprintable() and " " not in text
