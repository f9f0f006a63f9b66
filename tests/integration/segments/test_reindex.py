"""The background pass over existing profiles, against a real server."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

import msgspec
import pytest

from admin.diagnosis.findings import Severity
from admin.diagnosis.profiles import judge_pass
from core.clock import ManualClock
from core.ids import new_user_id, product_reference
from core.keys import SEGMENT_SWEEP, SEGMENT_SWEEP_OWNER, user_profile
from core.model import Catalogue, Segment
from core.redis.client import control_redis
from core.telemetry.metrics import Telemetry
from segments.facts.event import Event, Item, Kind
from segments.facts.layout import HOT_VERSION, unpack_references, unpack_windows, windows_end
from segments.facts.meta import Meta, pack_meta
from segments.profiles.directory import CatalogueDirectory
from segments.profiles.reading import META_FIELD
from segments.profiles.scanning import ServerScanner
from segments.profiles.store import ProfileStore, StoredUser
from segments.rules.ruleset import MEANING, CompiledRules
from segments.worker.planning import UserPlanner
from segments.worker.reindex import SETTLE_S, TAKE_OVER_MARGIN_S, Progress, SegmentReindexer, read_progress
from segments.worker.worker import EventWorker
from tests.kit.profiles import PARTITIONS, EventRig, catalogue, event_rig

VISITED = Segment(id=7, advertiser_id=1, name="visited", rule="pages.count >= 1")
FREQUENT = Segment(id=8, advertiser_id=1, name="frequent", rule="pages.count >= 2")
OTHERS = Segment(id=9, advertiser_id=2, name="others", rule="pages.count >= 1")


class OvertakenStore(ProfileStore):
    """A store between whose first read and the write that follows somebody else is faster."""

    def __init__(self, rig: EventRig, overtake: Callable[[], Awaitable[object]]) -> None:
        super().__init__(rig.redis, rig.clock)
        self._overtake: Callable[[], Awaitable[object]] | None = overtake

    async def read(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, StoredUser]:
        found = await super().read(wanted)
        overtake, self._overtake = self._overtake, None
        if overtake is not None:
            await overtake()
        return found


@contextlib.asynccontextmanager
async def rig_with_scanner(
    url: str, clock: ManualClock, published: Catalogue
) -> AsyncIterator[tuple[EventRig, ServerScanner]]:
    async with event_rig(url, clock, published=published) as rig:
        client = control_redis(url)
        await client.hset(SEGMENT_SWEEP, "layout", HOT_VERSION)
        try:
            yield rig, ServerScanner(client)
        finally:
            await client.aclose()


@contextlib.asynccontextmanager
async def rig_with_pass(
    url: str, clock: ManualClock, published: Catalogue
) -> AsyncIterator[tuple[EventRig, SegmentReindexer]]:
    async with rig_with_scanner(url, clock, published) as (rig, scanner):
        yield rig, make_reindexer(rig, scanner)


def make_reindexer(
    rig: EventRig, scanner: ServerScanner, store: ProfileStore | None = None, meaning: str = MEANING
) -> SegmentReindexer:
    return SegmentReindexer(
        store or rig.store, scanner, rig.planner, rig.directory.rule_versions, rig.sizes, rig.clock, Telemetry(),
        meaning=meaning,
    )  # fmt: skip


async def finish(reindexer: SegmentReindexer, clock: ManualClock) -> int:
    """Let a pass that is due run to its end; how many profiles it looked at."""
    total = await reindexer.step() or 0
    clock.advance(SETTLE_S)
    while (looked_at := await reindexer.step()) is not None:
        total += looked_at
    return total


async def visit(rig: EventRig, clock: ManualClock, *users: str, advertiser_id: int = 1) -> None:
    await rig.send(*(Event(Kind.PAGE_VIEW, advertiser_id, user, clock.now_ms(), path="/") for user in users))
    await rig.settle()


def ids(*segments: int) -> bytes:
    return b"".join(segment.to_bytes(4, "little") for segment in segments)


async def test_a_new_rule_reaches_profiles_without_an_event(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue()) as (rig, reindexer):
        users = [new_user_id() for _ in range(30)]
        await visit(rig, clock, *users)
        rig.directory.replace(catalogue([VISITED]))
        assert set(await rig.segments_of(*users)) == {b""}
        assert await finish(reindexer, clock) >= 30
        assert set(await rig.segments_of(*users)) == {ids(7)}


async def test_a_changed_and_a_removed_rule_take_effect(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue([VISITED])) as (rig, reindexer):
        user = new_user_id()
        await visit(rig, clock, user)
        await finish(reindexer, clock)
        rig.directory.replace(catalogue([msgspec.structs.replace(VISITED, rule="pages.count >= 2"), OTHERS]))
        await finish(reindexer, clock)
        assert await rig.segments_of(user) == [b""]
        rig.directory.replace(catalogue([VISITED]))
        await finish(reindexer, clock)
        assert await rig.segments_of(user) == [ids(7)]
        rig.directory.replace(catalogue())
        await finish(reindexer, clock)
        assert await rig.segments_of(user) == [b""]


async def test_nothing_is_done_before_all_workers_know_the_new_rules(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue([VISITED])) as (_, reindexer):
        assert await reindexer.step() is None
        clock.advance(SETTLE_S - 0.1)
        assert await reindexer.step() is None
        clock.advance(0.1)
        assert await reindexer.step() is not None


async def test_nothing_is_done_when_no_rule_changed(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue([VISITED])) as (rig, reindexer):
        await visit(rig, clock, new_user_id())
        assert await finish(reindexer, clock) == 1
        rig.directory.replace(catalogue([VISITED]))
        assert await finish(reindexer, clock) == 0


async def test_only_shops_whose_rules_changed_are_evaluated(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue([VISITED])) as (rig, reindexer):
        user = new_user_id()
        await visit(rig, clock, user)
        await visit(rig, clock, user, advertiser_id=2)
        await finish(reindexer, clock)
        rig.directory.replace(catalogue([VISITED, OTHERS]))
        await reindexer.step()
        clock.advance(SETTLE_S)
        await reindexer.step()
        assert await rig.segments_of(user) == [ids(7, 9)]
        progress = await read_progress(rig.store)
        assert (progress.scanned, progress.rewritten, progress.targets, progress.share) == (1, 1, {}, 1.0)


async def test_a_profile_that_an_event_changed_in_between_is_read_again(valkey: str, clock: ManualClock) -> None:
    async with rig_with_scanner(valkey, clock, catalogue()) as (rig, scanner):
        user = new_user_id()
        await visit(rig, clock, user)
        rig.directory.replace(catalogue([VISITED, FREQUENT]))
        await finish(make_reindexer(rig, scanner, OvertakenStore(rig, lambda: visit(rig, clock, user))), clock)
        assert await rig.segments_of(user) == [ids(7, 8)]
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.pages == 2


async def test_an_event_planned_before_the_pass_wrote_is_planned_again(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue()) as (rig, reindexer):
        user = new_user_id()
        await visit(rig, clock, user)
        rig.directory.replace(catalogue([VISITED]))
        store = OvertakenStore(rig, lambda: finish(reindexer, clock))
        worker = EventWorker(
            store, rig.leases, rig.planner, rig.sizes, rig.tags, rig.clock, rig.worker_metrics, PARTITIONS
        )
        await rig.send(Event(Kind.VIEW_ITEM, 1, user, clock.now_ms()))  # changes nothing that the rule reads
        await rig.leases.balance()
        await worker.step()
        assert rig.worker_metrics.contended.value == 1
        assert await rig.segments_of(user) == [ids(7)]
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.events.keys() == {Kind.PAGE_VIEW, Kind.VIEW_ITEM}


async def test_an_event_is_still_applied_once_after_a_pass(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue()) as (rig, reindexer):
        user = new_user_id()
        await visit(rig, clock, user)
        rig.directory.replace(catalogue([VISITED]))
        await finish(reindexer, clock)
        stored = (await rig.store.read({user: [1]}))[user]
        assert len(stored.last) == 20
        await visit(rig, clock, user)
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.pages == 2


async def test_another_worker_goes_on_where_a_dead_one_stopped(valkey: str, clock: ManualClock) -> None:
    async with rig_with_scanner(valkey, clock, catalogue()) as (rig, scanner):
        users = [new_user_id() for _ in range(1_500)]
        await visit(rig, clock, *users)
        rig.directory.replace(catalogue([VISITED]))
        first, second = make_reindexer(rig, scanner), make_reindexer(rig, scanner)
        assert (await first.step(), await second.step()) == (None, None)
        clock.advance(SETTLE_S)
        looked_at = await first.step()
        assert looked_at
        assert (await read_progress(rig.store)).position
        assert await second.step() is None, "the first one still holds the pass"
        await rig.store.commands([("DEL", SEGMENT_SWEEP_OWNER)])  # its lease has run out
        assert await finish(second, clock) < len(users)
        assert set(await rig.segments_of(*users)) == {ids(7)}


async def test_a_pass_begins_again_after_a_restart_of_the_server(valkey: str, clock: ManualClock) -> None:
    async with rig_with_scanner(valkey, clock, catalogue()) as (rig, scanner):
        users = [new_user_id() for _ in range(1_500)]
        await visit(rig, clock, *users)
        rig.directory.replace(catalogue([VISITED]))
        first = make_reindexer(rig, scanner)
        await first.step()
        clock.advance(SETTLE_S)
        await first.step()
        await rig.store.commands([("HSET", SEGMENT_SWEEP, "server", "another run"), ("DEL", SEGMENT_SWEEP_OWNER)])
        assert await finish(make_reindexer(rig, scanner), clock) >= len(users)
        assert set(await rig.segments_of(*users)) == {ids(7)}


async def test_rules_that_are_reverted_in_the_middle_of_a_pass_are_brought_back(
    valkey: str, clock: ManualClock
) -> None:
    async with rig_with_pass(valkey, clock, catalogue()) as (rig, reindexer):
        users = [new_user_id() for _ in range(1_500)]
        await visit(rig, clock, *users)
        await finish(reindexer, clock)
        rig.directory.replace(catalogue([VISITED]))
        await reindexer.step()
        clock.advance(SETTLE_S)
        await reindexer.step()
        assert ids(7) in await rig.segments_of(*users)
        rig.directory.replace(catalogue())
        await finish(reindexer, clock)
        assert set(await rig.segments_of(*users)) == {b""}


async def test_users_who_opted_out_are_left_alone(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue()) as (rig, reindexer):
        user = new_user_id()
        await visit(rig, clock, user)
        await rig.store.commands([("HSET", user_profile(user), META_FIELD, pack_meta(Meta(opted_out=True)))])
        before = await rig.store.read({user: [1]})
        rig.directory.replace(catalogue([VISITED]))
        assert await finish(reindexer, clock) == 1
        assert await rig.store.read({user: [1]}) == before


async def test_an_unreachable_catalogue_starts_no_pass(valkey: str, clock: ManualClock) -> None:
    async with rig_with_scanner(valkey, clock, catalogue([VISITED])) as (rig, scanner):
        await finish(make_reindexer(rig, scanner), clock)
        empty = CatalogueDirectory(CompiledRules)
        planner = UserPlanner(empty, rig.worker_metrics, PARTITIONS)
        blind = SegmentReindexer(rig.store, scanner, planner, empty.rule_versions, rig.sizes, clock, Telemetry())
        assert await finish(blind, clock) == 0
        assert (await read_progress(rig.store)).seen == {1: rig.directory.rules(1).version}


async def test_progress_is_empty_before_the_first_pass(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        assert await read_progress(rig.store) == Progress()


async def hot_of(rig: EventRig, user: str, advertiser_id: int) -> bytes:
    (hot,) = await rig.store.commands([("HGET", user_profile(user), advertiser_id)])
    return hot if isinstance(hot, bytes) else b""


async def as_version_1(rig: EventRig, user: str) -> None:
    """Leave the user's fields as the release before wrote them: without references."""
    (flat,) = await rig.store.commands([("HGETALL", user_profile(user))])
    assert isinstance(flat, list)
    for name, hot in zip(flat[::2], flat[1::2], strict=True):
        if name.isdigit():
            old = b"\x01" + hot[1 : windows_end(hot)]
            await rig.store.commands([("HSET", user_profile(user), name, old)])


