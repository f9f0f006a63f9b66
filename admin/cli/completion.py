"""What the shell completes beside commands and options: numbers of objects, their fields, scenarios.

A completion must come at once and must never fail, so ids are read from the SQLite file itself; where the database is a
server, or the installation is elsewhere, nothing is offered.
"""

import os
import sqlite3
import typing
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
from typer._click.core import Context

from admin.store.kinds import ObjectKind
from admin.validation.decode import unwrapped
from loadtest.traffic.scenario import scenario_names

MAX_OFFERED: Final = 200
_TIMEOUT_S: Final = 0.5

Offers = list[tuple[str, str]]
"""(word, what it is)."""


def ids_of(kind: ObjectKind) -> Callable[[Context, str], Offers]:
    """Completes the number of an object, with its name."""

    def complete(ctx: Context, incomplete: str) -> Offers:
        return list(_ids(kind, ctx.params.get("data"), incomplete))

    return complete


def _ids(kind: ObjectKind, data: object, incomplete: str) -> Iterator[tuple[str, str]]:
    directory = Path(str(data or os.environ.get("GROSZ_DATA_DIRECTORY") or "data"))
    columns = kind.table.c
    label = next((name for name in ("name", "key", "email", "deal_id") if name in columns), "id")
    statement = (
        f"SELECT id, {label} FROM {kind.table.name} WHERE status <> 'archived' AND CAST(id AS TEXT) LIKE ? "  # noqa: S608
        f"ORDER BY id LIMIT {MAX_OFFERED}"  # names of our own tables and columns
    )
    try:
        uri = f"file:{directory.absolute() / 'grosz.sqlite'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_TIMEOUT_S)) as connection:
            yield from ((str(number), str(text)) for number, text in connection.execute(statement, (f"{incomplete}%",)))
    except sqlite3.Error:
        return  # no such installation here: there is nothing to offer


def fields_of(document: type[msgspec.Struct]) -> Callable[[str], Offers]:
    """Completes `FIELD=`, nested by dots."""
    names = sorted(_names(document, ""))

    def complete(incomplete: str) -> Offers:
        return [(f"{name}=", about) for name, about in names if name.startswith(incomplete)]

    return complete


def _names(struct: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(struct):
        bare, _ = unwrapped(field.type)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            yield from _names(bare, f"{prefix}{field.encode_name}.")
        else:
            yield f"{prefix}{field.encode_name}", _about(bare)


def _about(bare: Any) -> str:  # noqa: ANN401 - a type expression
    if typing.get_origin(bare) is typing.Literal:
        return " | ".join(map(str, typing.get_args(bare)))
    members = getattr(bare, "__members__", None)
    return " | ".join(str(member.value) for member in members.values()) if members else ""


def scenarios(incomplete: str) -> list[str]:
    """Completes the scenarios that come with Grosz."""
    return [name for name in scenario_names() if name.startswith(incomplete)]
