"""Puts the API together: every resource on the same kernel, behind authentication, described by one document."""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from redis.asyncio import Redis

from admin.access.passwords import Passwords
from admin.api import (
    advertisers,
    api_keys,
    campaigns,
    conversions,
    creatives,
    deals,
    exchanges,
    feeds,
    line_items,
    lists,
    requests,
    segments,
    users,
    webhooks,
)
from admin.api.audiences import AudiencePages
from admin.api.authentication import FAILURES_PER_MINUTE, Authentication
from admin.api.books import BookPages
from admin.api.budgets import BudgetPages
from admin.api.catalogue_file import CatalogueFile
from admin.api.changes import Changes
from admin.api.doctoring import Doctoring
from admin.api.effective import Effective
from admin.api.explanations import Explanations
from admin.api.fx_rates import FxPages
from admin.api.handlers import ResourceHandlers
from admin.api.ledger import LedgerPages
from admin.api.media import MediaPages
from admin.api.openapi import describe
from admin.api.operations import Operations
from admin.api.pages import page_routes
from admin.api.problem import problems
from admin.api.products import ProductPages
from admin.api.reading import PaceOf, Reader, SegmentSizes
from admin.api.reports import ReportPages
from admin.api.resource import Resource
from admin.api.sessions import Sessions
from admin.api.targets import Targets
from admin.books.desk import BookDesk
from admin.diagnosis.doctor import Doctor
from admin.diagnosis.explaining import ExplainDesk
from admin.diagnosis.funnels import FunnelDesk
from admin.diagnosis.paced import PacingDesk
from admin.diagnosis.published import Commands
from admin.products.desk import ProductDesk
from admin.rates.refresh import RateDesk
from admin.reports.desk import ReportDesk
from admin.store.accounts import AccountStore
from admin.store.catalogue import CatalogueStore
from admin.store.ledger import SqlLedgerStore
from admin.validation.warnings import Pace
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.visitor_desk import EventDesk, VisitorDesk
from core.clock import Clock
from core.errors import UnavailableError
from core.model import Advertiser, Campaign, LineItem
from core.network.headers import Edge
from creatives.media.desk import MediaDesk

log = logging.getLogger("grosz.admin")


def resources(passwords: Passwords) -> tuple[Resource, ...]:
    """Every resource of the API."""
    modules = (
        advertisers,
        campaigns,
        line_items,
        creatives,
        segments,
        feeds,
        conversions,
        deals,
        lists,
        exchanges,
        webhooks,
        api_keys,
    )
    return (*(module.RESOURCE for module in modules), users.resource(passwords))


@functools.cache
def description() -> dict[str, Any]:
    """The OpenAPI document; the same for every application of this process."""
    return describe(resources(Passwords()))


async def uncounted(_segments: Sequence[int]) -> Mapping[int, int]:
    """Sizes where nobody counts segments."""
    await asyncio.sleep(0)
    return {}


def _quietly(pacing: PacingDesk) -> PaceOf:
    """Objects are shown while Redis is away, without what pacing would say."""

    async def pace_of(line_item: LineItem, campaign: Campaign, advertiser: Advertiser) -> Pace | None:
        try:
            return await pacing.pace(line_item, campaign, advertiser)
        except UnavailableError as error:
            log.warning("pacing is not asked: %s", error.message)
            return None

    return pace_of


class Desks(NamedTuple):
    """What answers questions whose words are the same in the API and on the command line."""

    products: ProductDesk
    audiences: AudienceDesk
    visitors: VisitorDesk
    events: EventDesk
    books: BookDesk
    reports: ReportDesk
    media: MediaDesk
    pacing: PacingDesk


class Api(msgspec.Struct):
    """The API's application, and the parts that other pages on its port are made with."""

    app: web.Application
    edge: Edge
    authentication: Authentication
    sessions: Sessions
    reader: Reader
    operations: Operations
    resources: tuple[Resource, ...]
    changes: Changes
    budgets: BudgetPages
    doctoring: Doctoring
    explanations: Explanations
    desks: Desks


def build_api(
    store: CatalogueStore,
    redis: Redis,
    commands: Commands,
    clock: Clock,
    explaining: ExplainDesk,
    funnels: FunnelDesk,
    doctor: Doctor,
    desks: Desks,
    *,
    committed: Callable[[], None],
    segment_sizes: SegmentSizes = uncounted,
    passwords: Passwords | None = None,
    failures_per_minute: int = FAILURES_PER_MINUTE,
    edge: Edge | None = None,
    fx_source: str = "",
) -> Api:
    """The API as an aiohttp application with its parts, to be served without aiohttp's own decompression.

    `committed` is called after each commit (Publisher.wake); `edge` says what is in front of the port.
    """
    edge = edge or Edge()
    hasher = passwords or Passwords()
    accounts = AccountStore(store.database, clock)
    authentication = Authentication(accounts, clock, failures_per_minute, edge)
    reader = Reader(store, clock, segment_sizes, _quietly(desks.pacing))
    operations = Operations(store, reader, committed)
    known = resources(hasher)
    app = web.Application(middlewares=[problems, authentication.middleware], client_max_size=requests.MAX_BODY_BYTES)
    for resource in known:
        app.add_routes(ResourceHandlers(resource, reader, operations).routes())
    people = next(resource for resource in known if resource.name == "users")
    sessions = Sessions(accounts, hasher, authentication, operations, people, clock, edge)
    changes = Changes(store.database)
    budgets = BudgetPages(reader, commands, clock)
    explanations = Explanations(reader, explaining, funnels)
    doctoring = Doctoring(reader, doctor)
    for pages in (sessions, changes, budgets, explanations, doctoring):
        app.add_routes(pages.routes())
    app.add_routes(LedgerPages(SqlLedgerStore(store.database)).routes())
    app.add_routes(FxPages(RateDesk(store, clock, committed), fx_source).routes())
    app.add_routes(Effective(store, redis, clock).routes())
    app.add_routes(Targets(reader, desks.pacing).routes())
    app.add_routes(ProductPages(reader, desks.products).routes())
    app.add_routes(AudiencePages(reader, desks.audiences, desks.visitors, desks.events).routes())
    app.add_routes(BookPages(desks.books).routes())
    app.add_routes(ReportPages(desks.reports).routes())
    app.add_routes(MediaPages(reader, desks.media).routes())
    app.add_routes(CatalogueFile(store, committed).routes())
    app.add_routes(page_routes(description))
    return Api(
        app,
        edge,
        authentication,
        sessions,
        reader,
        operations,
        known,
        changes,
        budgets,
        doctoring,
        explanations,
        desks,
    )
