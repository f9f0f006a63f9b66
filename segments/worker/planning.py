"""What the worker will write for one user, decided without I/O: stored state and new events in, commands out.

The order matters and is kept by the worker: events passed on to linked devices, hooks that fall due and segment samples
are written before the profile is committed and can be repeated without harm; the commit comes last and happens once. An
erasure may come in between and refuse the commit. The next attempt finds its tombstone, drops the events from before
it, and takes back what the lost attempt, or one that a crash ended, may have left of them.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from core.keys import event_stream, person
from core.model import Advertiser
from segments.audiences.due import due_command, not_due_command
from segments.audiences.leftovers import uncalled_commands
from segments.audiences.sizes import Membership, membership_changes, rounded
from segments.facts.apply import ApplyPolicy, apply_event, apply_lists, forget_lists
from segments.facts.event import FORGET, LINK, LINK_BACK, LISTED, OWN_KINDS, SERVER_ORIGIN, Event, Kind, pack_event
from segments.facts.facts import DAY_S, FACT_NAMES, MAX_DEVICES, Facts, digests_of
from segments.facts.layout import (
    LayoutError,
    PackedProducts,
    Window,
    expires_of,
    expiry_s,
    pack_cold,
    pack_hot,
    stored_windows,
    unpack_cold,
    unpack_cold_parts,
    unpack_windows,
)
from segments.facts.merge import merge
from segments.facts.repeats import is_repeated
from segments.facts.streams import revised, unpack_id
from segments.facts.traits import NO_DETAILS, Details, refresh_traits
from segments.profiles.directory import Directory
from segments.profiles.log import FIELD, partition_of
from segments.profiles.metrics import WorkerMetrics
from segments.profiles.reading import Command
from segments.profiles.store import StoredField, StoredUser, UserWrite
from segments.worker.purchases import LogEntry, Purchase, order_before, purchase_of
from segments.worker.taking_over import AT_ONCE, TakingOver

log = logging.getLogger(__name__)

Persons = Mapping[tuple[int, bytes], Sequence[str]]
"""(advertiser id, person digest) -> user ids of all devices that logged in as this person."""

ALL_FACTS: Final = FACT_NAMES

# A background pass removes what it may have written of a profile that was erased within so long before: a pass that
# crashed has gone on by then.
_RECENT_MS: Final = DAY_S * 1000


ShopDetails = Mapping[int, Details]
"""Details of products by advertiser id."""

NOTHING_TOLD: Final[ShopDetails] = {}


class PoisonError(Exception):
    """An event that cannot be applied; a fault of ours. The worker sets it aside and plans the user again."""

    def __init__(self, entry: LogEntry) -> None:
        super().__init__(f"event {unpack_id(entry.id)} of kind {entry.event.kind} cannot be applied")
        self.entry = entry


class UserPlan(msgspec.Struct, frozen=True):
    """`write` is None when the profile stays as it is; the rest is to be done all the same."""

    write: UserWrite | None
    side: tuple[Command, ...] = ()
    due: tuple[Command, ...] = ()  # `due_command`s
    memberships: tuple[Membership, ...] = ()
    applied: tuple[bytes, ...] = ()  # ids
    purchases: tuple[Purchase, ...] = ()


class _State:
    """One advertiser's part of the user while events are applied to it."""

    __slots__ = ("advertiser", "changed", "cold", "facts", "hot", "products")

    def __init__(
        self,
        advertiser: Advertiser,
        facts: Facts,
        hot: bytes,
        changed: frozenset[str],
        products: PackedProducts | None = None,
    ) -> None:
        self.products = products
        self.cold = b""  # the facts as they are stored; empty once an event may have changed them
        self.advertiser = advertiser
        self.facts = facts
        self.hot = hot
        self.changed = changed