async def test_profiles_of_the_layout_before_are_rewritten_without_an_event(valkey: str, clock: ManualClock) -> None:
    users = [new_user_id() for _ in range(30)]
    published = catalogue(segments=[VISITED, OTHERS])
    async with rig_with_scanner(valkey, clock, published) as (rig, scanner):
        reindexer = make_reindexer(rig, scanner)
        viewed = [Event(Kind.VIEW_ITEM, 1, user, clock.now_ms(), path="/", items=(Item("boot"),)) for user in users]
        await rig.send(*viewed)
        await visit(rig, clock, *users)
        await visit(rig, clock, *users[:10], advertiser_id=3)  # which has no rules
        await finish(reindexer, clock)
        before = {user: [await hot_of(rig, user, 1), await hot_of(rig, user, 3)] for user in users}
        for user in users:
            await as_version_1(rig, user)
        await rig.store.commands([("HDEL", SEGMENT_SWEEP, "layout"), ("DEL", SEGMENT_SWEEP_OWNER)])
        again = make_reindexer(rig, scanner)
        await again.step()
        assert [finding.severity for finding in judge_pass(await read_progress(rig.store))] == [Severity.NOTE]
        assert await finish(again, clock) == 30
        assert {user: [await hot_of(rig, user, 1), await hot_of(rig, user, 3)] for user in users} == before
        hot = before[users[0]][0]
        assert unpack_references(hot) == ((product_reference("boot"),), 0)
        assert [window[0] for window in unpack_windows(hot)] == [7]
        progress = await read_progress(rig.store)
        assert (progress.layout, progress.rewritten) == (HOT_VERSION, 30)
        assert [finding.severity for finding in judge_pass(progress)] == [Severity.OK]
        assert await finish(again, clock) == 0


