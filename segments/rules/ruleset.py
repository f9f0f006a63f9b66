"""All rules of one advertiser, compiled: which of them an event concerns, and the windows they give.

Most events change a handful of facts and most rules read two or three, so of a hundred rules a page view evaluates a
fraction; the others keep the windows that the profile holds.
"""

import collections
import logging
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from core.model import Advertiser, Segment, Status
from segments.facts.derive import DEFINITIONS_VERSION
from segments.facts.facts import DAY_S, FOREVER_S, Facts
from segments.facts.layout import Window
from segments.rules.check import check
from segments.rules.conditions import Condition, Key, reads, shared_keys, traits
from segments.rules.errors import RuleError
from segments.rules.reach import reach_s
from segments.rules.spans import Spans
from segments.rules.view import View
from segments.rules.windows import NOTHING_SHARED, Holds, compiled

log = logging.getLogger(__name__)

# Nearly all rules give one window; a count over several events may come and go. Four hold weeks of an ordinary
# visitor's future; what lies behind the fourth is computed when an earlier one has ended (`CompiledRules.renewed`).
MAX_WINDOWS_PER_SEGMENT: Final = 4

# Different sets of changed fields are few (about one a kind of event); the bound only stops a leak.
_MAX_CHANGE_SETS: Final = 2_000

# Raised when the same text means something else than before, so that all profiles are evaluated again.
LANGUAGE_VERSION: Final = 1

MEANING: Final = f"{LANGUAGE_VERSION}.{DEFINITIONS_VERSION}"
"""Version of what rules mean in this release. If stored windows have another one, a pass over all profiles renews them,
and the new ones begin to count at one moment."""


class Rule(msgspec.Struct, frozen=True):
    """One compiled rule. `always`: every event evaluates it, since it reads nothing (`everyone`) or may still change
    after the profile's retention."""

    segment_id: int
    text: str
    reads: frozenset[str]
    holds: Holds
    always: bool


def compile_rule(segment_id: int, text: str, currency: str, retention_s: int) -> Rule:
    """A rule ready to be evaluated, for an advertiser with this currency and retention. Raises RuleError."""
    return _rule(segment_id, text, check(text, currency), retention_s, NOTHING_SHARED)


def _rule(segment_id: int, text: str, condition: Condition, retention_s: int, shared: Mapping[Key, int]) -> Rule:
    fields = reads(condition)
    always = not fields or reach_s(condition) >= retention_s
    return Rule(segment_id, text, fields, compiled(condition, shared), always)


def _asked_twice(checked: Iterable[Condition]) -> dict[Key, int]:
    """A number for the key of each part that occurs more than once, by which views remember its spans."""
    counts = collections.Counter(key for condition in checked for key in shared_keys(condition))
    return {key: number for number, key in enumerate(key for key, count in counts.items() if count > 1)}


def rules_version(segments: Sequence[Segment], advertiser: Advertiser) -> int:
    """Fingerprint (32 bits) of the rules that hold for an advertiser; 0 without any.

    Another number means that stored windows may be wrong and profiles are to be evaluated again (reindex.py).
    """
    mine = _active(segments, advertiser)
    if not mine:
        return 0
    header = f"{LANGUAGE_VERSION} {DEFINITIONS_VERSION} {advertiser.currency} {advertiser.profile_retention_days}"
    return zlib.crc32("\n".join([header, *(f"{segment.id} {segment.rule}" for segment in mine)]).encode()) or 1


def _active(segments: Sequence[Segment], advertiser: Advertiser) -> list[Segment]:
    mine = [row for row in segments if row.advertiser_id == advertiser.id and row.status is Status.ACTIVE]
    return sorted(mine, key=lambda row: row.id)


