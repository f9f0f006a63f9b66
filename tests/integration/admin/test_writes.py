"""Creating and changing objects through the API."""

from collections.abc import Sequence

from admin.access.principal import command_line
from admin.api.reading import Reader
from admin.store.kinds import LINE_ITEMS, SEGMENTS
from core import keys
from core.catalogue.follower import read_catalogue
from core.clock import ManualClock, SystemClock
from core.model import Format, FrequencyCap
from core.redis.client import control_redis
from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.kit.console import person


async def test_a_created_line_item_is_published_with_micros_inside(api: Api, shop: Shop, valkey: str) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item(cart={"cap": {"amount": "100"}}))
    version = await api.publisher.start()

    redis = control_redis(valkey)
    catalogue = await read_catalogue(redis)
    assert int(await redis.get(keys.CATALOGUE_VERSION) or 0) == version
    await redis.aclose()
    (line_item,) = catalogue.line_items
    assert (line_item.id, line_item.bid_micros, line_item.max_cpm_micros) == (made["id"], 4_000_000, 6_000_000)
    assert line_item.cart is not None
    assert line_item.cart.cap_micros == 100_000_000
    assert catalogue.version == version


async def test_every_fault_of_a_document_is_reported_at_once(shop: Shop) -> None:
    wrong = shop.line_item(
        bid={"amount": "x"},
        nmae="typing error",
        targeting={"countries": ["PL", "POL"], "hours_of_week": [168]},
        goal="cpx",
        caps=[{"impressions": 0, "window_s": 60}],
    )
    answer = await shop.caller.post("/v1/line-items", wrong)
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.codes == {
        "/bid/amount": "pattern",
        "/nmae": "unknown_field",
        "/targeting/countries/0": "pattern",
        "/targeting/hours_of_week/0": "range",
        "/goal": "not_allowed",
        "/caps/0/impressions": "range",
    }
    goal = next(error for error in answer.body["errors"] if error["pointer"] == "/goal")
    assert goal["allowed"] == ["cpm", "cpc", "cpa"]


async def test_rules_between_fields_and_objects_have_pointers_too(shop: Shop) -> None:
    answer = await shop.caller.post(
        "/v1/line-items",
        shop.line_item(
            bid={"amount": "4.00", "currency": "EUR"},
            min_cpm={"amount": "7.00"},
            start="2026-12-01T00:00:00Z",
            end="2026-11-01T00:00:00Z",
        ),
    )
    assert answer.codes == {"/bid/currency": "currency", "/min_cpm": "order", "/end": "order"}
    answer = await shop.caller.post("/v1/line-items", shop.line_item(creative_ids=[999], targeting={"deals": [7]}))
    assert answer.codes == {"/creative_ids/0": "no_such_object", "/targeting/deals/0": "no_such_object"}


async def test_a_cap_may_be_of_one_format(api: Api, shop: Shop, valkey: str) -> None:
    of_all, of_banners = (
        {"impressions": 9, "window_s": 3_600},
        {"impressions": 2, "window_s": 3_600, "format": "banner"},
    )
    made = await shop.caller.post("/v1/line-items", shop.line_item(caps=[of_all, of_banners]))
    assert (made.body["caps"], made.warned) == ([{**of_all, "format": None}, of_banners], set())
    path = f"/v1/line-items/{made.body['id']}"
    refused = await shop.caller.patch(path, {"caps": [of_banners, of_all, of_banners, of_all]})
    assert refused.codes == {"/caps/2/window_s": "duplicate", "/caps/3/window_s": "duplicate"}
    assert {one["message"] for one in refused.body["errors"]} == {
        "two caps of one format have the same window", "two caps have the same window"
    }  # fmt: skip
    unknown = await shop.caller.patch(path, {"caps": [{**of_all, "format": "tv"}]})
    assert unknown.codes == {"/caps/0/format": "not_allowed"}
    assert unknown.body["errors"][0]["allowed"] == ["banner", "native", "video", "audio"]
    await api.publisher.start()
    redis = control_redis(valkey)
    (line_item,) = (await read_catalogue(redis)).line_items
    await redis.aclose()
    assert line_item.caps == (FrequencyCap(9, 3_600), FrequencyCap(2, 3_600, Format.BANNER))


