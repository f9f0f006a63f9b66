"""One process of the simulated exchange: sends requests on schedule, judges answers, holds auctions, tells the outcome.

Latency counts from the moment a request was due, not from the moment it could be sent, so a bidder that stalls cannot
hide the requests that it kept from being sent (coordinated omission). What was never answered is in the histogram with
the time after which it was given up.
"""

import asyncio
import gc
import hashlib
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from loadtest.exchange import landscape
from loadtest.exchange.dialects import manner_of
from loadtest.exchange.faults import Gremlins
from loadtest.exchange.market import Market, Sent
from loadtest.exchange.notices import Notice, NoticeDesk
from loadtest.judging.books import NO_BOOKS, load_books
from loadtest.judging.checks import Checker, load_rules
from loadtest.measure.tally import LATENCY, LATENESS, SERVICE, Delta, Tally
from loadtest.traffic.arrival import Burst, Constant, DayCurve, Ramp, Shape, Steps, arrivals
from loadtest.traffic.scenario import Scenario
from loadtest.traffic.shoppers import ShopperEvent, Shoppers
from loadtest.traffic.templates import Template, make_templates
from loadtest.traffic.users import Population, read_users
from loadtest.wire.client import STATUS_NO_ANSWER, Pool, parse_target, request_head
from loadtest.wire.ticker import Ticker

# A request that is sent later than this after it was due counts as late: four ticks of the generator's timer.
LATE_SEND_S = 0.001

_REPORT_S = 0.5
_SWEEP_S = 0.25

# The tracker answers a notice in a fraction of a millisecond: so many keep up with any bid rate of one core.
_NOTICE_CONNECTIONS = 16
_SHOPPER_CONNECTIONS = 8

# Prepared draws: see landscape.py.
_BLOCK = 8192


def shape_of(scenario: Scenario, rate: float) -> Shape:
    """The arrival shape of a scenario for one process that sends at `rate`."""
    plan, duration = scenario.arrival, scenario.duration_s
    if plan.shape == "ramp":
        return Ramp(rate * plan.ramp_from, rate, duration)
    if plan.shape == "steps":
        return Steps(tuple(rate * part for part in plan.steps), duration)
    if plan.shape == "burst":
        return Burst(rate, rate * plan.burst_factor, duration * plan.burst_start, duration * plan.burst_length)
    if plan.shape == "day":
        return DayCurve(rate, duration)
    return Constant(rate)


def _landscape_of(scenario: Scenario, seed: int) -> landscape.Landscape:
    market = scenario.market
    if market.landscape == "recorded":
        return landscape.recorded(Path(market.histogram), market.scale, seed)
    return landscape.log_normal(market.median * market.scale, market.sigma, market.bidders, market.silence, seed)


def _id_prefix(scenario: Scenario, index: int, now_ms: int) -> bytes:
    """The eight characters that request ids begin with. They differ between runs: an exchange never uses an auction's
    id again, though the same seed gives the same load."""
    name = f"{now_ms}:{scenario.name}:{scenario.seed}:{index}".encode()
    return hashlib.blake2b(name, digest_size=4).hexdigest().encode()


def _hurried(scenario: Scenario, now_ms: int) -> list[Template]:
    """The templates with the tmax of the run's second part; none where tmax does not change."""
    if scenario.faults.tmax_cut_at >= 1.0 or scenario.traffic.recorded:
        return []
    traffic = msgspec.structs.replace(scenario.traffic, tmax_ms=scenario.faults.tmax_cut_ms)
    return make_templates(traffic, scenario.seed, now_ms)


