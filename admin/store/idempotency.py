"""Answers kept for repeated requests: the same Idempotency-Key of the same caller gets the same answer, once done."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store.tables import idempotency_keys

# A client that has not retried within a day has forgotten the request.
KEEP_MS = 24 * 3_600_000


class KeptAnswer(msgspec.Struct, frozen=True):
    """A kept answer and the digest of the request that it answered."""

    request_digest: bytes
    status: int
    headers: dict[str, str]
    body: bytes


async def find_answer(connection: AsyncConnection, principal: str, key: str, now_ms: int) -> KeptAnswer | None:
    """The answer that was given to this caller's key."""
    table = idempotency_keys
    statement = sa.select(table).where(
        table.c.principal == principal, table.c.key == key, table.c.created_ms > now_ms - KEEP_MS
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    return KeptAnswer(row.request_digest, row.status, msgspec.json.decode(row.headers, type=dict[str, str]), row.body)


async def keep_answer(connection: AsyncConnection, principal: str, key: str, now_ms: int, answer: KeptAnswer) -> None:
    """Keeps the answer in the transaction that does what it says; sweeps old ones."""
    table = idempotency_keys
    await connection.execute(sa.delete(table).where(table.c.created_ms <= now_ms - KEEP_MS))
    values = {
        "principal": principal,
        "key": key,
        "request_digest": answer.request_digest,
        "status": answer.status,
        "headers": msgspec.json.encode(answer.headers).decode(),
        "body": answer.body,
        "created_ms": now_ms,
    }
    await connection.execute(sa.insert(table), values)
