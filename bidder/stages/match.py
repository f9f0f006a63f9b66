"""Which line items may bid on which impression: bitmaps of every targeted field, ANDed.

`match_context` needs the request alone, so it runs before the profile look-up, and a request that nobody wants costs no
look-up at all. `match_user` adds what the profile says: segments, frequency caps.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bidder.auction import Auction, Impression
from bidder.counting import FunnelCounts
from bidder.dimensions import Group
from bidder.index import Index
from bidder.live import LiveSets
from bidder.values import TEXT_BREAK
from core.reasons import NoBid
from pacing.caps import CapTable
from segments.profiles import ProfileBatch

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
    agent = device.sua
    platform = agent.platform.brand if agent is not None and agent.platform is not None else None
    return platform or device.os, device.ua


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


# Fields that come from one part of a request and repeat together: one memo each instead of one a field. A field alone
# in its group is one that nearly every request has a value of its own for.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("exchange", "environment", "blocked_advertiser", "blocked_category"),
    ("country", "region", "city", "postcode"),
    ("radius",),
    ("device_type", "operating_system", "browser", "connection", "language"),
    ("domain", "app", "category"),
    ("page_path",),
    ("page_keyword",),
)


class _Grouped:
    """One group of those dimensions that restrict anything, with the functions that read its keys."""

    __slots__ = ("group", "keys_of", "memoised")

    def __init__(self, index: Index, names: Sequence[str]) -> None:
        self.group = Group([index.context[name] for name in names])
        self.keys_of = tuple(CONTEXT_KEYS[name] for name in names)
        self.memoised = self.group.memo.get


class Matcher:
    """The dimensions of one index that restrict anything, each with the function that reads its key."""

    __slots__ = ("_context", "_positions_restrict", "_slots", "_weight", "index", "live")

    def __init__(self, index: Index, live: LiveSets, *, counts_hits: bool = True) -> None:
        self.index = index
        self.live = live
        self._weight = int(counts_hits)  # of an impression in the counts; a rehearsal's weighs nothing
        names = ([name for name in group if index.context[name].restricts] for group in GROUPS)
        self._context = [_Grouped(index, group) for group in names if group]
        self._positions_restrict = index.slot["position"].restricts
        slots = [index.slot["size"], index.deals, *([index.slot["position"]] if self._positions_restrict else [])]
        self._slots = Group(slots)

    def settle(self) -> None:
        """Pass all counted impressions on to the dimensions, which are about to be harvested."""
        for grouped in self._context:
            grouped.group.settle()
        self._slots.settle()

    def match_context(self, auction: Auction) -> int:
        """Set `eligible` of each impression of the auction; the union of these sets, 0 when nobody wants any.

        Every dimension is counted, whether or not earlier ones left anybody: the funnel's counts are exact.
        """
        impressions = auction.impressions
        hits = len(impressions) * self._weight
        self.live.hits += hits
        bits = self.live.bits
        for grouped in self._context:
            keys = tuple([key_of(auction) for key_of in grouped.keys_of])
            answer = grouped.memoised(keys)
            if answer is None:
                answer = grouped.group.resolve(keys)
            answer.hits += hits
            bits &= answer.bits
        union = 0
        for impression in impressions:
            impression.eligible = eligible = bits & self._match_slot(auction, impression)
            union |= eligible
        return union

    def _match_slot(self, auction: Auction, impression: Impression) -> int:
        deals = (auction.exchange.id, tuple(impression.deal_floors), impression.private_auction)
        keys: tuple[Any, ...] = (impression.sizes, deals)
        if self._positions_restrict:
            banner = impression.imp.banner
            keys = (impression.sizes, deals, banner.pos if banner is not None else None)
        answer = self._slots.memo.get(keys)
        if answer is None:
            answer = self._slots.resolve(keys)
        answer.hits += self._weight
        return answer.bits

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
        segments, excluded = self.index.segments, self.index.excluded_segments
        for number, auction in enumerate(auctions):
            key = profiles.segments[number]
            hits = len(auction.impressions) * self._weight
            included, out = segments.get(key), excluded.get(key)
            included.hits += hits
            out.hits += hits
            bits = included.bits & out.bits
            ring = profiles.rings[number]
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
        banner = impression.imp.banner
        deals = (auction.exchange.id, tuple(impression.deal_floors), impression.private_auction)
        position = banner.pos if banner is not None else None
        sizes = " ".join(f"{width}x{height}" for width, height in impression.sizes)
        segments = profiles.segments[number]
        found += [
            (NoBid.SIZE, index.slot["size"].get(impression.sizes).bits, sizes),
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