class ExchangeProcess:
    """Process number `index` of a run. `report` is given what was counted, each half second and at the end."""

    def __init__(
        self,
        scenario: Scenario,
        index: int,
        report: Callable[[Delta], None],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._scenario = scenario
        self._report = report
        self._monotonic = monotonic
        self._seed = scenario.seed * 1_000 + index
        self._share = 1 / scenario.processes
        self._tally = Tally()
        self._chance = random.Random(self._seed)
        self._prefix = _id_prefix(scenario, index, now_ms())
        self._number = 0
        self._templates = make_templates(scenario.traffic, scenario.seed, now_ms())
        self._hurried = _hurried(scenario, now_ms())
        known = read_users(Path(scenario.traffic.user_file)) if scenario.traffic.user_file else []
        self._population = Population(scenario.traffic, known, self._seed)
        catalogue = Path(scenario.checks.catalogue)
        rules = load_rules(catalogue) if scenario.checks.catalogue else None
        self._books = load_books(catalogue) if scenario.checks.catalogue else NO_BOOKS
        self._manner = manner_of(scenario.dialect)
        checker = Checker(rules, scenario.checks.rates, now_ms, self._manner.judge)
        prices = _landscape_of(scenario, self._seed)
        self._market = Market(
            checker, prices, self._tally, self._chance, check_share=scenario.checks.share,
            empty_answers=self._manner.empty_answers,
        )  # fmt: skip
        self._target = parse_target(scenario.url)
        self._tracker = parse_target(scenario.track_url)
        self._head = request_head(self._target, "POST", self._manner.headers(), None)[:-2]
        self._draw_template = self._drawn_from(self._templates)
        self._pool: Pool[Sent] = Pool(
            self._target,
            max(1, round(scenario.connections * self._share)),
            self._on_answer,
            monotonic,
            patience_s=scenario.patience_s,
            requests_per_connection=scenario.faults.requests_per_connection,
        )
        self._notices: NoticeDesk | None = None
        self._shoppers: Shoppers | None = None
        self._side_pools: list[Pool[Notice] | Pool[ShopperEvent]] = []
        self._backlog: deque[float] = deque()
        self._schedule = arrivals(
            shape_of(scenario, scenario.rate * self._share),
            scenario.duration_s,
            poisson=scenario.arrival.poisson,
            seed=self._seed,
        )
        self._due: deque[float] = deque()
        self._schedule_ended = False
        self._start = 0.0
        self._hurry_at = math.inf
        self._next_report = self._next_sweep = 0.0
        self._reported_at = self._reported_cpu = 0.0

    def _drawn_from(self, templates: list[Template]) -> Callable[[], Template]:
        """A function that gives one of the templates after the other, by chance: drawn in blocks, 60 ns each."""
        for template in templates:
            template.address(self._head)
        generator = np.random.default_rng(self._seed)

        def draws() -> Iterator[Template]:
            while True:
                for index in generator.integers(0, len(templates), _BLOCK).tolist():
                    yield templates[index]

        return draws().__next__

    @property
    def open_requests(self) -> int:
        """How many requests were due and have no answer yet."""
        return len(self._backlog) + self._pool.outstanding

    async def connect(self) -> None:
        """Open all connections. Raises OSError when nothing listens."""
        await self._pool.open()
        plan = self._scenario
        if plan.notices.send:
            self._notices = self._market.notices = await self._open_notices()
        if plan.shoppers.count:
            self._shoppers = await self._open_shoppers()

    async def _open_notices(self) -> NoticeDesk:
        def on_answer(notice: Notice, status: int, head: bytes, body: bytes) -> None:
            desk.on_answer(
                notice, status, head, body
            )  # desk and pool need each other: no answer comes before both exist

        pool = Pool(self._tracker, _NOTICE_CONNECTIONS, on_answer, self._monotonic)
        desk = NoticeDesk(
            self._scenario.notices,
            self._books,
            self._scenario.track_url,
            pool,
            self._tally,
            self._monotonic,
            self._seed,
            self._on_shown,
            self._manner,
        )
        await pool.open()
        self._side_pools.append(pool)
        return desk

    async def _open_shoppers(self) -> Shoppers:
        def on_answer(event: ShopperEvent, status: int, head: bytes, body: bytes) -> None:
            shoppers.on_answer(event, status, head, body)

        pool = Pool(self._tracker, _SHOPPER_CONNECTIONS, on_answer, self._monotonic)
        shoppers = Shoppers(
            self._scenario.shoppers,
            self._tracker.authority,
            pool,
            self._tally,
            self._monotonic,
            self._seed,
            self._population.known.append,
            self._scenario.traffic.currency,
        )
        await pool.open()
        self._side_pools.append(pool)
        return shoppers

    def _on_shown(self, user: bytes) -> None:
        if self._shoppers is not None:
            self._shoppers.exposed(user)

    async def run(self, start: float, stop: asyncio.Event) -> None:
        """Send from `start` (monotonic seconds) until the schedule ends or `stop` is set; then wait for what is
        open."""
        self._start = self._reported_at = self._next_sweep = start
        self._next_report = start + _REPORT_S
        if self._hurried:
            self._hurry_at = start + self._scenario.faults.tmax_cut_at * self._scenario.duration_s
        self._reported_cpu = time.process_time()
        gc.collect()
        gc.freeze()  # the templates live as long as the process; collections that scan them would show up as latency
        await asyncio.sleep(max(0.0, start - self._monotonic()))
        if self._shoppers is not None:
            self._shoppers.start(max(1, round(self._scenario.shoppers.count * self._share)))
        gremlins = asyncio.create_task(self._gremlins().run(self._share))
        ticker = Ticker(self._tick)
        try:
            with suppress(TimeoutError):  # the regular end of a run
                async with asyncio.timeout(max(0.0, start + self._scenario.duration_s - self._monotonic())):
                    await stop.wait()
            self._end_schedule(stopped=stop.is_set())
            await self._drain(stop)
        finally:
            gremlins.cancel()
            ticker.close()
            gc.unfreeze()
            await self._close()
        if gremlins.done() and not gremlins.cancelled():
            gremlins.result()  # an error in it must not stay unseen
        self._send_report(last=True)

    def _gremlins(self) -> Gremlins:
        def body() -> bytes:
            template = self._chance.choice(self._templates)
            return template.body(self._new_id(), self._population.draw())

        return Gremlins(self._scenario.faults, self._target, body, self._tally, self._seed)

    def _end_schedule(self, *, stopped: bool) -> None:
        """Move requests that are still due into the backlog; after a stop, those that are not due yet are dropped."""
        self._send_due(self._monotonic())
        if not stopped:
            while self._refill():
                self._send_due(float("inf"))
        self._due.clear()
        self._schedule_ended = True

    async def _drain(self, stop: asyncio.Event) -> None:
        """Wait for open answers for at most the patience, then for notices for at most the plan's drain time."""
        patience = self._scenario.patience_s
        await self._wait_while(lambda: self.open_requests > 0, patience)
        notices = self._notices
        if notices is None:
            return
        await self._wait_while(lambda: notices.pending > 0, 1.0 if stop.is_set() else self._scenario.notices.drain_s)
        notices.hurry()
        await self._wait_while(lambda: notices.pending > 0, patience)

    async def _wait_while(self, busy: Callable[[], bool], limit_s: float) -> None:
        limit = self._monotonic() + limit_s
        while busy() and self._monotonic() < limit:  # noqa: ASYNC110  # an event on every answer would cost more
            await asyncio.sleep(0.01)

    async def _close(self) -> None:
        now = self._monotonic()
        while self._backlog:
            self._give_up(self._backlog.popleft(), now)
        if self._notices is not None:
            self._notices.close()
        await self._pool.close()
        for pool in self._side_pools:
            await pool.close()
        counts = self._tally.counts
        counts["connect_errors"] += self._pool.connect_errors
        counts["reconnects"] += self._pool.reconnects
        if self._pool.unsolicited:
            self._tally.violations["unsolicited-answer"] += self._pool.unsolicited

    def _tick(self) -> None:
        now = self._monotonic()
        if now < self._start:
            return
        if now >= self._hurry_at:
            self._hurry_at = math.inf
            self._draw_template = self._drawn_from(self._hurried)
        if not self._schedule_ended:
            self._send_due(now)
        if self._backlog:
            self._send_backlog(now)
        if self._notices is not None:
            self._notices.pump(now)
        if self._shoppers is not None and not self._schedule_ended:
            self._shoppers.pump(now)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_S
            self._pool.sweep()
            for pool in self._side_pools:
                pool.sweep()
        if now >= self._next_report:
            # on the grid of the run's seconds, so that each second has the same share of the reports
            self._next_report += _REPORT_S * (1 + (now - self._next_report) // _REPORT_S)
            self._send_report()

    def _refill(self) -> bool:
        """Get the next part of the schedule; False when it is over."""
        for chunk in self._schedule:
            if chunk:
                self._due.extend(chunk)
                return True
        return False

    def _send_due(self, now: float) -> None:
        elapsed = now - self._start
        while self._due or self._refill():
            if self._due[0] > elapsed:
                return
            intended = self._start + self._due.popleft()
            self._tally.offered += 1
            if self._pool.idle and not self._backlog:
                lateness = self._send(intended)
                if lateness > LATE_SEND_S:
                    self._tally.late_sends += 1
            else:
                self._backlog.append(intended)

    def _send_backlog(self, now: float) -> None:
        """Send requests that had no connection. One that waited longer than the patience is given up, and counted."""
        limit = now - self._scenario.patience_s
        while self._backlog:
            if self._backlog[0] < limit:
                self._give_up(self._backlog.popleft(), now)
            elif self._pool.idle:
                self._send(self._backlog.popleft())
                self._tally.blocked_sends += 1
            else:
                return

    def _give_up(self, intended: float, now: float) -> None:
        self._tally.counts["unsent"] += 1
        self._tally.histograms[LATENCY].record(now - intended)

    def _new_id(self) -> bytes:
        self._number += 1
        return b"%b%012d" % (self._prefix, self._number)

    def _send(self, intended: float) -> float:
        """Send what was due at `intended` over a free connection; returns how late that is."""
        now = self._monotonic()
        tally = self._tally
        lateness = now - intended
        tally.histograms[LATENESS].record(lateness)
        tally.sent += 1
        template = self._draw_template()
        user = self._population.draw() if template.has_user else b""
        request_id = self._new_id()
        message = self._message(template, request_id, user)
        self._pool.submit(Sent(intended, now, template, request_id, user), message, now)
        return lateness

    def _message(self, template: Template, request_id: bytes, user: bytes) -> bytes:
        if not self._manner.gzips:
            return template.message(request_id, user)
        body = self._manner.encoded(template.body(request_id, user))
        return b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)

    def _on_answer(self, sent: Sent, status: int, head: bytes, body: bytes) -> None:
        del head
        now = self._monotonic()
        tally = self._tally
        latency = now - sent.intended
        tally.histograms[LATENCY].record(latency)
        if status == STATUS_NO_ANSWER:
            tally.counts["unanswered"] += 1
            return
        in_time = latency * 1000 <= sent.template.tmax_ms
        tally.histograms[SERVICE].record(now - sent.sent)
        tally.answered += 1
        tally.in_time += in_time
        if status == 200:
            self._market.judge(sent, body, in_time)
        elif status == 204:
            tally.no_bid += 1
            if not self._manner.no_content:
                self._market.violate("no-content", "an answer must be JSON that can be read", sent, body)
            if body:
                self._market.violate("204-with-body", "an answer 204 has a body", sent, body)
        else:
            tally.counts[f"status.{status}"] += 1
            kind = "server-error" if status >= 500 else "refused-request"
            self._market.violate(kind, f"a valid request was answered {status}", sent, body)
        if self._backlog:
            self._send_backlog(now)

    def _send_report(self, *, last: bool = False) -> None:
        now, cpu = self._monotonic(), time.process_time()
        delta = self._tally.take(now - self._start, cpu - self._reported_cpu, now - self._reported_at, last=last)
        self._reported_at, self._reported_cpu = now, cpu
        self._report(delta)
