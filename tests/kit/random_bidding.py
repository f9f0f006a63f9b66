"""Random catalogues, bid requests and users whose values collide often, from a seeded generator."""

import datetime
import math
import random
from typing import Any

from bidder.targeting.fields import FIELDS
from core.model import (
    Advertiser,
    Approval,
    BidModifier,
    BudgetShare,
    Campaign,
    CartValue,
    Catalogue,
    Clearing,
    Creative,
    Deal,
    Exchange,
    FrequencyCap,
    Goal,
    InventoryList,
    LineItem,
    ListKind,
    Pacing,
    Radius,
    ReviewPolicy,
    Segment,
    Status,
    Targeting,
)
from tests.kit.bidding import NOW_MS, Shopper, ShopState
from tests.kit.catalogues import creative
from tests.kit.naive_targeting import AGENTS

SHOPS = 3
SIZES = ((300, 250), (728, 90), (320, 50))
ZONES = ("Europe/Warsaw", "America/New_York", "Asia/Kolkata")
CURRENCIES = ("PLN", "EUR", "PLN")
RATES = {"EUR": 4_300_000, "USD": 3_640_000, "CZK": 172_000}
DOMAINS = ("news.example", "sport.news.example", "www.news.example", "blog.test", "ews.example")
PAGES = (
    "https://news.example/buty/czerwone-szpilki.html", "https://news.example/sport/", "https://blog.test",
    "https://news.example/moda/%C5%9Blubne_szpilki?q=buty+sportowe", "https://blog.test/buty/",
)  # fmt: skip
PHRASES = ("szpilki", "czerwone szpilki", "ślubne szpilki", "buty", "but", "buty sportowe", "moda i styl", "styl sport")
CATEGORIES = ("IAB18", "IAB18-3", "IAB1", "IAB17-3", "IAB7")
CITIES = (("POL", "MZ", "Warszawa", "00-950", 52.23, 21.01), ("POL", "MA", "Kraków", "30-001", 50.06, 19.94),
          ("CZE", "10", "Praha", "110 00", 50.09, 14.42))  # fmt: skip
SELLERS = (("ssp.example", "4711"), ("ssp.example", "12"), ("reseller.example", "9"), ("other.example", "1"))
PUBLISHERS = ("815", "demo/815", "house/815", "4711")
GPIDS = ("/1/news", "/1/news/top", "/1/news/top#2", "/1", "/1/new")
VENUES = ("transit", "transit.airports", "1", "101", "10101", "2", "trans")
EXCHANGES = (
    Exchange(id=1, key="demo", seat="grosz", default_currency="PLN"),
    Exchange(
        id=2, key="house", seat="g2", default_currency="EUR", clearing=Clearing.HOUSE, admits_uncategorised=True,
        review=ReviewPolicy.AFTER,
    ),
)  # fmt: skip
FLOORS = (0.05, 0.5, 1.234567)
HOUR_MS = 3_600_000

# Moments around the ends of summer time in Warsaw (2026-10-25) and New York (2026-11-01), and in the middle of a week.
MOMENTS = tuple(
    int(datetime.datetime(*moment, tzinfo=datetime.UTC).timestamp() * 1000)
    for moment in ((2026, 10, 25, 0, 30), (2026, 10, 25, 1, 30), (2026, 11, 1, 5, 30), (2026, 11, 1, 6, 30),
                   (2026, 9, 23, 12, 0), (2026, 3, 29, 0, 59), (2026, 3, 29, 1, 1))
)  # fmt: skip


def some(chance: random.Random, values: tuple[Any, ...], share: float = 0.3, most: int = 3) -> tuple[Any, ...]:
    """Nothing most of the time, otherwise some of the values."""
    if chance.random() >= share:
        return ()
    return tuple(chance.sample(values, chance.randint(1, min(most, len(values)))))