async def test_a_new_installation_has_nothing_to_rewrite(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue()) as (rig, reindexer):
        await rig.store.commands([("HDEL", SEGMENT_SWEEP, "layout")])
        assert await finish(reindexer, clock) == 0
        assert (await read_progress(rig.store)).layout == HOT_VERSION


# What the release after this one might mean by the same rules: other people are members.
BEFORE = [msgspec.structs.replace(VISITED, rule="pages.count = 1"), FREQUENT]
AFTERWARDS = [msgspec.structs.replace(VISITED, rule="pages.count = 2"), FREQUENT]


@contextlib.asynccontextmanager
async def a_release_later(
    url: str, clock: ManualClock, users: Iterable[str], twice: Iterable[str]
) -> AsyncIterator[tuple[EventRig, ServerScanner, SegmentReindexer]]:
    """Visitors whose profiles the release before has seen, and the pass of one that means something else."""
    async with rig_with_scanner(url, clock, catalogue(BEFORE)) as (rig, scanner):
        await finish(make_reindexer(rig, scanner, meaning="before"), clock)
        await visit(rig, clock, *users)
        await visit(rig, clock, *twice)
        await rig.store.commands([("DEL", SEGMENT_SWEEP_OWNER)])
        rig.directory.replace(catalogue(AFTERWARDS))
        reindexer = make_reindexer(rig, scanner, meaning="afterwards")
        await reindexer.step()
        clock.advance(SETTLE_S)
        yield rig, scanner, reindexer


