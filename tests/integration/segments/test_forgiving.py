"""What the tracker forgives, what it tells, what counts once, and looks (HEAD) that count nothing."""

from core.clock import ManualClock
from segments.events.member_notes import MemberNotes
from tests.kit.tracker import API_KEY, shop

CONSENT = {"gdpr": 1, "consent": "all"}
VIEW = {"event": "view_item", "items": [{"item_id": "red-heels", "price": 320}], **CONSENT}
SERVER = {"X-API-Key": API_KEY}


async def test_one_string_does_not_spoil_a_batch(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        await site.client.post("/e/1", json=VIEW)
        user = site.user_id()
        good = f'{{"event": "page_view", "user_id": "{user}"}}'
        rows = [
            good,
            f'{{"event": "search", "user_id": "{user}", "search_term": "\\ud800heels"}}',
            f'{{"event": "purchase", "user_id": "{user}", "value": NaN}}',
            "7",
            f'{{"event": "purchase", "user_id": "{user}", "transaction_id": 10001, "value": 1e999}}',
        ]
        body = b"\xef\xbb\xbf[" + ",".join(rows).encode() + b"]"
        body = body.replace(b"heels", b"heels \xe9t\xe9")
        answer = await site.client.post("/e/1", data=body, headers=SERVER)
        results = (await answer.json())["results"]
        assert [row["status"] for row in results] == ["accepted", "accepted", "invalid", "invalid", "invalid"]
        assert [row["errors"][0]["pointer"] for row in results[2:]] == ["/value", "", "/value"]
        await site.rig.settle()
        facts = await site.rig.facts(user)
        assert facts is not None
        assert [search.phrase for search in facts.searches] == ["\ufffdheels \ufffdt\ufffd"]


async def test_a_member_that_is_nearly_known_is_told_and_kept_for_tag_health(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        row = {**VIEW, "items": [{"item_id": "a", "pric": 3}], "valu": 5}
        answer = await site.client.post("/e/1", json=row)
        assert answer.status == 200
        (result,) = (await answer.json())["results"]
        assert result["status"] == "accepted"
        assert [(note["pointer"], note["hint"]) for note in result["warnings"]] == [
            ("/valu", "did you mean 'value'?"), ("/items/0/pric", "did you mean 'price'?"),
        ]  # fmt: skip
        assert "Set-Cookie" in answer.headers, "stored as any other"
        for number in range(50):
            await site.client.post("/e/1", json={**VIEW, f"valu{number % 10}": 5})
        notes = await MemberNotes(site.rig.store, site.rig.intake_metrics).report(1)
        assert [note.meant for note in notes] == ["price", "value"], "one a member of ours, whatever is sent"
        assert (notes[0].written, notes[0].last_ms) == ("pric", clock.now_ms())


async def test_a_place_that_is_none_loses_no_order_and_is_told(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        order = {"event": "purchase", "value": 5, **CONSENT}
        for place, told in (({"country": "PL", "city": "Kraków"}, "/place/country"), ("Kraków", "/place")):
            answer = await site.client.post("/e/1", json={**order, "transaction_id": told, "place": place})
            (result,) = (await answer.json())["results"]
            assert (result["status"], [note["pointer"] for note in result["warnings"]]) == ("accepted", [told])
        await site.rig.settle()
        facts = await site.rig.facts(site.user_id())
        assert facts is not None
        assert (facts.purchases, facts.country, facts.city) == (2, "", "kraków")
        notes = MemberNotes(site.rig.store, site.rig.intake_metrics)
        assert await notes.report(1) == [], "no member was meant to be another"


async def test_a_landing_of_paid_search_is_stored_without_a_word(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        url = f"https://buty.example/?utm_source=google&gclid={'x' * 4000}"
        answer = await site.client.post("/e/1", json={"event": "page_view", "url": url, "currency": "pln", **CONSENT})
        assert answer.status == 204
        assert await site.rig.settle() == 1
        assert site.rig.intake_metrics.mended.labels("url").value == 1


async def test_an_event_that_is_sent_again_counts_once(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        for _ in range(3):
            row = {"event": "page_view", "event_id": "e-1", **CONSENT}
            assert (await site.client.post("/e/1", json=row)).status == 204
        await site.client.post("/e/1", json={"event": "page_view", "event_id": "e-2", **CONSENT})
        await site.client.post("/e/1", json={"event": "page_view", **CONSENT})
        await site.rig.settle()
        facts = await site.rig.facts(site.user_id())
        assert facts is not None
        assert facts.pages == 3


async def test_a_look_at_the_pixel_is_answered_alike_and_stores_nothing(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        for query, status in (("event=page_view&gdpr=0", 200), ("event=Bad Name", 400), ("d={", 400)):
            looked = await site.client.head(f"/e/1?{query}")
            asked = await site.client.get(f"/e/1?{query}")
            assert (asked.status, looked.status) == (status, status)
            assert looked.headers["Content-Type"] == asked.headers["Content-Type"]
            assert await looked.read() == b""
            assert "Set-Cookie" not in looked.headers
        assert (await site.client.head("/e/9?event=page_view")).status == 404
        assert await site.rig.settle() == 1, "of the GET"


async def test_a_look_at_cookie_sync_is_answered_alike_and_binds_nothing(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        paths = {"/sync/demo?uid=THEIRS&gdpr=0": 200, "/sync/demo?gdpr=0": 302, "/sync/demo?gdpr=1": 451,
                 "/sync/demo?uid=%00&gdpr=0": 400, "/sync/nobody": 404}  # fmt: skip
        for path, status in paths.items():
            looked = await site.client.head(path, allow_redirects=False)
            assert looked.status == status, path
            assert "Set-Cookie" not in looked.headers
        assert await site.rig.store.commands([("KEYS", "x:*"), ("KEYS", "sync:*")]) == [[], []]