def random_catalogue(chance: random.Random, line_items: int = 12, *, targeted: bool = True) -> Catalogue:
    """A catalogue of three shops. Without `targeted` only carts, segments' shares and sizes restrict line items."""
    shops = range(1, SHOPS + 1)
    creatives = tuple(_creative(chance, shop * 10 + at, shop, SIZES[at]) for shop in shops for at in range(3))
    return Catalogue(
        version=1,
        published_ms=NOW_MS,
        advertisers=tuple(_advertiser(chance, shop, targeted) for shop in shops),
        campaigns=tuple(_campaign(chance, shop, targeted) for shop in shops),
        line_items=tuple(_line_item(chance, number, targeted) for number in range(1, line_items + 1)),
        creatives=creatives,
        lists=(
            InventoryList(id=1, name="news", kind=ListKind.DOMAINS, values=("news.example",)),
            InventoryList(id=2, name="resellers", kind=ListKind.SELLERS, values=("reseller.example",), advertiser_id=1),
            InventoryList(id=3, name="shoes", kind=ListKind.WORDS, values=("buty", "szpilki")),
            InventoryList(id=4, name="bad", kind=ListKind.APPS, values=("com.bad",), status=Status.PAUSED),
        ),
        deals=(
            Deal(id=1, exchange_id=1, deal_id="deal-a"),
            Deal(id=2, exchange_id=1, deal_id="deal-b", advertiser_id=1),
            Deal(id=3, exchange_id=2, deal_id="deal-a"),
            Deal(id=4, exchange_id=1, deal_id="deal-c", status=Status.PAUSED),
        ),
        segments=tuple(
            Segment(id=shop * 10 + kind, advertiser_id=shop, name="s", rule="visits >= 1")
            for shop in shops
            for kind in range(3)
        ),
        exchanges=EXCHANGES,
        approvals=tuple(
            Approval(id=each.id, approved=(1,), rejected=(2,))
            for each in creatives
            if targeted and chance.random() < 0.2
        ),
        fx_rates=RATES,
    )


def _status(chance: random.Random, targeted: bool) -> Status:
    return Status.PAUSED if targeted and chance.random() < 0.05 else Status.ACTIVE


def _advertiser(chance: random.Random, shop: int, targeted: bool) -> Advertiser:
    return Advertiser(
        id=shop,
        name=f"shop {shop}",
        status=_status(chance, targeted),
        timezone=ZONES[shop - 1],
        currency=CURRENCIES[shop - 1],
        domain=f"shop{shop}.example",
        product_categories=some(chance, CATEGORIES, 0.2) if targeted else (),
        caps=(FrequencyCap(3, 3_600),) if targeted and chance.random() < 0.2 else (),
    )


def _campaign(chance: random.Random, shop: int, targeted: bool) -> Campaign:
    return Campaign(
        id=shop,
        advertiser_id=shop,
        name="campaign",
        status=_status(chance, targeted),
        start_ms=NOW_MS - 365 * 24 * HOUR_MS if targeted and chance.random() < 0.3 else None,
        caps=(FrequencyCap(2, 600),) if targeted and chance.random() < 0.2 else (),
    )


def _creative(chance: random.Random, number: int, shop: int, size: tuple[int, int]) -> Creative:
    return creative(
        number,
        shop,
        size,
        advertiser_domain=chance.choice(("", f"shop{shop}.example", f"promo.shop{shop}.example")),
        categories=some(chance, CATEGORIES, 0.2),
        attributes=some(chance, (1, 2, 3), 0.2),
        status=Status.PAUSED if chance.random() < 0.1 else Status.ACTIVE,
    )


