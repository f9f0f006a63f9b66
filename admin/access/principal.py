"""The caller of a request, and what it may see and do."""

import msgspec

from admin.store.changes import Actor
from admin.store.model import Scope
from core.errors import AccessError


class Forbidden(AccessError):
    """Logged in, but without the scope: 403 (AccessError itself is 401)."""


class Principal(msgspec.Struct, frozen=True):
    """A logged-in person or an API key. `advertiser_ids` None: all advertisers."""

    kind: str  # user, api_key, cli
    id: int
    name: str
    scopes: frozenset[Scope]
    advertiser_ids: frozenset[int] | None
    csrf_token: str = ""
    requests_per_minute: int = 0

    @property
    def key(self) -> str:
        """A stable text that names the caller, for idempotency keys and rate limits."""
        return f"{self.kind}:{self.id}"

    @property
    def actor(self) -> Actor:
        return Actor(self.kind, self.id, self.name)

    def has(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes or scope is Scope.READ

    def may(self, scope: Scope, *, everywhere: bool = False) -> bool:
        """Whether `require` lets the caller pass."""
        return self.has(scope) and not (everywhere and self.advertiser_ids is not None)

    def sees(self, advertiser_id: int | None) -> bool:
        """Whether the caller may know of the advertiser's objects; everybody may see those of no advertiser (None)."""
        return advertiser_id is None or self.advertiser_ids is None or advertiser_id in self.advertiser_ids

    def require(self, scope: Scope, *, everywhere: bool = False) -> None:
        """Raises Forbidden without the scope, or when `everywhere` is asked of someone restricted to advertisers."""
        if not self.has(scope):
            raise Forbidden(f"this needs the scope '{scope.value}'", hint="ask an administrator for it")
        if everywhere and self.advertiser_ids is not None:
            raise Forbidden("this needs access to all advertisers", hint="ask an administrator")


def command_line() -> Principal:
    """The caller of a command on this machine: whoever can read the data directory may do everything."""
    return Principal("cli", 0, "command line", frozenset(Scope), None)
