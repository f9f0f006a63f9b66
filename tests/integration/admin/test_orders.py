"""Every order and filter of lists against plain Python, by each of the ways in which a page is found."""

from typing import Any

import msgspec
import pytest

from admin.api import paging
from admin.api.listing import ListedField, fields_of
from admin.api.reading import moment_text
from admin.store.changes import SYSTEM
from admin.store.kinds import DEALS, LINE_ITEMS, columns_of
from core.clock import ManualClock
from core.model import Budget, Deal, Goal, LineItem, Status
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, Caller

COUNT = 23
PAGE = 4
Row = dict[str, Any]

# Rows looked at for each of a page, rows collected: as it is, then so that pages are found by the other ways.
WAYS = {"as it is": (20, 5_000), "collected": (1, 5_000), "along": (1, 2)}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    looked_at, collected = WAYS[request.param]
    monkeypatch.setattr(paging, "ROWS_LOOKED_AT", looked_at)
    monkeypatch.setattr(paging, "ROWS_COLLECTED", collected)
    return str(request.param)


def _line_item(template: LineItem, number: int, shop: Shop) -> LineItem:
    """With few values in each field, and with none in some."""
    start_ms = 1_800_000_000_000 + number * 7 % 5 * 1000 if number % 2 else None
    return msgspec.structs.replace(
        template,
        id=number,
        advertiser_id=shop.advertiser["id"],
        campaign_id=shop.campaign["id"],
        name=f"Item {number * 7 % 4}",
        external_id=f"own-{number * 5 % 11}" if number % 3 else "",
        notes="x" * (number % 3),
        status=(Status.ACTIVE, Status.ACTIVE, Status.PAUSED, Status.ARCHIVED)[number % 4],
        version=1 + number % 2,
        start_ms=start_ms,
        end_ms=start_ms + 1 if start_ms and number % 3 else None,
        goal=(Goal.CPM, Goal.CPC, Goal.CPA)[number % 3],
        bid_micros=number * 3 % 5 * 10_000,
        max_cpm_micros=number % 2 * 10_000,
        daily_budget=Budget(number % 4 * 1_000_000 if number % 5 else None, None),
        total_budget=Budget(None, number % 3 or None),
        target_cpa_micros=number % 2 * 1_000_000 if number % 3 else None,
        target_roas_percent=None if number > 4 else number,
        several_per_request=number % 3 == 0,
        spend_all=number % 5 == 0,
    )