def _line_item(chance: random.Random, number: int, targeted: bool) -> LineItem:
    shop = chance.randint(1, SHOPS)
    goal = chance.choice(tuple(Goal))
    shares = (
        (BudgetShare(chance.randint(1, SHOPS) * 10 + chance.randrange(3), 30, bid_factor_percent=150),)
        if chance.random() < 0.3
        else ()
    )
    return LineItem(
        id=number,
        advertiser_id=shop,
        campaign_id=shop,
        name=f"line item {number}",
        status=_status(chance, targeted),
        start_ms=chance.choice((None, MOMENTS[0], MOMENTS[4])) if targeted and chance.random() < 0.2 else None,
        end_ms=MOMENTS[2] if targeted and chance.random() < 0.1 else None,
        goal=goal,
        bid_micros={Goal.CPM: 1_500_000, Goal.CPC: 900_000, Goal.CPA: 30_000_000}[goal]
        * chance.randint(50, 200)
        // 100,
        max_cpm_micros=chance.choice((1_200_000, 2_345_678, 20_000_000)),
        min_cpm_micros=chance.choice((0, 0, 300_000)),
        cart=CartValue(delay_s=chance.choice((0, 3_600))) if chance.random() < 0.5 else None,
        targeting=_targeting(chance) if targeted else Targeting(),
        creative_ids=tuple(chance.sample(range(shop * 10, shop * 10 + 3), 2))
        + ((20,) if chance.random() < 0.2 else ()),
        budget_shares=shares,
        pacing=Pacing.ASAP,
        caps=(FrequencyCap(1, 3_600),) if targeted and chance.random() < 0.2 else (),
        min_gap_s=60 if targeted and chance.random() < 0.2 else 0,
        several_per_request=chance.random() < 0.2,
        bid_modifiers=_modifiers(number),
    )


_SEGMENTS = tuple(shop * 10 + kind for shop in range(1, SHOPS + 1) for kind in range(3))
_RADII = (Radius(52.2, 21.0, 30.0), Radius(50.0, 20.0, 9.0), Radius(-80.0, 170.0, 500.0))
_RARE, _COMMON = 0.08, 0.12
TARGETED: dict[str, tuple[tuple[Any, ...], float, int]] = {
    "exchanges": ((1, 2), _COMMON, 3),
    "environments": (("site", "app"), _COMMON, 3),
    "countries": (("POL", "CZE", "DEU"), _COMMON, 3),
    "regions": (("POL/MZ", "POL/MA", "CZE/10"), _RARE, 3),
    "cities": (("warszawa", "kraków", "praha"), _RARE, 3),
    "postcodes": (("00", "009", "30001", "1"), _RARE, 3),
    "radii": (_RADII, _RARE, 3),
    "device_types": ((1, 2, 4), _RARE, 3),
    "operating_systems": (tuple(system for system, _ in AGENTS.values()), _RARE, 3),
    "browsers": (tuple(browser for _, browser in AGENTS.values()), _RARE, 3),
    "connections": ((1, 2, 6), _RARE, 3),
    "languages": (("pl", "en"), _COMMON, 3),
    "domains_allow": (DOMAINS, _COMMON, 3),
    "domains_deny": (DOMAINS, _COMMON, 1),
    "apps_allow": (("com.game", "com.news"), _RARE, 3),
    "apps_deny": (("com.game", "com.bad"), _COMMON, 3),
    "page_paths": (("/buty/*", "/sport/", "/", "/moda/*"), _RARE, 3),
    "page_keywords": (PHRASES, _COMMON, 3),
    "page_keywords_deny": (PHRASES, _COMMON, 1),
    "categories": (CATEGORIES, _COMMON, 3),
    "categories_deny": (CATEGORIES, _COMMON, 1),
    "publishers_allow": (PUBLISHERS, _RARE, 3),
    "publishers_deny": (PUBLISHERS, _RARE, 1),
    "venues": (VENUES, 0.04, 3),
    "tag_ids_allow": (("top", "bottom"), _RARE, 3),
    "tag_ids_deny": (("top", "bottom"), _RARE, 1),
    "gpids_allow": (GPIDS, _RARE, 3),
    "gpids_deny": (GPIDS, _RARE, 1),
    "placement_types": ((1, 2), 0.04, 3),
    "pod_slots": ((-1, 0, 1), 0.04, 3),
    "pod_breaks": ((-1, 0, 1), 0.04, 3),
    "interstitial": ((0, 1), _RARE, 3),
    "rewarded": ((0, 1), _RARE, 3),
    "positions": ((1, 3), _RARE, 3),
    "hours_of_week": (tuple(range(168)), _COMMON, 120),
    "deals": ((1, 2, 3, 4), _RARE, 3),
    "segments_any": (_SEGMENTS, _COMMON, 3),
    "segments_all": (_SEGMENTS, _RARE, 2),
    "segments_none": (_SEGMENTS, _COMMON, 2),
    "sellers_allow": (("ssp.example", "ssp.example/4711", "reseller.example"), 0.04, 3),
    "sellers_deny": (("ssp.example/4711", "reseller.example/9", "other.example"), _RARE, 1),
    "lists_allow": ((1, 2, 3), 0.04, 2),
    "lists_deny": ((1, 2, 3, 4), _RARE, 2),
}
"""By member of Targeting: values to choose from, how often there are any, and the most of them."""


