"""Composition root of the bidder role: answers bid requests."""

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from admin.roles.connections import pipelined_redis, plain_redis, token_signer
from admin.roles.journal import journal_writer, pseudonyms_of
from admin.roles.journal_shipping import run_shipping
from admin.roles.lifecycle import RoleContext
from bidder.compile.installing import BidCatalogue
from bidder.compile.supply import SupplyFollower, read_networks
from bidder.decision.model_file import Model, load_model
from bidder.decision.noting import BidNotes
from bidder.decision.recording import AuctionRecorder
from bidder.diagnosis.funnel import FunnelWriter
from bidder.door.checking import AnswerCheck
from bidder.door.handler import BidderHandler
from bidder.door.limits import BidLimits
from bidder.door.metrics import BidMetrics, report_port
from bidder.door.server import BidServer
from bidder.door.tail import TailSender
from bidder.request.consent import ConsentPolicy
from bidder.targeting.normalise import operating_system
from bidder.targeting.quality import Quality
from core import keys
from core.catalogue.follower import CatalogueWatcher, read_whole
from core.catalogue.version_report import VersionReport, encode_report
from core.collector import collect_rarely
from core.telemetry.metrics import CONTENT_TYPE, CounterChild, Merge
from creatives.products.cache import ProductCache
from creatives.products.following import ProductFollower
from creatives.products.store import ProductStore
from creatives.templates.library import use_folder
from pacing.budgets.lease_client import LeaseClient, new_process_name
from pacing.budgets.leases import LeaseBook
from pacing.budgets.transitions import Transitions
from pacing.landscape.shading import Shading
from pacing.landscape.telling import LandscapeFollower
from pacing.pace.multipliers import PacingFollower
from segments.profiles.reading import ProfileReader

# How often a process says which catalogue it runs; admin calls a change effective when all of them have it. A new one
# is said at once, that is after the second interval.
REPORT_INTERVAL_S = 0.5
REPORT_POLL_S = 0.05
# Leases, flights and dayparts are looked at this often.
REFRESH_INTERVAL_S = 0.25

# A bidder is ready when Redis has answered for every pool, at the latest so long after its first catalogue.
FIRST_LEASES_S = 10.0

_log = logging.getLogger("grosz.bidder")


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings, clock = role.settings, role.clock
    collect_rarely()
    # Neither the process id nor the host's name tells two containers apart, or a container that is started again.
    process = new_process_name()
    redis, control = await pipelined_redis(role), plain_redis(role)
    book = LeaseBook()
    transitions = Transitions(redis, clock)
    leases = LeaseClient(book, transitions, clock, role.telemetry, process=process)
    funnel = FunnelWriter(control, process, clock)
    metrics = BidMetrics(role.telemetry)
    profiles = ProfileReader(redis, _failures(role).inc)
    signer = token_signer(role)
    handler = BidderHandler(
        profiles=profiles,
        signer=signer,
        policy=ConsentPolicy(settings.consent),
        clock=clock,
        metrics=metrics,
        tmax_cap_ms=settings.bid.tmax_cap_ms,
        fresh=lambda: watcher.age_s <= settings.catalogue.max_age_s and not leases.has_stopped,
        clock_off=lambda: leases.has_stopped,
        check=AnswerCheck(signer, clock, metrics, settings.bid.checked_share),
        notes=_notes(role, process, control),
    )
    shading, products = Shading(), ProductCache(role.telemetry, settings.bid.products_in_memory)
    quality = _follow_supply(role, control)
    catalogue = BidCatalogue(
        read_whole=lambda: read_whole(control),
        model=_price_model(role),
        book=book,
        handler=handler,
        funnel=funnel,
        track_url=settings.track.public_url,
        clock=clock,
        shading=shading,
        quality=quality,
        products=products,
    )
    role.on_close(catalogue.close)
    watcher = CatalogueWatcher(control, catalogue, clock=clock, poll_s=settings.catalogue.poll_ms / 1000)
    _warm_up(settings.ads.templates)
    await _serve(role, handler)
    role.health.require("clock", leases.server_time.fault)
    role.health.require_once(
        "catalogue", lambda: None if handler.snapshot else "is not there yet: is the admin role up?"
    )
    _tell_of_catalogue(role, watcher, catalogue)
    role.run_loop(watcher.run, "catalogue")
    role.health.require_once("leases", _FirstLeases(leases, lambda: handler.snapshot is not None, role).missing)
    role.run_loop(leases.run, "leases")
    role.on_close(leases.close)
    pacing = PacingFollower(book, transitions, clock, role.telemetry, process=leases.process, auctions=metrics.answers)
    role.run_loop(pacing.run, "pacing")
    role.run_loop(ProductFollower(products, ProductStore(redis, clock), clock).run, "products")
    role.run_loop(LandscapeFollower(shading, transitions, clock, role.telemetry).run, "landscape")
    role.on_close(pacing.close)
    role.run_loop(partial(catalogue.refresh, REFRESH_INTERVAL_S), "live sets")
    role.run_loop(funnel.run, "funnel")
    _report_version(role, control, process, watcher)


def _warm_up(templates: str) -> None:
    """Make now what the first request would wait for: the parser of agents, 0.2 s, and the templates of ads, 0.1 s."""
    operating_system(None, "Mozilla/5.0")
    use_folder(templates)


