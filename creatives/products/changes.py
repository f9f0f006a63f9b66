"""What a shop tells of a product between two runs of its feed: availability and prices, each with its moment.

A value holds until a feed is loaded that shows a later moment, so a feed made before a change does not undo it.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from creatives.product import Availability, FeedProduct


class StockChange(msgspec.Struct, frozen=True):
    """What was told at one moment; None leaves a value as it is. A sale price of 0 ends the sale."""

    id: str
    availability: Availability | None = None
    price_micros: int | None = None
    sale_micros: int | None = None


class Told(msgspec.Struct, array_like=True, frozen=True):
    """All that was told of one product, with the unix ms of each. Append fields at the end, with a default."""

    availability: Availability | None = None
    availability_ms: int = 0
    price_micros: int | None = None
    price_ms: int = 0
    sale_micros: int | None = None
    sale_ms: int = 0

    @property
    def latest_ms(self) -> int:
        return max(self.availability_ms, self.price_ms, self.sale_ms)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Told)


def pack_told(told: Told) -> bytes:
    return _encoder.encode(told)


def unpack_told(blob: bytes) -> Told:
    """What was told of a product, from its stored form. Raises msgspec.DecodeError."""
    return _decoder.decode(blob)


def with_change(told: Told, change: StockChange, at_ms: int) -> Told:
    """`told` and a change at `at_ms`, which does not undo what was told later."""
    if change.availability is not None and at_ms >= told.availability_ms:
        told = msgspec.structs.replace(told, availability=change.availability, availability_ms=at_ms)
    if change.price_micros is not None and at_ms >= told.price_ms:
        told = msgspec.structs.replace(told, price_micros=change.price_micros, price_ms=at_ms)
    if change.sale_micros is not None and at_ms >= told.sale_ms:
        told = msgspec.structs.replace(told, sale_micros=change.sale_micros, sale_ms=at_ms)
    return told


def as_told(product: FeedProduct, told: Told, as_of_ms: int) -> FeedProduct:
    """The product of a feed that shows `as_of_ms`, with what was told since."""
    changes: dict[str, object] = {}
    if told.availability is not None and told.availability_ms > as_of_ms:
        changes["availability"] = told.availability
    if told.price_micros is not None and told.price_ms > as_of_ms:
        changes["price_micros"] = told.price_micros
    if told.sale_micros is not None and told.sale_ms > as_of_ms:
        changes |= {"sale_micros": told.sale_micros, "sale_from_s": 0, "sale_to_s": 0}
    return msgspec.structs.replace(product, **changes) if changes else product


def merged(changes: Iterable[StockChange]) -> dict[str, StockChange]:
    """One change a product; of several the last value counts."""
    found: dict[str, StockChange] = {}
    for change in changes:
        known = found.get(change.id)
        if known is None:
            found[change.id] = change
            continue
        values = {
            field: value
            for field in ("availability", "price_micros", "sale_micros")
            if (value := getattr(change, field)) is not None
        }
        found[change.id] = msgspec.structs.replace(known, **values)
    return found
