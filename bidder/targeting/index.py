"""The targeting index: the catalogue compiled for the bid path, immutable but for its memos.

One *position* is one line item, or one budget share of it: a share is a line item of its own on the bid path, with the
share's segment, caps and bid factor. Positions are dense, so everything about line items is a bit or an array element.
Compiling 100,000 line items takes seconds, so a child process does it (bidder.compile.installing) and the result is
pickled.
"""

import array
import itertools
import operator
import zoneinfo
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bidder.openrtb.enums import EVERYBODY
from bidder.targeting import normalise, pod_places
from bidder.targeting.approval import unapproved_creatives
from bidder.targeting.categories import advertised
from bidder.targeting.dimensions import (
    Allowed,
    AllowedAndDenied,
    DealAccess,
    Denied,
    Dimension,
    LayeredDeals,
    Offered,
    PositionLists,
    SegmentMembership,
)
from bidder.targeting.field import Field
from bidder.targeting.fields import FIELDS
from bidder.targeting.lists import ListExpander
from bidder.targeting.modifiers import Modifiers, compile_modifiers
from core.errors import CatalogueError
from core.model import Advertiser, Campaign, Catalogue, Creative, Exchange, Goal, LineItem, Status
from core.money import FxTable
from core.reasons import NoBid
from creatives.formats.offer import Shape
from creatives.formats.table import FORMATS
from pacing.budgets.pools import PoolKey, PoolTable, pools_of

NEVER_MS = 2**62
HOURS_A_WEEK = 168
# No user is ever in segment 0: stands for a segment that is not the line item's advertiser's, which must never match.
FOREIGN_SEGMENT = 0


class LineArrays(msgspec.Struct):
    """Arrays over positions. Amounts are the advertiser's micros: `*_value` of one event, `*_cpm` of 1,000.

    Line item 0, which does not exist, stands where a line item was that is now in the overlay.
    """

    line_item: NDArray[np.int64]
    share: NDArray[np.int64]
    advertiser: NDArray[np.int64]
    owner: NDArray[np.int64]  # the advertiser as a number from 0, without gaps
    campaign: NDArray[np.int64]
    currency: NDArray[np.int64]  # index into Index.currencies
    impression_value: NDArray[np.float64]
    click_value: NDArray[np.float64]
    conversion_value: NDArray[np.float64]
    bid_factor: NDArray[np.float64]
    max_cpm: NDArray[np.float64]
    min_cpm: NDArray[np.float64]
    cart_margin: NDArray[np.float64]  # fraction; 0 where carts do not count
    cart_cap: NDArray[np.float64]
    cart_delay_s: NDArray[np.float64]
    cart_rise_s: NDArray[np.float64]
    cart_decay_s: NDArray[np.float64]
    active: NDArray[np.bool_]
    start_ms: NDArray[np.int64]
    end_ms: NDArray[np.int64]
    timezone: NDArray[np.int64]  # index into Index.timezones
    hours: NDArray[np.bool_]  # (patterns, 168): the hours of the week of each distinct choice
    hour_pattern: NDArray[np.int64]  # row of `hours`
    several_per_request: NDArray[np.bool_]
    pod_place: NDArray[np.int64]  # that it insists on (bidder.targeting.pod_places)


class Index(msgspec.Struct):
    """What the bid path reads. `dimensions` are those of `fields`, by name."""

    version: int
    published_ms: int
    count: int
    lines: LineArrays
    fields: tuple[Field, ...]
    dimensions: dict[str, Dimension]
    segments: Dimension
    excluded_segments: Dimension
    deals: DealAccess | LayeredDeals
    by_line_item: dict[int, tuple[int, ...]]
    modifiers: Modifiers
    ads: NDArray[np.int64]  # creative ids, one list of ads after the other
    ad_ends: NDArray[np.int64]  # where each list ends
    ad_list: NDArray[np.int64]  # number of the list of each position; line items with the same ads share one
    creatives: dict[int, Creative]
    unapproved: dict[int, frozenset[int]]  # ids of exchanges that do not take a creative, by the creative's id
    exchanges: dict[str, Exchange]  # active ones, by key
    currencies: tuple[str, ...]
    timezones: tuple[str, ...]
    fx: FxTable
    pools: PoolTable  # what leases are held for
    owners: dict[int, int]  # advertiser id -> its number in `lines.owner`, in the order of the numbers

    def creatives_of(self, position: int) -> list[Creative]:
        """The active creatives of the line item at `position` whose format is known, in its order."""
        number = int(self.ad_list[position])
        start = int(self.ad_ends[number - 1]) if number else 0
        return [self.creatives[each] for each in self.ads[start : self.ad_ends[number]].tolist()]

    def positions_of(self, pool: PoolKey) -> tuple[int, ...]:
        """The one position of a pool, or none if the index lacks it. Shares of a line item follow each other."""
        positions = self.by_line_item.get(pool.line_item_id, ())
        return positions[pool.share : pool.share + 1]


