"""The admin role's loop: sends creatives to the exchanges that review them, and takes what these decide."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from admin.reviews.adcom import AuditedAd, ad_id, ad_of, decision_of
from admin.reviews.client import ReviewClient, session
from admin.reviews.states import Review, decided, failed
from admin.reviews.store import ReviewStore
from admin.store.changes import SYSTEM
from core.clock import Clock
from core.dialects import spoken_by
from core.errors import GroszError, InputError
from core.model import Creative, Exchange, ReviewPolicy
from core.telemetry.metrics import Telemetry

# Submissions of one round to one exchange, and how many of them are out at once.
SENT_AT_ONCE: Final = 50
_CALLS: Final = 5

# A step waits so long for its calls. Who takes longer (a call may take 20 s) goes on beside the next steps: what other
# exchanges decide is known to bidders within five seconds.
PATIENCE_S: Final = 0.5

log = logging.getLogger("grosz.reviews")


class ReviewLoop:
    """Submits with retries and polls each exchange; `committed` is told of each change that bidders must know."""

    def __init__(
        self,
        store: ReviewStore,
        clock: Clock,
        telemetry: Telemetry,
        committed: Callable[[], None],
        sample_url: Callable[[Creative], str],
        poll_s: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._committed = committed
        self._sample_url = sample_url
        self._poll_s = poll_s
        self._seen_ms: dict[int, int] = {}  # by exchange: the newest audit that was taken
        self._under_way: dict[tuple[int, str], asyncio.Task[None]] = {}  # by exchange, and what it is asked
        self._calls = telemetry.counter(
            "grosz_review_calls_total",
            "Calls to exchanges that review creatives, by what was asked and its outcome.",
            ("operation", "outcome"),
        )
        self._states = telemetry.gauge(
            "grosz_creative_approvals", "Active creatives by what exchanges say of their present version.", ("state",)
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with session() as calls:
            try:
                while True:
                    await self.step(calls)
                    await asyncio.sleep(self._poll_s)
            finally:
                await self.close()

    async def step(self, calls: aiohttp.ClientSession, patience_s: float = PATIENCE_S) -> None:
        """Send to every exchange that reviews, then ask each; one that does not answer holds up no other."""
        asked = [(each, ReviewClient(each, calls)) for each in await self._store.exchanges() if is_asked(each)]
        for name, work in (("send", self._submit), ("poll", self._poll)):
            for exchange, client in asked:
                if (exchange.id, name) not in self._under_way:
                    self._under_way[exchange.id, name] = asyncio.create_task(work(exchange, client))
            await self._wait(patience_s)
        for state, count in (await self._store.counts()).items():
            self._states.labels(state.value).set(count)

    async def close(self) -> None:
        """End the calls that are still under way."""
        tasks = list(self._under_way.values())
        self._under_way.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, patience_s: float) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=patience_s)
        for key in [key for key, task in self._under_way.items() if task.done()]:
            self._under_way.pop(key).result()

    async def _submit(self, exchange: Exchange, client: ReviewClient) -> None:
        now_ms = self._clock.now_ms()
        begun = await self._store.begin(exchange, now_ms)
        if begun:
            log.info("%d creatives are to be reviewed by exchange %d", begun, exchange.id)
        due = await self._store.claim(exchange.id, now_ms, SENT_AT_ONCE)
        free = asyncio.Semaphore(_CALLS)

        async def send(review: Review) -> None:
            async with free:
                await self._send(review, client)

        await asyncio.gather(*map(send, due))

    async def _send(self, review: Review, client: ReviewClient) -> None:
        found = await self._store.creative(review.creative_id)
        if found is None or found[0].version != review.creative_version:
            return  # the next round begins the review of its present version
        creative, domain = found
        ad = ad_of(creative, domain, self._sample_url(creative))
        known = review.reference if review.reference and review.submitted_ms is not None else ""
        operation = "resubmit" if known else "submit"
        try:
            answer = await (client.touch(known, ad) if known else client.submit(ad))
        except GroszError as error:
            refused = isinstance(error, InputError)
            self._calls.labels(operation, "refused" if refused else "failed").inc()
            log.warning("creative %s is not reviewed: %s", ad_id(creative), error.message)
            await self._save(review, failed(review, error.message[:500], self._clock.now_ms(), refused=refused))
            return
        self._calls.labels(operation, "done").inc()
        await self._save(review, _sent(review, answer, self._clock.now_ms()))

    async def _poll(self, exchange: Exchange, client: ReviewClient) -> None:
        # A millisecond before the newest: two ads may have changed in it, of which one was read.
        since = max(0, self._seen_ms.get(exchange.id, 0) - 1)
        try:
            ads = [ad async for ad in client.changes(since)]
        except GroszError as error:
            self._calls.labels("poll", "failed").inc()
            log.warning("exchange %d does not say what it has decided: %s", exchange.id, error.message)
            return
        self._calls.labels("poll", "done").inc()
        decisions = {decision.reference: decision for decision in map(decision_of, ads)}
        taken = True
        for review in await self._store.by_reference(exchange.id, list(decisions)):
            decision = decisions[review.reference]
            if (review.state, review.reason) != (decision.state, decision.reason):
                taken &= await self._save(review, decided(review, decision, self._clock.now_ms()))
        if taken:
            newest = max((ad.audit.lastmod for ad in ads), default=since)
            # An exchange whose clock is wrong for one ad must not hide what it decides of others.
            self._seen_ms[exchange.id] = min(newest, self._clock.now_ms())

    async def _save(self, before: Review, after: Review) -> bool:
        saved = await self._store.save(before, after, SYSTEM)
        if saved and before.state is not after.state:
            log.info(
                "exchange %d: creative %d is %s %s",
                after.exchange_id,
                after.creative_id,
                after.state.value,
                after.reason,
            )
            self._committed()
        return saved


def _sent(review: Review, answer: AuditedAd, now_ms: int) -> Review:
    return msgspec.structs.replace(decided(review, decision_of(answer), now_ms), submitted_ms=now_ms)


def is_asked(exchange: Exchange) -> bool:
    """Whether an exchange has an interface that creatives are sent to."""
    return bool(exchange.review_url) and spoken_by(exchange).review is not ReviewPolicy.NONE
