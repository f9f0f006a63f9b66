"""Catalogue files: there and back, all faults at once, all or nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from admin.catalogue.file import FORMAT, export_bytes, import_bytes
from admin.seed.catalogue import demo_catalogue, seed_demo
from admin.store.catalogue import CatalogueStore
from admin.store.changes import CLI
from admin.store.database import Database
from admin.store.kinds import ADVERTISERS, LINE_ITEMS
from admin.store.migrate import migrate
from core.clock import ManualClock
from core.errors import CatalogueError, ConflictError
from core.ids import MAX_LINE_ITEM_ID


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[CatalogueStore]:
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite'}")
    await migrate(database)
    yield CatalogueStore(database, clock)
    await database.close()


async def test_an_exported_catalogue_imports_into_the_same(
    store: CatalogueStore, tmp_path: Path, clock: ManualClock
) -> None:
    await seed_demo(store)
    body = await export_bytes(store, reveal=True)
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'b.sqlite'}")
    await migrate(database)
    other = CatalogueStore(database, clock)
    done = await import_bytes(other, body, CLI)
    assert (done.changed, done.unchanged) == (0, 0)
    first, second = await store.catalogue(0), await other.catalogue(0)
    assert msgspec.structs.replace(second, version=first.version) == first
    again = await import_bytes(other, body, CLI)
    assert (again.created, again.changed, again.unchanged) == (0, 0, done.created)
    await database.close()


async def test_an_import_changes_only_what_differs(store: CatalogueStore) -> None:
    await seed_demo(store)
    document = msgspec.json.decode(await export_bytes(store))
    document["line_items"][0]["name"] = "Renamed"
    done = await import_bytes(store, msgspec.json.encode(document), CLI)
    assert (done.created, done.changed) == (0, 1)
    assert (await store.catalogue(0)).line_items[0].name == "Renamed"


async def test_all_faults_of_a_file_are_reported_with_pointers_and_nothing_is_saved(store: CatalogueStore) -> None:
    document = {
        "format": FORMAT,
        "fx_rates": {"USD": "much"},
        "advertisers": [{"id": 1, "name": "Good"}, {"id": 1, "name": ""}, {"name": "No id"}, "text"],
        "campaigns": [{"id": 1, "advertiser_id": 1, "name": "c", "colour": "red"}],
        "lineitems": [],
    }
    with pytest.raises(CatalogueError) as caught:
        await import_bytes(store, msgspec.json.encode(document), CLI)
    assert {fault.pointer: fault.code for fault in caught.value.faults} == {
        "/fx_rates/USD": "type",
        "/lineitems": "unknown_field",
        "/advertisers/1/id": "duplicate",
        "/advertisers/1/name": "length",
        "/advertisers/2/id": "required",
        "/advertisers/3": "type",
        "/campaigns/0/colour": "unknown_field",
    }
    assert await store.is_empty()


async def test_references_are_checked_and_a_failed_import_leaves_nothing(store: CatalogueStore) -> None:
    document = {
        "format": FORMAT,
        "advertisers": [{"id": 1, "name": "Shop"}],
        "campaigns": [{"id": 5, "advertiser_id": 2, "name": "c"}],
    }
    with pytest.raises(CatalogueError) as caught:
        await import_bytes(store, msgspec.json.encode(document), CLI)
    assert [fault.pointer for fault in caught.value.faults] == ["/campaigns/0/advertiser_id"]
    assert await store.is_empty()
    assert await store.version() == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"format": "other"}', b"[" * 100_000])
async def test_what_is_no_catalogue_is_refused(store: CatalogueStore, body: bytes) -> None:
    with pytest.raises(CatalogueError):
        await import_bytes(store, body, CLI)


async def test_ids_given_by_a_file_are_not_given_out_again(store: CatalogueStore) -> None:
    document = {"format": FORMAT, "advertisers": [{"id": 41, "name": "Shop"}]}
    await import_bytes(store, msgspec.json.encode(document), CLI)
    async with store.write(CLI) as writer:
        assert await writer.reserve_ids(ADVERTISERS, 2) == range(42, 44)


PRICES = {"bid": {"amount": "1"}, "max_cpm": {"amount": "2"}}


async def test_line_items_have_ids_that_fit_into_the_records_of_impressions(store: CatalogueStore) -> None:
    last = {"id": MAX_LINE_ITEM_ID, "advertiser_id": 1, "campaign_id": 1, "name": "l"} | PRICES
    document = {
        "format": FORMAT,
        "advertisers": [{"id": 1, "name": "Shop"}],
        "campaigns": [{"id": 1, "advertiser_id": 1, "name": "c"}],
        "line_items": [last, {**last, "id": MAX_LINE_ITEM_ID + 1}],
    }
    with pytest.raises(CatalogueError) as caught:
        await import_bytes(store, msgspec.json.encode(document), CLI)
    assert [(fault.pointer, fault.message) for fault in caught.value.faults] == [
        ("/line_items/1/id", "every line item of a file has an id from 1 to 536870910")
    ]
    await import_bytes(store, msgspec.json.encode({**document, "line_items": [last]}), CLI)
    async with store.write(CLI) as writer:
        with pytest.raises(ConflictError, match="no more ids for line-items: they go up to 536870910"):
            await writer.reserve_ids(LINE_ITEMS, 1)


def test_the_demo_has_what_a_believable_demo_needs() -> None:
    catalogue = demo_catalogue()
    assert len(catalogue.advertisers) >= 5
    assert len(catalogue.line_items) >= 30
    assert {item.goal.value for item in catalogue.line_items} == {"cpm", "cpc", "cpa"}
    sizes = {(ad.width, ad.height) for ad in catalogue.creatives}
    assert {(300, 250), (728, 90), (160, 600), (320, 50), (300, 600), (970, 250)} <= sizes
    assert any(item.cart for item in catalogue.line_items)
    assert any(item.targeting.page_keywords for item in catalogue.line_items)