class CompiledRules:
    """The active segments of one advertiser. A rule that does not compile is left out and listed in `broken`."""

    __slots__ = ("_affected", "_rules", "broken", "traits", "version")

    def __init__(self, segments: Sequence[Segment], advertiser: Advertiser) -> None:
        """`segments` of other advertisers and such that are not active are left out."""
        self.broken: dict[int, RuleError] = {}
        checked: list[tuple[Segment, Condition]] = []
        retention_s = advertiser.profile_retention_days * DAY_S
        for segment in _active(segments, advertiser):
            try:
                checked.append((segment, check(segment.rule, advertiser.currency)))
            except RuleError as error:
                self.broken[segment.id] = error
                log.error("the rule of segment %d is not evaluated: %s", segment.id, error.problem)
        shared = _asked_twice(condition for _, condition in checked)
        self._rules: Mapping[int, Rule] = {
            segment.id: _rule(segment.id, segment.rule, condition, retention_s, shared)
            for segment, condition in checked
        }
        self._affected: dict[frozenset[str], tuple[frozenset[int], tuple[Rule, ...]]] = {}
        self.traits: frozenset[str] = frozenset().union(*(traits(condition) for _, condition in checked))
        self.version = rules_version(segments, advertiser)

    @property
    def segment_ids(self) -> frozenset[int]:
        return frozenset(self._rules)

    def affected(self, changed: frozenset[str]) -> frozenset[int]:
        """Ids of the segments whose rules read one of the changed fields of Facts; the others keep their windows."""
        return self._concerned(changed)[0]

    def windows(self, facts: Facts, changed: frozenset[str], now_ms: int) -> list[Window]:
        """Windows that have not ended of the segments in `affected(changed)`, by segment and time.

        The `enter` of a window that is open now lies somewhere in the past.
        """
        now_s = now_ms // 1000
        view = View(facts, now_s)
        found: list[Window] = []
        for rule in self._concerned(changed)[1]:
            spans = rule.holds(view)
            if len(spans) == 2:  # nearly always one
                if spans[1] > now_s:
                    found.append((rule.segment_id, spans[0], spans[1]))
            elif spans:
                _append_windows(found, rule.segment_id, spans, now_s)
        return found

    def windows_of(self, segment_ids: frozenset[int], facts: Facts, now_ms: int) -> list[Window]:
        """As `windows`, for some segments whatever has changed; unknown ids are passed over."""
        now_s = now_ms // 1000
        view = View(facts, now_s)
        found: list[Window] = []
        for segment_id in sorted(segment_ids):
            rule = self._rules.get(segment_id)
            if rule is not None:
                _append_windows(found, segment_id, rule.holds(view), now_s)
        return found

    def renewed(
        self,
        facts: Facts,
        changed: frozenset[str],
        now_ms: int,
        previous: Sequence[Window],
        previous_expires_s: int,
    ) -> list[Window]:
        """All windows of a profile after an event: new ones where the event concerns a rule, the stored ones elsewhere.

        `previous` are the stored windows, ended ones too, and `previous_expires_s` the end at which they were cut.
        A segment with MAX_WINDOWS_PER_SEGMENT stored windows, one of which has ended, is evaluated again, too. A
        membership that goes on keeps its `enter`, so "member since" stays true; a new one enters now. Windows of
        segments without a rule here are dropped. The first event of a visitor changes every field
        (`segments.facts.facts.FACT_NAMES`): also rules about what never happened hold from then on.
        """
        now_s = now_ms // 1000
        due, rules = self.affected(changed), self._rules
        late = _to_extend(previous, now_s) - due
        renewed = due | late if late else due
        merged: list[Window] = []
        inside: dict[int, int] = {}
        for window in previous:
            segment, enter, leave = window
            if leave <= now_s:
                continue
            if segment in renewed:
                if enter <= now_s:
                    inside[segment] = enter
            elif segment in rules:
                merged.append(window if leave != previous_expires_s else (segment, enter, FOREVER_S))
        fresh = self.windows(facts, changed, now_ms)
        if late:
            fresh += self.windows_of(late, facts, now_ms)
        merged += [
            window if window[1] > now_s else (window[0], inside.get(window[0], now_s), window[2]) for window in fresh
        ]
        merged.sort()
        return merged

    def _concerned(self, changed: frozenset[str]) -> tuple[frozenset[int], tuple[Rule, ...]]:
        known = self._affected.get(changed)
        if known is None:
            rules = tuple(rule for rule in self._rules.values() if rule.always or not changed.isdisjoint(rule.reads))
            known = (frozenset(rule.segment_id for rule in rules), rules)
            if len(self._affected) >= _MAX_CHANGE_SETS:
                self._affected.clear()
            self._affected[changed] = known
        return known


def _append_windows(found: list[Window], segment_id: int, spans: Spans, now_s: int) -> None:
    room = MAX_WINDOWS_PER_SEGMENT
    for at in range(0, len(spans), 2):
        if spans[at + 1] > now_s:
            found.append((segment_id, spans[at], spans[at + 1]))
            room -= 1
            if not room:
                return


def _to_extend(previous: Sequence[Window], now_s: int) -> frozenset[int]:
    """Segments that had as many windows as fit, one of which has ended: further ones may follow."""
    ended = {window[0] for window in previous if window[2] <= now_s}
    if not ended:
        return frozenset()
    counts = collections.Counter(segment for segment, _, _ in previous)
    return frozenset(segment for segment in ended if counts[segment] >= MAX_WINDOWS_PER_SEGMENT)
