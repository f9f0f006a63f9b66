"""Compiles a catalogue: whole, and then what changes in it as overlays above that. Runs in a process of its own."""

from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

import msgspec
import numpy as np

from bidder.targeting.approval import reviewing
from bidder.targeting.compiled import Compiled
from bidder.targeting.overlay import Overlay
from core.catalogue.codec import Change, apply_change, decode_change, decode_published
from core.errors import CatalogueError, UnavailableError
from core.model import Advertiser, Campaign, Catalogue, LineItem


class CatalogueCompiler:
    """Holds the catalogue as values, and knows which line items differ from the base that was compiled last."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._base_version = -1
        self._differing: frozenset[int] = frozenset()

    def hold(self, snapshot: bytes, changes: Sequence[bytes]) -> None:
        """Decode a published catalogue that another process has compiled, the base of all overlays from now on."""
        self._begin(decode_published(snapshot, changes))

    def whole(self, snapshot: bytes, changes: Sequence[bytes]) -> Compiled:
        """Compile a published catalogue, the base of all overlays from now on.

        Raises CatalogueError for whatever cannot be compiled; the base then stays as it was.
        """
        catalogue = decode_published(snapshot, changes)
        compiled = _compile(catalogue)
        self._begin(catalogue)
        return compiled

    def _begin(self, catalogue: Catalogue) -> None:
        self._catalogue, self._base_version, self._differing = catalogue, catalogue.version, frozenset()

    def overlay(self, changes: Iterable[bytes]) -> Overlay:
        """Compile what differs from the base after `changes`, of which those already known are passed over.

        Raises CatalogueError for what cannot be compiled, UnavailableError if the changes follow another catalogue.
        In both cases the base and the known changes stay as they were.
        """
        catalogue, differing = self._catalogue, set(self._differing)
        if catalogue is None:
            raise UnavailableError("the compiling process holds no catalogue", hint="the whole one is compiled next")
        for change in map(decode_change, changes):
            if change.version <= catalogue.version:
                continue
            before, catalogue = catalogue, _applied(catalogue, change)
            differing |= touched(before, change)
        lines = tuple(line for line in catalogue.line_items if line.id in differing)
        used = {creative for line in lines for creative in line.creative_ids}
        creatives = tuple(creative for creative in catalogue.creatives if creative.id in used)
        compiled = _compile(msgspec.structs.replace(catalogue, line_items=lines, creatives=creatives))
        self._catalogue, self._differing = catalogue, frozenset(differing)
        return Overlay(self._base_version, np.array(sorted(differing), dtype=np.int64), compiled)


def _applied(catalogue: Catalogue, change: Change) -> Catalogue:
    if change.since != catalogue.version:
        raise UnavailableError(
            f"the change {change.since} to {change.version} does not follow catalogue {catalogue.version}",
            hint="the whole one is compiled next",
        )
    return apply_change(catalogue, change)


def _compile(catalogue: Catalogue) -> Compiled:
    try:
        return Compiled(catalogue)
    except CatalogueError:
        raise
    except Exception as error:
        # The publisher should have refused this catalogue: it must not end the bidding on the one before.
        raise CatalogueError(
            f"the published catalogue cannot be compiled: {type(error).__name__}: {error}", hint="publish another one"
        ) from error


def touched(before: Catalogue, change: Change) -> set[int]:
    """Ids of the line items that have to be compiled again: changed, new, gone, or depending on such an object."""
    changed, removed = change.changed, change.removed
    line_items = {line.id for line in changed.line_items} | set(removed.get("line_items", ()))
    if _review_changes(before, change):
        return line_items | {line.id for line in before.line_items}
    advertisers = _differing(before.advertisers, changed.advertisers, removed.get("advertisers", ()), _of_advertiser)
    campaigns = _differing(before.campaigns, changed.campaigns, removed.get("campaigns", ()), _of_campaign)
    creatives = _differing(before.creatives, changed.creatives, removed.get("creatives", ()), _everything)
    creatives |= _differing(before.approvals, changed.approvals, removed.get("approvals", ()), _everything)
    deals = _differing(before.deals, changed.deals, removed.get("deals", ()), _everything)
    lists = _differing(before.lists, changed.lists, removed.get("lists", ()), _everything)
    segments = _differing(before.segments, changed.segments, removed.get("segments", ()), _owner)
    if advertisers or campaigns or creatives or deals or lists or segments:
        line_items.update(
            line.id
            for line in before.line_items
            if line.advertiser_id in advertisers
            or line.campaign_id in campaigns
            or not creatives.isdisjoint(line.creative_ids)
            or not deals.isdisjoint(line.targeting.deals)
            or not lists.isdisjoint((*line.targeting.lists_allow, *line.targeting.lists_deny))
            or _names_segment(line, segments)
        )
    return line_items


def _review_changes(before: Catalogue, change: Change) -> bool:
    """Whether a change alters which exchanges' decisions about creatives count: all line items depend on that."""
    exchanges, gone = change.changed.exchanges, change.removed.get("exchanges", ())
    if not exchanges and not gone:
        return False
    after = {each.id: each for each in (*before.exchanges, *exchanges) if each.id not in gone}
    return reviewing(before.exchanges) != reviewing(after.values())


def _differing(
    before: Iterable[Any], changed: Sequence[Any], removed: Sequence[int], relevant: Callable[[Any], object]
) -> set[int]:
    """Ids of removed objects, and of those that are new or whose `relevant` part has changed."""
    ids = {value.id for value in changed}
    known = {value.id: relevant(value) for value in before if value.id in ids} if ids else {}
    return {value.id for value in changed if known.get(value.id) != relevant(value)} | set(removed)


def _everything(value: object) -> object:
    return value


def _of_advertiser(value: Advertiser) -> object:
    # The balance changes all the time, which must not compile all line items of the advertiser again.
    return msgspec.structs.replace(value, name="", notes="", external_id="", version=0, balance_micros=None)


def _of_campaign(value: Campaign) -> object:
    return msgspec.structs.replace(value, name="", notes="", external_id="", version=0)


def _owner(value: Any) -> object:  # noqa: ANN401 - a segment; its rule is not the index's business
    return value.advertiser_id


def _names_segment(line: LineItem, segments: Set[int]) -> bool:
    if not segments:
        return False
    targeting = line.targeting
    named = (*targeting.segments_any, *targeting.segments_all, *targeting.segments_none)
    return not segments.isdisjoint(named) or any(share.segment_id in segments for share in line.budget_shares)
