"""What belongs to other advertisers changes at random; every answer to a restricted caller stays what it was."""

import random
from pathlib import Path
from typing import Any, Final

import pytest

from core import keys
from core.clock import ManualClock
from core.ring import pack_record
from journal.figures import DIMENSIONS, MEASURES
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, NOTICE, SHOP, JournalKind
from journal.segment import SegmentFrame
from segments.facts.facts import Facts
from segments.facts.layout import pack_hot
from tests.integration.admin.conftest import Shop, make_shop
from tests.integration.admin.test_explanations import World, bid_request, world
from tests.kit.api import Answer, running_api
from tests.kit.journal_rows import JournalFolder, a_row

__all__ = ["world"]

RIVALS: Final[dict[str, dict[str, object]]] = {
    "lists": {"name": "secret list", "kind": "domains", "values": ["secret.example"]},
    "deals": {"exchange_id": 1, "deal_id": "secret-deal", "name": "secret"},
    "feeds": {"name": "secret", "url": "https://secret.example/feed.xml"},
    "webhooks": {"name": "secret", "url": "https://secret.example/hook"},
    "segments": {"name": "secret", "rule": "everyone"},
    "conversions": {"name": "secret", "event": "purchase"},
}
"""What else the others have, by kind; each change gives one of them another name."""

PAGES: Final = (
    "segment-sizes", "segment-overlap?left=1&right=2", "tags", "products", "products?q=secret", "products/match",
    "media", "matrix?rows=visits.count:2&columns=pages.count:2",
)  # fmt: skip
"""Of one advertiser."""

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


def pages_of(shop: Shop, mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What can be read, the others' objects included."""
    return [
        "campaigns", "line-items", "creatives", "segments", "feeds", "conversions", "deals", "webhooks", "exchanges",
        "advertisers", "change-log", "line-items?total=true&sort=-id", "line-items?q=secret", "campaigns?external_id=x",
        f"line-items/{mine['id']}", f"line-items/{mine['id']}/funnel", f"doctor?line_item_id={mine['id']}",
        f"line-items/{theirs['line_item']}", f"line-items/{theirs['line_item']}/funnel",
        f"doctor?line_item_id={theirs['line_item']}", f"campaigns?advertiser_id={theirs['advertiser']}",
        f"budgets?advertiser_id={theirs['advertiser']}", f"budgets?advertiser_id={shop.advertiser['id']}",
        f"line-items?campaign_id={theirs['campaign']}", "users", "api-keys", "ledger?advertiser_id=1", "doctor", "me",
        "lists", "lists?q=secret", "deals?total=true", f"webhooks?advertiser_id={theirs['advertiser']}", "audit",
        "ledger", "ledger/days", "segment-pass", "cookie-sync", "given-up-calls", "catalogue/export", "fx-rates",
        f"line-items/{mine['id']}/target", f"line-items/{theirs['line_item']}/target", f"visitors/{USERS[0]}",
        f"feeds/{theirs['feeds']}/report",
        *(f"{kind}/{theirs[kind]}" for kind in RIVALS),
        *(f"advertisers/{each}/{page}" for each in (shop.advertiser["id"], theirs["advertiser"]) for page in PAGES),
    ]  # fmt: skip


async def questions(world: World, shop: Shop, mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, object]:
    """Everything that a caller for `shop` can ask, the ids of the others included."""
    found: dict[str, object] = {}
    for user in (None, *USERS):
        for floor in FLOORS:
            request = bid_request()
            request["imp"][0]["bidfloor"] = floor
            asked = {"exchange": "demo", "request": request} | ({"user_id": user} if user else {})
            found[f"explain {user} {floor}"] = told(await shop.caller.post("/v1/explain", asked))
    for page in pages_of(shop, mine, theirs):
        found[f"GET {page}"] = told(await shop.caller.get(f"/v1/{page}"))
    own, foreign, writer = shop.advertiser["id"], theirs["advertiser"], theirs["writer"]
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
        ("POST", "line-items", shop.line_item(targeting={"lists_allow": [theirs["lists"]]})),
        ("POST", "line-items", shop.line_item(targeting={"segments_any": [theirs["segments"]]})),
        ("POST", "line-items", shop.line_item(targeting={"deals": [theirs["deals"]]})),
        ("POST", "segments", {"advertiser_id": own, "name": "x", "rule": "everyone", "webhook_id": theirs["webhooks"]}),
        ("POST", "lists", {"advertiser_id": own, "name": "secret list", "kind": "domains", "values": ["a.example"]}),
        ("POST", "deals", {"advertiser_id": own, "exchange_id": 1, "deal_id": "secret-deal", "name": "x"}),
        ("POST", f"advertisers/{foreign}/events", {"events": []}),
        ("POST", f"advertisers/{foreign}/count", {"rules": ["everyone"]}),
        ("POST", f"advertisers/{foreign}/recommendations", {}),
        ("POST", f"feeds/{theirs['feeds']}/refresh", {}),
        ("POST", f"line-items/{theirs['line_item']}/target/resume", {}),
        *(("PATCH", f"{kind}/{theirs[kind]}", {"name": "mine"}) for kind in RIVALS),
        *(("POST", f"{kind}/{theirs[kind]}/copy", {}) for kind in RIVALS),
        *(("DELETE", f"{kind}/{theirs[kind]}", None) for kind in RIVALS),
    ]  # fmt: skip
    for number, (method, path, body) in enumerate(writes):
        answer = await writer.call(method, f"/v1/{path}?dry_run=true", body)
        found[f"{number} {method} {path}"] = told(answer)
    operations = [{"action": "create", "document": one[2]} for one in writes if one[1] == "line-items"]
    bulk = await writer.post("/v1/line-items/bulk?dry_run=true", {"operations": operations})
    assert "results" in bulk.body, bulk.body
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
    changes += [
        ("PATCH", f"/v1/{kind}/{theirs[kind]}", {"name": f"secret {chance.random()}"}) for kind in RIVALS
    ]  # fmt: skip
    changes += [("PATCH", f"/v1/lists/{theirs['lists']}", {"values": [f"s{chance.randrange(9)}.example"]})]
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


