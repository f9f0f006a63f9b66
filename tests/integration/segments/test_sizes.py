"""Segment sizes, overlap and tag health on a real server."""

from core.clock import ManualClock
from core.ids import new_user_id
from core.keys import tag_health
from segments.audiences.sizes import SegmentSizes, level_of, membership_changes
from segments.audiences.tag_health import MAX_NAMES, OTHERS
from segments.facts.event import SERVER_ORIGIN, Event, Kind
from segments.facts.facts import DAY_S
from segments.facts.layout import Window
from tests.kit.profiles import event_rig


async def test_sizes_follow_the_clock_and_segments_intersect(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        now_s = clock.now_ms() // 1000
        users = [new_user_id() for _ in range(60)]
        changes = []
        for at, user in enumerate(users):
            windows: list[Window] = [(1, now_s, now_s + 100)]
            if at < 20:
                windows.append((2, now_s + 50, now_s + 200))
            changes += membership_changes(user, [], windows, now_s)
        await rig.store.commands(rig.sizes.commands(changes))
        assert await rig.sizes.size(1, clock.now_ms()) == 60
        assert await rig.sizes.size(2, clock.now_ms()) == 0
        clock.advance(60)
        assert await rig.sizes.size(2, clock.now_ms()) == 20
        assert await rig.sizes.overlap(1, 2, clock.now_ms()) == 20
        clock.advance(60)
        assert await rig.sizes.size(1, clock.now_ms()) == 0
        await rig.sizes.tidy([1, 2], clock.now_ms())
        assert await rig.sizes.size(2, clock.now_ms()) == 20


async def test_a_membership_that_an_event_ends_is_forgotten(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        now_s, user = clock.now_ms() // 1000, new_user_id()
        windows: list[Window] = [(1, now_s, now_s + 100)]
        await rig.store.commands(rig.sizes.commands(membership_changes(user, [], windows, now_s)))
        await rig.store.commands(rig.sizes.commands(membership_changes(user, windows, [], now_s)))
        assert await rig.sizes.size(1, clock.now_ms()) == 0


async def test_a_large_segment_is_sampled_within_a_few_percent(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        sizes = SegmentSizes(rig.store, sample_limit=1_000)
        now_s = clock.now_ms() // 1000
        users = [f"{number:022d}" for number in range(6_000)]
        changes = [change for user in users for change in membership_changes(user, [], [(1, now_s, now_s + 9)], now_s)]
        await rig.store.commands(sizes.commands(changes))
        await sizes.tidy([1], clock.now_ms())
        kept = [user for user in users if level_of(user) >= 3]
        assert len(kept) <= 1_000
        assert await sizes.size(1, clock.now_ms()) == len(kept) * 8
        assert abs(len(kept) * 8 - 6_000) < 600


async def test_tag_health_knows_last_today_yesterday_and_the_mean(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        user, last_ms = new_user_id(), 0
        for count in (7, 14, 3):
            await rig.send(*[Event(Kind.PAGE_VIEW, 1, user, clock.now_ms()) for _ in range(count)])
            await rig.settle()
            last_ms = clock.now_ms()
            clock.advance(DAY_S)
        report = await rig.tags.report(1, last_ms)
        assert [(row.event, row.last_ms, row.today, row.yesterday, row.daily_mean) for row in report] == [
            ("page_view", last_ms, 3, 14, 3.0)
        ]
        assert await rig.tags.report(2, last_ms) == []


async def test_tag_health_counts_what_tills_send_late_and_not_what_devices_pass_on(
    valkey: str, clock: ManualClock
) -> None:
    async with event_rig(valkey, clock) as rig:
        user, now_ms = new_user_id(), clock.now_ms()
        await rig.send(Event(Kind.PURCHASE, 1, user, now_ms))
        await rig.send(Event(Kind.PURCHASE, 1, user, now_ms - DAY_S * 1000, origin=SERVER_ORIGIN, offline=True))
        await rig.send(Event(Kind.PURCHASE, 1, user, now_ms, origin=new_user_id(), origin_id=b"i" * 16))
        await rig.settle()
        (row,) = await rig.tags.report(1, now_ms)
        assert (row.last_ms, row.today, row.yesterday) == (now_ms, 1, 1), "the last one came now, whenever it happened"


async def test_names_that_a_client_invents_are_counted_together(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        user, now_ms = new_user_id(), clock.now_ms()
        await rig.tags.count([Event(Kind.PAGE_VIEW, 1, user, now_ms)], now_ms)
        invented = [
            Event(f"invented_{number}", 1, user, now_ms - number % 90 * DAY_S * 1000) for number in range(5_000)
        ]
        for start in range(0, 5_000, 100):
            await rig.tags.count(invented[start : start + 100], now_ms)
        await rig.tags.count([Event(Kind.PAGE_VIEW, 1, user, now_ms)], now_ms)
        (fields,) = await rig.store.commands([("HLEN", tag_health(1))])
        assert isinstance(fields, int)
        assert fields <= 3 * MAX_NAMES
        report = {row.event: row for row in await rig.tags.report(1, now_ms)}
        assert len(report) == MAX_NAMES + 1
        assert report["page_view"].today == 2
        counted = sum(row.today for row in report.values()) - 2
        assert report[OTHERS].today > 0
        assert counted == len([event for event in invented if event.at_ms == now_ms])
        clock.advance(10 * DAY_S)
        await rig.tags.count([Event("fresh", 1, user, clock.now_ms())], clock.now_ms())
        assert [row.event for row in await rig.tags.report(1, clock.now_ms())] == ["fresh"]


async def test_a_hash_that_grew_before_there_was_a_bound_is_cut(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        now_ms = clock.now_ms()
        for start in range(0, 20_000, 1_000):
            pairs = [part for n in range(start, start + 1_000) for part in (f"name_{n}:last", now_ms)]
            days = [part for n in range(start, start + 1_000) for part in (f"name_{n}:20260101", 1)]
            await rig.store.commands([("HSET", tag_health(1), *pairs), ("HSET", tag_health(1), *days)])
        await rig.tags.count([Event(Kind.PAGE_VIEW, 1, new_user_id(), now_ms)], now_ms)
        (fields,) = await rig.store.commands([("HLEN", tag_health(1))])
        assert isinstance(fields, int)
        assert fields <= 3 * MAX_NAMES
