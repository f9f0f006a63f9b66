"""Events that are not stored for want of consent, counted for the people of the shop."""

from core.clock import ManualClock
from segments.events.dropped import AGAIN_MS, Dropped, DroppedEvents
from tests.kit.tracker import shop

DAY_MS = 86_400_000


async def test_events_without_a_word_about_consent_are_told_from_refused_ones(valkey: str, clock: ManualClock) -> None:
    async with shop(valkey, clock) as site:
        report = DroppedEvents(site.rig.store).report
        assert await report(1, clock.now_ms()) == Dropped(0, 0)
        await site.client.post("/e/1", json=[{"event": "page_view"}, {"event": "page_view", "gdpr": 1}])
        assert await report(1, clock.now_ms()) == Dropped(2, 0)
        await site.client.post("/e/1", json={"event": "page_view", "gdpr": 1, "consent": "ids"})
        assert await report(1, clock.now_ms()) == Dropped(2, 0), "each event of a stranger would be a command"
        clock.advance(AGAIN_MS / 1000)
        await site.client.post("/e/1", json={"event": "page_view", "npa": 1})
        assert await report(1, clock.now_ms()) == Dropped(2, 2)
        await site.client.post("/e/1", json={"event": "page_view", "gdpr": 0})
        assert await report(1, clock.now_ms()) == Dropped(2, 2)
        assert await report(1, clock.now_ms() + DAY_MS) == Dropped(2, 2)
        assert await report(1, clock.now_ms() + 2 * DAY_MS) == Dropped(0, 0)
        assert await report(2, clock.now_ms()) == Dropped(0, 0)
