"""Composition root of the admin role: the private API and console."""

from aiohttp import web

from admin.roles.lifecycle import RoleContext


async def build(role: RoleContext) -> None:
    """Make the role's objects and register their life with `role`."""
    settings = role.settings.admin
    await role.serve(web.Application(), settings.host, settings.port)
