"""The change log: `GET /v1/change-log`. Rows are only ever added."""

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from aiohttp import web
from msgspec import Meta

from admin.access.principal import Principal
from admin.api import requests
from admin.api.reading import moment_text
from admin.store.database import Database
from admin.store.tables import change_log
from admin.validation.decode import decode
from admin.validation.fields import Id

Cursor = Annotated[int, Meta(ge=0, le=2**62)]


class ChangeQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which rows; the newest first. `cursor` is `next` of the page before."""

    kind: str | None = None
    object_id: Id | None = None
    advertiser_id: Id | None = None
    actor_kind: str | None = None
    actor_id: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    transaction_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: Cursor | None = None


class LoggedChange(msgspec.Struct):
    """One changed field (or a whole new object, with an empty `field`). Values are JSON texts."""

    id: int
    at: str
    transaction_id: str
    actor_kind: str
    actor_id: int
    actor_name: str
    kind: str
    object_id: int
    advertiser_id: int | None
    action: str
    field: str
    old: str | None
    new: str | None


class ChangePage(msgspec.Struct):
    """A page of the change log."""

    items: list[LoggedChange]
    count: int
    next: int | None


class Changes:
    """Reads the log for callers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/change-log", self.list, allow_head=False)]

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/change-log"""
        query = decode(requests.query_values(request), ChangeQuery, strict=False)
        return requests.respond_json(await self.read(request[requests.PRINCIPAL], query))

    async def read(self, principal: Principal, query: ChangeQuery) -> ChangePage:
        """A page of the log, of what the caller may know of."""
        statement = _statement(query, principal)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = [_change(row) for row in rows[: query.limit]]
        following = items[-1].id if len(rows) > query.limit else None
        return ChangePage(items, len(items), following)


def _statement(query: ChangeQuery, principal: Principal) -> sa.Select[Any]:
    table = change_log
    statement = sa.select(table).order_by(table.c.id.desc()).limit(query.limit + 1)
    for name in ("kind", "object_id", "advertiser_id", "actor_kind", "actor_id", "transaction_id"):
        wanted = getattr(query, name)
        if wanted is not None:
            statement = statement.where(table.c[name] == wanted)
    if query.cursor is not None:
        statement = statement.where(table.c.id < query.cursor)
    if principal.advertiser_ids is not None:
        statement = statement.where(table.c.advertiser_id.in_(sorted(principal.advertiser_ids)))
    return statement


def _change(row: Any) -> LoggedChange:  # noqa: ANN401 - a row of the table
    return LoggedChange(
        id=row.id,
        at=moment_text(row.at_ms),
        transaction_id=row.transaction_id,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        kind=row.kind,
        object_id=row.object_id,
        advertiser_id=row.advertiser_id,
        action=row.action,
        field=row.field,
        old=row.old_value,
        new=row.new_value,
    )