class Ads(msgspec.Struct, frozen=True):
    """The active creatives of one advertiser's choice, and what fields ask of them (`Field.ads`).

    One blocked creative blocks the line item here: never a violation, at worst a lost bid.
    """

    number: int
    creatives: tuple[int, ...]  # their ids
    shapes: frozenset[Shape]  # of the offers that they fit into
    domains: frozenset[str]  # that they advertise, with their parents
    categories: frozenset[str]  # of what they advertise, as `categories.advertised` has them
    unapproved: frozenset[int]  # ids of exchanges that take none of them


class _Entry(msgspec.Struct, frozen=True):
    line: LineItem
    share: int
    campaign: Campaign
    advertiser: Advertiser
    ads: Ads


def compile_index(catalogue: Catalogue, fields: tuple[Field, ...] = FIELDS) -> Index:
    """Compile a catalogue. Archived line items are left out; paused ones are kept, so that they can be explained.

    Raises CatalogueError when a line item refers to a campaign or advertiser that the catalogue does not have.
    """
    creatives = {item.id: item for item in catalogue.creatives if item.status is Status.ACTIVE}
    unapproved = unapproved_creatives(catalogue, creatives)
    entries = list(_entries(catalogue, creatives, unapproved))
    lists = list({entry.ads.number: entry.ads.creatives for entry in entries}.values())
    timezones = tuple(sorted({entry.advertiser.timezone for entry in entries}))
    for name in timezones:
        zoneinfo.ZoneInfo(name)  # an unknown one fails here and not in the process that serves
    currencies = tuple(sorted({entry.advertiser.currency for entry in entries}))
    owners = {advertiser: number for number, advertiser in enumerate(sorted({e.advertiser.id for e in entries}))}
    return Index(
        version=catalogue.version,
        published_ms=catalogue.published_ms,
        count=len(entries),
        lines=_line_arrays(entries, timezones, currencies, owners),
        fields=fields,
        dimensions={field.name: _dimension(field, entries) for field in fields},
        segments=_segment_membership(entries, catalogue),
        excluded_segments=_excluded_segments(entries, catalogue),
        deals=_deal_access(entries, catalogue),
        by_line_item=_grouped(entry.line.id for entry in entries),
        modifiers=compile_modifiers([entry.line for entry in entries], fields),
        ads=np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int64),
        ad_ends=np.fromiter(itertools.accumulate(map(len, lists)), dtype=np.int64),
        ad_list=np.fromiter((entry.ads.number for entry in entries), dtype=np.int64),
        creatives=creatives,
        unapproved=unapproved,
        exchanges={item.key: item for item in catalogue.exchanges if item.status is Status.ACTIVE},
        currencies=currencies,
        timezones=timezones,
        fx=FxTable(catalogue.fx_base, catalogue.fx_rates),
        owners=owners,
        pools=PoolTable.of(pools_of(entry.line, entry.campaign)[entry.share] for entry in entries),
    )


def _entries(
    catalogue: Catalogue, creatives: Mapping[int, Creative], unapproved: Mapping[int, frozenset[int]]
) -> Iterable[_Entry]:
    campaigns = {item.id: item for item in catalogue.campaigns}
    advertisers = {item.id: item for item in catalogue.advertisers}
    known: dict[tuple[int, tuple[int, ...]], Ads] = {}
    expand = ListExpander(catalogue.lists).expanded
    for line in catalogue.line_items:
        campaign, advertiser = campaigns.get(line.campaign_id), advertisers.get(line.advertiser_id)
        if campaign is None or advertiser is None:
            raise CatalogueError(
                f"line item {line.id} refers to campaign {line.campaign_id} of advertiser {line.advertiser_id}, "
                "which the catalogue does not have",
                hint="import the campaign and the advertiser with it",
            )
        if line.status is Status.ARCHIVED:
            continue
        key = (advertiser.id, line.creative_ids)
        ads = known.get(key)
        if ads is None:
            ads = known[key] = _ads(len(known), advertiser, line.creative_ids, creatives, unapproved)
        for share in range(len(line.budget_shares) + 1):
            yield _Entry(expand(line), share, campaign, advertiser, ads)


