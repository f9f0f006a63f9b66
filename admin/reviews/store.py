"""Reviews in SQL. A change of what an exchange says is a new version of the catalogue, and so known to all bidders."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.reviews.states import CALL_MS, Review, ReviewState, begun
from admin.store import tables
from admin.store.catalogue import CatalogueStore
from admin.store.changes import Actor
from core.model import Creative, Exchange, Status

_TABLE: Final = tables.approvals
_COLUMNS: Final = [_TABLE.c[name] for name in Review.__struct_fields__]

# New reviews that one round begins: the rest waits for the next, a second later.
BEGUN_AT_ONCE: Final = 1_000

# A statement has 32,767 parameters at most, and an exchange decides on as many ads as it likes.
_ASKED_AT_ONCE: Final = 5_000


class ReviewStore:
    """Reads and writes reviews."""

    def __init__(self, store: CatalogueStore) -> None:
        self._store = store

    async def exchanges(self) -> list[Exchange]:
        """All that are active, with their secrets."""
        table = tables.exchanges
        statement = tables.documents(table).where(table.c.status == Status.ACTIVE.value).order_by(table.c.id)
        decoder = msgspec.json.Decoder(Exchange)
        async with self._store.database.read() as connection:
            return [decoder.decode(document) for document in await connection.scalars(statement)]

    async def begin(self, exchange: Exchange, now_ms: int) -> int:
        """Begin reviews of active creatives of active advertisers whose present version the exchange has not been sent.

        Returns how many were begun: at most BEGUN_AT_ONCE.
        """
        creatives, owners = tables.creatives, tables.advertisers
        known = sa.and_(_TABLE.c.creative_id == creatives.c.id, _TABLE.c.exchange_id == exchange.id)
        statement = (
            sa.select(creatives.c.id, creatives.c.advertiser_id, creatives.c.version, _TABLE.c.creative_id.label("old"))
            .join(owners, owners.c.id == creatives.c.advertiser_id)
            .outerjoin(_TABLE, known)
            .where(
                creatives.c.status == Status.ACTIVE.value,
                owners.c.status == Status.ACTIVE.value,
                sa.or_(_TABLE.c.creative_version.is_(None), _TABLE.c.creative_version != creatives.c.version),
            )
            .order_by(creatives.c.id)
            .limit(BEGUN_AT_ONCE)
        )
        async with self._store.database.read() as connection:
            found = list(await connection.execute(statement))
        if not found:
            return 0
        async with self._store.database.write() as connection:
            for row in found:
                review = begun(row.id, exchange.id, row.advertiser_id, row.version, now_ms)
                # No new version of the catalogue: its readers see no decision about the present version either way.
                await _put(connection, review, 0, is_new=row.old is None)
        return len(found)

    async def claim(self, exchange_id: int, now_ms: int, most: int) -> list[Review]:
        """Reviews that are due to be sent. Each goes to one caller; others get it once the call must be over."""
        due = sa.and_(_TABLE.c.exchange_id == exchange_id, _TABLE.c.due_ms <= now_ms)
        async with self._store.database.write() as connection:
            rows = await connection.execute(sa.select(*_COLUMNS).where(due).order_by(_TABLE.c.due_ms).limit(most))
            found = [_review(row) for row in rows]
            for review in found:
                await connection.execute(
                    sa.update(_TABLE).where(*_is(review.creative_id, exchange_id)).values(due_ms=now_ms + CALL_MS)
                )
        return found

    async def creative(self, creative_id: int) -> tuple[Creative, str] | None:
        """A creative and its advertiser's domain."""
        table, owners = tables.creatives, tables.advertisers
        statement = (
            tables.documents(table)
            .add_columns(tables.DOCUMENTS["advertisers"].c.document.label("owner"))
            .join(owners, owners.c.id == table.c.advertiser_id)
            .join(tables.DOCUMENTS["advertisers"], tables.DOCUMENTS["advertisers"].c.id == owners.c.id)
            .where(table.c.id == creative_id)
        )
        async with self._store.database.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        return msgspec.json.decode(row.document, type=Creative), str(msgspec.json.decode(row.owner)["domain"])

    async def by_reference(self, exchange_id: int, references: Sequence[str]) -> list[Review]:
        """The reviews that the exchange knows by these references."""
        found: list[Review] = []
        async with self._store.database.read() as connection:
            for at in range(0, len(references), _ASKED_AT_ONCE):
                some = _TABLE.c.reference.in_(list(references[at : at + _ASKED_AT_ONCE]))
                wanted = sa.select(*_COLUMNS).where(_TABLE.c.exchange_id == exchange_id, some)
                found += [_review(row) for row in await connection.execute(wanted)]
        return found

    async def find(
        self,
        *,
        creative_id: int | None = None,
        exchange_id: int | None = None,
        states: Sequence[ReviewState] = (),
        advertisers: frozenset[int] | None = None,
        after: tuple[int, int] = (0, 0),
        most: int = 1_000,
    ) -> list[Review]:
        """Reviews of present versions, by creative and exchange; `advertisers` None: of all."""
        creatives = tables.creatives
        conditions: list[sa.ColumnElement[bool]] = [
            _TABLE.c.creative_version == creatives.c.version,
            sa.tuple_(_TABLE.c.creative_id, _TABLE.c.exchange_id) > sa.tuple_(*map(sa.literal, after)),
        ]
        if creative_id is not None:
            conditions.append(_TABLE.c.creative_id == creative_id)
        if exchange_id is not None:
            conditions.append(_TABLE.c.exchange_id == exchange_id)
        if states:
            conditions.append(_TABLE.c.state.in_([state.value for state in states]))
        if advertisers is not None:
            conditions.append(_TABLE.c.advertiser_id.in_(sorted(advertisers)))
        statement = (
            sa.select(*_COLUMNS)
            .join(creatives, creatives.c.id == _TABLE.c.creative_id)
            .where(*conditions)
            .order_by(_TABLE.c.creative_id, _TABLE.c.exchange_id)
            .limit(most)
        )
        async with self._store.database.read() as connection:
            return [_review(row) for row in await connection.execute(statement)]

    async def counts(self) -> dict[ReviewState, int]:
        """Reviews of present versions by state."""
        creatives = tables.creatives
        statement = (
            sa.select(_TABLE.c.state, sa.func.count())
            .join(creatives, creatives.c.id == _TABLE.c.creative_id)
            .where(_TABLE.c.creative_version == creatives.c.version, creatives.c.status == Status.ACTIVE.value)
            .group_by(_TABLE.c.state)
        )
        async with self._store.database.read() as connection:
            found = {ReviewState(state): int(count) for state, count in await connection.execute(statement)}
        return {state: found.get(state, 0) for state in ReviewState}

    async def save(self, before: Review | None, after: Review, actor: Actor) -> bool:
        """Put `after` in place of `before`; False, and nothing is written, where `before` has changed meanwhile.

        What bidders must know becomes a version of the catalogue, and a row of the change log.
        """
        shown = before is None or (before.state, before.reason) != (after.state, after.reason)
        if not shown:
            async with self._store.database.write() as connection:
                return await _replace(connection, before, after, None)
        async with self._store.write(actor) as writer:
            if not await _replace(writer.connection, before, after, writer.revision):
                return False
            await writer.note_approval(
                after.creative_id,
                after.advertiser_id,
                after.exchange_id,
                _told(before) if before is not None else None,
                _told(after),
            )
        return True


