"""Questions about audiences, for the API and for the command line alike."""

import datetime
from collections.abc import Sequence
from typing import Final

from admin.visitors.documents import (
    GivenUpCall,
    GivenUpPage,
    IgnoredMember,
    LastTagEvent,
    MatchDay,
    MatchPage,
    MatrixRequest,
    Overlap,
    PassProgress,
    RuleCounts,
    SegmentVisitors,
    SentAgain,
    SizesPage,
    TagEvent,
    TagReport,
)
from admin.visitors.rosters import RosterDesk
from core.clock import Clock
from core.errors import InputError
from core.model import Advertiser, Segment, Status
from core.money import MICROS_PER_UNIT
from segments.audiences.counting import ProfileCounter
from segments.audiences.dead_letters import read_dead_letters, send_again
from segments.audiences.matrix import Matrix, axis, counted, matrix
from segments.audiences.sizes import SegmentSizes
from segments.audiences.tag_health import TagHealth
from segments.events.dropped import DroppedEvents
from segments.events.member_notes import MemberNotes
from segments.identity.cookie_sync import CookieSync
from segments.identity.persons import Identities
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.scanning import Scanner
from segments.profiles.store import ProfileStore
from segments.rules.vocabulary import Type, fact_named
from segments.worker.reindex import read_progress

_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}
_TIMES: Final = {Type.MOMENT, Type.AGE, Type.DURATION}


class AudienceDesk:
    """Answers over one connection to Redis. Who may ask for what is the caller's business."""

    def __init__(self, profiles: ProfileStore, scanner: Scanner, clock: Clock, metrics: IntakeMetrics) -> None:
        self._profiles = profiles
        self._scanner = scanner
        self._clock = clock
        self._metrics = metrics
        self._sizes = SegmentSizes(profiles)
        self.rosters = RosterDesk(profiles, clock)

    async def sizes(self, segments: Sequence[Segment]) -> SizesPage:
        """Visitors in each active one of these segments now."""
        now_ms = self._clock.now_ms()
        items = [
            SegmentVisitors(segment.id, segment.name, await self._sizes.size(segment.id, now_ms))
            for segment in segments
            if segment.status is Status.ACTIVE
        ]
        return SizesPage(items, len(items))

    async def anyone(self, segment_id: int) -> str:
        """The id of a visitor who is in the segment now; "" for none."""
        return await self._sizes.anyone(segment_id, self._clock.now_ms())

    async def overlap(self, left: Segment, right: Segment) -> Overlap:
        """Visitors who are in both now. Raises InputError for segments of two advertisers."""
        if left.advertiser_id != right.advertiser_id:
            raise InputError("the segments are not of one advertiser", hint="shops learn nothing of each other")
        visitors = await self._sizes.overlap(left.id, right.id, self._clock.now_ms())
        return Overlap([left.id, right.id], visitors)

    async def tags(self, advertiser_id: int) -> TagReport:
        """Whether the advertiser's tags fire."""
        states = await TagHealth(self._profiles).report(advertiser_id, self._clock.now_ms())
        notes = await MemberNotes(self._profiles, self._metrics).report(advertiser_id)
        return TagReport(
            [TagEvent(one.event, _moment(one.last_ms), one.today, one.yesterday, one.daily_mean) for one in states],
            [IgnoredMember(note.meant, note.written, _moment(note.last_ms)) for note in notes],
            await self.last_events(advertiser_id),
            await DroppedEvents(self._profiles).report(advertiser_id, self._clock.now_ms()),
        )

    async def last_events(self, advertiser_id: int) -> list[LastTagEvent]:
        """The last events of the advertiser's tags, newest first."""
        return [
            LastTagEvent(one.event, _at(one.at_ms), list(one.products), one.count, one.value_micros)
            for one in await TagHealth(self._profiles).last(advertiser_id)
        ]

    async def matches(self, exchange_id: int) -> MatchPage:
        """Cookie sync by day and browser."""
        identities = Identities(self._profiles, self._sizes, self._clock)
        rates = await CookieSync(self._profiles, identities, self._clock, self._metrics).match_rates(exchange_id)
        items = [
            MatchDay(
                datetime.date.fromisoformat(one.day), one.browser, one.returning, one.new, one.refused, one.opted_out,
                one.rate,
            )
            for one in rates
        ]  # fmt: skip
        return MatchPage(items, len(items))

    async def given_up(self) -> GivenUpPage:
        """Calls of audience hooks that were given up after their last try."""
        items = [
            GivenUpCall(_at(letter.given_up_ms), letter.delivery.webhook_id, letter.delivery_id, letter.reason)
            for letter in await read_dead_letters(self._profiles)
        ]
        return GivenUpPage(items, len(items))

    async def send_again(self) -> SentAgain:
        """Make the calls that were given up again, with all their tries."""
        letters = await read_dead_letters(self._profiles)
        return SentAgain(await send_again(self._profiles, letters, self._clock.now_ms()))

    async def progress(self) -> PassProgress:
        """How far the background pass is that brings changed rules to existing profiles."""
        found = await read_progress(self._profiles)
        return PassProgress(
            bool(found.targets), found.share, found.scanned, found.expected, found.rewritten, list(found.targets),
            _moment(found.finished_ms), _moment(1000 * found.takes_over_s),
        )  # fmt: skip

    async def count(self, advertiser: Advertiser, rules: Sequence[str]) -> RuleCounts:
        """Visitors for whom rules hold now. Raises RuleError."""
        found = await ProfileCounter(self._profiles, self._scanner, self._clock).count(advertiser, rules)
        return RuleCounts(list(found.visitors), found.share, found.asked)

    async def matrix(self, advertiser: Advertiser, wanted: MatrixRequest) -> Matrix:
        """Two facts crossed into a grid. Raises InputError."""
        rows, columns = (axis(*cuts_of(text), currency=advertiser.currency) for text in (wanted.rows, wanted.columns))
        grid = matrix(rows, columns)

        async def count(cells: Sequence[str]) -> Sequence[int]:
            return (await self.count(advertiser, cells)).visitors

        return await counted(grid, count) if wanted.counted else grid


def cuts_of(text: str) -> tuple[str, list[int | str]]:
    """The fact and its bounds in the units of `axis`: micros, seconds, or as they are. Raises InputError."""
    name, _, listed = text.partition(":")
    fact = fact_named(name)
    bounds = [bound.strip() for bound in listed.split(",") if bound.strip()]
    if fact is None or fact.type in {Type.TEXT, Type.ATTRIBUTE, Type.WORD}:
        return name, list(bounds)
    return name, [_bound(bound, fact.type) for bound in bounds]


def _bound(text: str, kind: Type) -> int:
    digits, unit = (text[:-1], text[-1]) if text[-1] in _SECONDS else (text, "")
    # Twelve digits are more than any amount or time that is counted, and fewer than overflow in micros.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12) or bool(unit) != (kind in _TIMES):
        hint = "times as 7d, 12h or 30m; money in units of the advertiser's currency"
        raise InputError(f"'{text}' is no bound for this fact", hint=hint)
    if unit:
        return int(digits) * _SECONDS[unit]
    return int(digits) * MICROS_PER_UNIT if kind is Type.MONEY else int(digits)


def _moment(at_ms: int) -> datetime.datetime | None:
    return _at(at_ms) if at_ms else None


def _at(at_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
