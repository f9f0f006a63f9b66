"""Which line items may bid on which impression: bitmaps of every targeted field, ANDed.

`match_context` needs the request alone, so it runs before the profile look-up, and a request that nobody wants costs no
look-up at all. `match_user` adds what the profile says: segments, frequency caps.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from bidder.request.auction import Auction, Impression
from bidder.targeting.counting import FunnelCounts
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.fields import Group, JointBits
from bidder.targeting.index import Index
from bidder.targeting.normalise import TEXT_BREAK
from core.reasons import NoBid
from creatives.formats.offer import shape_text
from pacing.caps import CapTable
from segments.profiles.reading import ProfileBatch

KeyOf = Callable[[Auction], Any]

_ENVIRONMENTS = ("site", "app", "dooh")


def _environment(auction: Auction) -> str | None:
    request = auction.request
    return "site" if request.site else "app" if request.app else "dooh" if request.dooh else None


def _country(auction: Auction) -> str | None:
    return auction.place.country


def _region(auction: Auction) -> tuple[str | None, str | None]:
    return auction.place.country, auction.place.region


def _city(auction: Auction) -> str | None:
    return auction.place.city


def _postcode(auction: Auction) -> str | None:
    return auction.place.postcode


def _point(auction: Auction) -> tuple[float, float] | None:
    return auction.place.point


def _device_type(auction: Auction) -> int | None:
    device = auction.request.device
    return device.devicetype if device is not None else None


def _operating_system(auction: Auction) -> tuple[str | None, str | None]:
    device = auction.request.device
    if device is None:
        return None, None
    return device.os, device.ua


def _user_agent(auction: Auction) -> str | None:
    device = auction.request.device
    return device.ua if device is not None else None


def _connection(auction: Auction) -> int | None:
    device = auction.request.device
    return device.connectiontype if device is not None else None


def _language(auction: Auction) -> str | None:
    device = auction.request.device
    return (device.language or device.langb) if device is not None else None


def _domain(auction: Auction) -> str | None:
    site = auction.request.site
    if site is None:
        return None
    return site.domain or site.page or (site.publisher.domain if site.publisher is not None else None)


def _app(auction: Auction) -> str | None:
    app = auction.request.app
    return (app.bundle or app.id) if app is not None else None


def _page(auction: Auction) -> str | None:
    site = auction.request.site
    return site.page if site is not None else None


def _page_text(auction: Auction) -> str:
    """All words by which a publisher describes the page: URL, keywords, content title and keywords."""
    request = auction.request
    place = request.site or request.app or request.dooh
    if place is None:
        return ""
    texts: list[str | None] = [_page(auction), _listed(place.keywords), *(place.kwarray or ())]
    content = place.content
    if content is not None:
        texts += [content.title, _listed(content.keywords), *(content.kwarray or ())]
    return TEXT_BREAK.join([text for text in texts if text])


def _listed(keywords: str | None) -> str | None:
    """A comma-separated list with its entries kept apart."""
    return keywords.replace(",", TEXT_BREAK) if keywords else None


def _categories(auction: Auction) -> tuple[str, ...]:
    request = auction.request
    place = request.site or request.app
    if place is None:
        return ()
    content = place.content.cat if place.content is not None else None
    if not (place.sectioncat or place.pagecat or content):
        return place.cat or ()
    return (*(place.cat or ()), *(place.sectioncat or ()), *(place.pagecat or ()), *(content or ()))


CONTEXT_KEYS: dict[str, KeyOf] = {
    "exchange": lambda auction: auction.exchange.id,
    "environment": _environment,
    "country": _country,
    "region": _region,
    "city": _city,
    "postcode": _postcode,
    "radius": _point,
    "device_type": _device_type,
    "operating_system": _operating_system,
    "browser": _user_agent,
    "connection": _connection,
    "language": _language,
    "domain": _domain,
    "app": _app,
    "page_path": _page,
    "page_keyword": _page_text,
    "category": _categories,
    "blocked_advertiser": lambda auction: auction.request.badv or (),
    "blocked_category": lambda auction: auction.request.bcat or (),
}


# Where the group of the device reads each field; a group's memo is asked by the values of what its fields read.
_DEVICE_MEMBERS: dict[str, tuple[str, ...]] = {
    "device_type": ("devicetype",),
    "operating_system": ("os", "ua"),
    "browser": ("ua",),
    "connection": ("connectiontype",),
    "language": ("language", "langb"),
}
_AUCTION_MEMBERS: dict[str, tuple[str, ...]] = {
    "exchange": ("exchange.id",),
    "blocked_advertiser": ("request.badv",),
    "blocked_category": ("request.bcat",),
    "country": ("place.country",),
    "region": ("place.country", "place.region"),
    "city": ("place.city",),
    "postcode": ("place.postcode",),
    "radius": ("place.point",),
}


def _read_auction(names: Sequence[str]) -> KeyOf:
    """Reads what the named fields depend on, all at once and without a Python function a field."""
    return operator.attrgetter(*dict.fromkeys(member for name in names for member in _AUCTION_MEMBERS[name]))


def _read_device(names: Sequence[str]) -> KeyOf:
    members = operator.attrgetter(*dict.fromkeys(member for name in names for member in _DEVICE_MEMBERS[name]))

    def read(auction: Auction) -> object:
        device = auction.request.device
        return members(device) if device is not None else None

    return read


def _read_inventory(names: Sequence[str]) -> KeyOf:
    def read(auction: Auction) -> object:
        site = auction.request.site
        if site is None:
            return _environment(auction), _app(auction), _categories(auction)
        plain = site.domain and not (site.sectioncat or site.pagecat or site.content)
        return (site.domain, site.cat) if plain else (_domain(auction), _categories(auction), "site")

    return read if len(names) > 1 else CONTEXT_KEYS[names[0]]


def _read_one(names: Sequence[str]) -> KeyOf:
    return CONTEXT_KEYS[names[0]]


# Fields that come from one part of a request and repeat together: one memo each instead of one a field. A field alone
# in its group is one that nearly every request has a value of its own for.
GROUPS: tuple[tuple[Callable[[Sequence[str]], KeyOf], tuple[str, ...]], ...] = (
    (_read_auction, ("exchange", "blocked_advertiser", "blocked_category")),
    (_read_auction, ("country", "region", "city", "postcode")),
    (_read_auction, ("radius",)),
    (_read_device, ("device_type", "operating_system", "browser", "connection", "language")),
    (_read_inventory, ("environment", "domain", "app", "category")),
    (_read_one, ("page_path",)),
    (_read_one, ("page_keyword",)),
)


class _Grouped:
    """One group of those dimensions that restrict anything, with the functions that read its keys."""

    __slots__ = ("_keys_of", "group", "known", "read")

    def __init__(self, index: Index, names: Sequence[str], read: KeyOf) -> None:
        self.group = Group([index.context[name] for name in names])
        self._keys_of = tuple(CONTEXT_KEYS[name] for name in names)
        self.read = read
        self.known = self.group.memo.get

    def resolve(self, auction: Auction, part: object) -> JointBits:
        return self.group.resolve(part, [key_of(auction) for key_of in self._keys_of])


class Matcher:
    """The dimensions of one index that restrict anything, each with the function that reads its key."""

    __slots__ = ("_context", "_membership", "_positions_restrict", "_slots", "_weight", "index", "live")

    def __init__(self, index: Index, live: LiveSets, *, counts_hits: bool = True) -> None:
        self.index = index
        self.live = live
        self._weight = int(counts_hits)  # of an impression in the counts; a rehearsal's weighs nothing
        groups = [(read, [name for name in names if index.context[name].restricts]) for read, names in GROUPS]
        self._context = [_Grouped(index, names, read(names)) for read, names in groups if names]
        self._positions_restrict = index.slot["position"].restricts
        slots = [index.slot["size"], index.deals, *([index.slot["position"]] if self._positions_restrict else [])]
        self._slots = Group(slots)
        self._membership = Group([index.segments, index.excluded_segments])

    def settle(self) -> None:
        """Pass all counted impressions on to the dimensions, which are about to be harvested."""
        for grouped in self._context:
            grouped.group.settle()
        self._slots.settle()
        self._membership.settle()

    def match_context(self, auction: Auction) -> int:
        """Set `eligible` of each impression of the auction; the union of these sets, 0 when nobody wants any.

        Every dimension is counted, whether or not earlier ones left anybody: the funnel's counts are exact.
        """
        impressions = auction.impressions
        hits = len(impressions) * self._weight
        self.live.hits += hits
        bits = self.live.bits
        for grouped in self._context:
            part = grouped.read(auction)
            answer = grouped.known(part)
            if answer is None:
                answer = grouped.resolve(auction, part)
            answer.hits += hits
            bits &= answer.bits
        union = 0
        known = self._slots.memo
        for impression in impressions:
            position = impression.placement if self._positions_restrict else None
            slot: tuple[object, ...] = (impression.shapes, position)
            if impression.imp.pmp is not None:
                slot += (auction.exchange.id, tuple(impression.deal_floors), impression.private_auction)
            answer = known.get(slot)
            if answer is None:
                answer = self._resolve_slot(slot, auction, impression, position)
            answer.hits += self._weight
            impression.eligible = eligible = bits & answer.bits
            union |= eligible
        return union

    def _resolve_slot(self, slot: object, auction: Auction, impression: Impression, position: int | None) -> JointBits:
        deals = (auction.exchange.id, tuple(impression.deal_floors), impression.private_auction)
        keys = (impression.shapes, deals, position)
        return self._slots.resolve(slot, keys if self._positions_restrict else keys[:2])

    def match_user(
        self,
        auctions: Sequence[Auction],
        profiles: ProfileBatch,
        caps: CapTable,
        counts: FunnelCounts,
        now_s: int,
    ) -> None:
        """Take from each impression's set the line items that the user's segments, caps and gaps rule out.

        Only requests that some line item wants come here, so `counts` and the hits of the segment dimensions speak of
        those impressions.
        """
        known = self._membership.memo
        for auction, segments, ring in zip(auctions, profiles.segments, profiles.rings, strict=True):
            hits = len(auction.impressions) * self._weight
            answer = known.get(segments)
            if answer is None:
                answer = self._membership.resolve(segments, (segments, segments))
            answer.hits += hits
            bits = answer.bits
            if ring:
                bits &= ~self._blocked(ring, caps, counts, hits, now_s)
            for impression in auction.impressions:
                impression.eligible &= bits

    def _blocked(self, ring: bytes, caps: CapTable, counts: FunnelCounts, hits: int, now_s: int) -> int:
        """The set of line items whose caps or gaps the user's impressions have reached."""
        blocked = 0
        for pool, reason in caps.blocked(ring, now_s).items():
            for position in self.index.positions_of(pool):
                blocked |= 1 << position
                counts.count_blocked(position, reason, hits)
        return blocked

    def reasons(
        self, auction: Auction, impression: Impression, profiles: ProfileBatch, number: int, caps: CapTable, now_s: int
    ) -> list[tuple[NoBid, int, str]]:
        """For explanations: (reason, set that passes, what the request said) of every dimension and of the caps."""
        index = self.index
        found = [(reason, passing, "") for reason, passing in self.live.parts]
        for name, dimension in index.context.items():
            if dimension.restricts:
                key = CONTEXT_KEYS[name](auction)
                found.append((dimension.reason, dimension.get(key).bits, _shown(key)))
        deals = (auction.exchange.id, tuple(impression.deal_floors), impression.private_auction)
        position = impression.placement
        shapes = " ".join(map(shape_text, impression.shapes))
        segments = profiles.segments[number]
        found += [
            (NoBid.SIZE, index.slot["size"].get(impression.shapes).bits, shapes),
            (NoBid.POSITION, index.slot["position"].get(position).bits, _shown(position)),
            (NoBid.DEAL, index.deals.get(deals).bits, " ".join(deals[1])),
            (NoBid.SEGMENT, index.segments.get(segments).bits, ""),
            (NoBid.EXCLUDED_SEGMENT, index.excluded_segments.get(segments).bits, ""),
        ]
        ring = profiles.rings[number]
        for pool, reason, text in caps.describe(ring, now_s):
            blocked = sum(1 << at for at in index.positions_of(pool))
            found.append((reason, ~blocked, text))
        return found


def _shown(key: object) -> str:
    """A request's value as a person reads it, cut to a line."""
    parts = key if isinstance(key, tuple) else (key,)
    return ", ".join(str(part) for part in parts if part is not None)[:200]