def _notes(role: RoleContext, process: str, control: Redis) -> BidNotes | None:
    """What tells the journal, and people who tail, of bids; None where no journal is kept."""
    run_shipping(role)  # first: it ends last, and ships what the writer has closed
    writer, settings = journal_writer(role, process), role.settings.journal
    if not writer.is_on:
        return None
    people = pseudonyms_of(settings)
    recorder = AuctionRecorder(
        writer,
        people,
        random.Random(),  # noqa: S311 - which requests are sampled is no secret
        a_second=settings.recorded_a_second,
        watched_exchanges=settings.recorded_exchanges,
        watched_line_items=settings.recorded_line_items,
    )
    role.run_loop(TailSender(recorder, control, role.clock).run, "tail")
    return BidNotes(writer, people, role.clock.now_ms, recorder)


def _failures(role: RoleContext) -> CounterChild:
    return role.telemetry.counter(
        "grosz_profile_look_ups_failed_total", "Bid requests whose user could not be looked up in time."
    ).labels()


def _follow_supply(role: RoleContext, control: Redis) -> Quality:
    """What is known of sellers and data centres, kept current by a loop of the role."""
    quality = Quality(read_networks(role.settings.bid.data_centres))
    role.run_loop(SupplyFollower(control, quality, role.clock, role.telemetry).run, "supply")
    return quality


def _price_model(role: RoleContext) -> Model:
    """The price model; a metric says which one it is."""
    model = load_model()
    info = role.telemetry.gauge(
        "grosz_price_model_info", "Always 1: the price model that the bidder computes prices with.", ("name", "format"),
        merge=Merge.MAX,
    )  # fmt: skip
    info.labels(model.manifest.name, str(model.manifest.format)).set(1)
    return model


def _tell_of_catalogue(role: RoleContext, watcher: CatalogueWatcher, catalogue: BidCatalogue) -> None:
    """Register the metrics of the catalogue that the role bids from."""
    age = role.telemetry.gauge(
        "grosz_catalogue_age_seconds", "Seconds since the catalogue was last known to be current."
    )
    age.labels().follow(lambda: watcher.age_s)
    refused = role.telemetry.gauge(
        "grosz_catalogue_refused", "1 while the published catalogue cannot be installed and the one before it ages."
    )
    refused.labels().follow(lambda: float(watcher.refusal is not None))
    positions = role.telemetry.gauge(
        "grosz_catalogue_positions", "Line items and budget shares that are bid for, by layer of the index.", ("layer",)
    )
    positions.labels("base").follow(lambda: float(catalogue.layers[0]))
    positions.labels("overlay").follow(lambda: float(catalogue.layers[1]))


class _FirstLeases:
    """Whether the first leases are there: a bidder that gets traffic before that would bid on nothing."""

    def __init__(self, leases: LeaseClient, has_catalogue: Callable[[], bool], role: RoleContext) -> None:
        self._leases, self._has_catalogue, self._clock = leases, has_catalogue, role.clock
        self._since: float | None = None

    def missing(self) -> str | None:
        """What to wait for; None after FIRST_LEASES_S, since an advertiser without budgets must not stop the rest."""
        if not self._has_catalogue():
            return "wait for the catalogue"
        now = self._clock.monotonic()
        self._since = now if self._since is None else self._since
        if self._leases.is_settled or now - self._since > FIRST_LEASES_S:
            return None
        return "are not there yet: is the worker role up?"


async def _serve(role: RoleContext, handler: BidderHandler) -> None:
    bid = role.settings.bid
    pages = {
        "/healthz": lambda: (200, "text/plain", b"alive\n"),
        "/readyz": lambda: (role.health.readiness()[0], "text/plain", role.health.readiness()[1]),
        "/metrics": lambda: (200, CONTENT_TYPE, role.health.metrics()),
    }
    if role.health.elsewhere:
        pages["/metrics"] = lambda: (404, "text/plain", role.health.elsewhere.encode())
    limits = BidLimits(
        connections=bid.max_connections, idle_timeout_s=bid.idle_timeout_s, body_bytes=bid.max_body_bytes
    )
    server = BidServer(
        handler,
        clock=role.clock,
        pages=pages,
        private=() if role.health.elsewhere else ("/metrics",),
        may_see=lambda peer, forwarded: role.health.may_see_metrics(peer, {"forwarded": ""} if forwarded else {}),
        limits=limits,
        proxies=role.proxies,
    )
    await server.start(bid.host, bid.port)
    role.telemetry.add_source(lambda: report_port(server))

    async def drain() -> None:
        await server.drain()
        await handler.drain()

    role.on_drain(drain)


def _report_version(role: RoleContext, control: Redis, process: str, watcher: CatalogueWatcher) -> None:
    role.on_close(partial(_withdraw, control, process))
    role.run_loop(partial(_report, control, process, watcher, role), "version report")


async def _report(control: Redis, process: str, watcher: CatalogueWatcher, role: RoleContext) -> None:
    """Tell admin, again and again, which version this process runs."""
    while True:
        version, refusal = watcher.version, watcher.refusal
        report = VersionReport(version, role.clock.now_ms(), *(refusal or (0, "")))
        try:
            await control.hset(keys.CATALOGUE_EFFECTIVE, process, encode_report(report))
        except (RedisError, OSError) as error:  # bidding goes on without Redis, so this loop must too
            _log.warning("the catalogue's version is not reported: %s", error)
        for _ in range(round(REPORT_INTERVAL_S / REPORT_POLL_S)):
            await asyncio.sleep(REPORT_POLL_S)
            if (watcher.version, watcher.refusal) != (version, refusal):
                break


async def _withdraw(control: Redis, process: str) -> None:
    """Remove the report of this process, which ends: admin need not wait for the report to grow old."""
    try:
        await control.hdel(keys.CATALOGUE_EFFECTIVE, process)
    except (RedisError, OSError) as error:
        _log.warning("the report of the catalogue's version stays for an hour: %s", error)
