"""What the worker tells the journal of shops: visits, product views, searches, carts and purchases."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from journal.people import Pseudonyms
from journal.rows import SHOP
from journal.writing import JournalWriter
from segments.facts.event import Event, Kind
from segments.facts.facts import VISIT_GAP_S

# Visits that are going on, of whom it is known where they came from: 300 bytes each. Beyond them, and after a restart,
# the oldest are forgotten, and what these visitors do next begins a visit anew.
MAX_VISITS: Final = 50_000

_NAMES: Final = {
    Kind.VIEW_ITEM: "view", Kind.SEARCH: "search", Kind.ADD_TO_CART: "cart", Kind.PURCHASE: "purchase",
}  # fmt: skip
_KINDS: Final = frozenset(Kind) - {Kind.REFUND, Kind.HEARTBEAT}


class OngoingVisit(NamedTuple):
    """A visit: its last event, unix ms, and what led to it."""

    last_ms: int
    source: str


class ShopRows:
    """Makes rows of applied events. `currency_of` gives the currency of an advertiser."""

    def __init__(self, writer: JournalWriter, pseudonyms: Pseudonyms, currency_of: Callable[[int], str]) -> None:
        self._writer, self._pseudonyms, self._currency_of = writer, pseudonyms, currency_of
        self._visits: OrderedDict[tuple[int, str], OngoingVisit] = OrderedDict()

    def take(self, events: Sequence[Event]) -> None:
        """Take events that were just applied; an event that was passed on from another device is taken there."""
        for event in events:
            if not event.origin and event.kind in _KINDS:
                self._take(event, Kind(event.kind))

    def _take(self, event: Event, kind: Kind) -> None:
        source = ""
        if not event.offline:
            begins, source = self._visit(event)
            if begins:
                self._write(event, "visit", source)
        name = _NAMES.get(kind)
        if name is not None:
            self._write(event, name, source)

    def _visit(self, event: Event) -> tuple[bool, str]:
        """Whether a visit begins, and where the visit came from."""
        key = (event.advertiser_id, event.user_id)
        known = self._visits.pop(key, None)
        told = event.source.source if event.source is not None else ""
        begins = known is None or event.at_ms - known.last_ms > VISIT_GAP_S * 1000
        source = told if begins or known is None else known.source
        last_ms = event.at_ms if known is None else max(event.at_ms, known.last_ms)  # events may come out of order
        self._visits[key] = OngoingVisit(last_ms, source)
        if len(self._visits) > MAX_VISITS:
            self._visits.popitem(last=False)
        return begins, source

    def _write(self, event: Event, name: str, source: str) -> None:
        item = event.items[0] if event.items else None
        phrase = event.phrase or (event.source.phrase if event.source is not None and name == "visit" else "")
        self._writer.append(
            SHOP,
            (
                event.at_ms, event.advertiser_id, name, source, event.path, phrase, item.category if item else "",
                item.id if item else "", event.country, event.region, _worth(event),
                self._currency_of(event.advertiser_id), self._pseudonyms.of(event.user_id, event.at_ms),
            ),
        )  # fmt: skip


def _worth(event: Event) -> int:
    """The value of an event in micros: what it names for the whole, otherwise what its products cost."""
    if event.value_micros is not None:
        return event.value_micros
    return sum(item.price_micros * item.quantity for item in event.items)