async def _fill(api: Api, clock: ManualClock, shop: Shop, rival: Shop) -> list[Row]:
    """Line items of two shops, made in several steps; their columns."""
    made = (await shop.caller.made("/v1/line-items", shop.line_item()))["id"]
    template = (await api.store.get(LINE_ITEMS, made)).value
    rows: list[Row] = []
    for _ in range(4):
        clock.advance(1.0)
        async with api.store.write(SYSTEM) as writer:
            ids = await writer.reserve_ids(LINE_ITEMS, COUNT // 4 + 1)
            values = [_line_item(template, number, rival if number % 6 == 0 else shop) for number in ids]
            await writer.insert(LINE_ITEMS, values)
        times = {"created_ms": clock.now_ms(), "updated_ms": clock.now_ms()}
        rows += [columns_of(LINE_ITEMS, value) | times for value in values]
    archived = await shop.caller.call("DELETE", f"/v1/line-items/{made}")
    assert archived.status == 200
    return rows


def _ordered(rows: list[Row], field: ListedField, *, descending: bool) -> list[int]:
    def key(row: Row) -> tuple[Any, ...]:
        value = row[field.column.name]
        return (value is None, 0 if value is None else value, row["id"])

    return [row["id"] for row in sorted(rows, key=key, reverse=descending)]


async def _pages(caller: Caller, query: str) -> tuple[list[int], set[int]]:
    """The ids of all pages one after the other, and the totals that they told."""
    seen: list[int] = []
    totals = set()
    cursor = ""
    while True:
        answer = await caller.get(f"/v1/line-items?{query}&limit={PAGE}&fields=id&total=true&cursor={cursor}")
        assert answer.status == 200, answer.body
        seen += [item["id"] for item in answer.body["items"]]
        totals.add(answer.body["total"])
        if answer.body["next"] is None:
            return seen, totals
        assert answer.body["count"] == PAGE
        cursor = answer.body["next"]


async def test_every_order_is_that_of_the_values_page_by_page(
    api: Api, clock: ManualClock, shop: Shop, way: str
) -> None:
    rows = await _fill(api, clock, shop, await make_shop(api, "rival"))
    everybody = await api.caller("read", requests_per_minute=100_000)
    listed = [row for row in rows if row["status"] != "archived"]
    own = [row for row in listed if row["advertiser_id"] == shop.advertiser["id"]]
    for field in fields_of(LINE_ITEMS).values():
        for descending in (False, True):
            sort = f"sort={'-' if descending else ''}{field.name}"
            found = await _pages(everybody, sort)
            assert found == (_ordered(listed, field, descending=descending), {len(listed)}), (way, sort)
        answer = await shop.caller.get(f"/v1/line-items?sort={field.name}&total=true")
        assert [item["id"] for item in answer.body["items"]] == _ordered(own, field, descending=False)
        assert answer.body["total"] == len(own)


@pytest.mark.parametrize("sort", ["id", "-start", "target_cpa", "bid", "-notes", "status"])
async def test_filters_find_the_same_in_every_order(
    api: Api, clock: ManualClock, shop: Shop, way: str, sort: str
) -> None:
    rows = await _fill(api, clock, shop, await make_shop(api, "rival"))
    everybody = await api.caller("read", requests_per_minute=100_000)
    listed = [row for row in rows if row["status"] != "archived"]
    creative, fresh = shop.creative["id"], f"id.min={rows[0]['id']}"
    filters: dict[str, list[Row]] = {
        "spend_all=true": [row for row in listed if row["spend_all"]],
        "several_per_request=false&goal=cpc": [
            row for row in listed if not row["several_per_request"] and row["goal"] == "cpc"
        ],
        "bid=0.01&bid=0.03": [row for row in listed if row["bid_micros"] in (10_000, 30_000)],
        "bid.min=0.02": [row for row in listed if row["bid_micros"] >= 20_000],
        "start.max=2027-01-15T08:00:02Z": [
            row for row in listed if row["start_ms"] is not None and row["start_ms"] <= 1_800_000_002_000
        ],
        "target_cpa=1": [row for row in listed if row["target_cpa_micros"] == 1_000_000],
        f"status=archived&{fresh}": [row for row in rows if row["status"] == "archived"],
        f"status=paused&status=archived&{fresh}": [row for row in rows if row["status"] != "active"],
        "notes=xx": [row for row in listed if row["notes"] == "xx"],
        "q=tem 2": [row for row in listed if row["name"] == "Item 2"],
        "q=OWN-1": [row for row in listed if "own-1" in row["external_id"]],
        f"id.min=3&id.max=9&creative_id={creative}": [row for row in listed if 3 <= row["id"] <= 9],
        "creative_id=4000": [],
        f"updated_after={_moment(rows[0]['updated_ms'])}": [
            row for row in listed if row["updated_ms"] > rows[0]["updated_ms"]
        ],
    }
    field = fields_of(LINE_ITEMS)[sort.removeprefix("-")]
    for query, wanted in filters.items():
        found = await _pages(everybody, f"{query}&sort={sort}")
        assert found == (_ordered(wanted, field, descending=sort.startswith("-")), {len(wanted)}), (way, query)


def _moment(milliseconds: int) -> str:
    return moment_text(milliseconds)


async def test_deals_of_nobody_are_listed_for_everybody_in_every_order(api: Api, shop: Shop, way: str) -> None:
    exchange = await (await api.caller()).made("/v1/exchanges", {"key": "ssp"})
    rival = await make_shop(api, "rival")
    owners = [None, shop.advertiser["id"], rival.advertiser["id"], None, shop.advertiser["id"], None, None]
    async with api.store.write(SYSTEM) as writer:
        ids = await writer.reserve_ids(DEALS, len(owners))
        await writer.insert(
            DEALS,
            [
                Deal(id=number, exchange_id=exchange["id"], advertiser_id=owner, deal_id=f"D{number}")
                for number, owner in zip(ids, owners, strict=True)
            ],
        )
    for sort, wanted in (("advertiser_id", [2, 5, 1, 4, 6, 7]), ("-advertiser_id", [7, 6, 4, 1, 5, 2])):
        seen: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            page: dict[str, Any] = (
                await shop.caller.get(f"/v1/deals?sort={sort}&limit=2&total=true&cursor={cursor}")
            ).body
            assert page["total"] == len(wanted), way
            seen += [item["id"] for item in page["items"]]
            cursor = page["next"]
        assert seen == wanted, way
