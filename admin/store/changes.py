"""The change log: who changed which field from what to what, when, by which key. Rows are only ever added."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store import tables
from admin.store.kinds import ObjectKind
from admin.validation.convert import HIDDEN, SECRETS

# A change of a 64 KiB creative is kept whole in the document; the log needs to show what it was about.
MAX_VALUE_CHARS = 4_000


class Actor(msgspec.Struct, frozen=True):
    """Who changes something: a `user`, an `api_key`, the `cli` on this machine, or the `system`."""

    kind: str
    id: int
    name: str


SYSTEM = Actor("system", 0, "system")
CLI = Actor("cli", 0, "command line")


class ChangeWriter:
    """Adds rows for one transaction."""

    def __init__(self, connection: AsyncConnection, actor: Actor, now_ms: int, transaction_id: str) -> None:
        self._connection = connection
        self._common = {
            "at_ms": now_ms,
            "transaction_id": transaction_id,
            "actor_kind": actor.kind,
            "actor_id": actor.id,
            "actor_name": actor.name,
        }

    async def created(self, kind: ObjectKind, values: Sequence[Any], action: str) -> None:
        """One row an object, with the new document."""
        await self._add(
            [self._row(kind.name, value.id, owner_of(kind, value), action, "", None, _text(value)) for value in values]
        )

    async def updated(self, kind: ObjectKind, old: Any, new: Any, action: str) -> None:  # noqa: ANN401 - domain structs
        """One row a field that differs; `version` changes always and is left out."""
        before, after = _flat(old), _flat(new)
        rows = [
            self._row(kind.name, new.id, owner_of(kind, new), action, field, before.get(field), after.get(field))
            for field in sorted(before.keys() | after.keys())
            if before.get(field) != after.get(field) and field != "version"
        ]
        # That a secret changed is worth a row; what it was and is, is not shown.
        rows += [
            self._row(kind.name, new.id, owner_of(kind, new), action, field, HIDDEN, HIDDEN)
            for field in sorted(SECRETS)
            if getattr(old, field, "") != getattr(new, field, "")
        ]
        await self._add(rows)

    async def account(
        self,
        kind: str,
        object_id: int,
        action: str,
        field: str = "",
        old: str | None = None,
        new: str | None = None,
        *,
        advertiser_id: int | None = None,
    ) -> None:
        """A change that is no object's own: of a user, an API key, an approval. The caller never passes a secret."""
        await self._add([self._row(kind, object_id, advertiser_id, action, field, old, new)])

    def _row(
        self,
        kind: str,
        object_id: int,
        advertiser_id: int | None,
        action: str,
        field: str,
        old: str | None,
        new: str | None,
    ) -> dict[str, object]:
        return self._common | {
            "kind": kind,
            "object_id": object_id,
            "advertiser_id": advertiser_id,
            "action": action,
            "field": field,
            "old_value": old,
            "new_value": new,
        }

    async def _add(self, rows: list[dict[str, object]]) -> None:
        if rows:
            await self._connection.execute(sa.insert(tables.change_log), rows)


def owner_of(kind: ObjectKind, value: Any) -> int | None:  # noqa: ANN401 - a domain struct
    """The advertiser whose object it is; an advertiser is its own."""
    if kind.name == "advertisers":
        return int(value.id)
    return value.advertiser_id if kind.tenant else None


def _flat(value: msgspec.Struct) -> dict[str, str]:
    """Field -> JSON text, nested structs one level down (`targeting.countries`)."""
    flat: dict[str, str] = {}
    for name in value.__struct_fields__:
        field = getattr(value, name)
        if name in SECRETS:
            continue
        if isinstance(field, msgspec.Struct):
            flat |= {f"{name}.{inner}": _text(getattr(field, inner)) for inner in field.__struct_fields__}
        else:
            flat[name] = _text(field)
    return flat


def _text(value: object) -> str:
    if isinstance(value, msgspec.Struct):
        hidden = {name: HIDDEN for name in SECRETS if getattr(value, name, "")}
        value = msgspec.structs.replace(value, **hidden) if hidden else value
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "..."
