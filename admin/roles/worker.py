"""Composition root of the worker role: the background loops."""

from collections.abc import Iterable, Sequence
from functools import partial

from aiohttp import web

from admin.retention.loop import RetentionLoop
from admin.retention.opening import archive_folder, open_archivist
from admin.roles.connections import follow_catalogue, pipelined_redis, profile_scanner
from admin.roles.journal import OrderRows, journal_writer, pseudonyms_of
from admin.roles.journal_keeping import run_journal
from admin.roles.journal_shipping import receive_segments, run_shipping
from admin.roles.lifecycle import RoleContext
from admin.roles.product_traits import FeedTraits, SwapsOfFeeds
from admin.roles.products import ProductWork, run_products
from admin.roles.shop_rows import ShopRows
from admin.store.database import Database, database_url
from admin.store.ledger import SqlLedgerStore
from core.catalogue.follower import CatalogueFollower
from core.model import ConversionRule
from core.redis.client import Pipelined
from pacing.bank.bank import LeaseBank
from pacing.budgets.lease_client import new_process_name
from pacing.budgets.transitions import Transitions
from pacing.landscape.keeper import LandscapeKeeper
from pacing.ledger.rows import LedgerWriter
from pacing.notices.conversions import DEFAULT_WINDOWS, ConversionDesk, Windows
from pacing.pace.pacer import Pacer
from segments.audiences.callout import Caller
from segments.audiences.hooks import DueEntries, HookTarget, WebhookSender
from segments.audiences.roster_news import RosterTeller
from segments.audiences.sizes import SegmentSizes
from segments.audiences.tag_health import TagHealth
from segments.facts.event import Event, Kind
from segments.profiles.directory import CatalogueDirectory
from segments.profiles.log import PARTITIONS
from segments.profiles.metrics import WorkerMetrics
from segments.profiles.partitions import PartitionLeases
from segments.profiles.store import ProfileStore
from segments.rules.ruleset import CompiledRules
from segments.worker.planning import UserPlanner
from segments.worker.purchases import Purchase
from segments.worker.reindex import SegmentReindexer
from segments.worker.worker import EventWorker, OnPurchase


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.worker
    redis = await pipelined_redis(role)
    catalogue = follow_catalogue(role)
    transitions = Transitions(redis, role.clock)
    database = Database.open(database_url(role.settings.admin.database_url))
    role.on_close(database.close)
    _run_money(role, transitions, catalogue, database)
    if settings.retention_days:
        folder = archive_folder(role.settings)
        retention = RetentionLoop(
            lambda: open_archivist(database, folder, role.clock, role.telemetry), settings.retention_days, role.clock,
            role.telemetry,
        )  # fmt: skip
        role.run_loop(retention.run, "retention")
    orders = OrderRows(pseudonyms_of(role.settings.journal), lambda advertiser: _currency(catalogue, advertiser))
    desk = ConversionDesk(
        transitions, role.telemetry, lambda advertiser: _windows(catalogue, advertiser),
        orders.order if role.settings.journal.directory else None,
    )  # fmt: skip
    products = _with_shops(role, catalogue, run_products(role, redis, catalogue, database))
    await _run_profiles(role, redis, catalogue, _crediting(desk, catalogue), products)
    role.health.require_once(
        "catalogue", lambda: None if catalogue.current else "is not there yet: is the admin role up?"
    )
    await receive_segments(role)
    await role.serve(web.Application(), settings.host, settings.port)


def _run_money(role: RoleContext, transitions: Transitions, catalogue: CatalogueFollower, database: Database) -> None:
    """Lease bank, ledger writer and pacing."""
    ledger = SqlLedgerStore(database)

    def advertisers() -> list[int]:
        present = catalogue.current
        everyone = (*present.advertisers, *present.archived_advertisers) if present else ()
        return [advertiser.id for advertiser in everyone]

    writer = LedgerWriter(transitions, ledger, advertisers, role.telemetry, role.clock)
    bank = LeaseBank(transitions, ledger, writer, lambda: catalogue.current, role.clock, role.telemetry)
    run_journal(role, transitions, ledger, advertisers, lambda: catalogue.current)
    role.run_loop(writer.run, "ledger writer")
    role.health.remark("ledger", writer.trouble)
    role.run_loop(bank.run, "lease bank")
    pacer = Pacer(transitions, lambda: catalogue.current, role.clock, role.telemetry)
    role.run_loop(pacer.run, "pacing")
    role.on_close(pacer.close)
    keeper = LandscapeKeeper(transitions, role.clock, role.telemetry)
    role.run_loop(keeper.run, "landscape")
    role.on_close(keeper.close)


