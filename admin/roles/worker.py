"""Composition root of the worker role: the background loops."""

from aiohttp import web

from admin.roles.lifecycle import RoleContext


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.worker
    await role.serve(web.Application(), settings.host, settings.port)