def _modifiers(number: int) -> tuple[BidModifier, ...]:
    """Up to three modifiers, of any field; drawn by the line item's number, so that they change no other draw."""
    chance = random.Random(number * 7919)
    found = []
    for member in chance.sample([field.allow for field in FIELDS if field.allow], chance.choice((0, 0, 1, 2, 3))):
        values, _often, most = TARGETED[member]
        field = next(field.name for field in FIELDS if field.allow == member)
        named = tuple(
            f"{value.latitude},{value.longitude},{value.kilometres}" if isinstance(value, Radius) else value
            for value in chance.sample(values, chance.randint(1, min(most, len(values))))
        )
        found.append(BidModifier(field, named, chance.choice((10, 40, 130, 300, 1_000))))
    return tuple(found)


def _targeting(chance: random.Random) -> Targeting:
    return Targeting(
        **{member: some(chance, values, share, most) for member, (values, share, most) in TARGETED.items()}
    )


def random_request(chance: random.Random, number: int = 0, *, plain: bool = False) -> dict[str, Any]:
    """A request with one to three banners; `plain`: nothing blocked, no deals, no foreign floors."""
    country, region, city, postcode, latitude, longitude = chance.choice(CITIES)
    geo: dict[str, Any] = {"country": country, "region": region}
    if chance.random() < 0.3:
        geo["utcoffset"] = chance.choice((-720, -210, 0, 60, 120, 345, 840, 9_999))
    if chance.random() < 0.7:
        geo |= {"city": city, "zip": postcode, "lat": latitude, "lon": longitude}
    device = {
        "ua": chance.choice(tuple(AGENTS)),
        "devicetype": chance.choice((1, 2, 4)),
        "connectiontype": chance.choice((1, 2, 6)),
        "language": chance.choice(("pl", "pl-PL", "EN-us", "de")),
        "geo": geo,
    }
    request: dict[str, Any] = {
        "id": f"request-{number}-{chance.randrange(10**6)}",
        "imp": [_random_imp(chance, str(at), plain) for at in range(chance.randint(1, 3))],
        "device": device,
        "regs": {"gdpr": 0},
        **_random_place(chance),
    }
    if not plain and chance.random() < 0.15:
        request["badv"] = list(some(chance, ("shop1.example", "www.shop2.example", "promo.shop3.example"), 1.0, 1))
    if not plain and chance.random() < 0.15:
        request["bcat"] = list(some(chance, CATEGORIES, 1.0, 2))
    elif not plain and chance.random() < 0.1:
        request["acat"] = list(some(chance, CATEGORIES, 1.0, 3))
    if chance.random() < 0.5:
        nodes = [{"asi": system, "sid": account, "hp": 1} for system, account in some(chance, SELLERS, 1.0, 2)]
        request["source"] = {"schain": {"complete": 1, "ver": "1.0", "nodes": nodes}}
    return request


