"""Composition root of the tracker role: the public web side."""

from urllib.parse import urlsplit

from aiohttp import web

from admin.roles.connections import follow_catalogue, pipelined_redis, token_signer
from admin.roles.consents import event_policy
from admin.roles.journal import NoticeRows, journal_writer, pseudonyms_kept, pseudonyms_of
from admin.roles.lifecycle import RoleContext
from admin.roles.local_state import media_folder
from core.model import Catalogue
from creatives.media.web import media_routes
from creatives.web import routes as ad_routes
from pacing.budgets.lease_client import new_process_name
from pacing.budgets.server_time import ServerTime, TimeWatch
from pacing.budgets.transitions import Transitions
from pacing.landscape.observations import Tally
from pacing.landscape.telling import LandscapeWriter
from pacing.notices.delivery import DeliveryCounts, DeliveryWriter
from pacing.notices.notices import NoticeDesk
from pacing.notices.short_way import NoticePort
from pacing.notices.signals import SignalDesk
from pacing.notices.signals_web import signal_routes
from pacing.notices.web import routes as notice_routes
from segments.audiences.sizes import SegmentSizes
from segments.events.collect import EventCollector
from segments.events.member_notes import MemberNotes
from segments.events.web import TrackerSite
from segments.events.web import routes as shop_routes
from segments.identity.cookie_sync import CookieSync
from segments.identity.persons import Identities
from segments.profiles.directory import CatalogueDirectory, ServerKey
from segments.profiles.log import EventLog
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.store import ProfileStore
from segments.rules.ruleset import CompiledRules


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings, clock = role.settings, role.clock
    redis = await pipelined_redis(role)
    catalogue = follow_catalogue(role)
    directory = CatalogueDirectory(CompiledRules, lambda: _server_keys(catalogue.current))
    catalogue.listen(directory.replace)
    transitions, delivery = Transitions(redis, clock), DeliveryCounts(clock)
    server_time = ServerTime(clock)
    role.run_loop(TimeWatch(server_time, transitions, clock).run, "Redis's time")
    offset = role.telemetry.gauge(
        "grosz_clock_offset_seconds", "Seconds by which Redis's clock is ahead of this process's."
    )
    offset.labels().follow(lambda: server_time.offset_ms / 1000)
    journal = journal_writer(role, new_process_name())
    notes = NoticeRows(journal, pseudonyms_of(settings.journal), clock.now_ms) if journal.is_on else None
    tally = Tally()
    role.run_loop(LandscapeWriter(tally.take, transitions).run, "landscape")
    desk = NoticeDesk(
        token_signer(role), transitions, lambda: catalogue.current, clock, role.telemetry, delivery,
        server_time=server_time, landscape=tally,
        on_counted=None if notes is None else notes.counted, click_row=None if notes is None else notes.click,
    )  # fmt: skip
    signals = SignalDesk(token_signer(role), transitions, clock, role.telemetry, server_time=server_time)
    writer = DeliveryWriter(delivery, transitions)
    role.run_loop(writer.run, "delivery counts")
    role.on_close(writer.close)
    metrics = IntakeMetrics(role.telemetry)
    store = ProfileStore(redis, clock)
    identities = Identities(store, SegmentSizes(store), clock, pseudonyms_kept(settings.journal))
    consent = event_policy(settings.consent)
    collector = EventCollector(
        EventLog(redis, clock, metrics), identities, consent, clock, metrics, MemberNotes(store, metrics)
    )
    site = TrackerSite(
        directory,
        collector,
        identities,
        CookieSync(store, identities, clock, metrics),
        consent,
        clock,
        metrics,
        secure=urlsplit(settings.track.public_url).scheme == "https",
    )
    role.health.require_once(
        "catalogue", lambda: None if catalogue.current else "is not there yet: is the admin role up?"
    )
    app = web.Application()
    app.add_routes(
        [
            *notice_routes(desk),
            *signal_routes(signals),
            *shop_routes(site),
            *ad_routes(),
            *media_routes(media_folder(settings)),
        ]
    )
    port = NoticePort(desk, clock)
    role.run_loop(port.sweep, "idle notice connections")
    await role.serve(app, settings.track.host, settings.track.port, front=port, public_url=settings.track.public_url)


def _server_keys(catalogue: Catalogue | None) -> list[ServerKey]:
    return [
        ServerKey(key.sha256, None if key.advertiser_ids is None else frozenset(key.advertiser_ids))
        for key in (catalogue.event_keys if catalogue else ())
    ]