async def members(rig: EventRig, clock: ManualClock, *segments: int) -> list[int]:
    return [await rig.sizes.size(segment, clock.now_ms()) for segment in segments]


async def test_no_audience_moves_before_the_pass_over_a_new_meaning_is_done(valkey: str, clock: ManualClock) -> None:
    users = [new_user_id() for _ in range(1_500)]
    async with a_release_later(valkey, clock, users, users[:100]) as (rig, _, reindexer):
        before = await rig.segments_of(*users)
        assert await members(rig, clock, 7, 8) == [1_400, 100]
        while await reindexer.step():
            assert await rig.segments_of(*users) == before, "an audience moved in the middle of the pass"
            assert await members(rig, clock, 7, 8) == [1_400, 100]
            clock.advance(1.0)
        progress = await read_progress(rig.store)
        assert (progress.waiting, progress.rewritten, progress.share < 1) == (True, 1_500, True)
        (finding,) = judge_pass(progress)
        assert (finding.severity, "all audiences change at" in finding.text) == (Severity.NOTE, True)
        clock.advance(progress.takes_over_s - clock.now_ms() / 1000 - 1)
        assert await rig.segments_of(*users) == before
        clock.advance(1)
        assert await rig.segments_of(*users) == [ids(7, 8)] * 100 + [b""] * 1_400
        assert await members(rig, clock, 7, 8) == [100, 100]
        assert await finish(reindexer, clock) == 0
        progress = await read_progress(rig.store)
        assert (progress.targets, progress.takes_over_s, progress.meaning) == ({}, 0, "afterwards")
        assert [finding.severity for finding in judge_pass(progress)] == [Severity.OK]


