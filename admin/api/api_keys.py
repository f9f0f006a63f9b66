"""API keys of programs. The secret is in the answer to the creation, and nowhere else ever again."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from admin.access.principal import Forbidden, Principal
from admin.api.reading import moment_text
from admin.api.resource import Hooks, Resource
from admin.store.accounts import SHOWN_CHARS, last_used, new_key_secret, set_key_digest
from admin.store.catalogue import CatalogueWriter
from admin.store.kinds import API_KEYS
from admin.store.model import Scope


class ApiKeyHooks(Hooks):
    """Makes the secret of a new key; a patch or pause leaves the old one."""

    def guard(self, principal: Principal, value: Any) -> None:  # noqa: ANN401 - as Hooks
        """A key cannot widen, lengthen or end itself: a stolen one must stay what it is."""
        if principal.kind == "api_key" and principal.id == value.id:
            raise Forbidden("a key cannot change itself", hint="use another key, or log in")

    async def before(self, principal: Principal, raw: Mapping[str, Any]) -> str:  # noqa: ARG002 - as Hooks
        return new_key_secret()

    def identity(self, context: str) -> dict[str, Any]:
        return {"prefix": context[:SHOWN_CHARS]}

    async def after(self, writer: CatalogueWriter, value: Any, context: str | None) -> dict[str, Any]:  # noqa: ANN401
        is_new = value.version == 1 and context is not None and value.prefix == context[:SHOWN_CHARS]
        if context is None or not is_new:
            return {}
        await set_key_digest(writer.connection, value.id, context)
        return {"secret": context}

    async def decorate(self, connection: AsyncConnection, ids: list[int]) -> dict[int, dict[str, Any]]:
        """When each key was last used."""
        used = await last_used(connection, ids)
        return {key: {"last_used_at": moment_text(at) if at else None} for key, at in used.items()}


RESOURCE = Resource(
    kind=API_KEYS,
    summary="Keys of programs. The secret is shown once, when the key is created.",
    write_scope=Scope.ADMIN,
    read_scope=Scope.ADMIN,
    everywhere=True,
    bulk=False,
    hooks=ApiKeyHooks(),
    example={"name": "Nightly sync", "scopes": ["read", "trade"], "advertiser_ids": [1]},
)
