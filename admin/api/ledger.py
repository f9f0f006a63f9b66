"""The ledger, to read: `GET /v1/ledger` (every settled row) and `GET /v1/ledger/days` (sums of one day)."""

import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from admin.access.principal import Principal
from admin.api import requests
from admin.api.reading import moment_text
from admin.store.ledger import SqlLedgerStore
from admin.store.model import Scope
from admin.validation.days import Day, date_of, number_of
from admin.validation.decode import decode
from admin.validation.fields import Id
from core.errors import NotFoundError
from core.money import format_micros
from pacing.ledger.rows import NOT_SHADED, LedgerRow

StreamId = Annotated[str, Meta(pattern=r"^[0-9]{1,15}-[0-9]{1,15}$(?!\n)")]


class LedgerQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose rows, oldest first. `cursor` is `next` of the page before."""

    advertiser_id: Id
    cursor: StreamId | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class DayQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which day, in each advertiser's time zone."""

    day: Day


class LedgerEntry(msgspec.Struct):
    """One bill or correction. Amounts in `currency`, prices (of a thousand impressions) in `auction_currency`.

    `shading` is the bid as a part of what the impression was worth: below 1 at first price alone.
    """

    id: str
    kind: str
    campaign_id: int
    line_item_id: int
    creative_id: int
    exchange_id: int
    day: datetime.date
    settled_at: str
    currency: str
    charge: str
    impressions: int
    late: bool
    over_budget: str
    auction_currency: str
    bid: str
    shading: float
    price: str
    price_source: str
    note: str


class LedgerPage(msgspec.Struct):
    """A page of the ledger."""

    items: list[LedgerEntry]
    count: int
    next: str | None


class DaySum(msgspec.Struct):
    """What a line item spent on an exchange on one day."""

    advertiser_id: int
    line_item_id: int
    exchange_id: int
    currency: str
    impressions: int
    charge: str


class DayPage(msgspec.Struct):
    """All sums of one day."""

    items: list[DaySum]
    count: int


class LedgerPages:
    """Reads the ledger for callers with the finance scope."""

    def __init__(self, store: SqlLedgerStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/ledger", self.rows, allow_head=False),
            web.get("/v1/ledger/days", self.days, allow_head=False),
        ]

    async def rows(self, request: web.Request) -> web.Response:
        """GET /v1/ledger"""
        principal = _finance(request)
        query = decode(requests.query_values(request), LedgerQuery, strict=False)
        if not principal.sees(query.advertiser_id):
            raise NotFoundError(f"there is no advertiser {query.advertiser_id}")
        rows = await self._store.rows_after(query.advertiser_id, query.cursor or "", query.limit + 1)
        items = [_entry(row) for row in rows[: query.limit]]
        following = items[-1].id if len(rows) > query.limit else None
        return requests.respond_json(LedgerPage(items, len(items), following))

    async def days(self, request: web.Request) -> web.Response:
        """GET /v1/ledger/days"""
        principal = _finance(request)
        query = decode(requests.query_values(request), DayQuery, strict=False)
        items = [
            DaySum(
                line.advertiser_id, line.line_item_id, line.exchange_id, line.currency, line.impressions,
                format_micros(line.charge_micros),
            )
            for line in await self._store.day_lines(number_of(query.day))
            if principal.sees(line.advertiser_id)
        ]  # fmt: skip
        return requests.respond_json(DayPage(items, len(items)))


def _finance(request: web.Request) -> Principal:
    principal = request[requests.PRINCIPAL]
    principal.require(Scope.FINANCE)
    return principal


def _entry(row: LedgerRow) -> LedgerEntry:
    head = row.head
    return LedgerEntry(
        id=row.stream_id,
        kind=head.kind.value,
        campaign_id=head.campaign_id,
        line_item_id=head.line_item_id,
        creative_id=head.creative_id,
        exchange_id=head.exchange_id,
        day=date_of(head.day),
        settled_at=moment_text(row.settled_ms),
        currency=head.currency,
        charge=format_micros(row.charge_micros),
        impressions=row.impressions,
        late=row.late,
        over_budget=format_micros(row.over_micros),
        auction_currency=head.auction_currency,
        bid=format_micros(head.bid_cpm),
        shading=head.shading / NOT_SHADED,
        price=format_micros(row.price_cpm),
        price_source=row.price_source.value,
        note=head.note,
    )
