"""Targeting, evaluated the slow and obvious way: one line item, one impression, one reason after the other.

Written from the model's field descriptions and the specification, without code of the bidder, on the request as JSON.
The requests of tests.kit.random_bidding are in the 2.6 places, so nothing has to be forgiven here.
"""

import datetime
import math
import re
import urllib.parse
import zoneinfo
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from bidder.request.auction import Auction, Impression
from bidder.targeting.field import Field, Part
from bidder.targeting.fields import FIELD_BY_NAME
from core.model import (
    Catalogue,
    Creative,
    Exchange,
    Format,
    FrequencyCap,
    LineItem,
    ListKind,
    Radius,
    ReviewPolicy,
    Status,
    Targeting,
)
from core.reasons import NoBid
from tests.kit.bidding import Shopper

Json = dict[str, Any]

# Operating system and browser of the user agents in random_bidding, read by a person.
AGENTS = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36":
        ("windows", "chrome"),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 "
    "Mobile/15E148 Safari/604.1": ("ios", "safari"),
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0": ("linux", "firefox"),
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 "
    "Chrome/115.0.0.0 Mobile Safari/537.36": ("android", "samsung internet"),
}  # fmt: skip


def failed(
    catalogue: Catalogue, line: LineItem, exchange: Exchange, request: Json, imp: Json, now_ms: int
) -> set[NoBid]:
    """Every reason but those of the user for which a line item may not bid on an impression."""
    targeting = _with_lists(catalogue, line)
    reasons = {reason for reason, holds in CONTEXT.items() if not holds(targeting, exchange, request, imp)}
    reasons |= _failed_by_catalogue(catalogue, line, exchange, request, imp, now_ms)
    if not targeting.deals and imp.get("pmp", {}).get("private_auction"):
        reasons.add(NoBid.PRIVATE_AUCTION)
    if targeting.deals and not _deal_holds(catalogue, line, exchange, imp):
        reasons.add(NoBid.DEAL)
    return reasons


def modified(line: LineItem, exchange: Exchange, request: Json, imp: Json) -> float:
    """The product of the bid modifiers that apply on an impression: those whose values would be targeted."""
    product = 1.0
    for modifier in line.bid_modifiers:
        field = FIELD_BY_NAME[modifier.field]
        values: Any = [
            Radius(*map(float, str(value).split(","))) if field.allow == "radii" else value for value in modifier.values
        ]
        targeting = Targeting(**{field.allow: tuple(values)})
        if CONTEXT[field.reason](targeting, exchange, request, imp):
            product *= modifier.factor_percent / 100
    return min(max(product, 0.1), 10.0)


def failed_as_declared(field: Field, targeting: Targeting, auction: Auction, impression: Impression) -> bool:
    """Whether a field excludes, by the plain reading of its declaration: no index, no memo, no group.

    For fields that a test makes up; the meaning of the real ones is written out in `CONTEXT`.
    """
    start: object = impression if field.part is Part.IMPRESSION else auction
    read = [_walk(start, each) if isinstance(each, str) else each(start) for each in field.reads]

    def names(member: str) -> bool:
        named = [field.normal(value) for value in getattr(targeting, member)]
        if field.matches is not None:
            return any(field.matches(pattern, *read) for pattern in named)
        return bool(set(named) & set(field.values(*read)))

    is_allowed = not field.allow or not getattr(targeting, field.allow) or names(field.allow)
    return not is_allowed or bool(field.deny and names(field.deny))


def _walk(start: object, path: str) -> object:
    for member in path.split("."):
        start = getattr(start, member) if start is not None else None
    return start


