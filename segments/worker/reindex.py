"""How a new or changed rule reaches the profiles that exist already: a slow pass over all users in the background.

Events evaluate only rules that read what they change, and most users are silent for days; without the pass a new
segment would fill up one visitor at a time. The same pass rewrites profiles of an older hot layout, which are read as
they are until then. One worker of all walks over the keys with SCAN, evaluates the rules of those advertisers whose
fingerprint changed (of all, where an older layout may be left), and writes like the event worker does: a profile that
an event has changed in between is read again. Where it stands is in one hash, so that another worker goes on after a
crash and the console can show it.

A release that means something else by the same rule (`segments.rules.ruleset.MEANING`) must not move an audience little
by little while the pass runs. Such a pass picks a moment behind its end, and all windows change at that one
(segments.worker.taking_over); until then it counts as running.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from core.clock import Clock
from core.errors import UnavailableError
from core.keys import SEGMENT_SWEEP, SEGMENT_SWEEP_OWNER
from core.telemetry.metrics import Telemetry
from segments.audiences.due import taken_back
from segments.audiences.sizes import SegmentSizes
from segments.facts.layout import HOT_VERSION
from segments.profiles.reading import Command
from segments.profiles.scanning import Scanner
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore
from segments.rules.ruleset import MEANING
from segments.worker.planning import UserPlan, UserPlanner
from segments.worker.taking_over import TakingOver
from segments.worker.telling import AskProducts, ProductTeller, nothing_known

log = logging.getLogger(__name__)

# A pass may take hours; events may not wait for it. Reading and evaluating a profile takes 0.1 (few events) to 0.4 ms
# (all lists full) for 20 rules, so this is a tenth of a core and a million profiles in half an hour.
PROFILES_PER_SECOND: Final = 500
# Every worker polls the catalogue a few times a second. Only when all of them evaluate the new rules may the pass
# begin, or a worker with the old rules would overwrite what the pass wrote.
SETTLE_S: Final = 5.0
# Renewed with every batch. Long enough for the slowest batch, short enough that a dead worker is replaced soon.
LEASE_MS: Final = 15_000
IDLE_S: Final = 1.0
RETRY_S: Final = 1.0
# All new windows begin to count at one moment, which leaves time to do the pass twice and to replace a dead worker.
TAKE_OVER_TIMES: Final = 2
TAKE_OVER_MARGIN_S: Final = 300
# An event between reading and writing a user costs a round; users do not have several within milliseconds.
MAX_ROUNDS: Final = 10

# In `seen`: a pass has begun that changes this advertiser's windows, so no rules are known to have been seen by all.
_UNSETTLED: Final = -1

# Members of `Progress` that are stored as JSON, since they are no plain values.
_AS_JSON: Final = frozenset(("seen", "targets", "put_off_s", "waiting"))

# KEYS: owner, progress. ARGV: owner, lease ms, then fields. 0: another worker owns the pass.
_SAVE: Final = Script(
    """
    local owner = redis.call('GET', KEYS[1])
    if owner and owner ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    if #ARGV > 2 then redis.call('HSET', KEYS[2], unpack(ARGV, 3)) end
    return 1
    """
)


class Asking(Protocol):
    """What is needed to read where the pass stands (segments.profiles.store.ProfileStore has it)."""

    async def commands(self, commands: Sequence[Command]) -> list[object]:
        """Answers in order. Raises UnavailableError."""
        ...


class Progress(msgspec.Struct, frozen=True):
    """Where the pass stands. `targets` are the rules (advertiser -> fingerprint) that it brings, empty for no pass."""

    seen: dict[int, int] = {}  # rules that all profiles have seen
    targets: dict[int, int] = {}
    position: str = ""  # where the scan goes on; only for the server `server`
    server: str = ""
    expected: int = 0  # users when the pass began, roughly
    scanned: int = 0
    rewritten: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    layout: int = 0  # the hot layout that all profiles have at least; 0: nobody has looked
    meaning: str = ""  # what rules mean (segments.rules.ruleset.MEANING) in all profiles; empty: nobody has looked
    takes_over_s: int = 0  # the moment (unix seconds) at which the windows of this pass begin to count; 0: at once
    put_off_s: list[int] = []  # moments that this pass chose before and could not keep
    waiting: bool = False  # all profiles have been looked at; what is left is that moment

    @property
    def share(self) -> float:
        """How much of the pass is done, 0 to 1; 1 when there is none."""
        if not self.targets:
            return 1.0
        return min(0.999, self.scanned / self.expected) if self.expected else 0.0

    @property
    def brings_layout(self) -> bool:
        """Whether profiles of an older hot layout may be there, which the pass rewrites."""
        return self.layout < HOT_VERSION


class SegmentReindexer:
    """Runs the pass when this worker holds it."""

    def __init__(
        self,
        store: ProfileStore,
        scanner: Scanner,
        planner: UserPlanner,
        versions: Callable[[], Mapping[int, int]],
        sizes: SegmentSizes,
        clock: Clock,
        telemetry: Telemetry,
        *,
        profiles_per_second: int = PROFILES_PER_SECOND,
        ask_products: AskProducts = nothing_known,
        meaning: str = MEANING,
    ) -> None:
        """`versions` gives the fingerprint of each advertiser's rules; `ask_products` knows the feeds."""
        self._store = store
        self._scanner = scanner
        self._planner = planner
        self._versions = versions
        self._sizes = sizes
        self._clock = clock
        self._rate = profiles_per_second
        self._products = ProductTeller(planner, ask_products)
        self._meaning = meaning
        self._owner = secrets.token_hex(8)
        self._progress: Progress | None = None
        self._known: Mapping[int, int] = {}
        self._known_since = clock.monotonic()
        self._profiles = telemetry.counter(
            "grosz_segment_pass_profiles_total",
            "Profiles that a background pass looked at, rewritten or not.",
            ("outcome",),
        )
        self._remaining = telemetry.gauge(
            "grosz_segment_pass_remaining_profiles", "Profiles that the background pass has still to look at, roughly."
        ).labels()

    @property
    def is_busy(self) -> bool:
        """Whether a pass of this worker is under way."""
        return self._progress is not None and bool(self._progress.targets)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            started = self._clock.monotonic()
            try:
                looked_at = await self.step()
            except UnavailableError as error:
                log.warning("the background pass over segments waits: %s", error.message)
                self._progress = None
                await asyncio.sleep(RETRY_S)
                continue
            if looked_at is None:
                await asyncio.sleep(IDLE_S)
            else:
                await asyncio.sleep(max(0.0, looked_at / self._rate - (self._clock.monotonic() - started)))

    async def step(self) -> int | None:
        """One batch: how many profiles were looked at; None when there is nothing to do here."""
        versions = self._settled()
        if versions is None:
            return None
        progress = self._progress or await read_progress(self._store)
        targets = _to_bring(progress, versions)
        if not targets and not progress.targets and not progress.brings_layout and progress.meaning == self._meaning:
            return None
        if not await self._save(None):
            self._progress = None  # another worker is at it
            self._remaining.set(0)
            return None
        progress = self._progress or await read_progress(self._store)
        targets = _to_bring(progress, versions)
        server = await self._scanner.server()
        if progress.targets != targets or progress.server != server or self._cannot_keep(progress):
            progress = await self._begin(progress, targets, server)
        if progress.waiting and self._clock.now_ms() < 1000 * progress.takes_over_s:
            return None
        return await self._batch(progress)

    def _settled(self) -> Mapping[int, int] | None:
        """The version of each advertiser's rules, once unchanged for SETTLE_S; None before and without a catalogue."""
        if not self._planner.ready:
            return None
        versions = self._versions()
        if versions is not self._known:
            if versions != self._known:
                self._known_since = self._clock.monotonic()
            self._known = versions
        return versions if self._clock.monotonic() - self._known_since >= SETTLE_S else None

    async def _begin(self, progress: Progress, targets: dict[int, int], server: str) -> Progress:
        users = await self._scanner.size() // 2  # each user has two keys; all others together are few
        log.info("a background pass brings the rules of %d advertisers to about %d profiles", len(targets), users)
        seen = progress.seen | dict.fromkeys(targets, _UNSETTLED)
        takes_over_s, put_off_s = self._moment(progress, users)
        return Progress(
            seen=seen, targets=targets, server=server, expected=users, started_ms=self._clock.now_ms(),
            layout=progress.layout, meaning=progress.meaning, takes_over_s=takes_over_s, put_off_s=put_off_s,
        )  # fmt: skip

    def _moment(self, progress: Progress, users: int) -> tuple[int, list[int]]:
        """When windows of a pass over so many users begin to count (0: at once), and the moments that this replaces."""
        chosen_s, now_s = progress.takes_over_s, self._clock.now_ms() // 1000
        renewed = progress.meaning != self._meaning
        if not renewed or not (chosen_s or any(version > 0 for version in progress.seen.values())):
            return 0, []  # an advertiser's own change, or windows that nobody has counted on yet
        if 0 < chosen_s <= now_s:
            log.warning("the background pass was away when its windows began to count: it brings the others at once")
            return 0, []
        if chosen_s >= now_s + users // self._rate:
            return chosen_s, progress.put_off_s
        put_off_s = [*progress.put_off_s, chosen_s] if chosen_s else []
        return now_s + TAKE_OVER_TIMES * users // self._rate + TAKE_OVER_MARGIN_S, put_off_s

    def _cannot_keep(self, progress: Progress) -> bool:
        """Whether the moment of the pass is still to come, but the pass will not be done by then."""
        left_s = progress.takes_over_s - self._clock.now_ms() // 1000
        return left_s > 0 and not progress.waiting and (progress.expected - progress.scanned) // self._rate > left_s

    async def _batch(self, progress: Progress) -> int:
        scans = progress.targets and not progress.waiting
        position, users = await self._scanner.scan(progress.position) if scans else ("", [])
        take_over = TakingOver(progress.takes_over_s, frozenset(progress.put_off_s))
        rewritten = await self._reevaluate(users, sorted(progress.targets), take_over)
        scanned = progress.scanned + len(users)
        progress = msgspec.structs.replace(
            progress, position=position, scanned=scanned, rewritten=progress.rewritten + rewritten
        )
        if not position and self._clock.now_ms() < 1000 * progress.takes_over_s:
            progress = msgspec.structs.replace(progress, waiting=True)
        elif not position:
            seen = {key: version for key, version in (progress.seen | progress.targets).items() if version}
            progress = msgspec.structs.replace(
                progress, seen=seen, targets={}, finished_ms=self._clock.now_ms(), layout=HOT_VERSION,
                meaning=self._meaning, takes_over_s=0, put_off_s=[], waiting=False,
            )  # fmt: skip
            log.info("the background pass is done: %d profiles, %d of them changed", scanned, progress.rewritten)
        self._progress = progress if await self._save(progress) else None
        self._remaining.set(max(0, progress.expected - scanned) if progress.targets else 0)
        return len(users)

    async def _reevaluate(self, user_ids: Sequence[str], advertiser_ids: Sequence[int], take_over: TakingOver) -> int:
        """Evaluate all rules of the advertisers for these users; how many profiles changed."""
        waiting = list(dict.fromkeys(user_ids))
        looked_at, rewritten = len(waiting), 0
        lost: dict[str, UserPlan] = {}
        for _ in range(MAX_ROUNDS):
            if not waiting:
                self._profiles.labels("rewritten").inc(rewritten)
                self._profiles.labels("unchanged").inc(looked_at - rewritten)
                return rewritten
            users = await self._store.read(dict.fromkeys(waiting, advertiser_ids))
            details = await self._products.of_profiles(users.values(), advertiser_ids)
            now_ms = self._clock.now_ms()
            plans = [
                self._planner.reevaluate(user, advertiser_ids, now_ms, details, take_over) for user in users.values()
            ]
            undo = [command for user in users.values() if user.meta.erased_ms and user.user_id in lost
                    for command in taken_back(lost[user.user_id].due)]  # fmt: skip
            lost = await self._write(plans, undo)
            rewritten += sum(plan.write is not None for plan in plans) - len(lost)
            self._profiles.labels("contended").inc(len(lost))
            waiting = list(lost)
        raise UnavailableError(f"{len(waiting)} profiles keep changing under the background pass")

    async def _write(self, plans: Sequence[UserPlan], undo: Sequence[Command]) -> dict[str, UserPlan]:
        """Write the plans; returns, by user, those that were refused because the profile changed since it was read."""
        side: list[Command] = [*undo, *(command for plan in plans for command in (*plan.side, *plan.due))]
        side += self._sizes.commands([change for plan in plans for change in plan.memberships])
        await self._store.commands(side)
        writes = [(plan, plan.write) for plan in plans if plan.write is not None]
        outcomes = await self._store.write([write for _, write in writes]) if writes else []
        return {
            write.read.user_id: plan for (plan, write), written in zip(writes, outcomes, strict=True) if not written
        }

    async def _save(self, progress: Progress | None) -> bool:
        """Renew the lease and note the progress; False if another worker holds the pass."""
        fields = [] if progress is None else _fields(progress)
        call = _SAVE.call([SEGMENT_SWEEP_OWNER, SEGMENT_SWEEP], [self._owner, LEASE_MS, *fields])
        (reply,) = await self._store.script(_SAVE, [call])
        return reply == 1


