"""People who log in. Only administrators without restriction see and write them."""

from collections.abc import Mapping
from typing import Any

from admin.access.passwords import Passwords
from admin.access.principal import Principal
from admin.api.resource import Hooks, Resource
from admin.store.accounts import set_password_hash
from admin.store.catalogue import CatalogueWriter
from admin.store.kinds import USERS
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.validation.fields import Password
from core.errors import Fault, InputError


class UserHooks(Hooks):
    """Hashes a password that comes with the document, outside of the transaction, and saves it inside."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def before(self, principal: Principal, raw: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - as Hooks
        email = raw.get("email")
        if isinstance(email, str) and email != email.lower():
            fault = Fault("/email", "pattern", "addresses are kept in lower case", f"write {email.lower()[:254]}")
            raise InputError("the input is not valid", faults=[fault])
        password = raw.get("password")
        if password is None:
            return None
        return await self._passwords.hash(decode(password, Password, "/password"))

    async def after(self, writer: CatalogueWriter, value: Any, context: str | None) -> dict[str, Any]:  # noqa: ANN401
        if context is not None:
            await set_password_hash(writer.connection, value, context)
            await writer.note_secret(USERS, value.id, "password")
        return {}


def resource(passwords: Passwords) -> Resource:
    """The resource, with the hasher it needs."""
    return Resource(
        kind=USERS,
        summary="People who log in. Without `password` nobody can log in as the user.",
        write_scope=Scope.ADMIN,
        read_scope=Scope.ADMIN,
        everywhere=True,
        bulk=False,
        hooks=UserHooks(passwords),
        example={"email": "ada@szpilka.example", "name": "Ada", "scopes": ["read", "trade"], "advertiser_ids": [1]},
    )
