"""Composition root of the bidder role: answers bid requests."""

from aiohttp import web

from admin.roles.lifecycle import RoleContext


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.bid
    await role.serve(web.Application(), settings.host, settings.port)
