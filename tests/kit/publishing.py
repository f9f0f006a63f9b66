"""What is published of catalogues, in memory, and catalogues that change at random."""

import random
from typing import Any

import msgspec

from core import keys
from core.catalogue.codec import BY_ID, Change, encode_catalogue, encode_change
from core.catalogue.follower import CHANGE, SINCE
from core.model import Approval, Catalogue, ConversionRule, EventKey, WebhookTarget
from tests.kit.catalogues import line_item


class PublishedValues:
    """A `CatalogueSource` that answers as redis-py does, and counts how often the whole catalogue is read."""

    def __init__(self) -> None:
        self.values: dict[str, bytes | str | None] = {}
        self.stream: list[tuple[int, dict[bytes, bytes]]] = []
        self.snapshot_reads = 0

    async def get(self, name: str) -> bytes | str | None:
        self.snapshot_reads += name == keys.CATALOGUE_SNAPSHOT
        return self.values.get(name)

    async def xrange(self, name: str, min: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        assert name == keys.CATALOGUE_CHANGES
        first, _, sequence = min.partition("-")
        assert sequence == "0"
        return [(b"%d-0" % version, fields) for version, fields in self.stream if version >= int(first)]

    def publish(self, data: bytes, version: int, alive_ms: int = 0) -> None:
        """A whole catalogue, and no changes."""
        self.stream = []
        self.values = {
            keys.CATALOGUE_SNAPSHOT: data,
            keys.CATALOGUE_VERSION: b"%d" % version,
            keys.CATALOGUE_ALIVE: b"%d" % alive_ms,
        }

    def append(self, change: Change, data: bytes | None = None) -> None:
        """Publish a change; with `data`, these bytes instead of its own."""
        body = encode_change(change) if data is None else data
        self.stream.append((change.version, {SINCE: b"%d" % change.since, CHANGE: body}))
        self.values[keys.CATALOGUE_VERSION] = b"%d" % change.version

    def write_snapshot(self, catalogue: Catalogue) -> None:
        """A newer whole catalogue; the changes stay."""
        self.values[keys.CATALOGUE_SNAPSHOT] = encode_catalogue(catalogue)


def changed_catalogue(chance: random.Random, before: Catalogue) -> Catalogue:
    """A later version of a catalogue, with some objects changed, new or gone, and some whole members changed."""
    members: dict[str, Any] = {
        name: tuple(_changed(chance, getattr(before, name))) for name in BY_ID if chance.random() < 0.4
    }
    if chance.random() < 0.5:
        taken = {value.id for value in members.get("line_items", before.line_items)}
        fresh = [line_item(number) for number in range(1, 30) if number not in taken and chance.random() < 0.3]
        present = (*members.get("line_items", before.line_items), *fresh)
        members["line_items"] = tuple(sorted(present, key=lambda value: value.id))
    whole: dict[str, Any] = {
        "fx_rates": {"EUR": chance.randint(1, 9)},
        "event_keys": (EventKey(chance.randbytes(4), (1,)),),
        "webhooks": (WebhookTarget(chance.randint(1, 9), 1, "https://shop1.example/", "secret"),),
        "conversions": (ConversionRule(1, click_window_s=chance.randint(1, 9)),),
    }
    members |= {name: value for name, value in whole.items() if chance.random() < 0.2}
    version = before.version + chance.randint(1, 3)
    return msgspec.structs.replace(before, version=version, published_ms=before.published_ms + 1, **members)


def _another(chance: random.Random, value: Any) -> Any:  # noqa: ANN401 - an object of a catalogue
    if isinstance(value, Approval):
        return msgspec.structs.replace(value, approved=(chance.randint(1, 9),))
    notes = f"changed {chance.randrange(10**6)}"
    return msgspec.structs.replace(value, notes=notes, version=value.version + 1)


def _changed(chance: random.Random, values: tuple[Any, ...]) -> list[Any]:
    out = []
    for value in values:
        fate = chance.random()
        if 0.1 <= fate < 0.3:
            out.append(_another(chance, value))
        elif fate >= 0.3:
            out.append(value)
    return out