def _line_arrays(
    entries: list[_Entry], timezones: tuple[str, ...], currencies: tuple[str, ...], owners: Mapping[int, int]
) -> LineArrays:
    lines = [entry.line for entry in entries]
    carts = [line.cart for line in lines]
    timezone_index = {name: number for number, name in enumerate(timezones)}
    currency_index = {name: number for number, name in enumerate(currencies)}
    hours, hour_pattern = _hours(lines)

    def integers(numbers: Iterable[int]) -> NDArray[np.int64]:
        return np.fromiter(numbers, dtype=np.int64)

    def floats(numbers: Iterable[float]) -> NDArray[np.float64]:
        return np.fromiter(numbers, dtype=np.float64)

    return LineArrays(
        line_item=integers(line.id for line in lines),
        share=integers(entry.share for entry in entries),
        advertiser=integers(entry.advertiser.id for entry in entries),
        owner=integers(owners[entry.advertiser.id] for entry in entries),
        campaign=integers(entry.campaign.id for entry in entries),
        currency=integers(currency_index[entry.advertiser.currency] for entry in entries),
        impression_value=floats(line.bid_micros / 1000 if line.goal is Goal.CPM else 0.0 for line in lines),
        click_value=floats(line.bid_micros if line.goal is Goal.CPC else 0.0 for line in lines),
        conversion_value=floats(line.bid_micros if line.goal is Goal.CPA else 0.0 for line in lines),
        bid_factor=floats(_share_factor(entry) for entry in entries),
        max_cpm=floats(line.max_cpm_micros for line in lines),
        min_cpm=floats(line.min_cpm_micros for line in lines),
        cart_margin=floats(cart.margin_ppm / 1e6 if cart else 0.0 for cart in carts),
        cart_cap=floats(cart.cap_micros if cart else 0.0 for cart in carts),
        cart_delay_s=floats(cart.delay_s if cart else 0.0 for cart in carts),
        cart_rise_s=floats(cart.rise_s if cart else 1.0 for cart in carts),
        cart_decay_s=floats(cart.decay_s if cart else 1.0 for cart in carts),
        active=np.fromiter((_is_active(entry) for entry in entries), dtype=np.bool_),
        start_ms=integers(max(entry.line.start_ms or 0, entry.campaign.start_ms or 0) for entry in entries),
        end_ms=integers(min(entry.line.end_ms or NEVER_MS, entry.campaign.end_ms or NEVER_MS) for entry in entries),
        timezone=integers(timezone_index[entry.advertiser.timezone] for entry in entries),
        hours=hours,
        hour_pattern=hour_pattern,
        several_per_request=np.fromiter((line.several_per_request for line in lines), dtype=np.bool_),
        pod_place=integers(pod_places.insisted(line.targeting.pod_slots) for line in lines),
    )


def _is_active(entry: _Entry) -> bool:
    return all(item.status is Status.ACTIVE for item in (entry.line, entry.campaign, entry.advertiser))


def _share_factor(entry: _Entry) -> float:
    return entry.line.budget_shares[entry.share - 1].bid_factor_percent / 100 if entry.share else 1.0


