"""People who log in. Only administrators without restriction see and write them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from admin.access.passwords import Passwords
from admin.access.principal import Principal
from admin.api.resource import Hooks, Resource
from admin.store.accounts import set_password_hash
from admin.store.catalogue import CatalogueWriter
from admin.store.kinds import USERS
from admin.store.model import Scope
from admin.validation.decode import faults_of
from admin.validation.documents import UserDocument
from admin.validation.fields import Password
from core.errors import Fault, InputError


class UserHooks(Hooks):
    """Hashes a password that comes with the document, outside of the transaction, and saves it inside."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def before(self, principal: Principal, raw: Mapping[str, Any]) -> str | None:  # noqa: ARG002 - as Hooks
        email, password = raw.get("email"), raw.get("password")
        faults = [] if password is None else faults_of(password, Password, "/password")
        if isinstance(email, str) and email != email.lower():
            hint = f"write {email.lower()[:254]}"
            faults.append(Fault("/email", "pattern", "addresses are kept in lower case", hint))
        if faults:
            raise InputError("the input is not valid", faults=[*faults, *_others(raw, faults)])
        return None if password is None else await self._passwords.hash(str(password))

    async def after(self, writer: CatalogueWriter, value: Any, context: str | None) -> dict[str, Any]:  # noqa: ANN401
        if context is not None:
            await set_password_hash(writer.connection, value, context)
            await writer.note_secret(USERS, value.id, "password")
        return {}


def _others(raw: Mapping[str, Any], told: Sequence[Fault]) -> list[Fault]:
    """The faults of further members: the transaction, which would find them, does not begin."""
    given = [field for field in msgspec.structs.fields(UserDocument) if raw.get(field.encode_name) is not None]
    found = [
        fault for field in given for fault in faults_of(raw[field.encode_name], field.type, f"/{field.encode_name}")
    ]
    return [fault for fault in found if fault.pointer not in {one.pointer for one in told}]


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
