"""Budgets as the money counters have them, shown through the API."""

import struct

import pytest

from admin.validation.days import date_of
from core import keys
from core.clock import ManualClock
from core.redis.client import control_redis
from pacing.bank.bank import calendar
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api

NO_IMPRESSIONS = (-1, 0, 0, 0, 0)
Numbers = tuple[int, int, int, int, int]


def packed(micros: Numbers, impressions: Numbers = NO_IMPRESSIONS) -> bytes:
    return struct.pack("<10q", *micros, *impressions)


async def _enter(valkey: str, advertiser: int, levels: dict[str, bytes]) -> None:
    redis = control_redis(valkey)
    await redis.hset(keys.money_levels(advertiser), mapping=levels)  # type: ignore[arg-type]  # bytes are values too
    await redis.aclose()


async def test_budgets_show_what_is_spent_held_and_free(api: Api, shop: Shop, valkey: str, clock: ManualClock) -> None:
    advertiser, campaign = shop.advertiser["id"], shop.campaign["id"]
    segment = await shop.caller.made(
        "/v1/segments", {"advertiser_id": advertiser, "name": "s", "rule": "visits.count >= 1"}
    )
    shares = [{"segment_id": segment["id"], "percent": 20}]
    line_item = (await shop.caller.made("/v1/line-items", shop.line_item(budget_shares=shares)))["id"]
    fresh = (await shop.caller.made("/v1/line-items", shop.line_item()))["id"]
    day = calendar("Europe/Warsaw", clock.now_ms()).day
    today = date_of(day).isoformat()
    await _enter(
        valkey,
        advertiser,
        {
            "a": packed((-1, 7_000_000, 0, 0, 0)),
            f"c{campaign}": packed((50_000_000, 7_000_000, 1_000_000, 42_000_000, 0), (1000, 7, 1, 992, 0)),
            f"l{line_item}": packed((-1, 7_000_000, 1_000_000, 0, 0)),
            f"d{line_item}@{day}": packed((10_000_000, 10_500_000, 0, -500_000, 500_000)),
            f"d{line_item}@{day - 1}": packed((10_000_000, 1, 0, 9_999_999, 0)),
            f"p{line_item}.1": packed((2_000_000, 0, 0, 2_000_000, 0)),
        },
    )
    page = (await shop.caller.get(f"/v1/budgets?advertiser_id={advertiser}")).body
    rows = {(one["kind"], one["object_id"], one["share"], one["day"]): one for one in page["items"]}
    assert set(rows) == {
        ("advertisers", advertiser, None, None),
        ("campaigns", campaign, None, None),
        ("line-items", line_item, None, None),
        ("line-items", line_item, None, today),
        ("line-items", line_item, 1, None),
    }, "yesterday's, and what nobody has entered yet, are left out"
    assert fresh not in {one["object_id"] for one in page["items"] if one["kind"] == "line-items"}
    assert rows["campaigns", campaign, None, None]["spend"] == {
        "budget": {"amount": "50.00", "currency": "PLN"},
        "spent": {"amount": "7.00", "currency": "PLN"},
        "exposure": {"amount": "1.00", "currency": "PLN"},
        "free": {"amount": "42.00", "currency": "PLN"},
        "over": {"amount": "0.00", "currency": "PLN"},
    }
    assert rows["campaigns", campaign, None, None]["impressions"] == {
        "budget": 1000, "spent": 7, "exposure": 1, "free": 992, "over": 0,
    }  # fmt: skip
    unlimited = rows["advertisers", advertiser, None, None]["spend"]
    assert (unlimited["budget"], unlimited["free"]) == (None, None)
    assert rows["line-items", line_item, None, today]["spend"]["over"]["amount"] == "0.50"


async def test_budgets_are_paged_by_object_and_narrowed(api: Api, shop: Shop, valkey: str) -> None:
    advertiser = shop.advertiser["id"]
    rival = await make_shop(api, "rival")
    await rival.caller.made("/v1/line-items", rival.line_item())
    ids = [(await shop.caller.made("/v1/line-items", shop.line_item()))["id"] for _ in range(4)]
    levels = {f"l{number}": packed((-1, number, 0, 0, 0)) for number in (*ids, ids[-1] + 1)}
    await _enter(valkey, advertiser, levels)
    seen: list[int] = []
    cursor, pages = "", 0
    while True:
        page = (await shop.caller.get(f"/v1/budgets?advertiser_id={advertiser}&limit=2{cursor}")).body
        seen += [one["object_id"] for one in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert (seen, pages) == (ids, 3), "advertiser and campaign have nothing entered, and still count for a page"
    one = (await shop.caller.get(f"/v1/budgets?advertiser_id={advertiser}&kind=line-items&object_id={ids[1]}")).body
    assert [state["object_id"] for state in one["items"]] == [ids[1]]
    await shop.caller.post(f"/v1/line-items/{ids[0]}/archive")
    left = (await shop.caller.get(f"/v1/budgets?advertiser_id={advertiser}&kind=line-items")).body
    assert [state["object_id"] for state in left["items"]] == ids[1:]


@pytest.mark.parametrize(
    "query", ["", "?advertiser_id=x", "?advertiser_id=1&cursor=users:1", "?advertiser_id=1&kind=x"]
)
async def test_a_wrong_question_about_budgets_is_a_fault(api: Api, query: str) -> None:
    owner = await api.caller()
    assert (await owner.get(f"/v1/budgets{query}")).status == 422