def failed_for_user(
    catalogue: Catalogue, line: LineItem, share: int, user: Shopper | None, now_ms: int, *, counted: bool = False
) -> set[NoBid]:
    """Every reason that lies in the user, for a stranger (None) too.

    `counted`: of caps and gaps only the one that counts, as the bid path stops there.

    A cap of campaign or advertiser counts before a gap, and a gap before a cap of the line item.
    """
    own = {segment.id for segment in catalogue.segments if segment.advertiser_id == line.advertiser_id}
    if user is None:
        wants = line.targeting.segments_any or line.targeting.segments_all or share
        return {NoBid.NO_PROFILE} if wants else set()
    held = set(user.segments) & own
    targeting, reasons = line.targeting, set()
    if targeting.segments_any and not held & set(targeting.segments_any):
        reasons.add(NoBid.SEGMENT)
    needed = set(targeting.segments_all)
    if share:
        needed.add(line.budget_shares[share - 1].segment_id)
    if not needed <= held:
        reasons.add(NoBid.SEGMENT)
    if held & set(targeting.segments_none):
        reasons.add(NoBid.EXCLUDED_SEGMENT)
    capped, owner_is_full = _failed_by_caps(catalogue, line, share, user, now_ms // 1000)
    if counted and len(capped) == 2:
        capped = {NoBid.FREQUENCY_CAP} if owner_is_full else {NoBid.MIN_GAP}
    return reasons | capped


def _failed_by_caps(
    catalogue: Catalogue, line: LineItem, share: int, user: Shopper, now_s: int
) -> tuple[set[NoBid], bool]:
    """Every reason from caps and gaps, and whether a cap of campaign or advertiser is among them."""
    lines = {item.id: item for item in catalogue.line_items}
    own = [shown for number, shown in user.shown if number == line.id]
    campaign = [at for number, at in user.shown if number in lines and lines[number].campaign_id == line.campaign_id]
    shop = [at for number, at in user.shown if number in lines and lines[number].advertiser_id == line.advertiser_id]
    line_caps = (line.budget_shares[share - 1].caps if share else ()) or line.caps
    campaign_caps = next(item.caps for item in catalogue.campaigns if item.id == line.campaign_id)
    shop_caps = next(item.caps for item in catalogue.advertisers if item.id == line.advertiser_id)
    owner_is_full = any(
        _is_full(cap, times, now_s) for caps, times in ((campaign_caps, campaign), (shop_caps, shop)) for cap in caps
    )
    too_soon = bool(line.min_gap_s) and any(now_s - at < line.min_gap_s for at in own)
    return {
        *({NoBid.FREQUENCY_CAP} if owner_is_full or any(_is_full(cap, own, now_s) for cap in line_caps) else ()),
        *({NoBid.MIN_GAP} if too_soon else ()),
    }, owner_is_full


def _is_full(cap: FrequencyCap, times: Iterable[int], now_s: int) -> bool:
    return sum(now_s - at < cap.window_s for at in times) >= cap.impressions


def _failed_by_catalogue(
    catalogue: Catalogue, line: LineItem, exchange: Exchange, request: Json, imp: Json, now_ms: int
) -> set[NoBid]:
    campaign = next(item for item in catalogue.campaigns if item.id == line.campaign_id)
    advertiser = next(item for item in catalogue.advertisers if item.id == line.advertiser_id)
    reasons = set()
    if not all(item.status is Status.ACTIVE for item in (line, campaign, advertiser)):
        reasons.add(NoBid.INACTIVE)
    for item in (line, campaign):
        if (item.start_ms is not None and now_ms < item.start_ms) or (
            item.end_ms is not None and now_ms >= item.end_ms
        ):
            reasons.add(NoBid.OUTSIDE_FLIGHT)
    local = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(advertiser.timezone))
    hours = line.targeting.hours_of_week
    if hours and local.weekday() * 24 + local.hour not in hours:
        reasons.add(NoBid.DAYPART)
    banners = banners_of(catalogue, line)
    if not any((banner.width, banner.height) in offered_sizes(imp) for banner in banners):
        reasons.add(NoBid.SIZE)
    if banners and all(_is_rejected(catalogue, banner, exchange) for banner in banners):
        reasons.add(NoBid.NOT_APPROVED)
    domains = {banner.advertiser_domain or advertiser.domain for banner in banners}
    if any(is_under(domain, entry) for domain in domains for entry in request.get("badv", ())):
        reasons.add(NoBid.ADVERTISER_BLOCKED)
    if any(_is_blocked({*banner.categories, *advertiser.product_categories}, exchange, request) for banner in banners):
        reasons.add(NoBid.CATEGORY_BLOCKED)
    return reasons


def _is_blocked(products: set[str], exchange: Exchange, request: Json) -> bool:
    """Whether an ad for these products is one that the publisher does not want."""
    blocked, allowed = request.get("bcat", ()), request.get("acat", ())
    if not products:
        return bool(blocked or allowed) and not exchange.admits_uncategorised
    if allowed and not all(any(is_category_under(product, entry) for entry in allowed) for product in products):
        return True
    return any(is_category_under(product, entry) for product in products for entry in blocked)