def _random_place(chance: random.Random) -> dict[str, Any]:
    described: dict[str, Any] = {
        "cat": list(some(chance, CATEGORIES, 0.7)),
        "keywords": ",".join(some(chance, ("moda i styl", "sport", "buty", "czerwone"), 0.6)),
        "publisher": {"id": chance.choice(("815", "4711", "1"))} if chance.random() < 0.7 else {},
    }
    if chance.random() < 0.2:
        described["publisher"] |= {"cat": list(some(chance, CATEGORIES, 0.7))}
    if chance.random() < 0.1:
        venue = chance.choice(("transit.airports.gates", "Transit", "10101", "201", "transport"))
        return {"dooh": {"venuetype": [venue], "publisher": described["publisher"]}}
    if chance.random() < 0.2:
        return {"app": {"bundle": chance.choice(("com.game", "com.news", "com.bad")), **described}}
    content = {"title": chance.choice(("Czerwone szpilki na wesele", "Moda", "Nie tylko obuty kot"))}
    return {"site": {"domain": chance.choice(DOMAINS), "page": chance.choice(PAGES), "content": content, **described}}


def _random_imp(chance: random.Random, identifier: str, plain: bool) -> dict[str, Any]:
    sizes = chance.sample(SIZES, chance.randint(1, 2))
    banner: dict[str, Any] = {"format": [{"w": width, "h": height} for width, height in sizes]}
    if chance.random() < 0.7:
        banner["pos"] = chance.choice((1, 3))
    if not plain and chance.random() < 0.15:
        banner["battr"] = [chance.choice((1, 2, 3))]
    imp: dict[str, Any] = {"id": identifier, "banner": banner}
    if chance.random() < 0.4:
        imp |= {"tagid": chance.choice(("top", "bottom")), "ext": {"gpid": chance.choice((*GPIDS, "/1/newspaper"))}}
    if chance.random() < 0.2:
        imp |= {
            "instl": 1,
            "rwdd": chance.choice((0, 1)),
            "video": {
                "plcmt": chance.choice((1, 2)),
                "podseq": -1,
                "slotinpod": chance.choice((1, 2)),
                "poddur": chance.choice((0, 60)),
            },
        }
    if chance.random() < 0.5:
        imp["bidfloor"] = chance.choice((0.1, 0.333333, 0.75, 2.0))
        imp["bidfloorcur"] = "PLN" if plain else chance.choice(("PLN", "EUR", "USD"))
    if not plain and chance.random() < 0.25:
        deals = [
            {"id": name, "bidfloor": chance.choice(FLOORS), "bidfloorcur": "PLN", "at": chance.choice((1, 2, 3))}
            for name in chance.sample(("deal-a", "deal-b", "deal-c"), 2)
        ]  # fmt: skip
        imp["pmp"] = {"private_auction": chance.choice((0, 1)), "deals": deals}
    return imp


def random_shopper(chance: random.Random, line_items: int, now_ms: int) -> Shopper | None:
    """A user, or now and then None, which is an unknown one."""
    if chance.random() < 0.2:
        return None
    segments = tuple(shop * 10 + kind for shop in range(1, SHOPS + 1) for kind in range(3) if chance.random() < 0.4)
    shops = {shop: _random_state(chance) for shop in range(1, SHOPS + 1) if chance.random() < 0.5}
    now_s = now_ms // 1000
    times = sorted(now_s - chance.choice((5, 59, 60, 400, 3_599, 3_600, 90_000)) for _ in range(chance.randint(0, 5)))
    return Shopper(segments, shops, tuple((chance.randint(1, line_items), at) for at in times))


def _random_state(chance: random.Random) -> ShopState:
    bought_s = chance.choice((math.inf, math.inf, 360.0, 19_000.0, 2_000_000.0, 10.0**8))
    if chance.random() < 0.5:
        return ShopState(
            last_visit_age_s=chance.uniform(0, 10**6), visits=chance.randint(1, 40), last_purchase_age_s=bought_s
        )
    return ShopState(
        cart_micros=chance.randint(1, 5_000) * 1_000_000,
        cart_age_s=chance.choice((10.0, 3_599.0, 3_601.0, 20_000.0, 500_000.0, 1_150_000.0)),
        last_purchase_age_s=bought_s,
        last_visit_age_s=chance.uniform(0, 10**6),
        visits=float(chance.randint(1, 40)),
        products_viewed=float(chance.randint(0, 30)),
    )
