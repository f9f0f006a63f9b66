"""Exchange rates in the database: what is in force, as of which day, from where."""

import datetime
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.rates.reference import ReferenceRates
from admin.store import tables
from admin.store.catalogue import CatalogueWriter, rates
from core.errors import ConflictError
from core.model import Status

BASE = "PLN"
MANUAL = "set by hand"
# The European Central Bank publishes on working days; over Easter four days pass without one.
STALE_DAYS = 5


class RatesInForce(msgspec.Struct, frozen=True):
    """`as_of` and `source` are unknown ("") for rates that an installation had before they were kept."""

    rates: Mapping[str, int]
    as_of: datetime.date | None
    source: str
    changed_ms: int

    def age_days(self, today: datetime.date) -> int | None:
        """Days since the rates were published; None where that day is not known."""
        return None if self.as_of is None else max(0, (today - self.as_of).days)


async def rates_in_force(connection: AsyncConnection) -> RatesInForce:
    row = (await connection.execute(sa.select(tables.fx_state))).one_or_none()
    found = await rates(connection)
    if row is None:
        return RatesInForce(found, None, "", 0)
    return RatesInForce(found, datetime.date.fromisoformat(row.as_of), row.source, row.changed_ms)


async def replace_rates(writer: CatalogueWriter, new: ReferenceRates, source: str) -> None:
    """`new` in place of all rates, in the transaction of `writer`, with a line in the change log for each that moved.

    Raises ConflictError when a currency that an advertiser counts in would lose its rate.
    """
    old = await rates(writer.connection)
    missing = await _currencies_in_use(writer.connection) - {BASE, *new.rates}
    if missing:
        names = ", ".join(sorted(missing))
        raise ConflictError(f"an advertiser counts in {names}", hint=f"give a rate for {names} too")
    await writer.set_rates(new.rates)
    await writer.connection.execute(sa.delete(tables.fx_state))
    row = {"id": 1, "as_of": new.as_of.isoformat(), "source": source, "changed_ms": writer.now_ms}
    await writer.connection.execute(sa.insert(tables.fx_state), [row])
    for currency in sorted({*old, *new.rates}):
        before, after = old.get(currency), new.rates.get(currency)
        if before != after:
            await writer.note_rate(currency, before, after)


async def _currencies_in_use(connection: AsyncConnection) -> set[str]:
    """The currencies of all advertisers that are not archived.

    Without a rate an advertiser's budgets could not be bid from in another currency.
    """
    table = tables.advertisers
    live = sa.select(table.c.currency).distinct().where(table.c.status != Status.ARCHIVED.value)
    return set(await connection.scalars(live))