def _is_rejected(catalogue: Catalogue, banner: Creative, exchange: Exchange) -> bool:
    """Whether an exchange that reviews ads while they bid has rejected this one."""
    if exchange.review is not ReviewPolicy.AFTER:
        return False
    return any(each.id == banner.id and exchange.id in each.rejected for each in catalogue.approvals)


def banners_of(catalogue: Catalogue, line: LineItem) -> list[Creative]:
    """The ads that a line item can show."""
    return [
        item
        for item in catalogue.creatives
        if item.id in line.creative_ids
        and item.status is Status.ACTIVE
        and item.format is Format.BANNER
        and item.advertiser_id == line.advertiser_id
    ]


def offered_sizes(imp: Json) -> set[tuple[int, int]]:
    """Sizes of an impression."""
    banner = imp["banner"]
    if "format" in banner:
        return {(each["w"], each["h"]) for each in banner["format"]}
    return {(banner["w"], banner["h"])}


def is_under(domain: str, parent: str) -> bool:
    """Whether a domain is another one or a subdomain of it."""
    domain, parent = _host(domain), _host(parent)
    return domain == parent or domain.endswith("." + parent)


def _host(text: str) -> str:
    return re.sub(r"^www\.", "", re.sub(r"^[a-z]+://", "", text.lower()).split("/")[0].rstrip("."))


def is_category_under(code: str, parent: str) -> bool:
    """Whether an IAB code is another one, or below it."""
    return code == parent or code.startswith(parent + "-")


def _deal_holds(catalogue: Catalogue, line: LineItem, exchange: Exchange, imp: Json) -> bool:
    pmp = imp.get("pmp", {})
    offered = {deal["id"] for deal in pmp.get("deals", ())}
    usable = {
        deal.deal_id
        for deal in catalogue.deals
        if deal.id in line.targeting.deals
        and deal.status is Status.ACTIVE
        and deal.exchange_id == exchange.id
        and deal.advertiser_id in (None, line.advertiser_id)
    }
    if usable & offered:
        return True
    return not line.targeting.deals and not pmp.get("private_auction")


def _place(request: Json) -> Json:
    geo: Json = request.get("device", {}).get("geo", {})
    return geo


def _in_circle(circle: Radius, geo: Json) -> bool:
    if "lat" not in geo or geo.get("accuracy", 0) > 1_000 * circle.kilometres:
        return False

    def vector(latitude: float, longitude: float) -> tuple[float, float, float]:
        north, east = math.radians(latitude), math.radians(longitude)
        return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)

    here, centre = vector(round(geo["lat"], 2), round(geo["lon"], 2)), vector(circle.latitude, circle.longitude)
    return 6371.0088 * 2 * math.asin(min(1.0, math.dist(here, centre) / 2)) <= circle.kilometres


def _words(text: str) -> list[str]:
    return re.split(r"[\W_]+", text.casefold().strip())


def _says(phrase: str, texts: Iterable[str]) -> bool:
    wanted = [word for word in _words(phrase) if word]
    for text in texts:
        words = [word for word in _words(text) if word]
        if any(words[at : at + len(wanted)] == wanted for at in range(len(words))):
            return True
    return False


def _texts(request: Json) -> list[str]:
    place = request.get("site") or request.get("app") or {}
    content = place.get("content", {})
    return [
        urllib.parse.unquote_plus(place.get("page", "")),
        *place.get("keywords", "").split(","),
        content.get("title", ""),
    ]


def _any_listed(named: Sequence[Any], accepts: Callable[[Any], bool]) -> bool:
    return not named or any(accepts(value) for value in named)


def _spots(imp: Json) -> list[Json]:
    return [imp[kind] for kind in ("video", "audio") if kind in imp]


def _agent(request: Json) -> tuple[str, str]:
    device = request.get("device", {})
    system, browser = AGENTS.get(device.get("ua", ""), ("", ""))
    return device.get("os", system).lower(), browser


def _language(request: Json) -> str:
    device = request.get("device", {})
    tag: str = device.get("language") or device.get("langb") or ""
    return tag.lower().split("-")[0]


def _domain_holds(targeting: Targeting, request: Json) -> bool:
    domain = request.get("site", {}).get("domain", "")
    allowed = _any_listed(targeting.domains_allow, lambda entry: is_under(domain, entry))
    return allowed and not any(is_under(domain, entry) for entry in targeting.domains_deny)


