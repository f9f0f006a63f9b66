"""What belongs to other advertisers changes at random; every answer to a restricted caller stays what it was."""

import random
from typing import Any, Final

import pytest

from core import keys
from pacing.caps import pack_record
from segments.facts.facts import Facts
from segments.facts.layout import pack_hot
from tests.integration.admin.conftest import Shop, make_shop
from tests.integration.admin.test_explanations import World, bid_request, world
from tests.kit.api import Answer

__all__ = ["world"]

USERS: Final = [f"{number:022d}" for number in range(3)]
FLOORS: Final = (0.5, 1.2, 3.99, 4.01, 5.5)
COUNTED: Final = ("id", "created_at", "updated_at", "version")
"""Numbers that are counted for everybody: how many objects were made may be told, not whose."""


def told(answer: Answer) -> tuple[int, object]:
    """Status and body, without the time, and what is counted for everybody in what a dry run would have made."""
    body = answer.body
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != "as_of"}
    if isinstance(body, dict) and "warnings" in body:
        body = {name: value for name, value in body.items() if name not in COUNTED}
    return answer.status, body


async def questions(world: World, shop: Shop, mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, object]:
    """Everything that a caller for `shop` can ask, the ids of the others included."""
    found: dict[str, object] = {}
    for user in (None, *USERS):
        for floor in FLOORS:
            request = bid_request()
            request["imp"][0]["bidfloor"] = floor
            asked = {"exchange": "demo", "request": request} | ({"user_id": user} if user else {})
            found[f"explain {user} {floor}"] = told(await shop.caller.post("/v1/explain", asked))
    pages = [
        "campaigns", "line-items", "creatives", "segments", "feeds", "conversions", "deals", "webhooks", "exchanges",
        "advertisers", "change-log", "line-items?total=true&sort=-id", "line-items?q=secret", "campaigns?external_id=x",
        f"line-items/{mine['id']}", f"line-items/{mine['id']}/funnel", f"doctor?line_item_id={mine['id']}",
        f"line-items/{theirs['line_item']}", f"line-items/{theirs['line_item']}/funnel",
        f"doctor?line_item_id={theirs['line_item']}", f"campaigns?advertiser_id={theirs['advertiser']}",
        f"budgets?advertiser_id={theirs['advertiser']}", f"budgets?advertiser_id={shop.advertiser['id']}",
        f"line-items?campaign_id={theirs['campaign']}", "users", "api-keys", "ledger?advertiser_id=1", "doctor", "me",
    ]  # fmt: skip
    for page in pages:
        found[f"GET {page}"] = told(await shop.caller.get(f"/v1/{page}"))
    own, foreign = shop.advertiser["id"], theirs["advertiser"]
    writes: list[tuple[str, str, object]] = [
        ("POST", "line-items", shop.line_item(external_id="taken-by-others")),
        ("POST", "line-items", shop.line_item(advertiser_id=foreign, external_id="taken-by-others")),
        ("POST", "line-items", shop.line_item(campaign_id=theirs["campaign"])),
        ("POST", "line-items", shop.line_item(creative_ids=[theirs["creative"]])),
        ("POST", "campaigns", {"advertiser_id": foreign, "name": "x", "external_id": "taken-by-others"}),
        ("POST", "campaigns", {"advertiser_id": own, "name": "x", "external_id": "taken-by-others"}),
        ("PATCH", f"advertisers/{own}", {"external_id": "taken-by-others"}),
        ("PATCH", f"advertisers/{own}", {"external_id": "free"}),
        ("PATCH", f"advertisers/{own}", {"notes": "mine"}),
        ("PATCH", f"advertisers/{foreign}", {"notes": "mine"}),
        ("PATCH", f"line-items/{theirs['line_item']}", {"notes": "mine"}),
        ("POST", f"line-items/{theirs['line_item']}/copy", {}),
        ("POST", "exchanges", {"key": "demo"}),
    ]  # fmt: skip
    for number, (method, path, body) in enumerate(writes):
        answer = await shop.caller.call(method, f"/v1/{path}?dry_run=true", body)
        found[f"{number} {method} {path}"] = told(answer)
    operations = [{"action": "create", "document": one[2]} for one in writes if one[1] == "line-items"]
    bulk = await shop.caller.post("/v1/line-items/bulk?dry_run=true", {"operations": operations})
    for result in bulk.body["results"]:
        result.pop("id", None)
    found["bulk"] = told(bulk)
    return found


async def change_something(chance: random.Random, world: World, rival: Shop, theirs: dict[str, Any]) -> None:
    """One change of what belongs to the others: their objects, what they bid, who visited them, what they showed."""
    owner = await world.api.caller()
    line_item = f"/v1/line-items/{theirs['line_item']}"
    bid = f"{chance.choice((0.3, 3.0, 4.5, 5.7, 9.0)):.2f}"
    countries, name = chance.choice(([], ["POL"])), chance.choice(("taken-by-others", "free", ""))
    changes = [
        ("PATCH", line_item, {"bid": {"amount": bid}, "max_cpm": {"amount": "9.00"}}),
        ("PATCH", line_item, {"name": f"secret {chance.random()}", "targeting": {"countries": countries}}),
        ("PATCH", line_item, {"status": chance.choice(("paused", "active"))}),
        ("PATCH", line_item, {"external_id": chance.choice(("taken-by-others", "", "x"))}),
        ("PATCH", f"/v1/campaigns/{theirs['campaign']}", {"external_id": chance.choice(("taken-by-others", "x", ""))}),
        ("PATCH", f"/v1/advertisers/{theirs['advertiser']}", {"external_id": name}),
    ]  # fmt: skip
    method, path, body = chance.choice(changes)
    answer = await owner.call(method, path, body)
    assert answer.status == 200, answer.body
    if chance.random() < 0.5:
        await owner.made("/v1/line-items", rival.line_item(bid={"amount": bid}, name="another secret"))
    now_s = world.clock.now_ms() // 1000
    user = chance.choice(USERS)
    shown = b"".join(pack_record(theirs["line_item"], now_s - number) for number in range(chance.randrange(20)))
    await world.command("HSET", keys.user_profile(user), "i", shown)
    facts = Facts(first_visit_s=now_s - 90, last_visit_s=now_s - 60, visits=chance.randrange(1, 9))
    hot = pack_hot(facts, [], now_s, now_s + 86_400)
    await world.command("HSET", keys.user_profile(user), str(theirs["advertiser"]), hot)
    await world.command("SET", keys.exchange_user(1, "theirs"), chance.choice(USERS))
    await world.publish()


@pytest.mark.parametrize("seed", range(3))
async def test_no_answer_depends_on_what_belongs_to_others(world: World, shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    rival = await make_shop(world.api, "rival")
    mine = await shop.caller.made("/v1/line-items", shop.line_item(name="mine"))
    other = await rival.caller.made("/v1/line-items", rival.line_item(bid={"amount": "5"}, name="secret plan"))
    theirs = {
        "line_item": other["id"], "advertiser": rival.advertiser["id"], "campaign": rival.campaign["id"],
        "creative": rival.creative["id"],
    }  # fmt: skip
    await world.publish()
    before = await questions(world, shop, mine, theirs)
    for step in range(6):
        await change_something(chance, world, rival, theirs)
        after = await questions(world, shop, mine, theirs)
        different = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        assert different == {}, f"seed {seed}, step {step}"