def _hours(lines: list[LineItem]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The distinct choices of hours, each with a row, and the row of each line item; none chosen means all hours."""
    patterns: dict[tuple[int, ...], int] = {}
    rows = np.fromiter(
        (patterns.setdefault(line.targeting.hours_of_week, len(patterns)) for line in lines), dtype=np.int64
    )
    hours = np.ones((len(patterns), HOURS_A_WEEK), dtype=np.bool_)
    for chosen, row in patterns.items():
        if chosen:
            hours[row] = False
            hours[row, list(chosen)] = True
    return hours, rows


def _grouped(ids: Iterable[int]) -> dict[int, tuple[int, ...]]:
    groups: dict[int, list[int]] = {}
    for position, identifier in enumerate(ids):
        groups.setdefault(identifier, []).append(position)
    return {identifier: tuple(positions) for identifier, positions in groups.items()}


def _restricted(entries: list[_Entry], field: str) -> Iterable[tuple[int, Sequence[Any]]]:
    """(position, values) of the line items that name any; most leave most fields empty."""
    for position, entry in enumerate(entries):
        named = getattr(entry.line.targeting, field)
        if named:
            yield position, named


def _dimension(field: Field, entries: list[_Entry]) -> Dimension:
    """The dimension of a field, compiled from what line items name in it."""
    count = len(entries)
    if field.ads:
        lists = _lists_of_ads(entries, operator.attrgetter(field.ads))
        if field.must_offer:
            return Offered(field.reason, count, lists, field.allows)
        return Denied(field.reason, count, lists, field.denies)
    allowed = Allowed(field.reason, count, _lists(entries, field.allow, field), field.allows)
    if not field.deny:
        return allowed
    return AllowedAndDenied(allowed, Denied(field.reason, count, _lists(entries, field.deny, field), field.denies))


def _lists(entries: list[_Entry], member: str, field: Field) -> PositionLists:
    lists = PositionLists()
    for position, named in _restricted(entries, member):
        lists.add(position, map(field.normal, named))
    return lists


def _ads(
    number: int,
    advertiser: Advertiser,
    chosen: tuple[int, ...],
    creatives: Mapping[int, Creative],
    unapproved: Mapping[int, frozenset[int]],
) -> Ads:
    found = (creatives.get(identifier) for identifier in chosen)
    own = [
        creative
        for creative in found
        if creative is not None and creative.format in FORMATS and creative.advertiser_id == advertiser.id
    ]
    domains = {creative.advertiser_domain or advertiser.domain for creative in own}
    products = advertiser.product_categories
    return Ads(
        number,
        tuple(creative.id for creative in own),
        frozenset(shape for creative in own for shape in FORMATS[creative.format].shapes(creative)),
        frozenset({EVERYBODY, *(suffix for domain in domains for suffix in normalise.domain_suffixes(domain))}),
        frozenset(code for creative in own for code in advertised((*creative.categories, *products))),
        frozenset.intersection(*(unapproved[creative.id] for creative in own)) if own else frozenset(),
    )


def _lists_of_ads(entries: list[_Entry], values_of: Callable[[Ads], Iterable[Hashable]]) -> PositionLists:
    """What line items name by their ads: many have the same ads, whose values are added once for all of them."""
    numbers = np.fromiter((entry.ads.number for entry in entries), dtype=np.int64)
    order = numbers.argsort(kind="stable")
    ends = numbers[order].searchsorted(np.arange(1, numbers.max(initial=-1) + 2))
    lists, start = PositionLists(), 0
    for end in ends.tolist():
        positions, start = order[start:end], end
        named = list(values_of(entries[positions[0]].ads))
        for value in named:
            lists.by_value.setdefault(value, array.array("q")).frombytes(positions.tobytes())
        if named:
            lists.restricted.frombytes(positions.tobytes())
    return lists


def _own_segments(catalogue: Catalogue) -> dict[int, int]:
    return {segment.id: segment.advertiser_id for segment in catalogue.segments}


def _segment_membership(entries: list[_Entry], catalogue: Catalogue) -> SegmentMembership:
    owner = _own_segments(catalogue)
    any_of = PositionLists()
    all_of: dict[tuple[int, ...], array.array[int]] = {}
    for position, entry in enumerate(entries):
        targeting = entry.line.targeting
        needed = list(targeting.segments_all)
        if entry.share:
            needed.append(entry.line.budget_shares[entry.share - 1].segment_id)

        if targeting.segments_any:
            any_of.add(position, [_own(segment, entry, owner) for segment in targeting.segments_any])
        if needed:
            key = tuple(sorted(_own(segment, entry, owner) for segment in needed))
            all_of.setdefault(key, array.array("q")).append(position)
    return SegmentMembership(len(entries), any_of, all_of)


def _own(segment: int, entry: _Entry, owner: Mapping[int, int]) -> int:
    return segment if owner.get(segment) == entry.advertiser.id else FOREIGN_SEGMENT


def _excluded_segments(entries: list[_Entry], catalogue: Catalogue) -> Denied:
    owner = _own_segments(catalogue)
    lists = PositionLists()
    for position, excluded in _restricted(entries, "segments_none"):
        own = entries[position].advertiser.id
        lists.add(position, [segment for segment in excluded if owner.get(segment) == own])
    return Denied(NoBid.EXCLUDED_SEGMENT, len(entries), lists, _in_segments)


def _in_segments(_named: Mapping[Hashable, object], packed: bytes | None) -> tuple[int, ...]:
    return normalise.members(packed)


def _deal_access(entries: list[_Entry], catalogue: Catalogue) -> DealAccess:
    deals = {deal.id: deal for deal in catalogue.deals if deal.status is Status.ACTIVE}
    lists = PositionLists()
    for position, targeted in _restricted(entries, "deals"):
        found = [deals[identifier] for identifier in targeted if identifier in deals]
        usable = [deal for deal in found if deal.advertiser_id in (None, entries[position].advertiser.id)]
        # A line item whose deals are all gone stays restricted: it was meant for them alone.
        lists.add(position, [(d.exchange_id, d.deal_id) for d in usable] or [(0, "")])
    return DealAccess(len(entries), lists)