def _app_holds(targeting: Targeting, request: Json) -> bool:
    bundle = request.get("app", {}).get("bundle", "").casefold()
    return _any_listed(targeting.apps_allow, lambda entry: entry == bundle) and bundle not in targeting.apps_deny


def _category_holds(targeting: Targeting, request: Json) -> bool:
    place = request.get("site") or request.get("app") or {}
    codes = [*place.get("cat", ()), *place.get("pagecat", ()), *place.get("content", {}).get("cat", ())]
    publisher = (place or request.get("dooh") or {}).get("publisher", {}).get("cat", ())

    def covers(entry: str) -> bool:
        return any(is_category_under(code, entry) for code in codes)

    def concerns(entry: str) -> bool:
        return covers(entry) or any(is_category_under(code, entry) for code in publisher)

    return _any_listed(targeting.categories, covers) and not any(map(concerns, targeting.categories_deny))


def _keyword_holds(targeting: Targeting, request: Json) -> bool:
    texts = _texts(request)
    allowed = _any_listed(targeting.page_keywords, lambda phrase: _says(phrase, texts))
    return allowed and not any(_says(phrase, texts) for phrase in targeting.page_keywords_deny)


def _publisher_holds(targeting: Targeting, exchange: Exchange, request: Json) -> bool:
    place = request.get("site") or request.get("app") or request.get("dooh") or {}
    publisher = place.get("publisher", {}).get("id")

    def is_meant(entry: str) -> bool:
        return publisher is not None and entry in (publisher, f"{exchange.key}/{publisher}")

    return _any_listed(targeting.publishers_allow, is_meant) and not any(map(is_meant, targeting.publishers_deny))


def _seller_holds(targeting: Targeting, request: Json) -> bool:
    nodes = request.get("source", {}).get("schain", {}).get("nodes", [])
    called = [{node["asi"], f"{node['asi']}/{node['sid']}"} for node in nodes]
    allowed = _any_listed(targeting.sellers_allow, lambda entry: bool(called) and entry in called[-1])
    return allowed and not any(entry in names for entry in targeting.sellers_deny for names in called)


def _with_lists(catalogue: Catalogue, line: LineItem) -> Targeting:
    """The targeting with the values of its lists written into it by hand."""
    targeting, lists = line.targeting, {each.id: each for each in catalogue.lists}
    for ids, allows in ((targeting.lists_allow, True), (targeting.lists_deny, False)):
        for number in ids:
            found = lists.get(number)
            member = LIST_MEMBERS[found.kind if found is not None else ListKind.DOMAINS][0 if allows else 1]
            is_usable = (
                found is not None
                and found.status is Status.ACTIVE
                and found.advertiser_id in (None, line.advertiser_id)
            )
            values = found.values if found is not None and is_usable else ()
            if allows and not is_usable:
                member = "domains_allow"
            added = (*getattr(targeting, member), *values)
            targeting = msgspec.structs.replace(targeting, **{member: added or ((NOWHERE,) if allows else ())})
    return targeting


LIST_MEMBERS = {
    ListKind.DOMAINS: ("domains_allow", "domains_deny"),
    ListKind.APPS: ("apps_allow", "apps_deny"),
    ListKind.PUBLISHERS: ("publishers_allow", "publishers_deny"),
    ListKind.SELLERS: ("sellers_allow", "sellers_deny"),
    ListKind.WORDS: ("page_keywords", "page_keywords_deny"),
}
NOWHERE = "nowhere.invalid"


def _tag_holds(targeting: Targeting, imp: Json) -> bool:
    tag: str | None = imp.get("tagid")
    return _any_listed(targeting.tag_ids_allow, lambda entry: entry == tag) and tag not in targeting.tag_ids_deny


def _gpid_holds(targeting: Targeting, imp: Json) -> bool:
    gpid: str = imp.get("ext", {}).get("gpid", "")

    def covers(entry: str) -> bool:
        return gpid == entry or gpid.startswith((entry + "/", entry + "#"))

    return _any_listed(targeting.gpids_allow, covers) and not any(map(covers, targeting.gpids_deny))


def _venue_holds(entry: str, request: Json) -> bool:
    venues = [venue.lower() for venue in request.get("dooh", {}).get("venuetype", ())]
    return any(venue == entry or venue.startswith(entry + ("" if venue.isdigit() else ".")) for venue in venues)


def _path_holds(pattern: str, request: Json) -> bool:
    path = urllib.parse.unquote(urllib.parse.urlsplit(request.get("site", {}).get("page", "")).path) or "/"
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path == pattern


