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
from admin.api.approvals import ApprovalPages
from admin.api.audiences import AudiencePages
from admin.api.authentication import FAILURES_PER_MINUTE, Authentication
from admin.api.books import BookPages
from admin.api.budgets import BudgetPages
from admin.api.catalogue_file import CatalogueFile
from admin.api.changes import Changes
from admin.api.doctoring import Doctoring
from admin.api.effective import Effective
from admin.api.explanations import Explanations
from admin.api.forecasts import ForecastPages
from admin.api.fx_rates import FxPages
from admin.api.handlers import ResourceHandlers
from admin.api.ledger import LedgerPages
from admin.api.media import MediaPages
from admin.api.openapi import describe
from admin.api.operations import Operations
from admin.api.pages import page_routes
from admin.api.password_links import PasswordLinkDesk
from admin.api.password_mail import PasswordMail
from admin.api.problem import problems
from admin.api.products import ProductPages
from admin.api.reading import PaceOf, Reader, SegmentSizes
from admin.api.recorded import RecordedPages
from admin.api.reports import ReportPages
from admin.api.resource import Resource
from admin.api.rosters import RosterPages
from admin.api.saved_reports import SavedReportPages
from admin.api.scanning import ScanPages
from admin.api.sessions import Sessions
from admin.api.tailing import TailPages
from admin.api.targets import Targets
from admin.books.desk import BookDesk
from admin.diagnosis.doctor import Doctor
from admin.diagnosis.explaining import ExplainDesk
from admin.diagnosis.forecasting import ForecastDesk
from admin.diagnosis.funnels import FunnelDesk
from admin.diagnosis.paced import PacingDesk
from admin.diagnosis.published import Commands
from admin.diagnosis.recorded import RecordedDesk
from admin.diagnosis.tailing import TailDesk
from admin.mail.outbox import Outbox
from admin.mail.sending import MailSender
from admin.products.desk import ProductDesk
from admin.rates.refresh import RateDesk
from admin.reports.desk import ReportDesk
from admin.reports.saved import SavedReportDesk
from admin.reviews.desk import ReviewDesk
from admin.store.accounts import AccountStore
from admin.store.catalogue import CatalogueStore
from admin.store.ledger import SqlLedgerStore
from admin.store.password_links import PasswordLinks
from admin.validation.warnings import Pace
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.visitor_desk import EventDesk, VisitorDesk
from core.clock import Clock
from core.errors import UnavailableError
from core.model import Advertiser, Campaign, LineItem
from core.network.headers import Edge
from creatives.media.desk import MediaDesk
from creatives.scanning.loaded import CreativeScanner

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
    """The sizes where nobody counts segments, as on the command line: none are known."""
    await asyncio.sleep(0)
    return {}


def _quietly(pacing: PacingDesk) -> PaceOf:
    """Asks pacing for a line item's warnings; while Redis is away these are missing, and the object is shown anyway."""

    async def pace_of(line_item: LineItem, campaign: Campaign, advertiser: Advertiser) -> Pace | None:
        try:
            return await pacing.pace(line_item, campaign, advertiser)
        except UnavailableError as error:
            log.warning("pacing is not asked: %s", error.message)
            return None

    return pace_of


class Desks(NamedTuple):
    """The desks, each of which answers questions that the API and the command line ask in the same words."""

    products: ProductDesk
    audiences: AudienceDesk
    visitors: VisitorDesk
    events: EventDesk
    books: BookDesk
    reports: ReportDesk
    recorded: RecordedDesk
    forecasts: ForecastDesk
    media: MediaDesk
    scanner: CreativeScanner
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
    clock: Clock
    tails: TailDesk
    accounts: AccountStore
    password_links: PasswordLinkDesk
    approvals: ReviewDesk
    saved_reports: SavedReportDesk
    outbox: Outbox
    password_mail: PasswordMail
    rates: RateDesk


def _desk_routes(reader: Reader, desks: Desks) -> list[web.RouteDef]:
    """Routes of the questions that desks answer."""
    return [
        *Targets(reader, desks.pacing).routes(),
        *ProductPages(reader, desks.products).routes(),
        *AudiencePages(reader, desks.audiences, desks.visitors, desks.events).routes(),
        *BookPages(desks.books).routes(),
        *ReportPages(desks.reports).routes(),
        *RecordedPages(desks.recorded).routes(),
        *ForecastPages(desks.forecasts).routes(),
        *MediaPages(reader, desks.media).routes(),
        *RosterPages(reader, desks.audiences.rosters).routes(),
        *ScanPages(reader, desks.scanner).routes(),
    ]


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
    mailer: MailSender | None = None,
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
    rates = RateDesk(store, clock, committed)
    app.add_routes(FxPages(rates, fx_source).routes())
    app.add_routes(Effective(store, redis, clock).routes())
    approvals = ReviewDesk(store, clock, committed)
    app.add_routes(ApprovalPages(reader, approvals).routes())
    tails = TailDesk(commands, clock)
    TailPages(tails).join(app)
    links = PasswordLinkDesk(PasswordLinks(store.database, clock), hasher, authentication, operations, people)
    mails = PasswordMail(links, accounts, authentication, mailer, edge.public_url, clock)
    app.add_routes(CatalogueFile(store, committed).routes())
    app.add_routes(_desk_routes(reader, desks))
    saved, outbox = SavedReportDesk(store.database, clock), Outbox(store.database, clock)
    app.add_routes(SavedReportPages(saved, desks.reports, outbox, edge.public_url).routes())
    app.add_routes(page_routes(description))
    return Api(
        app, edge, authentication, sessions, reader, operations, known, changes, budgets, doctoring, explanations,
        desks, clock, tails, accounts, links, approvals, saved, outbox, mails, rates,
    )  # fmt: skip
