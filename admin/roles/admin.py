"""Composition root of the admin role: the private API, and the publisher of the catalogue."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from admin.api.app import Desks, build_api
from admin.api.reading import SegmentSizes as SizesReader
from admin.books.desk import BookDesk
from admin.catalogue.publish import CataloguePublisher
from admin.console.app import add_console
from admin.diagnosis.doctor import Doctor, Patient
from admin.diagnosis.explaining import make_explain_desk
from admin.diagnosis.forecasting import ForecastDesk
from admin.diagnosis.funnels import FunnelDesk
from admin.diagnosis.paced import PacingDesk
from admin.diagnosis.recorded import RecordedDesk
from admin.mail.outbox import Outbox, OutboxLoop
from admin.mail.sending import MailSender
from admin.products.desk import ProductDesk
from admin.rates.refresh import RateDesk, RateLoop
from admin.reports.audience_mails import AudienceMailer
from admin.reports.desk import ReportDesk
from admin.reports.notifying import Notifier
from admin.reports.saved import SavedReportDesk
from admin.reports.scheduling import ScheduleLoop
from admin.roles.connections import pipelined_redis, plain_redis, profile_scanner
from admin.roles.consents import event_policy
from admin.roles.creatives import run_creatives
from admin.roles.journal import archive_of, catalogues_beside, pseudonyms_kept
from admin.roles.lifecycle import RoleContext
from admin.roles.local_state import endpoints_of, media_folder, metrics_of, setup_url
from admin.seed.catalogue import seed_demo
from admin.seed.products import DemoFeeds
from admin.store.accounts import AccountStore
from admin.store.catalogue import CatalogueStore
from admin.store.database import Database, database_url
from admin.store.migrate import migrate
from admin.supply.crawling import Crawler
from admin.supply.desk import SupplyDesk, SupplyLoop
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.visitor_desk import EventDesk, VisitorDesk
from core.clock import Clock
from core.config import AdminSettings
from core.errors import UnavailableError
from core.network.headers import Edge
from core.redis.client import Pipelined
from creatives.media.desk import MediaDesk
from creatives.media.keeping import MediaKeeper
from creatives.products.store import ProductStore
from creatives.scanning.loaded import CreativeScanner
from pacing.budgets.transitions import Transitions
from segments.audiences.callout import Caller
from segments.audiences.sizes import SegmentSizes
from segments.audiences.tag_health import TagHealth
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.store import ProfileStore

log = logging.getLogger("grosz.admin")


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.admin
    database = Database.open(database_url(settings.database_url))
    role.on_close(database.close)
    await migrate(database)
    store = CatalogueStore(database, role.clock)
    if settings.seed == "demo":
        await seed_demo(store, settings.seed_cart_delay_s)
    redis = plain_redis(role)
    publisher = CataloguePublisher(store, redis, role.clock)
    role.run_loop(publisher.run, "catalogue publisher")
    role.run_loop(publisher.run_snapshots, "catalogue snapshots")
    role.run_loop(publisher.run_tidying, "catalogue reports")
    profiles = await pipelined_redis(role)  # objects can be managed while Redis is away
    commands = ProfileStore(profiles, role.clock)
    if settings.seed == "demo":
        role.run_loop(DemoFeeds(ProductStore(profiles, role.clock), role.clock).run, "demo feeds")
    explaining = make_explain_desk(profiles, commands, role.settings, role.clock)
    funnels = FunnelDesk(commands, role.clock)
    # Under a supervisor all roles are on this machine; elsewhere nobody but the operator knows where they are.
    endpoints = endpoints_of(role.settings) if role.share_port else {}
    max_age_s = role.settings.catalogue.max_age_s
    metrics = metrics_of(role.settings) if role.share_port else {}
    doctor = Doctor(Patient(commands, SegmentSizes(commands), store, endpoints, metrics, max_age_s), role.clock)
    api = build_api(
        store,
        redis,
        commands,
        role.clock,
        explaining,
        funnels,
        doctor,
        _desks(role, store, profiles, commands),
        committed=publisher.wake,
        edge=Edge(settings.public_url, role.proxies),
        segment_sizes=_counted_by(SegmentSizes(commands), role.clock),
        fx_source=settings.fx_source,
        mailer=MailSender(role.settings.mail),
    )
    add_console(api, endpoints.get("bidder", ""))
    desk = RateDesk(store, role.clock, publisher.wake)
    role.run_loop(RateLoop(desk, settings.fx_source, settings.fx_refresh_s, role.telemetry).run, "exchange rates")
    keeper = MediaKeeper(media_folder(role.settings), lambda: _creative_texts(store, role.clock), role.clock)
    role.run_loop(keeper.run, "media")
    run_creatives(role, store, publisher)
    supply = role.settings.supply
    if supply.domains:
        crawler = Crawler(private=supply.private)
        loop = SupplyLoop(SupplyDesk(redis, role.clock), crawler, supply.domains, supply.refresh_s, role.telemetry)
        role.run_loop(loop.run, "supply")
    await _run_mail(role, store, api.desks, commands)
    await role.serve(api.app, settings.host, settings.port, public_url=settings.public_url)
    await _offer_setup(AccountStore(database, role.clock), settings)


def _desks(role: RoleContext, store: CatalogueStore, redis: Pipelined, profiles: ProfileStore) -> Desks:
    """The desks that answer the API's questions about products, visitors and money."""
    metrics, scanner = IntakeMetrics(role.telemetry), profile_scanner(role)
    reports = ReportDesk(archive_of(role.settings.journal), store, role.clock)
    role.on_close(reports.close)
    recorded = _recorded(role)
    role.on_close(recorded.close)
    forecasts = _forecasts(role)
    role.on_close(forecasts.close)
    return Desks(
        products=ProductDesk(redis, profiles, role.settings.redis, role.clock),
        audiences=AudienceDesk(profiles, scanner, role.clock, metrics),
        visitors=VisitorDesk(profiles, role.clock, pseudonyms_kept(role.settings.journal)),
        events=EventDesk(redis, profiles, event_policy(role.settings.consent), role.clock, metrics),
        books=BookDesk(store.database, Transitions(redis, role.clock), archive_of(role.settings.journal)),
        reports=reports,
        recorded=recorded,
        forecasts=forecasts,
        media=MediaDesk(media_folder(role.settings), role.settings.track.public_url, role.telemetry),
        scanner=CreativeScanner(role.settings.track.public_url, allow_private=role.settings.worker.private_feeds),
        pacing=PacingDesk(profiles, role.clock),
    )


