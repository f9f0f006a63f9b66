"""What the journal is told of a shop: visits begin after half an hour, and keep where they came from."""

from pathlib import Path

from admin.roles.shop_rows import ShopRows
from journal.people import Pseudonyms
from journal.rows import SHOP
from segments.facts.event import SERVER_ORIGIN, Event, Item, Kind, Source
from tests.kit.journal_rows import NOW_MS, JournalFolder

MINUTE_MS = 60_000


async def test_a_visit_is_told_once_with_its_source(tmp_path: Path) -> None:
    journal = JournalFolder(tmp_path)
    shops = ShopRows(journal.writer, Pseudonyms(b"k" * 32), lambda _advertiser: "PLN")
    shoe = (Item("shoe", "shoes", 5_000_000, 2),)

    def event(kind: str, minute: int, **more: object) -> Event:
        return Event(kind, 1, "u" * 22, NOW_MS + minute * MINUTE_MS, **more)  # type: ignore[arg-type]

    shops.take(
        [
            event(Kind.PAGE_VIEW, 0, source=Source("ads", phrase="red shoe")),
            event(Kind.ADD_TO_CART, 20, items=shoe),
            event(Kind.PURCHASE, 45, value_micros=9_000_000, items=shoe, path="/thanks"),
            event(Kind.SEARCH, 120, phrase="hat"),
            event(Kind.PURCHASE, 121, value_micros=1, offline=True),
            event(Kind.PURCHASE, 122, value_micros=1, origin=SERVER_ORIGIN),
            event("my_event", 123),
            event(Kind.HEARTBEAT, 200),
        ]
    )
    await journal.writer.close()
    journal.convert()
    rows = journal.rows(SHOP, f"(at_ms - {NOW_MS}) // {MINUTE_MS}, event, source, phrase, product, value_micros")
    assert rows == [
        (0, "visit", "ads", "red shoe", "", 0),
        (20, "cart", "ads", "", "shoe", 10_000_000),
        (45, "purchase", "ads", "", "shoe", 9_000_000),
        (120, "search", "", "hat", "", 0),
        (120, "visit", "", "hat", "", 0),
        (121, "purchase", "", "", "", 1),
    ]
    (person,) = set(journal.rows(SHOP, "person"))
    assert person != (0,)
    journal.close()


async def test_an_event_that_comes_late_begins_no_visit_and_ends_none(tmp_path: Path) -> None:
    journal = JournalFolder(tmp_path)
    shops = ShopRows(journal.writer, Pseudonyms(b"k" * 32), lambda _advertiser: "PLN")
    shops.take([Event(Kind.PAGE_VIEW, 1, "u" * 22, NOW_MS + minute * MINUTE_MS) for minute in (0, 29, 3, 35)])
    await journal.writer.close()
    journal.convert()
    assert journal.rows(SHOP, "event, at_ms") == [("visit", NOW_MS)]
    journal.close()