class UserPlanner:
    """Plans users, one at a time; holds what all plans need."""

    def __init__(
        self, directory: Directory, metrics: WorkerMetrics, partitions: int, policy: ApplyPolicy | None = None
    ) -> None:
        self._directory = directory
        self._metrics = metrics
        self._partitions = partitions
        self._policy = policy or ApplyPolicy()

    @property
    def ready(self) -> bool:
        """Whether the catalogue is there; nothing may be planned before."""
        return self._directory.ready

    @property
    def segment_ids(self) -> Sequence[int]:
        """Ids of all active segments."""
        return self._directory.segment_ids

    def knows(self, advertiser_id: int) -> bool:
        """Whether events of this advertiser can be applied."""
        return self._directory.advertiser(advertiser_id) is not None

    def retention_s(self, advertiser_id: int) -> int:
        """How long the advertiser's facts are kept after the last event; a day for an advertiser that is not known."""
        advertiser = self._directory.advertiser(advertiser_id)
        return (advertiser.profile_retention_days if advertiser else 1) * DAY_S

    def asked(self, advertiser_id: int) -> frozenset[str]:
        """What the advertiser's rules ask of products (segments.facts.traits)."""
        return self._directory.rules(advertiser_id).traits

    def plan(
        self,
        user: StoredUser,
        entries: Sequence[LogEntry],
        persons: Persons,
        now_ms: int,
        details: ShopDetails = NOTHING_TOLD,
    ) -> UserPlan:
        """The plan for `entries`, oldest first. Raises PoisonError for an event that cannot be applied."""
        states: dict[int, _State] = {}
        side: list[Command] = []
        purchases: list[Purchase] = []
        applied: list[bytes] = []
        erased: list[Event] = []
        last = user.last
        for entry in entries:
            if entry.id <= last:
                self._metrics.repeated.inc()
                continue
            last = entry.id
            state = self._state_for(user, entry, states, now_ms)
            if state is None:
                if happened_ms(entry) <= user.meta.erased_ms:
                    erased.append(entry.event)
                continue
            before, bought = order_before(state.facts, entry.event), state.facts.purchases > 0
            try:
                if not self._apply(state, user.user_id, entry, persons, side, details):
                    continue
            except Exception as error:
                raise PoisonError(entry) from error
            applied.append(entry.id)
            if entry.event.kind == Kind.PURCHASE and entry.event.origin in ("", SERVER_ORIGIN):
                purchases.append(purchase_of(state.facts, user.user_id, entry, before, bought))
        plan = self._finish(user, states, side, applied, last, now_ms) if states else UserPlan(None)
        if purchases:
            plan = msgspec.structs.replace(plan, purchases=tuple(purchases))
        if not erased:
            return plan
        kept = {
            (entry.event.advertiser_id, digest)
            for entry in entries
            if entry.id in applied
            for digest in (entry.event.person, *entry.event.known_as)
        }
        return self._taking_back(plan, user.user_id, erased, kept)

    def _taking_back(
        self, plan: UserPlan, user_id: str, erased: Sequence[Event], kept: Collection[tuple[int, bytes]]
    ) -> UserPlan:
        """The plan that first removes what earlier attempts may have written of events that are erased now.

        `kept` are (advertiser id, person) of logins after the erasure.
        """
        persons = {
            (event.advertiser_id, digest) for event in erased for digest in (event.person, *event.known_as) if digest
        }.difference(kept)
        removals: list[Command] = [
            ("SREM", person(advertiser_id, digest.hex()), user_id) for advertiser_id, digest in persons
        ]
        gone = self._no_memberships(user_id, {event.advertiser_id for event in erased})
        return msgspec.structs.replace(plan, side=(*removals, *plan.side), memberships=(*gone, *plan.memberships))

    def _no_memberships(self, user_id: str, advertiser_ids: Collection[int]) -> list[Membership]:
        """Remove the user from the samples of all segments of these advertisers."""
        segments = map(self._directory.segment, self._directory.segment_ids)
        return [
            Membership(segment.id, user_id, None)
            for segment in segments
            if segment is not None and segment.advertiser_id in advertiser_ids
        ]

    def reevaluate(
        self,
        user: StoredUser,
        advertiser_ids: Collection[int],
        now_ms: int,
        details: ShopDetails = NOTHING_TOLD,
        take_over: TakingOver = AT_ONCE,
    ) -> UserPlan:
        """The plan that evaluates all rules of these advertisers over the stored facts, without an event.

        Traits of products are first brought up to `details`. Nothing is written of advertisers that do not know the
        user, or where facts and windows are what they should be.
        """
        states: dict[int, _State] = {}
        for advertiser_id in advertiser_ids:
            advertiser = self._directory.advertiser(advertiser_id)
            stored = user.fields.get(advertiser_id, StoredField())
            if user.meta.opted_out or advertiser is None or not stored.cold:
                continue
            state = _load(advertiser, stored, now_ms)
            if state.facts.last_visit_s or state.facts.last_purchase_s:  # neither expired nor damaged
                refreshed = refresh_traits(state.facts, details.get(advertiser_id, NO_DETAILS))
                state.changed, state.cold = ALL_FACTS, b"" if refreshed else stored.cold
                states[advertiser_id] = state
        plan = self._finish(user, states, [], [], revised(user.last), now_ms, take_over)
        if plan.write is None:
            return plan
        if not states and now_ms - user.meta.erased_ms < _RECENT_MS:
            return UserPlan(None, memberships=tuple(self._no_memberships(user.user_id, advertiser_ids)))
        fields = {key: field for key, field in plan.write.fields.items() if field != user.fields[key]}
        write = msgspec.structs.replace(plan.write, fields=fields) if fields else None
        return msgspec.structs.replace(plan, write=write)

    def _state_for(self, user: StoredUser, entry: LogEntry, states: dict[int, _State], now_ms: int) -> _State | None:
        advertiser_id = entry.event.advertiser_id
        if user.meta.opted_out:
            self._metrics.opted_out.inc()
            return None
        if happened_ms(entry) <= user.meta.erased_ms:
            self._metrics.erased.inc()
            return None
        if advertiser_id not in states:
            advertiser = self._directory.advertiser(advertiser_id)
            if advertiser is None:
                self._metrics.unknown_advertiser.inc()
                return None
            states[advertiser_id] = _load(advertiser, user.fields.get(advertiser_id, StoredField()), now_ms)
        return states[advertiser_id]

    def _apply(
        self,
        state: _State,
        user_id: str,
        entry: LogEntry,
        persons: Persons,
        side: list[Command],
        details: ShopDetails,
    ) -> bool:
        event, facts = entry.event, state.facts
        if event.origin and not self._receives(facts, event):
            return False
        if event.kind in OWN_KINDS:
            self._apply_own(state, user_id, entry, side)
            return True
        # An order counts once by its number, for longer, and may be corrected: its event id is not looked at.
        if not (event.kind == Kind.PURCHASE and event.order) and is_repeated(facts, event.once):
            self._metrics.repeated.inc()
            return False
        logs_in = bool(event.person) and event.person != facts.person
        if logs_in:
            facts.devices = []
            state.changed |= forget_lists(facts)
        state.changed |= apply_event(facts, event, self._policy, details.get(event.advertiser_id, NO_DETAILS))
        if not event.origin:
            if event.kind != Kind.HEARTBEAT:
                for device in facts.devices:
                    passed = msgspec.structs.replace(event, user_id=device, origin=user_id, origin_id=entry.id)
                    side.append(self._forward(passed))
            if logs_in:
                self._introduce(facts, user_id, entry, persons, side)
        return True

    def _apply_own(self, state: _State, user_id: str, entry: LogEntry, side: list[Command]) -> None:
        """Apply an event of our own kinds, which no shop can send."""
        event = entry.event
        if event.kind == FORGET:
            side += _forget(state, user_id)
        elif event.kind == LISTED:
            state.changed |= apply_lists(state.facts, event.lists)
        else:
            self._link(state, user_id, entry, side)

    def _receives(self, facts: Facts, event: Event) -> bool:
        """Whether an event of another device, or of the shop's server, is to be applied here, for the first time."""
        if event.origin != SERVER_ORIGIN and not facts.person:
            return False  # the visitor has left the shop on this device, which is linked to no person any more
        if event.origin_id:
            if facts.forwarded.get(event.origin, b"") >= event.origin_id:
                self._metrics.repeated.inc()
                return False
            facts.forwarded[event.origin] = event.origin_id
            _bound_forwarded(facts)
        return True

    def _introduce(self, facts: Facts, user_id: str, entry: LogEntry, persons: Persons, side: list[Command]) -> None:
        """Tell the person's other devices about this one; they answer with what they know (LINK_BACK)."""
        event = entry.event
        known = persons.get((event.advertiser_id, event.person), ())
        others = [device for device in known if device != user_id][:MAX_DEVICES]
        if not others:
            return
        snapshot = pack_cold(facts)
        facts.devices = list(others)
        side.extend(self._forward(_link(LINK, event, device, user_id, entry.id, snapshot)) for device in others)

    def _link(self, state: _State, user_id: str, entry: LogEntry, side: list[Command]) -> None:
        event, facts = entry.event, state.facts
        if event.person != facts.person:
            return  # somebody else has logged in here since, or the visitor has left
        if event.kind == LINK:
            snapshot = pack_cold(facts)
            side.append(self._forward(_link(LINK_BACK, event, event.origin, user_id, entry.id, snapshot)))
        merge(facts, user_id, unpack_cold(event.snapshot), event.origin)
        facts.person = event.person
        if event.origin not in facts.devices and len(facts.devices) < MAX_DEVICES:
            facts.devices.append(event.origin)
        state.changed = ALL_FACTS

    def _forward(self, event: Event) -> Command:
        stream = event_stream(partition_of(event.user_id, self._partitions))
        return ("XADD", stream, "*", FIELD, pack_event(event))

    def _finish(
        self,
        user: StoredUser,
        states: Mapping[int, _State],
        side: list[Command],
        applied: list[bytes],
        last: bytes,
        now_ms: int,
        take_over: TakingOver = AT_ONCE,
    ) -> UserPlan:
        fields: dict[int, StoredField] = {}
        memberships: list[Membership] = []
        due: list[Command] = []
        latest_expiry_s = 0
        for advertiser_id, state in states.items():
            before, before_expires_s = _windows(state.hot)
            expires_s = expiry_s(state.facts, state.advertiser.profile_retention_days)
            if expires_s * 1000 <= now_ms:  # the retention of all facts is over: the field goes
                fields[advertiser_id] = StoredField()
                memberships += membership_changes(user.user_id, before, (), now_ms // 1000)
                side += [not_due_command(advertiser_id, row, user.user_id, self._partitions) for row in before]
                continue
            latest_expiry_s = max(latest_expiry_s, expires_s)
            windows = self._renewed(advertiser_id, state, before, before_expires_s, now_ms, take_over)
            after = stored_windows(windows, now_ms // 1000, expires_s)
            hot = pack_hot(state.facts, after, now_ms // 1000, expires_s)
            products = None if "products" in state.changed else state.products
            fields[advertiser_id] = StoredField(hot, state.cold or pack_cold(state.facts, products))
            memberships += membership_changes(
                user.user_id, rounded(before, before_expires_s), rounded(after, expires_s), now_ms // 1000
            )
            if "visit_start_s" in state.changed:  # the person's list of devices lives as long as the facts
                keys = [person(advertiser_id, digest.hex()) for digest in digests_of(state.facts)]
                side += [("EXPIRE", key, self.retention_s(advertiser_id), "GT") for key in keys]
            self._hooks(user.user_id, advertiser_id, before, after, now_ms // 1000, side, due)
        ttl_ms = max(0, latest_expiry_s * 1000 - now_ms)
        write = UserWrite(user, last, fields, ttl_ms)
        return UserPlan(write, tuple(side), tuple(due), tuple(memberships), tuple(applied))

    def _renewed(
        self,
        advertiser_id: int,
        state: _State,
        before: Sequence[Window],
        before_expires_s: int,
        now_ms: int,
        take_over: TakingOver,
    ) -> Sequence[Window]:
        """All windows after an event, or after the pass."""
        rules = self._directory.rules(advertiser_id)
        if not take_over.lies_ahead(now_ms // 1000):
            return rules.renewed(state.facts, state.changed, now_ms, before, before_expires_s)
        stored = take_over.before(before)
        new = rules.renewed(state.facts, state.changed, 1000 * take_over.at_s, stored, before_expires_s)
        kept = {window[0] for window in stored if self._directory.segment(window[0]) is not None}
        return take_over.joined(stored, new, kept)

    def _hooks(
        self,
        user_id: str,
        advertiser_id: int,
        before: Sequence[Window],
        after: Sequence[Window],
        now_s: int,
        side: list[Command],
        due: list[Command],
    ) -> None:
        """Memberships with a hook that begin now or later; audiences/hooks.py looks again when they are due."""
        hooked = self._directory.hooked
        if not hooked:
            return
        inside = {segment for segment, enter, leave in before if enter <= now_s < leave}
        edges = {window[:2] for window in after}
        due += [
            due_command(advertiser_id, window, user_id, max(window[1], now_s), self._partitions)
            for window in after
            if window[0] in hooked and (window[1] > now_s or window[0] not in inside)
        ]
        side += [
            not_due_command(advertiser_id, window, user_id, self._partitions)
            for window in before
            if window[0] in hooked and window[:2] not in edges
        ]


def _forget(state: _State, user_id: str) -> list[Command]:
    """Empty the facts, so that the field goes; returns commands that remove what else this shop has of the user."""
    known, removals = digests_of(state.facts), uncalled_commands(user_id, _windows(state.hot)[0])
    state.facts, state.products, state.changed = Facts(), None, ALL_FACTS
    return [*removals, *(("SREM", person(state.advertiser.id, digest.hex()), user_id) for digest in known)]


def happened_ms(entry: LogEntry) -> int:
    """When an entry was acknowledged (unix ms), on the device where it happened."""
    at_ms = unpack_id(entry.id)[0]
    return min(at_ms, unpack_id(entry.event.origin_id)[0]) if entry.event.origin_id else at_ms


def _link(kind: str, event: Event, to: str, origin: str, origin_id: bytes, snapshot: bytes) -> Event:
    return Event(
        kind, event.advertiser_id, to, event.at_ms,
        person=event.person, origin=origin, origin_id=origin_id, snapshot=snapshot,
    )  # fmt: skip


def _bound_forwarded(facts: Facts) -> None:
    while len(facts.forwarded) > 2 * MAX_DEVICES:
        del facts.forwarded[min(facts.forwarded, key=facts.forwarded.__getitem__)]


def _load(advertiser: Advertiser, stored: StoredField, now_ms: int) -> _State:
    """Stored facts, or none when there are none, the retention is over, or the bytes are damaged."""
    if not stored.cold:
        return _State(advertiser, Facts(), stored.hot, ALL_FACTS)
    try:
        facts, products = unpack_cold_parts(stored.cold)
    except LayoutError as error:
        log.error("a profile field of advertiser %d is dropped: %s", advertiser.id, error)
        return _State(advertiser, Facts(), b"", ALL_FACTS)
    if expiry_s(facts, advertiser.profile_retention_days) * 1000 <= now_ms:
        return _State(advertiser, Facts(), stored.hot, ALL_FACTS)
    return _State(advertiser, facts, stored.hot, frozenset() if stored.hot else ALL_FACTS, products)


def _windows(hot: bytes) -> tuple[list[Window], int]:
    """Stored windows and the end at which they were cut; none of a field of another version."""
    try:
        return unpack_windows(hot), expires_of(hot)
    except LayoutError:
        return [], 0
