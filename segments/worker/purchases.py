"""Orders as they were applied, for whoever credits them to ads."""

import copy

import msgspec

from segments.facts.event import Event
from segments.facts.facts import Facts, Order
from segments.facts.orders import known_order


class LogEntry(msgspec.Struct, frozen=True):
    """One stream entry."""

    id: bytes  # packed, see streams.py
    event: Event


class Purchase(msgspec.Struct, frozen=True):
    """An order as it was applied, to be credited to ads.

    `order` is the same each time the order is reported (its number, otherwise what names this one report); `devices`
    are the user ids under which the buyer may have seen ads, the one of the event first. The value is in micros of
    the advertiser's currency, 0 where none was told. `corrects`: it is not an order, but by how much more (or less) a
    known one, made at `at_ms`, is worth. `returning`: the buyer is known to have bought before.
    """

    advertiser_id: int
    order: str
    devices: tuple[str, ...]
    value_micros: int
    at_ms: int
    corrects: bool = False
    returning: bool = False


def order_before(facts: Facts, event: Event) -> Order | None:
    """What is known of the order that an event corrects."""
    known = known_order(facts, event.order) if event.replaces else None
    return copy.copy(known)


def purchase_of(facts: Facts, user_id: str, entry: LogEntry, before: Order | None, bought: bool) -> Purchase:
    """The order of an applied entry; `before` is what was known of it, `bought` whether the buyer had bought before."""
    event = entry.event
    known = next((order for order in reversed(facts.orders) if order.key == event.order), None)
    devices = (user_id, *(device for device in facts.devices if device != user_id))
    value_micros = known.value_micros if known else 0
    if before is not None:  # the order has been credited: the difference is credited in the same way
        name = f"order {event.order:x} corrected {event.at_ms} {event.value_micros}"
        change = value_micros - before.value_micros
        return Purchase(event.advertiser_id, name, devices, change, before.at_s * 1000, corrects=True)
    if event.order:
        name = f"order {event.order:x}"
    elif event.origin:  # sent to each device of a person: one purchase all the same
        name = f"person {event.person.hex()} {event.at_ms} {event.value_micros}"
    else:
        name = f"event {user_id} {entry.id.hex()}"
    return Purchase(event.advertiser_id, name, devices, value_micros, event.at_ms, returning=bought)