def _told(review: Review) -> str:
    """A state as the change log has it."""
    return f"{review.state.value}: {review.reason}" if review.reason else review.state.value


def _is(creative_id: int, exchange_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return _TABLE.c.creative_id == creative_id, _TABLE.c.exchange_id == exchange_id


def _review(row: sa.Row[Any]) -> Review:
    return msgspec.convert(row, Review, from_attributes=True)


async def _put(connection: AsyncConnection, review: Review, revision: int, *, is_new: bool) -> None:
    values = msgspec.structs.asdict(review) | {"state": review.state.value, "revision": revision}
    if is_new:
        await connection.execute(sa.insert(_TABLE).values(values))
        return
    await connection.execute(sa.update(_TABLE).where(*_is(review.creative_id, review.exchange_id)).values(values))


async def _replace(connection: AsyncConnection, before: Review | None, after: Review, revision: int | None) -> bool:
    present = (await connection.execute(sa.select(*_COLUMNS).where(*_is(after.creative_id, after.exchange_id)))).first()
    if before is None or present is None:
        if present is not None or before is not None:
            return False
        await _put(connection, after, revision or 0, is_new=True)
        return True
    found = _review(present)
    # The time of the next call is left out of the comparison: `claim` has moved it.
    if msgspec.structs.replace(found, due_ms=before.due_ms) != before:
        return False
    values = msgspec.structs.asdict(after) | {"state": after.state.value}
    if revision is not None:
        values["revision"] = revision
    await connection.execute(sa.update(_TABLE).where(*_is(after.creative_id, after.exchange_id)).values(values))
    return True
