"""Composition root of the worker role: the background loops."""

from aiohttp import web

from admin.roles.connections import follow_catalogue, pipelined_redis
from admin.roles.lifecycle import RoleContext
from admin.store.database import Database, database_url
from admin.store.ledger import SqlLedgerStore
from bidder.catalogue import CatalogueFollower
from core.redis import Pipelined
from pacing.bank import LeaseBank
from pacing.ledger import LedgerWriter
from pacing.transitions import Transitions


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.worker
    redis = await pipelined_redis(role)
    catalogue = follow_catalogue(role)
    _run_money(role, redis, catalogue)
    await role.serve(web.Application(), settings.host, settings.port)


def _run_money(role: RoleContext, redis: Pipelined, catalogue: CatalogueFollower) -> None:
    """Lease bank and ledger writer."""
    database = Database.open(database_url(role.settings.admin.database_url))
    role.on_close(database.close)
    transitions = Transitions(redis, role.clock)
    ledger = SqlLedgerStore(database)

    def advertisers() -> list[int]:
        return [advertiser.id for advertiser in catalogue.current.advertisers] if catalogue.current else []

    writer = LedgerWriter(transitions, ledger, advertisers, role.telemetry)
    bank = LeaseBank(transitions, ledger, writer, lambda: catalogue.current, role.clock, role.telemetry)
    role.run_loop(writer.run(), "ledger writer")
    role.run_loop(bank.run(), "lease bank")
