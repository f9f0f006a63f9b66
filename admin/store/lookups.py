"""Small questions to the catalogue that more than one desk asks."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store import tables
from core.errors import NotFoundError
from core.model import Segment, Status


async def active_segments(connection: AsyncConnection, advertiser_id: int) -> list[Segment]:
    """The active segments of an advertiser, by their ids."""
    table = tables.segments
    statement = (
        tables.documents(table)
        .where(table.c.advertiser_id == advertiser_id, table.c.status == Status.ACTIVE.value)
        .order_by(table.c.id)
    )
    decoder = msgspec.json.Decoder(Segment)
    return [decoder.decode(document) for document in await connection.scalars(statement)]


async def exchange_id_of(connection: AsyncConnection, key: str) -> int:
    """The id of the exchange with this name in URLs. Raises NotFoundError."""
    table = tables.exchanges
    found = await connection.scalar(sa.select(table.c.id).where(table.c.key == key).limit(1))
    if found is None:
        raise NotFoundError(f"there is no exchange '{key}'", hint="see `grosz exchange list`", code="no_such_exchange")
    return int(found)
