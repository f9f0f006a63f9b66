"""A new password by a link: an administrator makes the link, whoever has it sets the password, once."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from admin.access.passwords import Passwords
from admin.access.principal import Principal
from admin.api.authentication import Authentication
from admin.api.checks import allow_write
from admin.api.operations import Operations, Reply, Write
from admin.api.requests import render
from admin.api.resource import Resource
from admin.store.accounts import set_password_hash
from admin.store.catalogue import CatalogueWriter, objects_by_id
from admin.store.model import User
from admin.store.password_links import LINK_MS, PasswordLinks
from admin.validation.decode import decode
from admin.validation.fields import Password
from core.errors import AccessError, NotFoundError
from core.model import Status


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password that is set."""

    password: Password


class PasswordLinkDesk:
    """Makes and uses links."""

    def __init__(
        self,
        links: PasswordLinks,
        passwords: Passwords,
        authentication: Authentication,
        operations: Operations,
        users: Resource,
    ) -> None:
        self._links = links
        self._passwords = passwords
        self._authentication = authentication
        self._operations = operations
        self._users = users

    async def make(self, caller: Principal, user_id: int) -> str:
        """The token of a new link; the change log notes who made it. Raises Forbidden, NotFoundError."""
        allow_write(caller, self._users)
        return await self._made(caller, user_id, LINK_MS)

    async def make_by_mail(self, user_id: int, lasts_ms: int) -> str:
        """The token of a link that goes to the person's own address."""
        return await self._made(Principal("system", 0, "forgotten password", frozenset(), None), user_id, lasts_ms)

    async def _made(self, maker: Principal, user_id: int, lasts_ms: int) -> str:
        made: list[str] = []

        async def work(writer: CatalogueWriter) -> Reply:
            await self._active(writer, user_id)
            await writer.note_secret(self._users.kind, user_id, "password_link")
            made.append(await self._links.make(writer.connection, user_id, lasts_ms))
            return Reply(HTTPStatus.NO_CONTENT, {})

        await self._operations.run(maker, Write(), work, render)
        return made[-1]

    async def knows(self, request: web.Request, token: str) -> bool:
        """Whether a link can be used. A wrong one counts as a failure of its sender: ApiError 429 after many."""
        self._authentication.refuse_guesser(request)
        known = await self._links.user_of(token) is not None
        if not known:
            self._authentication.count_failure(request)
        return known

    async def use(self, request: web.Request, token: str, password: str) -> None:
        """The link's user has the password from now on, and no session any more. Raises AccessError, InputError."""
        if not await self.knows(request, token):  # before a password is hashed for a stranger
            raise _unusable()
        wanted = decode({"password": password}, NewPassword)
        hashed, user_id = await self._passwords.hash(wanted.password), await self._links.user_of(token)
        if user_id is None:
            raise _unusable()

        async def work(writer: CatalogueWriter) -> Reply:
            if not await self._links.use(writer.connection, token):
                raise _unusable()
            await set_password_hash(writer.connection, await self._active(writer, user_id), hashed)
            await writer.note_secret(self._users.kind, user_id, "password")
            return Reply(HTTPStatus.NO_CONTENT, {})

        somebody = Principal("system", 0, "password link", frozenset(), None)
        await self._operations.run(somebody, Write(), work, render)

    async def _active(self, writer: CatalogueWriter, user_id: int) -> User:
        stored = (await objects_by_id(writer.connection, self._users.kind, [user_id])).get(user_id)
        if stored is None or stored.value.status is not Status.ACTIVE:
            raise NotFoundError(f"there is no active person {user_id}", hint="resume the account first")
        user: User = stored.value
        return user


def _unusable() -> AccessError:
    return AccessError("the link is used up or too old", hint="ask an administrator for a new one")
