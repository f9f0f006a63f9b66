"""Composition root of the admin role: the private API, and the publisher of the catalogue."""

from aiohttp import web

from admin.publish import Publisher
from admin.roles.connections import plain_redis
from admin.roles.lifecycle import RoleContext
from admin.seed import seed_demo
from admin.store.catalogue import CatalogueStore
from admin.store.database import Database, database_url
from admin.store.migrate import migrate
from bidder.catalogue import encode_catalogue


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.admin
    database = Database.open(database_url(settings.database_url))
    role.on_close(database.close)
    await migrate(database)
    store = CatalogueStore(database, role.clock)
    if settings.seed == "demo":
        await seed_demo(store)
    publisher = Publisher(store, plain_redis(role), encode_catalogue, role.clock)
    role.run_loop(publisher.run(), "catalogue publisher")
    await role.serve(web.Application(), settings.host, settings.port)
