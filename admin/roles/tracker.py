"""Composition root of the tracker role: the public web side."""

from functools import partial
from urllib.parse import urlsplit

from aiohttp import web

from admin.roles.ads import AdDesk
from admin.roles.ads_web import ad_page_routes
from admin.roles.connections import follow_catalogue, pipelined_redis, token_signer
from admin.roles.consents import ad_policy, event_policy
from admin.roles.journal import NoticeRows, journal_writer, pseudonyms_kept, pseudonyms_of
from admin.roles.journal_shipping import run_shipping
from admin.roles.lifecycle import RoleContext
from admin.roles.local_state import media_folder, picture_folder, preview_folder
from admin.roles.page_lists import PageDesk
from admin.roles.page_lists_web import ListPages, list_routes
from admin.roles.why_web import find_by_id, why_routes
from core.catalogue.follower import CatalogueFollower
from core.model import Catalogue, Creative
from core.network.headers import Edge
from core.redis.client import Pipelined
from creatives.media.web import media_routes
from creatives.pages.web import widget_routes
from creatives.pictures.fetching import PictureProxy
from creatives.pictures.scaling import ScaleInChild
from creatives.pictures.web import WantedPicture, picture_routes
from creatives.preview.web import preview_routes
from creatives.products.known import KnownProducts
from creatives.products.models import ModelStore
from creatives.products.recommending import Recommender
from creatives.products.store import ProductStore
from creatives.templates.library import use_folder
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
from pacing.notices.tokens import TokenSigner
from pacing.notices.web import routes as notice_routes
from segments.audiences.sizes import SegmentSizes
from segments.events.collect import EventCollector
from segments.events.dropped import DroppedEvents
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
    _show_offset(role, server_time)
    run_shipping(role)  # first: it ends last, and ships what the writer has closed
    journal = journal_writer(role, new_process_name())
    notes = NoticeRows(journal, pseudonyms_of(settings.journal), clock.now_ms) if journal.is_on else None
    tally = Tally()
    role.run_loop(LandscapeWriter(tally.take, transitions).run, "landscape")
    desk = NoticeDesk(
        token_signer(role), transitions, lambda: catalogue.current, clock, role.telemetry, delivery,
        server_time=server_time, landscape=tally,
        on_counted=None if notes is None else notes.counted, click_row=None if notes is None else notes.click,
    )  # fmt: skip
    signals = SignalDesk(
        token_signer(role), transitions, clock, role.telemetry, server_time=server_time,
        on_counted=None if notes is None else notes.signal,
    )  # fmt: skip
    writer = DeliveryWriter(delivery, transitions)
    role.run_loop(writer.run, "delivery counts")
    role.on_close(writer.close)
    store = ProfileStore(redis, clock)
    identities = Identities(store, SegmentSizes(store), clock, pseudonyms_kept(settings.journal))
    site = _shop_site(role, redis, store, directory, identities)
    products = ProductStore(redis, clock)
    known, models = KnownProducts(products, role.telemetry), ModelStore(products, clock)
    role.run_loop(known.run, "products in memory")
    role.on_close(models.close)
    lists = _page_lists(role, known, models, store, directory, identities)
    ads = _ads(role, known, models, store, catalogue, notes)
    pictures = _pictures(role)
    role.health.require_once(
        "catalogue", lambda: None if catalogue.current else "is not there yet: is the admin role up?"
    )
    app = web.Application()
    app.add_routes(
        [
            *notice_routes(desk),
            *signal_routes(signals),
            *shop_routes(site),
            *list_routes(lists),
            *widget_routes(),
            *ad_routes(),
            *why_routes(token_signer(role), lambda: catalogue.current, clock),
            *ad_page_routes(ads, settings.track.public_url),
            *picture_routes(pictures, partial(_wanted, token_signer(role))),
            *media_routes(media_folder(settings)),
            *preview_routes(preview_folder(settings), lambda number: _creative(catalogue.current, number)),
        ]
    )
    port = NoticePort(desk, clock)
    role.run_loop(port.sweep, "idle notice connections")
    await role.serve(app, settings.track.host, settings.track.port, front=port, public_url=settings.track.public_url)


def _shop_site(
    role: RoleContext, redis: Pipelined, store: ProfileStore, directory: CatalogueDirectory, identities: Identities
) -> TrackerSite:
    """What a shop's site calls: events, the tag, cookie sync, opt-out."""
    settings, clock, metrics = role.settings, role.clock, IntakeMetrics(role.telemetry)
    consent = event_policy(settings.consent)
    collector = EventCollector(
        EventLog(redis, clock, metrics), identities, consent, clock, metrics, MemberNotes(store, metrics),
        DroppedEvents(store),
    )  # fmt: skip
    sync = CookieSync(store, identities, clock, metrics)
    secure = urlsplit(settings.track.public_url).scheme == "https"
    return TrackerSite(directory, collector, identities, sync, consent, clock, metrics, secure=secure)


def _page_lists(
    role: RoleContext,
    known: KnownProducts,
    models: ModelStore,
    profiles: ProfileStore,
    directory: CatalogueDirectory,
    identities: Identities,
) -> ListPages:
    """Products for the shops' own pages."""
    settings, clock = role.settings, role.clock
    desk = PageDesk(profiles, known, models, clock, role.telemetry)
    role.run_loop(desk.watch, "lateness of lists")
    return ListPages(
        desk, directory, identities, event_policy(settings.consent), clock,
        Edge(settings.track.public_url, role.proxies), secure=urlsplit(settings.track.public_url).scheme == "https",
    )  # fmt: skip


def _ads(
    role: RoleContext, known: KnownProducts, models: ModelStore, profiles: ProfileStore, catalogue: CatalogueFollower,
    notes: NoticeRows | None,
) -> AdDesk:  # fmt: skip
    """Ads that are filled when they are shown."""
    settings, clock = role.settings, role.clock
    use_folder(settings.ads.templates)  # reads templates, 0.1 s, before somebody waits for an ad
    return AdDesk(
        token_signer(role), lambda: catalogue.current, profiles, Recommender(known, models, clock),
        ad_policy(settings.consent), clock, role.telemetry, settings.track.public_url,
        on_shown=None if notes is None else notes.shown,
    )  # fmt: skip


def _pictures(role: RoleContext) -> PictureProxy:
    """Pictures of feeds."""
    settings, clock = role.settings, role.clock
    scale = ScaleInChild()
    pictures = PictureProxy(
        picture_folder(settings), scale, lambda: clock.now_ms() / 1000, role.telemetry,
        allow_private=settings.worker.private_feeds,
    )  # fmt: skip
    role.on_close(pictures.close)
    role.on_close(scale.close)
    return pictures


def _show_offset(role: RoleContext, server_time: ServerTime) -> None:
    offset = role.telemetry.gauge(
        "grosz_clock_offset_seconds", "Seconds by which Redis's clock is ahead of this process's."
    )
    offset.labels().follow(lambda: server_time.offset_ms / 1000)


def _wanted(signer: TokenSigner, token: str) -> WantedPicture | None:
    signed = signer.read_picture(token)
    return None if signed is None else WantedPicture(*signed)


def _creative(catalogue: Catalogue | None, number: int) -> Creative | None:
    """A published creative."""
    return find_by_id(catalogue.creatives, number) if catalogue else None


def _server_keys(catalogue: Catalogue | None) -> list[ServerKey]:
    return [
        ServerKey(key.sha256, None if key.advertiser_ids is None else frozenset(key.advertiser_ids))
        for key in (catalogue.event_keys if catalogue else ())
    ]
