"""What is shown of objects: one with its warnings, pages of many. The only place that decides who may see what."""

import datetime
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.access.principal import Principal
from admin.api.listing import Query, choose, make_cursor
from admin.api.paging import find_page
from admin.api.problem import documented
from admin.api.resource import Resource
from admin.store import tables
from admin.store.catalogue import (
    CatalogueStore,
    Stored,
    agreed_recipients,
    objects_by_id,
    purchase_conversions,
    rates,
)
from admin.store.changes import owner_of
from admin.store.kinds import ADVERTISERS, CREATIVES, FEEDS, KIND_BY_NAME, LINE_ITEMS, ObjectKind
from admin.store.model import Conversion, Feed, Scope, Webhook
from admin.validation.convert import represent
from admin.validation.warnings import Pace, Surroundings, warnings_of
from core.clock import Clock
from core.errors import NotFoundError
from core.ids import MAX_ID
from core.model import Advertiser, Campaign, Creative, LineItem, Status

SegmentSizes = Callable[[Sequence[int]], Awaitable[Mapping[int, int]]]
"""How many users each segment has now; segments that were not counted are left out."""


PaceOf = Callable[[LineItem, Campaign, Advertiser], Awaitable[Pace | None]]
"""What pacing says of a line item; None where it cannot be asked."""