async def read_progress(store: Asking) -> Progress:
    """Where the pass stands, for the console and the command line. Raises UnavailableError."""
    (reply,) = await store.commands([("HGETALL", SEGMENT_SWEEP)])
    if not isinstance(reply, list):
        return Progress()
    found = {bytes(name).decode(): bytes(value).decode() for name, value in zip(reply[::2], reply[1::2], strict=True)}
    raw = {name: msgspec.json.decode(text) if name in _AS_JSON else text for name, text in found.items()}
    return msgspec.convert(raw, Progress, strict=False)


def _fields(progress: Progress) -> list[str]:
    """The hash's fields, readable with HGETALL by a person."""
    fields: list[str] = []
    for name, value in msgspec.structs.asdict(progress).items():
        fields += [name, msgspec.json.encode(value).decode() if name in _AS_JSON else str(value)]
    return fields


def _to_bring(progress: Progress, versions: Mapping[int, int]) -> dict[int, int]:
    """Advertisers whose rules or layout not all profiles have; 0 stands for an advertiser without rules."""
    seen = progress.seen
    return {
        advertiser: versions.get(advertiser, 0)
        for advertiser in sorted(seen.keys() | versions.keys())
        if progress.brings_layout or seen.get(advertiser, 0) != versions.get(advertiser, 0)
    }