async def _run_profiles(
    role: RoleContext,
    redis: Pipelined,
    catalogue: CatalogueFollower,
    on_purchase: OnPurchase,
    products: ProductWork,
) -> None:
    """Shop events to profiles, and the audience hooks that follow from them."""
    clock, metrics = role.clock, WorkerMetrics(role.telemetry)
    store = ProfileStore(redis, clock)
    directory = CatalogueDirectory(CompiledRules)
    catalogue.listen(directory.replace)
    leases = PartitionLeases(store, clock)
    planner, sizes = UserPlanner(directory, metrics, PARTITIONS), SegmentSizes(store)
    traits, swaps = FeedTraits(products.store, clock), SwapsOfFeeds(products.store, planner.asked)
    worker = EventWorker(
        store, leases, planner, sizes, TagHealth(store), clock, metrics, PARTITIONS, on_purchase, products.on_applied,
        traits.of_products,
    )  # fmt: skip
    reindexer = SegmentReindexer(
        store, profile_scanner(role), planner, lambda: swaps.with_feeds(directory.rule_versions()), sizes, clock,
        role.telemetry, ask_products=traits.of_products,
    )  # fmt: skip
    role.run_loop(partial(swaps.run, directory.rule_versions, lambda: reindexer.is_busy), "swaps of feeds")
    caller = Caller(allow_private=role.settings.worker.private_webhooks)
    await caller.__aenter__()
    role.on_close(lambda: caller.__aexit__(None, None, None))
    role.run_loop(worker.run, "events")
    role.run_loop(reindexer.run, "segment rules to profiles")
    role.run_loop(RosterTeller(store, lambda: leases.owned, clock).run, "customer lists")
    role.run_loop(DueEntries(store, leases, directory, clock).run, "audience entries")
    role.run_loop(
        WebhookSender(store, caller, lambda number: _target(catalogue, number), clock, metrics).run, "audience hooks"
    )


def _with_shops(role: RoleContext, catalogue: CatalogueFollower, products: ProductWork) -> ProductWork:
    """`products`, and where a journal is kept, its rows of shops are written from applied events as well."""
    run_shipping(role)  # first: it ends last, and ships what the writer has closed
    writer = journal_writer(role, new_process_name())
    if not writer.is_on:
        return products
    shops = ShopRows(writer, pseudonyms_of(role.settings.journal), lambda advertiser: _currency(catalogue, advertiser))

    def on_applied(events: Sequence[Event]) -> None:
        products.on_applied(events)
        shops.take(events)

    return products._replace(on_applied=on_applied)


def _crediting(desk: ConversionDesk, catalogue: CatalogueFollower) -> OnPurchase:
    """What the event worker calls for each order and correction."""

    async def on_purchase(purchase: Purchase) -> None:
        value = purchase.value_micros
        if purchase.corrects:
            await desk.correct_conversion(
                purchase.devices, purchase.advertiser_id, purchase.order, value, purchase.at_ms // 1000
            )
            return
        if not value and (rule := _rule_of(catalogue, purchase.advertiser_id)) is not None:
            value = rule.default_value_micros
        await desk.record_conversion(
            purchase.devices, purchase.advertiser_id, purchase.order, value, purchase.at_ms // 1000,
            buyer="returning" if purchase.returning else "new",
        )  # fmt: skip

    return on_purchase


def _rule_of(catalogue: CatalogueFollower, advertiser_id: int) -> ConversionRule | None:
    return purchase_rule(catalogue.current.conversions if catalogue.current else (), advertiser_id)


def purchase_rule(rules: Iterable[ConversionRule], advertiser_id: int) -> ConversionRule | None:
    """The advertiser's rule about purchases: of several the first, which is the oldest as they are published."""
    return next((rule for rule in rules if rule.advertiser_id == advertiser_id and rule.event == Kind.PURCHASE), None)


def _currency(catalogue: CatalogueFollower, advertiser_id: int) -> str:
    present = catalogue.current
    everyone = (*present.advertisers, *present.archived_advertisers) if present else ()
    return next((each.currency for each in everyone if each.id == advertiser_id), "")


def _windows(catalogue: CatalogueFollower, advertiser_id: int) -> Windows:
    rule = _rule_of(catalogue, advertiser_id)
    return DEFAULT_WINDOWS if rule is None else Windows(rule.click_window_s, rule.view_window_s)


def _target(catalogue: CatalogueFollower, number: int) -> HookTarget | None:
    known = catalogue.current.webhooks if catalogue.current else ()
    return next((HookTarget(t.id, t.advertiser_id, t.url, t.secret) for t in known if t.id == number), None)