async def test_a_cap_of_a_format_that_no_creative_has_is_warned_of(shop: Shop) -> None:
    caps = [{"impressions": 2, "window_s": 3_600, "format": "video"}]
    made = await shop.caller.post("/v1/line-items", shop.line_item(caps=caps))
    assert [(one["pointer"], one["code"], one["message"]) for one in made.body["warnings"]] == [
        ("/caps/0/format", "no_effect", "no creative is of the format video: the cap has no effect")
    ]


async def test_a_rule_with_an_error_says_where(shop: Shop) -> None:
    document = {"advertiser_id": shop.advertiser["id"], "name": "s", "rule": "cart.valeu > 3 PLN"}
    answer = await shop.caller.post("/v1/segments", document)
    assert answer.codes == {"/rule": "rule"}
    assert "line 1, column 1" in answer.body["errors"][0]["message"]


async def test_a_patch_changes_only_what_it_names(shop: Shop) -> None:
    made = await shop.caller.made(
        "/v1/line-items", shop.line_item(targeting={"countries": ["POL"], "languages": ["pl"]})
    )
    path = f"/v1/line-items/{made['id']}"
    answer = await shop.caller.patch(path, {"targeting": {"countries": None, "languages": ["de"]}, "notes": "new"})
    assert answer.status == 200
    assert answer.body["targeting"]["countries"] == []
    assert answer.body["targeting"]["languages"] == ["de"]
    assert answer.body["bid"] == made["bid"]
    assert answer.body["version"] == 2
    assert answer.headers["ETag"] == '"2"'


