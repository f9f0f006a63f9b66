"""Lists: paging, filters, sort, chosen fields."""

import pytest

from core.clock import ManualClock
from tests.integration.admin.conftest import Shop


async def _some(shop: Shop, clock: ManualClock, count: int) -> list[int]:
    ids = []
    for number in range(count):
        clock.advance(1)
        document = shop.line_item(name=f"Item {number}", bid={"amount": f"{1 + number % 3}.00"})
        document["several_per_request"] = number % 3 == 0
        if number % 2:
            document["start"] = "2026-11-01T00:00:00Z"
        ids.append((await shop.caller.made("/v1/line-items", document))["id"])
    return ids


@pytest.mark.parametrize(
    "sort", ["id", "-id", "bid", "-bid", "start", "-start", "name", "-updated_at", "several_per_request"]
)
async def test_pages_of_any_sort_together_are_everything_once(shop: Shop, clock: ManualClock, sort: str) -> None:
    ids = await _some(shop, clock, 7)
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await shop.caller.get(f"/v1/line-items?limit=2&sort={sort}&cursor={cursor}")).body
        assert page["count"] == len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == ids
    whole = (await shop.caller.get(f"/v1/line-items?sort={sort}")).body["items"]
    assert [item["id"] for item in whole] == seen


async def test_filters_by_value_range_reference_and_text(shop: Shop, clock: ManualClock) -> None:
    ids = await _some(shop, clock, 6)

    async def found(query: str) -> list[int]:
        answer = await shop.caller.get(f"/v1/line-items?{query}")
        assert answer.status == 200, answer.body
        return [item["id"] for item in answer.body["items"]]

    assert await found("bid=1.00") == [ids[0], ids[3]]
    assert await found("bid=1&bid=3.0") == [ids[0], ids[2], ids[3], ids[5]]
    assert await found("bid.min=2&bid.max=2.5") == [ids[1], ids[4]]
    assert await found("start.min=2026-10-31T23:59:59%2B00:00") == ids[1::2]
    assert await found(f"creative_id={shop.creative['id']}&q=item%203") == [ids[3]]
    assert await found("creative_id=77") == []
    assert await found("q=100%25") == []
    assert await found("several_per_request=true") == [ids[0], ids[3]]
    third = (await shop.caller.get(f"/v1/line-items/{ids[2]}")).body["updated_at"]
    assert await found(f"updated_after={third}") == ids[3:]


async def test_a_search_folds_the_letters_of_every_language(shop: Shop) -> None:
    names = ["ŁÓDŹ, jesień", "Straße 7", "Wrocław 100%"]
    ids = [(await shop.caller.made("/v1/line-items", shop.line_item(name=name)))["id"] for name in names]

    async def found(text: str) -> list[int]:
        answer = await shop.caller.get(f"/v1/line-items?q={text}&total=true")
        assert answer.body["total"] == answer.body["count"]
        return [item["id"] for item in answer.body["items"]]

    assert await found("łódź") == await found("ŁÓdź,%20JES") == [ids[0]]
    assert await found("STRASSE") == [ids[1]]
    assert await found("wroc%C5%82aw%20100%25") == await found("100%25") == [ids[2]]
    renamed = await shop.caller.patch(f"/v1/line-items/{ids[0]}", {"name": "Gdańsk", "external_id": "ŻUK-1"})
    assert renamed.status == 200
    assert await found("łódź") == []
    assert await found("gdańsk") == await found("żuk") == [ids[0]]


async def test_chosen_fields_and_totals(shop: Shop, clock: ManualClock) -> None:
    await _some(shop, clock, 3)
    page = (await shop.caller.get("/v1/line-items?fields=name,bid&total=true&limit=1")).body
    assert page["items"] == [{"id": 1, "name": "Item 0", "bid": {"amount": "1.00", "currency": "PLN"}}]
    assert page["total"] == 3


async def test_every_fault_of_a_query_is_told(shop: Shop) -> None:
    query = "limit=0&sort=color&fields=name,colour&bid=much&start.min=yesterday&whatever=1&cursor=abc&id=x&total=maybe"
    answer = await shop.caller.get(f"/v1/line-items?{query}")
    assert answer.status == 422
    assert answer.codes == {
        "limit": "range",
        "sort": "not_allowed",
        "fields": "not_allowed",
        "bid": "type",
        "start.min": "type",
        "whatever": "unknown_parameter",
        "cursor": "cursor",
        "id": "type",
        "total": "type",
    }
