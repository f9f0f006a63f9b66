"""The last events of a shop at its page, as they come: own ones alone, without whose they were."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import ManualClock, SystemClock
from core.ids import new_user_id
from segments.audiences.tag_health import MAX_LAST
from segments.events.dropped import DroppedEvents
from segments.events.privacy import NOTHING_SAID, Signals
from segments.facts.event import LISTED, Event, Item, Kind
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.console import person
from tests.kit.profiles import catalogue, event_rig


@pytest.fixture
async def api(tmp_path: Path, valkey: str, clock: ManualClock) -> AsyncIterator[Api]:
    """Events lie in Redis, so one engine of the database is enough."""
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", valkey, clock) as running:
        yield running


async def happen(valkey: str, *events: Event) -> None:
    async with event_rig(valkey, SystemClock(), published=catalogue()) as rig:
        await rig.send(*events)
        await rig.settle()


async def test_the_last_events_are_shown_as_they_come_to_their_own_shop(api: Api, valkey: str) -> None:
    mine, rival = await make_shop(api, "szpilka"), await make_shop(api, "rival")
    assert (mine.advertiser["id"], rival.advertiser["id"]) == (1, 2)
    now_ms, user = SystemClock().now_ms(), new_user_id()
    items = tuple(Item(f"<sku-{number}>") for number in range(5))
    await happen(
        valkey,
        Event(Kind.VIEW_ITEM, 1, user, now_ms, items=items),
        Event(Kind.PURCHASE, 1, user, now_ms, value_micros=12_340_000),
        Event("secret_event", 2, new_user_id(), now_ms),
        Event(LISTED, 1, user, now_ms),
    )
    browser = await person(api, "read", advertisers=(1,))
    whole, rows = await browser.get("/advertisers/1/shop"), await browser.get("/advertisers/1/events")
    for shown in (whole.text, rows.text):
        assert "&lt;sku-0&gt;, &lt;sku-1&gt;, &lt;sku-2&gt; … (5)" in shown
        assert "12.34" in shown
        assert ("secret_event" in shown, "_listed" in shown, user in shown) == (False, False, False)
    assert 'hx-get="/advertisers/1/events?looked=1"' in rows.text
    assert (await browser.get("/advertisers/2/events")).status == 404
    told = (await mine.caller.get("/v1/advertisers/1/tags")).body["last"]
    assert [one["event"] for one in told] == ["purchase", "view_item"]


async def test_the_code_for_the_pages_stays_and_dropped_events_say_what_is_missing(
    api: Api, valkey: str, clock: ManualClock
) -> None:
    await make_shop(api, "szpilka")
    browser = await person(api, "read", advertisers=(1,))
    new = (await browser.get("/advertisers/1/shop")).text
    for event in ("page_view", "view_item", "view_cart", "add_to_cart", "purchase"):
        assert f'event: "{event}"' in html.unescape(new)
    assert ('id="code" open' in new, "without a word about consent" in new) == (True, False)
    async with event_rig(valkey, SystemClock(), published=catalogue()) as rig:
        refusal = Signals(refusal="npa")
        dropped_events = [NOTHING_SAID, NOTHING_SAID, NOTHING_SAID, refusal]
        await DroppedEvents(rig.store).count(1, dropped_events, clock.now_ms())
    dropped = (await browser.get("/advertisers/1/shop")).text
    assert re.search(r"without a word about consent and were not stored: 3\.", dropped)
    assert re.search(r"these visitors have not agreed: 1\.", dropped)
    assert "grosz.push({set: {gdpr: 0}})" in dropped
    await happen(valkey, Event(Kind.PAGE_VIEW, 1, new_user_id(), SystemClock().now_ms()))
    assert 'event: "view_cart"' in html.unescape((await browser.get("/advertisers/1/shop")).text)


async def test_looking_ends_by_itself(api: Api) -> None:
    await make_shop(api, "szpilka")
    browser = await person(api, "read", advertisers=(1,))
    assert "hx-get" in (await browser.get("/advertisers/1/events?looked=199")).text
    for looked in ("200", "99999999", "-1x"):
        last = await browser.get(f"/advertisers/1/events?looked={looked}")
        assert ("hx-get" in last.text) == (looked == "-1x")


async def test_only_the_newest_are_kept(api: Api, valkey: str) -> None:
    await make_shop(api, "szpilka")
    user, now_ms = new_user_id(), SystemClock().now_ms()
    await happen(valkey, *(Event(f"event_{number}", 1, user, now_ms) for number in range(MAX_LAST + 7)))
    told = (await (await api.caller("read")).get("/v1/advertisers/1/tags")).body["last"]
    assert [one["event"] for one in told] == [f"event_{number}" for number in range(MAX_LAST + 6, 6, -1)]