async def test_a_document_that_was_read_can_be_sent_back_as_it_is(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    path = f"/v1/line-items/{made['id']}"
    answer = await shop.caller.patch(path, made)
    assert (answer.status, answer.body["version"]) == (200, 1)
    answer = await shop.caller.patch(path, {"id": 99, "version": 5})
    assert answer.codes == {"/id": "read_only", "/version": "read_only"}


async def test_a_stale_write_is_refused_and_a_current_one_accepted(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    path = f"/v1/line-items/{made['id']}"
    assert (await shop.caller.patch(path, {"notes": "a"}, headers={"If-Match": '"1"'})).status == 200
    stale = await shop.caller.patch(path, {"notes": "b"}, headers={"If-Match": '"1"'})
    assert stale.status == 409
    assert "version 2" in stale.body["detail"]
    assert (await shop.caller.get(path)).body["notes"] == "a"
    not_modified = await shop.caller.get(path, headers={"If-None-Match": '"2"'})
    assert not_modified.status == 304


async def test_pause_resume_and_archive(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    path = f"/v1/line-items/{made['id']}"
    assert (await shop.caller.post(f"{path}/pause")).body["status"] == "paused"
    assert (await shop.caller.post(f"{path}/pause")).body["version"] == 2
    assert (await shop.caller.post(f"{path}/resume")).body["status"] == "active"
    assert (await shop.caller.call("DELETE", path)).body["status"] == "archived"
    assert (await shop.caller.post(f"{path}/resume")).status == 409
    assert (await shop.caller.patch(path, {"notes": "x"})).status == 409
    assert (await shop.caller.get("/v1/line-items")).body["count"] == 0
    assert (await shop.caller.get("/v1/line-items?status=archived")).body["count"] == 1


async def test_archiving_a_campaign_takes_its_line_items_along(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    await shop.caller.post(f"/v1/campaigns/{shop.campaign['id']}/archive")
    assert (await shop.caller.get(f"/v1/line-items/{made['id']}")).body["status"] == "archived"


async def test_a_copy_is_paused_and_takes_changes(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item(external_id="x1", targeting={"countries": ["POL"]}))
    copied = await shop.caller.post(f"/v1/line-items/{made['id']}/copy", {"bid": {"amount": "5.00"}})
    assert copied.status == 201
    assert (copied.body["name"], copied.body["status"]) == ("line item (copy)", "paused")
    assert copied.body["bid"]["amount"] == "5.00"
    assert copied.body["targeting"] == made["targeting"]
    assert copied.body["external_id"] == ""


async def test_a_dry_run_checks_everything_and_saves_nothing(api: Api, shop: Shop) -> None:
    before = await api.store.version()
    answer = await shop.caller.post("/v1/line-items?dry_run=true", shop.line_item())
    assert (answer.status, answer.headers["Dry-Run"]) == (200, "true")
    assert answer.body["name"] == "line item"
    assert (await shop.caller.post("/v1/line-items?dry_run=true", {})).status == 422
    assert (await shop.caller.get("/v1/line-items")).body["count"] == 0
    assert await api.store.version() == before


async def test_a_misspelt_dry_run_does_not_write(shop: Shop) -> None:
    answer = await shop.caller.post("/v1/line-items?dryrun=true", shop.line_item())
    assert answer.codes == {"dryrun": "unknown_parameter"}


async def test_a_repeated_idempotency_key_does_the_work_once(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await shop.caller.post("/v1/line-items", shop.line_item(), headers=headers)
    again = await shop.caller.post("/v1/line-items", shop.line_item(), headers=headers)
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await shop.caller.get("/v1/line-items")).body["count"] == 1
    other = await shop.caller.post("/v1/line-items", shop.line_item(name="other"), headers=headers)
    assert other.status == 422


async def test_an_external_id_is_unique_within_an_advertiser(shop: Shop) -> None:
    await shop.caller.made("/v1/line-items", shop.line_item(external_id="summer"))
    answer = await shop.caller.post("/v1/line-items", shop.line_item(external_id="summer"))
    assert answer.codes == {"/external_id": "taken"}


async def test_what_saves_but_cannot_deliver_is_warned_about(shop: Shop, clock: ManualClock) -> None:
    made = await shop.caller.post(
        "/v1/line-items",
        shop.line_item(
            creative_ids=[],
            end="2020-01-01T00:00:00Z",
            daily_budget={"spend": {"amount": "0.001"}},
            status="paused",
        ),
    )
    assert made.status == 201
    assert made.warned == {"no_creative", "flight_over", "budget_below_one_impression", "paused"}
    good = await shop.caller.post("/v1/line-items", shop.line_item())
    assert good.warned == set()
    await shop.caller.post(f"/v1/creatives/{shop.creative['id']}/pause")
    assert (await shop.caller.get(f"/v1/line-items/{good.body['id']}")).body["warnings"][0][
        "code"
    ] == "no_active_creative"


async def test_an_ad_that_does_not_say_what_it_advertises_is_warned_about(api: Api, shop: Shop) -> None:
    creative = f"/v1/creatives/{shop.creative['id']}"
    assert (await shop.caller.patch(creative, {"categories": []})).warned == {"no_category"}
    assert (await shop.caller.patch(creative, {"categories": ["IAB99-99"]})).warned == {"no_category"}
    assert (await shop.caller.patch(creative, {"categories": ["IAB18-3"]})).warned == set()
    await shop.caller.patch(creative, {"categories": []})
    bank = await api.caller()
    await bank.patch(f"/v1/advertisers/{shop.advertiser['id']}", {"product_categories": ["IAB18"]})
    assert (await shop.caller.get(creative)).warned == set(), "what the shop sells is said of all its ads"


async def test_what_stops_the_owner_is_warned_about_too(api: Api, shop: Shop) -> None:
    bank = await api.caller()
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    line_item, campaign = f"/v1/line-items/{made['id']}", f"/v1/campaigns/{shop.campaign['id']}"
    advertiser = f"/v1/advertisers/{shop.advertiser['id']}"
    await bank.patch(campaign, {"total_budget": {"spend": {"amount": "0"}}})
    assert (await shop.caller.get(campaign)).warned == {"budget_is_zero"}
    assert (await shop.caller.get(line_item)).warned == {"budget_below_one_impression"}
    await bank.patch(campaign, {"total_budget": None})
    await bank.patch(advertiser, {"balance": {"amount": "0"}, "status": "paused"})
    assert (await shop.caller.get(line_item)).warned == {"advertiser_stopped", "no_balance"}
    assert (await shop.caller.get(campaign)).warned == {"advertiser_stopped", "no_balance"}
    await bank.patch(advertiser, {"balance": None, "status": "active"})
    assert (await shop.caller.get(line_item)).warned == set()


async def test_a_conversion_that_has_no_effect_is_warned_of(api: Api, shop: Shop) -> None:
    """Where it is made, whenever it is read, and in the page of the console that shows both."""
    own = {"advertiser_id": shop.advertiser["id"], "name": "Leads"}
    made = await shop.caller.post("/v1/conversions", own | {"event": "sign_up", "count": "all"})
    found = {one["pointer"]: one["message"] for one in made.body["warnings"]}
    assert found == {
        "/event": "only purchases count as conversions: a row about sign_up has no effect",
        "/count": "every order counts once, by its number, whatever count says",
    }
    path = f"/v1/conversions/{made.body['id']}"
    assert (await shop.caller.get(path)).warned == {"no_effect"}
    page = await (await person(api)).get(f"/conversions/{made.body['id']}")
    assert found["/event"] in page.text
    mended = await shop.caller.patch(path, {"event": "purchase", "count": "one_per_order"})
    assert mended.warned == set()


async def test_a_second_conversion_about_purchases_is_warned_of(api: Api, shop: Shop) -> None:
    """The oldest active one counts: that is not told, and the other no longer once it counts itself."""
    own = {"advertiser_id": shop.advertiser["id"], "event": "purchase"}
    first = (await shop.caller.post("/v1/conversions", own | {"name": "Orders"})).body
    made = await shop.caller.post("/v1/conversions", own | {"name": "Orders again"})
    (warning,) = made.body["warnings"]
    assert (warning["pointer"], warning["code"]) == ("/event", "no_effect")
    assert warning["message"] == f"conversion {first['id']} is about purchases too and older: this row has no effect"
    second = f"/v1/conversions/{made.body['id']}"
    assert (await shop.caller.get(f"/v1/conversions/{first['id']}")).warned == set()
    assert (await shop.caller.patch(second, {"status": "paused"})).warned == {"paused"}
    await shop.caller.patch(f"/v1/conversions/{first['id']}", {"status": "paused"})
    assert (await shop.caller.patch(second, {"status": "active"})).warned == set()
    bank = await api.caller()
    other = await bank.made("/v1/advertisers", {"name": "Other", "currency": "PLN"})
    third = await bank.post("/v1/conversions", own | {"name": "Orders", "advertiser_id": other["id"]})
    assert third.warned == set()


async def test_a_line_item_may_be_told_to_spend_all(api: Api, shop: Shop, valkey: str) -> None:
    made = await shop.caller.post("/v1/line-items", shop.line_item(spend_all=True, pacing="asap"))
    assert (made.body["spend_all"], made.warned) == (True, {"no_effect"})
    paced = await shop.caller.patch(f"/v1/line-items/{made.body['id']}", {"pacing": "even"})
    assert (paced.body["spend_all"], paced.warned) == (True, set())
    await api.publisher.start()
    redis = control_redis(valkey)
    catalogue = await read_catalogue(redis)
    await redis.aclose()
    assert [line_item.spend_all for line_item in catalogue.line_items] == [True]


async def test_no_budget_is_larger_than_money_is_counted_exactly(api: Api, shop: Shop) -> None:
    owner = await api.caller()
    most, more = {"amount": "9000000000.00"}, {"amount": "9000000000.000001"}
    advertiser = f"/v1/advertisers/{shop.advertiser['id']}"
    assert (await owner.patch(advertiser, {"balance": most})).status == 200
    assert (await owner.patch(advertiser, {"balance": more})).codes == {"/balance": "range"}
    document = shop.line_item(daily_budget={"spend": more}, total_budget={"spend": more})
    faults = {"/daily_budget/spend": "range", "/total_budget/spend": "range"}
    assert (await shop.caller.post("/v1/line-items", document)).codes == faults
    campaign = f"/v1/campaigns/{shop.campaign['id']}"
    answer = await shop.caller.patch(campaign, {"total_budget": {"spend": more}})
    assert answer.codes == {"/total_budget/spend": "range"}


async def test_a_bulk_request_answers_per_item(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    answer = await shop.caller.post(
        "/v1/line-items/bulk",
        {
            "operations": [
                {"action": "create", "document": shop.line_item(external_id="b1")},
                {"action": "create", "document": shop.line_item(external_id="b1")},
                {"action": "create", "document": {}},
                {"action": "patch", "id": made["id"], "version": 1, "patch": {"notes": "bulk"}},
                {"action": "patch", "id": made["id"], "version": 1, "patch": {"notes": "stale"}},
                {"action": "pause", "id": 4_000_000},
            ]
        },
    )
    assert answer.status == 200
    assert [result["status"] for result in answer.body["results"]] == [201, 422, 422, 200, 409, 404]
    assert (answer.body["succeeded"], answer.body["failed"]) == (2, 4)
    assert (await shop.caller.get("/v1/line-items?total=true")).body["total"] == 2


async def test_an_atomic_bulk_request_saves_all_or_nothing(shop: Shop) -> None:
    operations = [{"action": "create", "document": shop.line_item()}, {"action": "create", "document": {}}]
    answer = await shop.caller.post("/v1/line-items/bulk", {"operations": operations, "atomic": True})
    assert answer.status == 422
    assert "/operations/1/name" in answer.codes
    assert (await shop.caller.get("/v1/line-items")).body["count"] == 0


async def test_secrets_are_written_and_never_read_back(api: Api) -> None:
    owner = await api.caller()
    made = await owner.made("/v1/exchanges", {"key": "ssp", "bearer_token": "s3cret-token"})
    assert made["bearer_token"] == "***"
    patched = await owner.patch(f"/v1/exchanges/{made['id']}", {"bearer_token": "***", "name": "SSP"})
    assert patched.status == 200
    version = await api.publisher.start()
    assert version > 0
    catalogue = await api.store.catalogue(0)
    assert catalogue.exchanges[0].bearer_token == "s3cret-token"
    log = await owner.get("/v1/change-log?kind=exchanges")
    assert "s3cret" not in str(log.body)


async def test_the_change_log_tells_who_changed_which_field(shop: Shop) -> None:
    made = await shop.caller.made("/v1/line-items", shop.line_item())
    await shop.caller.patch(
        f"/v1/line-items/{made['id']}", {"bid": {"amount": "5.00"}, "targeting": {"languages": ["pl"]}}
    )
    log = await shop.caller.get(f"/v1/change-log?kind=line-items&object_id={made['id']}")
    rows = [(row["action"], row["field"], row["old"], row["new"]) for row in log.body["items"]]
    assert ("update", "bid_micros", "4000000", "5000000") in rows
    assert ("update", "targeting.languages", "[]", '["pl"]') in rows
    assert rows[-1][:2] == ("create", "")
    assert len({row["transaction_id"] for row in log.body["items"]}) == 2
    assert log.body["items"][0]["actor_kind"] == "api_key"


async def test_an_empty_segment_is_called_by_its_name(api: Api, shop: Shop) -> None:
    rule = {"advertiser_id": shop.advertiser["id"], "name": "Big carts", "rule": "visits.count > 1"}
    segment = await shop.caller.made("/v1/segments", rule)
    line_item = await shop.caller.made("/v1/line-items", shop.line_item(targeting={"segments_any": [segment["id"]]}))

    async def nobody(segments: Sequence[int]) -> dict[int, int]:
        return dict.fromkeys(segments, 0)

    reader = Reader(api.store, SystemClock(), nobody)
    said: list[str] = []
    async with api.store.database.read() as connection:
        for kind, made in ((LINE_ITEMS, line_item), (SEGMENTS, segment)):
            stored = await reader.require(connection, command_line(), kind, made["id"])
            (faults,) = await reader.warnings(connection, kind, [stored.value])
            said += [fault.message for fault in faults if fault.code == "segment_empty"]
    assert said == ['segment "Big carts" has nobody in it now'] * 2