Holds = Callable[[Targeting, Exchange, Json, Json], bool]

CONTEXT: dict[NoBid, Holds] = {
    NoBid.EXCHANGE: lambda t, exchange, _r, _i: _any_listed(t.exchanges, lambda n: n == exchange.id),
    NoBid.ENVIRONMENT: lambda t, _e, request, _i: _any_listed(t.environments, lambda name: name in request),
    NoBid.COUNTRY: lambda t, _e, r, _i: _any_listed(t.countries, lambda c: c == _place(r).get("country")),
    NoBid.REGION: lambda t, _e, r, _i: _any_listed(
        t.regions, lambda name: name == f"{_place(r).get('country')}/{_place(r).get('region')}"
    ),
    NoBid.CITY: lambda t, _e, r, _i: _any_listed(t.cities, lambda c: c == _place(r).get("city", "").casefold()),
    NoBid.POSTCODE: lambda t, _e, r, _i: _any_listed(
        t.postcodes, lambda prefix: re.sub(r"\W", "", _place(r).get("zip", "")).lower().startswith(prefix)
    ),
    NoBid.RADIUS: lambda t, _e, r, _i: _any_listed(t.radii, lambda circle: _in_circle(circle, _place(r))),
    NoBid.DEVICE_TYPE: lambda t, _e, r, _i: _any_listed(
        t.device_types, lambda kind: kind == r.get("device", {}).get("devicetype")
    ),
    NoBid.OPERATING_SYSTEM: lambda t, _e, r, _i: _any_listed(t.operating_systems, lambda n: n == _agent(r)[0]),
    NoBid.BROWSER: lambda t, _e, r, _i: _any_listed(t.browsers, lambda name: name == _agent(r)[1]),
    NoBid.CONNECTION: lambda t, _e, r, _i: _any_listed(
        t.connections, lambda kind: kind == r.get("device", {}).get("connectiontype")
    ),
    NoBid.LANGUAGE: lambda t, _e, r, _i: _any_listed(t.languages, lambda tag: tag == _language(r)),
    NoBid.DOMAIN: lambda t, _e, r, _i: _domain_holds(t, r),
    NoBid.APP: lambda t, _e, r, _i: _app_holds(t, r),
    NoBid.PAGE_PATH: lambda t, _e, r, _i: _any_listed(t.page_paths, lambda pattern: _path_holds(pattern, r)),
    NoBid.PAGE_KEYWORD: lambda t, _e, r, _i: _keyword_holds(t, r),
    NoBid.CATEGORY: lambda t, _e, r, _i: _category_holds(t, r),
    NoBid.PUBLISHER: lambda t, exchange, r, _i: _publisher_holds(t, exchange, r),
    NoBid.SELLER: lambda t, _e, r, _i: _seller_holds(t, r),
    NoBid.VENUE: lambda t, _e, r, _i: _any_listed(t.venues, lambda entry: _venue_holds(entry, r)),
    NoBid.TAG_ID: lambda t, _e, _r, imp: _tag_holds(t, imp),
    NoBid.GPID: lambda t, _e, _r, imp: _gpid_holds(t, imp),
    NoBid.PLACEMENT_TYPE: lambda t, _e, _r, imp: _any_listed(
        t.placement_types, lambda kind: kind == imp.get("video", {}).get("plcmt")
    ),
    NoBid.POD_SLOT: lambda t, _e, _r, imp: _any_listed(
        t.pod_slots,
        lambda slot: any(
            slot == spot.get("slotinpod") or (spot.get("slotinpod") == 2 and slot in (1, -1) and spot.get("poddur"))
            for spot in _spots(imp)
        ),
    ),
    NoBid.POD_BREAK: lambda t, _e, _r, imp: _any_listed(
        t.pod_breaks, lambda at: any(at == spot.get("podseq") for spot in _spots(imp))
    ),
    NoBid.INTERSTITIAL: lambda t, _e, _r, imp: _any_listed(t.interstitial, lambda value: value == imp.get("instl", 0)),
    NoBid.REWARDED: lambda t, _e, _r, imp: _any_listed(t.rewarded, lambda value: value == imp.get("rwdd", 0)),
    NoBid.POSITION: lambda t, _e, _r, imp: _any_listed(t.positions, lambda at: at == imp["banner"].get("pos")),
}
