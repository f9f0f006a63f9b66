"""The loop between the event log and the profiles: read, plan, write, move the cursor.

One worker owns some partitions (partitions.py) and handles the entries of all of them together, so that a busy loop
pays four round trips for hundreds of events. A crash at any point repeats work that recognises itself: the profile
knows the last event applied to it, and the cursor moves only after everything before it is applied.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, NamedTuple

import msgspec

from core.clock import Clock
from core.errors import UnavailableError
from core.keys import event_dead, event_stream, person, user_profile
from core.telemetry.logs import WITHOUT_CONTENT
from segments.audiences.due import taken_back
from segments.audiences.leftovers import expiry_commands
from segments.audiences.rosters import RosterLookup
from segments.audiences.sizes import Membership, SegmentSizes
from segments.audiences.tag_health import TagHealth
from segments.facts.event import SERVER_ORIGIN, Event, unpack_event
from segments.facts.meta import unpack_meta
from segments.facts.streams import after, pack_id, unpack_id
from segments.profiles.log import FIELD, partition_of
from segments.profiles.metrics import WorkerMetrics
from segments.profiles.partitions import PartitionLeases
from segments.profiles.reading import META_FIELD, Command
from segments.profiles.store import ProfileStore, StoredUser
from segments.worker.planning import (
    Persons,
    PoisonError,
    ShopDetails,
    UserPlan,
    UserPlanner,
    happened_ms,
)
from segments.worker.purchases import LogEntry, Purchase
from segments.worker.telling import AskProducts, ProductTeller, nothing_known

log = logging.getLogger(__name__)

# Entries of one round over all partitions: 0.13 s of work at 0.26 ms each. A round must end well within a lease, even
# on a machine that gives the worker a tenth of a core, or its work would be repeated instead of being acknowledged.
ROUND_ENTRIES: Final = 500
# Planning is pure computation: after so many users other tasks get their turn, so that leases are renewed in time.
USERS_PER_TURN: Final = 25
# An idle worker looks this often; half of it is the mean time an event waits.
IDLE_S: Final = 0.02
RETRY_S: Final = 0.25
# Every role has a new catalogue within a second; an advertiser unknown for longer was archived meanwhile.
ADVERTISER_WAIT_MS: Final = 10_000
HOUSE_S: Final = 1.0
TIDY_S: Final = 60.0
# Another writer (an erasure, a worker that lost its lease) can win a few times, not for ever.
MAX_ROUNDS: Final = 20
MAX_DEAD: Final = 10_000


class StoredRow(NamedTuple):
    """One stream entry as it was read."""

    id: bytes  # packed, see streams.py
    event: Event | None  # None: it cannot be decoded
    blob: bytes


OnPurchase = Callable[[Purchase], Awaitable[None]]
OnApplied = Callable[[Sequence[Event]], None]


async def nobody_asks(_purchase: Purchase) -> None:
    """The `on_purchase` of a worker whose orders are not credited to ads."""


def nobody_watches(_events: Sequence[Event]) -> None:
    """The `on_applied` of a worker of which nobody wants to know what was applied."""


class EventWorker:
    """Applies events of the partitions that `leases` holds.

    `on_purchase` is told of each order, at least once and before the event counts as applied: it must recognise
    repetitions. It raises UnavailableError to be asked again. `on_applied` is told of events after they were applied,
    at most once: it must not wait. `ask_products` knows the feeds, for rules that ask for what a product was like.
    """

    def __init__(
        self,
        store: ProfileStore,
        leases: PartitionLeases,
        planner: UserPlanner,
        sizes: SegmentSizes,
        tags: TagHealth,
        clock: Clock,
        metrics: WorkerMetrics,
        partitions: int,
        on_purchase: OnPurchase = nobody_asks,
        on_applied: OnApplied = nobody_watches,
        ask_products: AskProducts = nothing_known,
    ) -> None:
        self._store = store
        self._leases = leases
        self._planner = planner
        self._sizes = sizes
        self._tags = tags
        self._clock = clock
        self._metrics = metrics
        self._partitions = partitions
        self._on_purchase = on_purchase
        self._on_applied = on_applied
        self._products = ProductTeller(planner, ask_products)
        self._rosters = RosterLookup(store, clock)
        self._cursors: dict[int, tuple[bytes, bytes]] = {}  # partition -> (lease value, cursor)

    async def run(self) -> None:
        """Work until cancelled; then give the partitions back.

        Raises ExceptionGroup, with the partitions given back, as soon as one of the tasks fails: without the one that
        keeps the leases the worker would stand still and look alive. The role counts that, and runs it again.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._leases.keep())
                tasks.create_task(self._keep_house())
                tasks.create_task(self._keep_working())
        finally:
            await self._leave()

    async def _keep_working(self) -> None:
        while True:
            await self._round()

    async def _leave(self) -> None:
        try:
            await self._leases.release_all()
        except UnavailableError as error:
            log.warning("partitions are left to run out, Redis does not answer: %s", error.message)

    async def _keep_house(self) -> None:
        """Count the backlog; in the owner of partition 0, tidy the segments' samples and expire what was set aside."""
        tidied = self._clock.monotonic()
        while True:
            await asyncio.sleep(HOUSE_S)
            try:
                owned = self._leases.owned
                lengths = await self._store.commands([("XLEN", event_stream(partition)) for partition in owned])
                self._metrics.backlog.set(sum(int(str(length)) for length in lengths))
                if 0 in owned and self._clock.monotonic() - tidied >= TIDY_S:
                    await self._sizes.tidy(self._planner.segment_ids, self._clock.now_ms())
                    await self._store.commands(expiry_commands(range(self._partitions), self._clock.now_ms()))
                    tidied = self._clock.monotonic()
            except UnavailableError as error:
                log.warning("the event backlog is not known, Redis does not answer: %s", error.message)

    async def _round(self) -> None:
        try:
            handled = await self.step()
        except UnavailableError as error:
            log.warning("events wait, Redis does not answer: %s", error.message)
            self._cursors.clear()
            await asyncio.sleep(RETRY_S)
            return
        if not handled:
            await asyncio.sleep(IDLE_S)

    async def step(self) -> int:
        """Read and apply what waits in the partitions held now; returns how many entries that were."""
        owned = self._leases.owned
        self._metrics.partitions.set(len(owned))
        if not owned or not self._planner.ready:
            return 0
        streams = self._without_early(await self._read(owned))
        if not streams:
            return 0
        await self._apply([row for rows in streams.values() for row in rows])
        await asyncio.gather(*(self._advance(at, owned[at], rows[-1].id) for at, rows in streams.items()))
        return sum(map(len, streams.values()))

    def _without_early(self, streams: dict[int, list[StoredRow]]) -> dict[int, list[StoredRow]]:
        """Cut each partition before a fresh event of an advertiser that is not known yet.

        The tracker may have a newer catalogue than the worker for a moment; order within a partition is kept.
        """
        earliest_ms = self._clock.now_ms() - ADVERTISER_WAIT_MS
        kept: dict[int, list[StoredRow]] = {}
        for partition, rows in streams.items():
            early = (
                at
                for at, row in enumerate(rows)
                if row.event is not None
                and not self._planner.knows(row.event.advertiser_id)
                and unpack_id(row.id)[0] > earliest_ms
            )
            ready = rows[: next(early, len(rows))]
            if ready:
                kept[partition] = ready
        return kept

    async def _advance(self, partition: int, lease: bytes, cursor: bytes) -> None:
        if await self._leases.advance(partition, cursor):
            self._cursors[partition] = (lease, cursor)
        else:
            self._cursors.pop(partition, None)

    async def _read(self, owned: dict[int, bytes]) -> dict[int, list[StoredRow]]:
        for partition, lease in owned.items():
            known = self._cursors.get(partition)
            if known is None or known[0] != lease:
                self._cursors[partition] = (lease, await self._leases.cursor(partition))
        count = max(1, ROUND_ENTRIES // len(owned))
        commands: list[Command] = [
            ("XRANGE", event_stream(partition), after(self._cursors[partition][1]), "+", "COUNT", count)
            for partition in owned
        ]
        replies = await self._store.commands(commands)
        found: dict[int, list[StoredRow]] = {}
        for partition, reply in zip(owned, replies, strict=True):
            if isinstance(reply, list) and reply:
                found[partition] = [_row(entry_id, fields) for entry_id, fields in reply]
        return found

    async def _apply(self, rows: Sequence[StoredRow]) -> None:
        """Apply entries to all their users; returns when every one is applied, skipped or set aside."""
        waiting: dict[str, list[LogEntry]] = {}
        for row in rows:
            if row.event is None:
                await self._set_aside(0, row.blob, "cannot be decoded")
            else:
                waiting.setdefault(row.event.user_id, []).append(LogEntry(row.id, row.event))
        lost: dict[str, UserPlan] = {}
        for _ in range(MAX_ROUNDS):
            if not waiting:
                return
            waiting = await self._attempt(waiting, lost)
        raise UnavailableError(f"{len(waiting)} profiles keep changing under the worker", hint="is it running twice?")

    async def _attempt(
        self, waiting: dict[str, list[LogEntry]], lost: dict[str, UserPlan]
    ) -> dict[str, list[LogEntry]]:
        """Read, plan and write once; returns the users whose profile changed in between, to be tried again.

        `lost` has the refused plans of the attempts before, and receives those of this one.
        """
        await self._drop_erased(waiting)
        users = await self._store.read(
            {user: {entry.event.advertiser_id for entry in entries} for user, entries in waiting.items()}
        )
        persons = await self._persons(users, waiting)
        details = await self._products.of_events(entry.event for entries in waiting.values() for entry in entries)
        now_ms = self._clock.now_ms()
        plans: list[tuple[str, UserPlan]] = []
        side: list[Command] = []
        changes: list[Membership] = []
        for number, (user_id, entries) in enumerate(waiting.items()):
            if number % USERS_PER_TURN == USERS_PER_TURN - 1:
                await asyncio.sleep(0)
            user = users[user_id]
            plan = await self._plan(user, entries, persons, now_ms, details)
            if user_id in lost and user.meta.erased_ms:  # undo what the lost plan wrote beside the profile
                side += taken_back(lost.pop(user_id).due)
            side += plan.side
            side += plan.due
            changes += plan.memberships
            if plan.write is not None:
                plans.append((user_id, plan))
        await self._store.commands(side + self._sizes.commands(changes))
        # Before the commit, like all that may be repeated: after it, a crash would leave an order uncredited for ever.
        await asyncio.gather(*(self._on_purchase(purchase) for _, plan in plans for purchase in plan.purchases))
        writes = [plan.write for _, plan in plans if plan.write is not None]
        outcomes = await self._store.write(writes) if writes else []
        again: dict[str, list[LogEntry]] = {}
        done: list[tuple[str, UserPlan]] = []
        for (user_id, plan), written in zip(plans, outcomes, strict=True):
            if written:
                done.append((user_id, plan))
            else:
                again[user_id] = waiting[user_id]
                lost[user_id] = plan
        self._metrics.contended.inc(len(again))
        await self._account(done, waiting)
        return again

    async def _drop_erased(self, waiting: dict[str, list[LogEntry]]) -> None:
        """Drop events that a device passed on before it was erased: they must not come back on another device."""
        origins = {entry.event.origin for entries in waiting.values() for entry in entries} - {"", SERVER_ORIGIN}
        if not origins:
            return
        asked = sorted(origins)
        metas = await self._store.commands([("HGET", user_profile(device), META_FIELD) for device in asked])
        erased_ms = {
            device: unpack_meta(meta).erased_ms
            for device, meta in zip(asked, metas, strict=True)
            if isinstance(meta, bytes)
        }
        if not erased_ms:
            return
        for entries in waiting.values():
            kept = [entry for entry in entries if happened_ms(entry) > erased_ms.get(entry.event.origin, -1)]
            self._metrics.erased.inc(len(entries) - len(kept))
            entries[:] = kept

    async def _plan(
        self, user: StoredUser, entries: list[LogEntry], persons: Persons, now_ms: int, details: ShopDetails
    ) -> UserPlan:
        while True:
            try:
                return self._planner.plan(user, entries, persons, now_ms, details)
            except PoisonError as poison:
                log.exception("an event is set aside", extra=WITHOUT_CONTENT)
                entries.remove(poison.entry)
                partition = partition_of(user.user_id, self._partitions)
                await self._set_aside(partition, msgspec.msgpack.encode(poison.entry.event), str(poison.__cause__))

    async def _persons(self, users: dict[str, StoredUser], waiting: dict[str, list[LogEntry]]) -> Persons:
        """Note which device logged in as which person, and read the person's other devices."""
        logins = {
            (entry.event.advertiser_id, digest, user_id)
            for user_id, entries in waiting.items()
            if not users[user_id].meta.opted_out
            for entry in entries
            if not entry.event.origin and happened_ms(entry) > users[user_id].meta.erased_ms
            for digest in (entry.event.person, *entry.event.known_as)
            if digest
        }
        if not logins:
            return {}
        keys = {(advertiser, digest): person(advertiser, digest.hex()) for advertiser, digest, _ in logins}
        commands: list[Command] = [("SADD", keys[login[:2]], login[2]) for login in logins]
        commands += [("EXPIRE", key, self._planner.retention_s(login[0])) for login, key in keys.items()]
        await self._store.commands(commands)
        await self._look_up(keys, waiting)  # after the device is known: an import that comes later finds it
        replies = await self._store.commands([("SMEMBERS", key) for key in keys.values()])
        return {
            login: sorted(member.decode() for member in reply)
            for login, reply in zip(keys, replies, strict=True)
            if isinstance(reply, list | set)
        }

    async def _look_up(self, logins: Collection[tuple[int, bytes]], waiting: dict[str, list[LogEntry]]) -> None:
        """Let logins say which customer lists name the person."""
        digests: dict[int, list[bytes]] = {}
        for advertiser_id, digest in logins:
            digests.setdefault(advertiser_id, []).append(digest)
        listed = await self._rosters.of(digests)
        if not listed:
            return
        for entries in waiting.values():
            for at, entry in enumerate(entries):
                event = entry.event
                by_digest = [listed.get((event.advertiser_id, one), {}) for one in (event.person, *event.known_as)]
                if found := {name: row for lists in by_digest for name, row in lists.items()}:
                    entries[at] = LogEntry(entry.id, msgspec.structs.replace(event, lists=found))

    async def _account(self, done: Sequence[tuple[str, UserPlan]], waiting: dict[str, list[LogEntry]]) -> None:
        now_ms = self._clock.now_ms()
        applied = {entry_id for _, plan in done for entry_id in plan.applied}
        for entry_id in applied:
            self._metrics.freshness.observe(max(0, now_ms - unpack_id(entry_id)[0]) / 1000)
        if applied:
            self._metrics.applied.inc(len(applied))
            self._metrics.lag_s.set(max(0, now_ms - unpack_id(max(applied))[0]) / 1000)
        events: list[Event] = [entry.event for user_id, _ in done for entry in waiting[user_id] if entry.id in applied]
        self._on_applied(events)
        await self._tags.count(events, now_ms)

    async def _set_aside(self, partition: int, blob: bytes, reason: str) -> None:
        log.error("an event of partition %d %s", partition, reason)
        self._metrics.dead.inc()
        await self._store.commands(
            [("XADD", event_dead(partition), "MAXLEN", "~", MAX_DEAD, "*", FIELD, blob, "reason", reason[:500])]
        )


def _row(entry_id: bytes, fields: list[bytes]) -> StoredRow:
    """A stream entry's flat field list; without an event (and so set aside) for one of another shape."""
    blob = fields[1] if len(fields) == 2 and fields[0] == FIELD else b""
    try:
        return StoredRow(pack_id(entry_id), unpack_event(blob), blob)
    except msgspec.DecodeError:
        return StoredRow(pack_id(entry_id), None, blob)