@pytest.mark.parametrize("seed", range(2))
async def test_no_answer_depends_on_what_belongs_to_others(world: World, shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    rival = await make_shop(world.api, "rival")
    mine = await shop.caller.made("/v1/line-items", shop.line_item(name="mine"))
    other = await rival.caller.made("/v1/line-items", rival.line_item(bid={"amount": "5"}, name="secret plan"))
    theirs = {
        "line_item": other["id"], "advertiser": rival.advertiser["id"], "campaign": rival.campaign["id"],
        "creative": rival.creative["id"],
    }  # fmt: skip
    for kind, document in RIVALS.items():
        made = await rival.caller.made(f"/v1/{kind}", document | {"advertiser_id": rival.advertiser["id"]})
        theirs[kind] = made["id"]
    # A second key of the same shop: all the questions are more than one key may ask in a minute.
    theirs["writer"] = await world.api.caller("read", "trade", advertisers=(shop.advertiser["id"],))
    await world.publish()
    before = await questions(world, shop, mine, theirs)
    assert 429 not in {one[0] for one in before.values() if isinstance(one, tuple)}
    for step in range(4):
        await change_something(chance, world, rival, theirs)
        after = await questions(world, shop, mine, theirs)
        different = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        assert different == {}, f"seed {seed}, step {step}"


async def test_an_exchange_names_no_seat_of_others_and_answers_as_if_there_were_none(world: World, shop: Shop) -> None:
    rival = await make_shop(world.api, "rival")
    await shop.caller.made("/v1/line-items", shop.line_item(name="mine"))
    own, foreign = shop.advertiser["id"], rival.advertiser["id"]

    async def asked() -> dict[str, object]:
        found: dict[str, object] = {}
        for page in ("exchanges", "exchanges/1"):
            body = (await shop.caller.get(f"/v1/{page}")).body
            found[page] = [each["seats"] for each in body.get("items", [body])]
        for seat in ("theirs", "unknown", "ours"):
            for where in ({"wseat": [seat]}, {"bseat": ["grosz", seat]}):
                request = bid_request(**where)
                answer = await shop.caller.post("/v1/explain", {"exchange": "demo", "request": request})
                found[f"explain {where}"] = told(answer)
        return found

    owner = await world.api.caller()
    ours = {"advertiser_id": own, "seat": "ours", "campaign_id": None}
    theirs = [
        {"advertiser_id": foreign, "seat": "theirs"},
        {"advertiser_id": foreign, "seat": "also theirs", "campaign_id": rival.campaign["id"]},
    ]
    answers = []
    for seats in ([ours], [*theirs, ours]):
        answer = await owner.call("PATCH", "/v1/exchanges/1", {"seats": seats})
        assert answer.status == 200, answer.body
        await world.publish()
        answers.append(await asked())
    assert answers[0]["exchanges"] == [[ours]]
    assert answers[0] == answers[1]


REPORTED: Final = (ANSWER, BID, BILL, CLICK, CONVERSION, NOTICE, SHOP)


def rows_of(
    chance: random.Random, kind: JournalKind, advertiser_id: int, now_ms: int, count: int
) -> list[list[object]]:
    """Rows of one shop with other numbers each time."""
    known = {column.name for column in kind.columns}
    numbers = {
        "charge_micros",
        "price_cpm",
        "bid_cpm",
        "impressions",
        "requests",
        "value_micros",
        "cost_micros",
    } & known
    ids = {"line_item_id", "campaign_id", "creative_id", "exchange_id"} & known
    owner = {"advertiser_id": advertiser_id} if "advertiser_id" in known else {}
    moments = {name: now_ms for name in ("at_ms", "bid_ms") if name in known}
    rows = []
    for _ in range(count):
        values: dict[str, object] = {name: chance.randrange(10**7) for name in numbers}
        values |= {name: 10 * advertiser_id + chance.randrange(3) for name in ids}
        named = {"bid_id": chance.randrange(2**40)} if "bid_id" in known else {}
        money = {"currency": "PLN"} if "currency" in known else {}
        rows.append(list(a_row(kind, **owner, **moments, **values, **named, **money)))
    return rows


async def test_no_report_depends_on_what_belongs_to_others(valkey: str, clock: ManualClock, tmp_path: Path) -> None:
    chance, folder = random.Random(1), JournalFolder(tmp_path / "journal", clock)
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'db'}", valkey, clock, archive=folder.archive) as api:
        mine, _ = await make_shop(api, "mine"), await make_shop(api, "rival")
        own = [
            SegmentFrame(k.name, k.names, rows_of(chance, k, 1, clock.now_ms(), 5)) for k in REPORTED if k is not ANSWER
        ]
        folder.converter.write("mine", own)
        folder.archive.note_stored_until(clock.now_ms())

        async def reports() -> dict[str, object]:
            found: dict[str, object] = {}
            for at in range(0, len(DIMENSIONS), 5):
                asked: dict[str, object] = {
                    "measures": ["impressions", "spend", "bids", "clicks"], "dimensions": DIMENSIONS[at : at + 5],
                }  # fmt: skip
                found[f"by {at}"] = told(await mine.caller.post("/v1/reports/query", asked))
            found["all"] = told(await mine.caller.post("/v1/reports/query", {"measures": MEASURES}))
            for measure in MEASURES:
                found[measure] = (await mine.caller.post("/v1/reports/query", {"measures": [measure]})).status
            for filters in (
                {"advertiser": [2]},
                {"advertiser": [1, 2]},
                {"line_item": [20, 21, 22]},
                {"campaign": [21]},
            ):
                asked = {"measures": ["spend", "impressions"], "filters": filters}
                found[f"of {filters}"] = told(await mine.caller.post("/v1/reports/query", asked))
            return found

        before = await reports()
        assert any(isinstance(one, tuple) and one[0] == 200 and one[1]["rows"] for one in before.values()), (
            "it has figures of its own"
        )
        for step in range(3):
            theirs = [SegmentFrame(k.name, k.names, rows_of(chance, k, 2, clock.now_ms(), 9)) for k in REPORTED]
            folder.converter.write(f"theirs-{step}", theirs)
            after = await reports()
            assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}
    folder.close()