async def test_what_a_visitor_does_counts_at_once_while_a_new_meaning_waits(valkey: str, clock: ManualClock) -> None:
    user, other = new_user_id(), new_user_id()
    async with a_release_later(valkey, clock, [user, other], ()) as (rig, _, reindexer):
        await reindexer.step()
        await visit(rig, clock, user)
        assert await rig.segments_of(user, other) == [ids(7, 8), ids(7)]
        clock.advance(TAKE_OVER_MARGIN_S)
        assert await rig.segments_of(user, other) == [ids(7, 8), b""]


async def test_a_moment_that_cannot_be_kept_is_put_off_for_everybody(valkey: str, clock: ManualClock) -> None:
    users = [new_user_id() for _ in range(1_500)]
    async with a_release_later(valkey, clock, users, users[:100]) as (rig, _, reindexer):
        before = await rig.segments_of(*users)
        await reindexer.step()
        first = await read_progress(rig.store)
        assert first.position, "the pass is to be in the middle"
        clock.advance(first.takes_over_s - clock.now_ms() / 1000 - 1)  # all workers were away
        await reindexer.step()
        second = await read_progress(rig.store)
        assert (second.put_off_s, second.takes_over_s > first.takes_over_s) == ([first.takes_over_s], True)
        while await reindexer.step():
            pass
        clock.advance(2)
        assert clock.now_ms() > 1000 * first.takes_over_s
        assert await rig.segments_of(*users) == before
        clock.advance(second.takes_over_s - clock.now_ms() / 1000)
        assert await rig.segments_of(*users) == [ids(7, 8)] * 100 + [b""] * 1_400


async def test_a_pass_that_was_away_at_its_moment_brings_the_rest_at_once(
    valkey: str, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    users = [new_user_id() for _ in range(1_500)]
    async with a_release_later(valkey, clock, users, users[:100]) as (rig, scanner, reindexer):
        await reindexer.step()
        progress = await read_progress(rig.store)
        clock.advance(progress.takes_over_s - clock.now_ms() / 1000 + 1)
        await rig.store.commands([("HSET", SEGMENT_SWEEP, "server", "another run"), ("DEL", SEGMENT_SWEEP_OWNER)])
        await finish(make_reindexer(rig, scanner, meaning="afterwards"), clock)
        assert await rig.segments_of(*users) == [ids(7, 8)] * 100 + [b""] * 1_400
    assert "was away" in caplog.text


async def test_members_of_both_meanings_stay_members_since_they_came(valkey: str, clock: ManualClock) -> None:
    user = new_user_id()
    async with a_release_later(valkey, clock, [user], [user]) as (rig, _, reindexer):
        before = unpack_windows(await hot_of(rig, user, 1))
        while await reindexer.step():
            pass
        after = unpack_windows(await hot_of(rig, user, 1))
        assert [window for window in after if window[0] == 8] == [window for window in before if window[0] == 8]


async def test_an_advertisers_own_change_waits_for_nobody(valkey: str, clock: ManualClock) -> None:
    async with rig_with_pass(valkey, clock, catalogue(BEFORE)) as (rig, reindexer):
        user = new_user_id()
        await visit(rig, clock, user)
        await finish(reindexer, clock)
        rig.directory.replace(catalogue(AFTERWARDS))
        await finish(reindexer, clock)
        assert await rig.segments_of(user) == [b""]