def _forecasts(role: RoleContext) -> ForecastDesk:
    archive = archive_of(role.settings.journal)
    catalogues = catalogues_beside(archive) if archive is not None else None
    return ForecastDesk(archive, catalogues, role.settings, role.clock)


async def _run_mail(role: RoleContext, store: CatalogueStore, desks: Desks, profiles: ProfileStore) -> None:
    """Scheduled reports, notifications, and the sending of what is to be sent."""
    database, journal = store.database, role.settings.journal.directory
    outbox = Outbox(database, role.clock)
    schedule = ScheduleLoop(SavedReportDesk(database, role.clock), desks.reports, outbox)
    role.run_loop(schedule.run, "scheduled reports")
    mail, tags = role.settings.mail, TagHealth(profiles)
    notifier = Notifier(store, outbox, desks.reports, desks.products, tags, mail, role.clock)
    role.run_loop(notifier.run, "notifications")
    console = role.settings.admin.public_url
    mailer = AudienceMailer(store, profiles, outbox, mail, role.clock, role.telemetry, console)
    role.run_loop(mailer.run, "mails of audiences")
    caller = Caller(allow_private=role.settings.worker.private_webhooks)
    await caller.__aenter__()
    role.on_close(lambda: caller.__aexit__(None, None, None))
    folder = Path(journal) / "reports" if journal else None
    sender = MailSender(mail)
    role.run_loop(OutboxLoop(outbox, database, sender, caller, folder, role.telemetry).run, "outbox")


def _recorded(role: RoleContext) -> RecordedDesk:
    archive = archive_of(role.settings.journal)
    catalogues = catalogues_beside(archive) if archive is not None else None
    return RecordedDesk(archive, catalogues, role.settings, role.clock)


async def _creative_texts(store: CatalogueStore, clock: Clock) -> list[str]:
    """All creatives that are not archived, as JSON."""
    catalogue = await store.catalogue(clock.now_ms())
    return [msgspec.json.encode(creative).decode() for creative in catalogue.creatives]


def _counted_by(sizes: SegmentSizes, clock: Clock) -> SizesReader:
    """A reader of segment sizes for the API's warnings. Where Redis does not answer, no segment is called empty."""

    async def read(segments: Sequence[int]) -> dict[int, int]:
        try:
            return {segment: await sizes.size(segment, clock.now_ms()) for segment in segments}
        except UnavailableError as error:
            log.warning("segments are not counted: %s", error.message)
            return {}

    return read


async def _offer_setup(accounts: AccountStore, settings: AdminSettings) -> None:
    """Say where the first administrator is made; there is no default password.

    The link itself is for the person at the terminal: whoever collects logs must not become the administrator.
    """
    if await accounts.has_users():
        return
    if not sys.stderr.isatty():
        log.warning("there is no administrator yet: run `grosz setup-link` on this machine for the way in")
        return
    token = await accounts.make_setup_link()
    sys.stderr.write(f"setup {setup_url(settings, token)} (once, within a day)\n")
    sys.stderr.flush()