class Reader:
    """Reads objects for callers."""

    def __init__(
        self, store: CatalogueStore, clock: Clock, segment_sizes: SegmentSizes, pace_of: PaceOf | None = None
    ) -> None:
        self.store = store
        self._clock = clock
        self._segment_sizes = segment_sizes
        self._pace_of = pace_of
        # An advertiser's currency never changes (validation.rules.check_change), so it is read once.
        self._currencies: dict[int, str] = {}

    async def read(self, principal: Principal, resource: Resource, object_id: int) -> dict[str, Any]:
        """One object with its warnings. Raises NotFoundError, also for what belongs to others."""
        async with self.store.database.read() as connection:
            stored = await self.require(connection, principal, resource.kind, object_id)
            return _without_foreign_seats(principal, await self.show(connection, resource, stored))

    async def page(self, principal: Principal, resource: Resource, query: Query) -> dict[str, Any]:
        """One page: items, count, next cursor, and the total when asked for."""
        kind = resource.kind
        async with self.store.database.read() as connection:
            rows, total = await find_page(connection, kind, query, principal)
            page = rows[: query.limit]
            decoder = msgspec.json.Decoder(kind.domain)
            items: list[dict[str, Any]] = []
            values: list[Any] = [decoder.decode(row.document) for row in page]
            await self.load_currencies(connection, values)
            extra = await resource.hooks.decorate(connection, [row.id for row in page])
            for row, value in zip(page, values, strict=True):
                document = self.document(kind, value, row.created_ms, row.updated_ms) | extra.get(row.id, {})
                items.append(choose(_without_foreign_seats(principal, document), query.fields))
            envelope: dict[str, Any] = {"items": items, "count": len(items), "next": None}
            if len(rows) > query.limit:
                envelope["next"] = make_cursor(query, page[-1].sort_value, page[-1].id)
            if total is not None:
                envelope["total"] = total
        return envelope

    async def require(
        self, connection: AsyncConnection, principal: Principal, kind: ObjectKind, object_id: int
    ) -> Stored:
        """The object, if the caller may know of it. Raises NotFoundError."""
        found = await objects_by_id(connection, kind, [object_id])
        stored = found.get(object_id)
        if stored is None or not principal.sees(owner_of(kind, stored.value)):
            raise NotFoundError(
                f"there is no {kind.title} {object_id}", hint=f"see GET /v1/{kind.name}", code="no_such_object"
            )
        return stored

    async def creative(self, principal: Principal, creative_id: int) -> Creative:
        """A creative, if the caller may know of it. Raises NotFoundError."""
        creative: Creative = await self._one(principal, CREATIVES, creative_id)
        return creative

    async def advertiser(self, principal: Principal, advertiser_id: int, scope: Scope) -> Advertiser:
        """An advertiser for a caller with the scope, if it may know of it. Raises Forbidden, NotFoundError."""
        principal.require(scope)
        advertiser: Advertiser = await self._one(principal, ADVERTISERS, advertiser_id)
        return advertiser

    async def feed(self, principal: Principal, feed_id: int, scope: Scope) -> Feed:
        """A feed for a caller with the scope, if it may know of it. Raises Forbidden, NotFoundError."""
        principal.require(scope)
        feed: Feed = await self._one(principal, FEEDS, feed_id)
        return feed

    async def line_item(self, principal: Principal, line_item_id: int, scope: Scope) -> tuple[LineItem, Advertiser]:
        """A line item and its advertiser for a caller with the scope, if it may know of it.

        Raises Forbidden, NotFoundError.
        """
        principal.require(scope)
        async with self.store.database.read() as connection:
            line_item: LineItem = (await self.require(connection, principal, LINE_ITEMS, line_item_id)).value
            owner = await self.require(connection, principal, ADVERTISERS, line_item.advertiser_id)
        return line_item, owner.value

    async def _one(self, principal: Principal, kind: ObjectKind, object_id: int) -> Any:  # noqa: ANN401
        async with self.store.database.read() as connection:
            return (await self.require(connection, principal, kind, object_id)).value

    async def show(self, connection: AsyncConnection, resource: Resource, stored: Stored) -> dict[str, Any]:
        """The whole representation of one object, with its warnings."""
        await self.load_currencies(connection, [stored.value])
        document = self.document(resource.kind, stored.value, stored.created_ms, stored.updated_ms)
        document |= (await resource.hooks.decorate(connection, [stored.value.id])).get(stored.value.id, {})
        document["warnings"] = (await self.warnings(connection, resource.kind, [stored.value]))[0]
        return document

    async def warnings(self, connection: AsyncConnection, kind: ObjectKind, values: Sequence[Any]) -> list[list[Any]]:
        """The warnings of each object."""
        wanted: dict[str, set[int]] = {}
        for value in values:
            for _, target_kind, target in kind.references(value):
                wanted.setdefault(target_kind, set()).add(target)
        objects: dict[tuple[str, int], Any] = {}
        for name, ids in wanted.items():
            if name in ("advertisers", "campaigns", "creatives", "deals"):
                found = await objects_by_id(connection, KIND_BY_NAME[name], sorted(ids))
                objects |= {(name, object_id): stored.value for object_id, stored in found.items()}
        segments = sorted(
            wanted.get("segments", set()) | ({v.id for v in values} if kind.name == "segments" else set())
        )
        sizes = await self._segment_sizes(segments) if segments else {}
        if empty := sorted(wanted.get("segments", set()) & {one for one, size in sizes.items() if not size}):
            found = await objects_by_id(connection, KIND_BY_NAME["segments"], empty)
            objects |= {("segments", object_id): stored.value for object_id, stored in found.items()}
        # Asked for one object alone: for a page of line items Redis would be asked for each of them.
        paces = await self._paces(values[0], objects) if len(values) == 1 else {}
        agreed = await _agreed(connection, values)
        around = Surroundings(
            objects, self._clock.now_ms(), await rates(connection), sizes, paces, agreed,
            await _counting(connection, values),
        )  # fmt: skip
        return [[documented(fault) for fault in warnings_of(kind, value, around)] for value in values]

    async def _paces(self, value: Any, objects: Mapping[tuple[str, int], Any]) -> Mapping[int, Pace]:  # noqa: ANN401
        if self._pace_of is None or not isinstance(value, LineItem) or value.status is not Status.ACTIVE:
            return {}
        campaign = objects.get(("campaigns", value.campaign_id))
        advertiser = objects.get(("advertisers", value.advertiser_id))
        if campaign is None or advertiser is None:
            return {}
        pace = await self._pace_of(value, campaign, advertiser)
        return {} if pace is None else {value.id: pace}

    async def load_currencies(self, connection: AsyncConnection, values: Iterable[Any]) -> None:
        """Makes the currencies of the objects' advertisers known."""
        await self.load_currencies_of(connection, {getattr(value, "advertiser_id", None) for value in values})

    async def load_currencies_of(self, connection: AsyncConnection, advertisers: Iterable[Any]) -> None:
        """Makes the currencies of advertisers known; what is no id is left out."""
        ids = {one for one in advertisers if isinstance(one, int) and 1 <= one <= MAX_ID}
        missing = sorted(ids - self._currencies.keys())
        if missing:
            table = tables.advertisers
            statement = sa.select(table.c.id, table.c.currency).where(table.c.id.in_(missing[:10_000]))
            self._currencies |= {row.id: row.currency for row in await connection.execute(statement)}

    def forget_currency(self, advertiser_id: int) -> None:
        """Forget the currency of an advertiser that was not made after all.

        The next advertiser has its id, and perhaps another currency.
        """
        self._currencies.pop(advertiser_id, None)

    def document(self, kind: ObjectKind, value: Any, created_ms: int, updated_ms: int) -> dict[str, Any]:  # noqa: ANN401
        currency = (
            value.currency if kind.name == "advertisers" else self._currency(getattr(value, "advertiser_id", None))
        )
        return represent(value, currency) | {
            "created_at": moment_text(created_ms),
            "updated_at": moment_text(updated_ms),
        }

    def _currency(self, advertiser_id: int | None) -> str:
        return self._currencies.get(advertiser_id, "PLN") if advertiser_id is not None else "PLN"

    def visible_currency(self, principal: Principal) -> Callable[[int], str | None]:
        """A function from an advertiser's id to its currency, None where the caller may not know of the advertiser.

        It knows what load_currencies_of has loaded before.
        """
        return lambda advertiser: self._currencies.get(advertiser) if principal.sees(advertiser) else None


def _without_foreign_seats(principal: Principal, document: dict[str, Any]) -> dict[str, Any]:
    """An exchange names the advertisers and campaigns that have seats of their own: others' are left out."""
    if "seats" not in document:
        return document
    return document | {"seats": [each for each in document["seats"] if principal.sees(each["advertiser_id"])]}


def moment_text(milliseconds: int) -> str:
    """A time as the API writes it."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _agreed(connection: AsyncConnection, values: Iterable[Any]) -> frozenset[tuple[int, str]]:
    """(advertiser, address) of the webhooks by mail whose address has agreed to the mails of that very advertiser."""
    mailed = [value for value in values if isinstance(value, Webhook) and value.mail]
    return await agreed_recipients(connection, mailed, to_all=False) if mailed else frozenset()


async def _counting(connection: AsyncConnection, values: Iterable[Any]) -> Mapping[int, int]:
    """The conversion about purchases that counts, by the advertisers whose conversions are among `values`."""
    advertisers = {value.advertiser_id for value in values if isinstance(value, Conversion)}
    return await purchase_conversions(connection, advertisers) if advertisers else {}
