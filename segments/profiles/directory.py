"""What this room needs to know of the catalogue, and nothing more: shops, exchanges, keys, and the compiled rules.

The composition root hands in an object with this shape; `CatalogueDirectory` makes one from a published catalogue.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from core.model import Advertiser, Catalogue, Exchange, Segment, Status
from core.money import FxTable
from segments.facts.facts import Facts
from segments.facts.layout import Window
from segments.rules.ruleset import rules_version


class SegmentRules(Protocol):
    """Compiled rules of one advertiser's segments (segments.rules.ruleset.CompiledRules)."""

    version: int
    """Fingerprint of the rules: profiles written under another one are to be evaluated again."""

    traits: frozenset[str]
    """Traits of products, as feeds have them, that the rules ask for (segments.facts.traits)."""

    def renewed(
        self,
        facts: Facts,
        changed: frozenset[str],
        now_ms: int,
        previous: Sequence[Window],
        previous_expires_s: int,
    ) -> Sequence[Window]:
        """All windows after an event that changed these facts; `CompiledRules.renewed` has the details."""
        ...


class NoRules:
    """The rules of an advertiser without segments."""

    def __init__(self) -> None:
        self.version = 0
        self.traits: frozenset[str] = frozenset()

    def renewed(
        self,
        facts: Facts,  # noqa: ARG002 the protocol's shape
        changed: frozenset[str],  # noqa: ARG002 the protocol's shape
        now_ms: int,  # noqa: ARG002 the protocol's shape
        previous: Sequence[Window],  # noqa: ARG002 the protocol's shape
        previous_expires_s: int,  # noqa: ARG002 the protocol's shape
    ) -> Sequence[Window]:
        return ()


class Directory(Protocol):
    """Read-only view of the catalogue, always its newest version."""

    @property
    def ready(self) -> bool:
        """Whether a catalogue has arrived; before that, an unknown advertiser may well exist."""
        ...

    @property
    def advertiser_ids(self) -> Sequence[int]:
        """Ids of all advertisers that are not archived."""
        ...

    @property
    def segment_ids(self) -> Sequence[int]:
        """Ids of all active segments."""
        ...

    @property
    def hooked(self) -> frozenset[int]:
        """The active segments with an audience hook."""
        ...

    def advertiser(self, advertiser_id: int) -> Advertiser | None:
        """An advertiser that is not archived."""
        ...

    def exchange(self, key: str) -> Exchange | None:
        """An exchange that is not archived, by the name in its URLs."""
        ...

    def segment(self, segment_id: int) -> Segment | None:
        """An active segment."""
        ...

    def rules(self, advertiser_id: int) -> SegmentRules:
        """The advertiser's compiled rules; `NoRules` if it has no segments or is not known."""
        ...

    def accepts_key(self, advertiser_id: int, key: str) -> bool:
        """Whether an API key may send events for the advertiser."""
        ...

    @property
    def fx(self) -> FxTable:
        """Exchange rates of the newest catalogue."""
        ...


class ServerKey(msgspec.Struct, frozen=True):
    """A key for server-to-server events, stored as its SHA-256."""

    sha256: bytes
    advertiser_ids: frozenset[int] | None = None  # None: all


class CatalogueDirectory:
    """`Directory` over a catalogue that is replaced as a whole.

    `compile_rules` turns an advertiser's active segments into rules; it runs when an advertiser is
    first asked for, and again when a newer catalogue has changed that advertiser's segments.
    """

    def __init__(
        self,
        compile_rules: Callable[[Sequence[Segment], Advertiser], SegmentRules],
        server_keys: Callable[[], Sequence[ServerKey]] = tuple,
    ) -> None:
        self._compile_rules = compile_rules
        self._server_keys = server_keys
        self._advertisers: Mapping[int, Advertiser] = {}
        self._exchanges: Mapping[str, Exchange] = {}
        self._segments: Mapping[int, Segment] = {}
        self._hooked: frozenset[int] = frozenset()
        self._by_advertiser: dict[int, tuple[Segment, ...]] = {}
        self._rules: dict[int, tuple[tuple[Segment, ...], Advertiser, SegmentRules]] = {}
        self._versions: Mapping[int, int] | None = None
        self._fx = FxTable("PLN", {})
        self.ready = False

    def replace(self, catalogue: Catalogue) -> None:
        """Take over a newer catalogue."""
        self._advertisers = {row.id: row for row in catalogue.advertisers if row.status is not Status.ARCHIVED}
        self._exchanges = {row.key: row for row in catalogue.exchanges if row.status is not Status.ARCHIVED}
        active = [segment for segment in catalogue.segments if segment.status is Status.ACTIVE]
        self._segments = {segment.id: segment for segment in active}
        self._hooked = frozenset(segment.id for segment in active if segment.webhook_id is not None)
        grouped: dict[int, list[Segment]] = {}
        for segment in active:
            grouped.setdefault(segment.advertiser_id, []).append(segment)
        self._by_advertiser = {advertiser: tuple(segments) for advertiser, segments in grouped.items()}
        self._fx = FxTable(catalogue.fx_base, catalogue.fx_rates)
        self._versions = None
        self.ready = True

    @property
    def advertiser_ids(self) -> Sequence[int]:
        return tuple(self._advertisers)

    @property
    def segment_ids(self) -> Sequence[int]:
        return tuple(self._segments)

    @property
    def hooked(self) -> frozenset[int]:
        return self._hooked

    @property
    def fx(self) -> FxTable:
        return self._fx

    def advertiser(self, advertiser_id: int) -> Advertiser | None:
        return self._advertisers.get(advertiser_id)

    def exchange(self, key: str) -> Exchange | None:
        return self._exchanges.get(key)

    def segment(self, segment_id: int) -> Segment | None:
        return self._segments.get(segment_id)

    def rules(self, advertiser_id: int) -> SegmentRules:
        segments = self._by_advertiser.get(advertiser_id, ())
        advertiser = self._advertisers.get(advertiser_id)
        if not segments or advertiser is None:
            return NoRules()
        known = self._rules.get(advertiser_id)
        if known is None or known[0] != segments or known[1] != advertiser:  # its currency and retention matter
            known = (segments, advertiser, self._compile_rules(segments, advertiser))
            self._rules[advertiser_id] = known
        return known[2]

    def rule_versions(self) -> Mapping[int, int]:
        """Fingerprint of each advertiser's rules; the same object until the next catalogue."""
        if self._versions is None:
            self._versions = {
                key: rules_version(self._by_advertiser.get(key, ()), row) for key, row in self._advertisers.items()
            }
        return self._versions

    def accepts_key(self, advertiser_id: int, key: str) -> bool:
        digest = hashlib.sha256(key.encode()).digest()
        return any(
            hmac.compare_digest(digest, known.sha256)
            and (known.advertiser_ids is None or advertiser_id in known.advertiser_ids)
            for known in self._server_keys()
        )
