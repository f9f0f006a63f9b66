"""`GET /v1/budgets`: what is spent, held by open leases and free, as the money counters in Redis have it now."""

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from aiohttp import web
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.access.principal import Principal
from admin.api import requests
from admin.api.reading import Reader
from admin.diagnosis.published import Commands
from admin.store import tables
from admin.store.catalogue import objects_by_id
from admin.store.kinds import ADVERTISERS, CAMPAIGNS, LINE_ITEMS, ObjectKind
from admin.store.model import Scope
from admin.store.tables import ledger_days
from admin.validation.days import date_of
from admin.validation.decode import decode
from admin.validation.fields import END, Amount, Balance, Id
from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.model import Advertiser, LineItem, Status
from core.money import format_micros
from pacing.bank.bank import calendar
from pacing.budgets.levels import Amounts, decode_level, level_names
from pacing.budgets.pools import UNLIMITED

KindName = Literal["advertisers", "campaigns", "line-items"]
# In this order they are listed: what limits all others comes first.
_KINDS: tuple[ObjectKind, ...] = (ADVERTISERS, CAMPAIGNS, LINE_ITEMS)

Cursor = Annotated[str, Meta(pattern=r"^(advertisers|campaigns|line-items):[0-9]{1,10}" + END)]


class BudgetQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose budgets; `kind` and `object_id` narrow it. A page holds the budgets of `limit` objects."""

    advertiser_id: Id
    kind: KindName | None = None
    object_id: Id | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class Spend(msgspec.Struct):
    """Money of a budget. `exposure` is held by open leases, `over` was charged beyond the budget by late bills.

    `budget` and `free` are null without a limit; otherwise spent + exposure + free is the budget, exactly.
    """

    budget: Amount | None
    spent: Balance
    exposure: Amount
    free: Amount | None
    over: Amount


class Impressions(msgspec.Struct):
    """Impressions of a budget, as in Spend."""

    budget: int | None
    spent: int
    exposure: int
    free: int | None
    over: int


class BudgetState(msgspec.Struct):
    """One budget of an object. `day` (in the advertiser's time zone) is null for a total budget.

    `share` is null for the whole object, 0 for what the budget shares of a line item leave, n for the n-th share.
    """

    kind: KindName
    object_id: int
    share: int | None
    day: datetime.date | None
    spend: Spend
    impressions: Impressions


class BudgetPage(msgspec.Struct):
    """A page of budgets. Those that nobody has entered or spent from yet are left out."""

    items: list[BudgetState]
    count: int
    next: str | None


class _Wanted(msgspec.Struct, frozen=True):
    """A level to be looked up, and what it is."""

    level: str
    kind: KindName
    object_id: int
    share: int | None = None
    day: int | None = None


class DayPlan(msgspec.Struct):
    """What the active line items of an advertiser may spend a day; `is_limited` False when one has no daily budget."""

    line_items: int = 0
    micros: int = 0
    is_limited: bool = True


class DaySpend(msgspec.Struct):
    """What an advertiser's line items spent on a day, and those of them that spent most (micros by id)."""

    micros: int = 0
    impressions: int = 0
    by_line_item: dict[int, int] = {}


class BudgetPages:
    """Shows the money counters of what a caller may see."""

    def __init__(self, reader: Reader, redis: Commands, clock: Clock) -> None:
        self._reader = reader
        self._redis = redis
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/budgets", self.page, allow_head=False)]

    async def page(self, request: web.Request) -> web.Response:
        """GET /v1/budgets"""
        query = decode(requests.query_values(request), BudgetQuery, strict=False)
        return requests.respond_json(await self.read(request[requests.PRINCIPAL], query))

    async def read(self, principal: Principal, query: BudgetQuery) -> BudgetPage:
        """A page of budgets. Raises Forbidden, NotFoundError, UnavailableError."""
        principal.require(Scope.READ)
        async with self._reader.store.database.read() as connection:
            stored = await self._reader.require(connection, principal, ADVERTISERS, query.advertiser_id)
            found = await _objects(connection, query)
        advertiser: Advertiser = stored.value
        page, more = found[: query.limit], len(found) > query.limit
        day = calendar(advertiser.timezone, self._clock.now_ms()).day
        wanted = [one for kind, value in page for one in _levels_of(kind, value, day)]
        items = await self._states(advertiser, wanted)
        following = f"{page[-1][0].name}:{page[-1][1].id}" if more else None
        return BudgetPage(items, len(items), following)

    async def of_line_items(self, principal: Principal, ids: Sequence[int]) -> dict[int, list[BudgetState]]:
        """The budgets of several line items, of one or more advertisers; those of others are left out.

        Raises Forbidden, UnavailableError.
        """
        principal.require(Scope.READ)
        async with self._reader.store.database.read() as connection:
            stored = await objects_by_id(connection, LINE_ITEMS, list(ids))
            line_items = [one.value for one in stored.values() if principal.sees(one.value.advertiser_id)]
            owners = await objects_by_id(connection, ADVERTISERS, sorted({one.advertiser_id for one in line_items}))
        found: dict[int, list[BudgetState]] = {one.id: [] for one in line_items}
        for owner in owners.values():
            advertiser: Advertiser = owner.value
            day = calendar(advertiser.timezone, self._clock.now_ms()).day
            own = [one for one in line_items if one.advertiser_id == advertiser.id]
            wanted = [level for one in own for level in _levels_of(LINE_ITEMS, one, day)]
            for state in await self._states(advertiser, wanted):
                found[state.object_id].append(state)
        return found

    async def plans(self, principal: Principal, advertiser_ids: Sequence[int]) -> dict[int, DayPlan]:
        """What the active line items of advertisers may spend a day. Raises Forbidden."""
        principal.require(Scope.READ)
        seen = [one for one in advertiser_ids if principal.sees(one)]
        columns = LINE_ITEMS.table.c
        limited, planned = sa.func.count(columns.daily_budget_micros), sa.func.sum(columns.daily_budget_micros)
        statement = (
            sa.select(columns.advertiser_id, sa.func.count(), limited, planned)
            .where(columns.advertiser_id.in_(seen), columns.status == Status.ACTIVE.value)
            .group_by(columns.advertiser_id)
        )
        plans = {one: DayPlan() for one in seen}
        async with self._reader.store.database.read() as connection:
            for owner, active, with_budget, micros in await connection.execute(statement):
                plans[owner] = DayPlan(active, int(micros or 0), with_budget == active)
        return plans

    async def spent_today(
        self, principal: Principal, advertisers: Mapping[int, str], leaders: int
    ) -> dict[int, DaySpend]:
        """What advertisers (id -> time zone) spent today by the ledger; those of others are left out.

        Of the line items, archived ones too, the `leaders` of all these advertisers that spent most are named. The
        ledger is behind the counters by what the worker books within its next tick. Raises Forbidden.
        """
        principal.require(Scope.READ)
        seen = [one for one in advertisers if principal.sees(one)]
        days: defaultdict[int, list[int]] = defaultdict(list)
        for one in seen:
            days[calendar(advertisers[one], self._clock.now_ms()).day].append(one)
        found = {one: DaySpend(by_line_item={}) for one in seen}
        async with self._reader.store.database.read() as connection:
            for day, owners in days.items():
                for owner, one, micros, impressions in await connection.execute(_spent_on(day, owners, leaders)):
                    if one:
                        found[owner].by_line_item[one] = int(micros)
                    else:
                        found[owner].micros, found[owner].impressions = int(micros), int(impressions)
        return found

    async def _states(self, advertiser: Advertiser, wanted: Sequence[_Wanted]) -> list[BudgetState]:
        if not wanted:
            return []
        names = [one.level for one in wanted]
        (packed,) = await self._redis.commands([("HMGET", keys.money_levels(advertiser.id), *names)])
        if not isinstance(packed, list):
            raise UnavailableError("Redis does not show the budgets", hint="check that it runs")
        states = []
        for one, level in zip(wanted, packed, strict=True):
            if level is None:
                continue
            micros, impressions = decode_level(level)
            spend = _spend(micros, advertiser.currency)
            day = None if one.day is None else date_of(one.day)
            states.append(BudgetState(one.kind, one.object_id, one.share, day, spend, _impressions(impressions)))
        return states


def _spent_on(day: int, owners: Sequence[int], leaders: int) -> sa.CompoundSelect[Any]:
    """Rows (advertiser, line item, micros, impressions): one sum an advertiser, with line item 0, and the leaders.

    The sums by line item are made once and read twice.
    """
    table = ledger_days.c
    by = (table.advertiser_id, table.line_item_id)
    micros, impressions = sa.func.sum(table.charge_micros), sa.func.sum(table.impressions)
    of_day = (table.advertiser_id.in_(owners), table.day == day)
    sums = sa.select(*by, micros.label("micros"), impressions.label("impressions")).where(*of_day).group_by(*by)
    spent = sums.cte("spent").c
    owner = spent.advertiser_id
    whole = sa.select(owner, sa.literal(0), sa.func.sum(spent.micros), sa.func.sum(spent.impressions)).group_by(owner)
    most = sa.select(*spent).where(spent.micros > 0).order_by(spent.micros.desc()).limit(leaders).subquery()
    return sa.union_all(whole, sa.select(most))


async def _objects(connection: AsyncConnection, query: BudgetQuery) -> list[tuple[ObjectKind, Any]]:
    """The objects of a page and one more, in order."""
    after_kind, _, after_id = (query.cursor or "advertisers:0").partition(":")
    first = [kind.name for kind in _KINDS].index(after_kind)
    found: list[tuple[ObjectKind, Any]] = []
    for kind in _KINDS[first:]:
        left = query.limit + 1 - len(found)
        if left <= 0 or query.kind not in (None, kind.name):
            continue
        table = kind.table
        owner = table.c.id if kind is ADVERTISERS else table.c.advertiser_id
        conditions = [owner == query.advertiser_id, table.c.status != Status.ARCHIVED.value]
        if kind.name == after_kind:
            conditions.append(table.c.id > int(after_id))
        if query.object_id is not None:
            conditions.append(table.c.id == query.object_id)
        statement: sa.Select[Any] = tables.documents(table).where(*conditions).order_by(table.c.id).limit(left)
        decoder = msgspec.json.Decoder(kind.domain)
        found += [(kind, decoder.decode(document)) for document in await connection.scalars(statement)]
    return found


def _levels_of(kind: ObjectKind, value: Any, day: int) -> list[_Wanted]:  # noqa: ANN401 - a struct of the kind
    """The levels of an object that are its own, today's and in total."""
    if not isinstance(value, LineItem):
        name: KindName = "advertisers" if kind is ADVERTISERS else "campaigns"
        return [_Wanted("a" if kind is ADVERTISERS else f"c{value.id}", name, value.id)]
    found: list[_Wanted] = []
    for share in range(len(value.budget_shares) + 1):
        _, _, total, daily, part, part_daily = level_names(value.id, share, value.campaign_id, day)
        if share == 0:
            found += [_Wanted(total, "line-items", value.id), _Wanted(daily, "line-items", value.id, None, day)]
        if value.budget_shares:
            found += [
                _Wanted(part, "line-items", value.id, share),
                _Wanted(part_daily, "line-items", value.id, share, day),
            ]
    return found


def _spend(amounts: Amounts, currency: str) -> Spend:
    def amount(micros: int) -> Amount:
        return Amount(format_micros(micros), currency)

    limited = amounts.budget != UNLIMITED
    return Spend(
        amount(amounts.budget) if limited else None,
        Balance(format_micros(amounts.spent), currency),
        amount(amounts.exposure),
        amount(amounts.free) if limited else None,
        amount(amounts.over),
    )


def _impressions(amounts: Amounts) -> Impressions:
    limited = amounts.budget != UNLIMITED
    return Impressions(
        amounts.budget if limited else None,
        amounts.spent,
        amounts.exposure,
        amounts.free if limited else None,
        amounts.over,
    )
