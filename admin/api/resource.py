"""What a resource of the API declares. Everything that resources have in common is written once, for all of them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from admin.access.principal import Principal
from admin.store.catalogue import CatalogueWriter
from admin.store.kinds import ObjectKind
from admin.store.model import Scope


class Hooks:
    """What a resource does beside saving its document. The default does nothing."""

    def guard(self, principal: Principal, value: Any) -> None:  # noqa: ANN401 - the object before a change
        """Raises Forbidden when this caller may not change this object."""

    async def before(self, principal: Principal, raw: Mapping[str, Any]) -> Any:  # noqa: ANN401, ARG002 - its own context
        """Called before the transaction with the input as sent: slow work, refusals. Its result goes to the others."""
        return None

    def identity(self, context: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002 - what `before` made
        """Fields of the domain object that no document has, for a new object."""
        return {}

    async def after(self, writer: CatalogueWriter, value: Any, context: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002
        """Called in the transaction, after the object was saved; returns members to add to this one answer."""
        return {}

    async def decorate(self, connection: Any, ids: list[int]) -> dict[int, dict[str, Any]]:  # noqa: ANN401, ARG002
        """Members to add to the objects of an answer, by id, for what lies outside of documents."""
        return {}


class Resource(msgspec.Struct, frozen=True):
    """One resource: its kind, who may write it, what the documentation says."""

    kind: ObjectKind
    summary: str
    example: dict[str, Any]
    write_scope: Scope = Scope.TRADE
    read_scope: Scope = Scope.READ
    everywhere: bool = False
    """Only callers without restriction to advertisers may write."""
    create_everywhere: bool = False
    """Only such callers may create."""
    finance_fields: tuple[str, ...] = ()
    """Fields that only callers with the finance scope, and without restriction, may set or change."""
    filters: tuple[str, ...] = ()
    """Kinds whose references lists can filter by: `creatives` gives `creative_id=`."""
    bulk: bool = True
    """Whether many can be written at once; not where each write does more than save a document."""
    hooks: Hooks = msgspec.field(default_factory=Hooks)

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def tag(self) -> str:
        """Name of the schema: LineItem."""
        return self.kind.domain.__name__
