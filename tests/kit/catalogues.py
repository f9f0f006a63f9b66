"""Catalogues for tests and benches of the bid path: small ones to read, large ones to measure."""

import random

from core.model import (
    Advertiser,
    Campaign,
    Catalogue,
    Creative,
    Exchange,
    Format,
    Goal,
    LineItem,
    NativeAssets,
    Pacing,
    Picture,
    Segment,
    Targeting,
)

SIZES = ((300, 250), (728, 90), (160, 600), (320, 50), (300, 600), (970, 250), (320, 100), (336, 280))
EXCHANGE = Exchange(id=1, key="demo", name="Demo exchange", default_currency="PLN", seat="grosz")
COUNTRIES = ("POL", "DEU", "CZE", "USA")


def creative(number: int, advertiser: int, size: tuple[int, int] = (300, 250), **members: object) -> Creative:
    """A banner that passes every check."""
    fields: dict[str, object] = {
        "id": number,
        "advertiser_id": advertiser,
        "name": f"creative {number}",
        "width": size[0],
        "height": size[1],
        "html": '<a href="${CLICK_URL}">buy</a>',
        "landing_url": f"https://shop{advertiser}.example/",
        "advertiser_domain": f"shop{advertiser}.example",
        "categories": ("IAB22",),
    }
    return Creative(**{**fields, **members})  # type: ignore[arg-type]  # a test's keyword arguments


NATIVE = NativeAssets(
    titles=("Szpilki", "Szpilki czerwone, ostatnie sztuki"),
    texts=("Twój koszyk czeka", "Twój koszyk czeka na Ciebie: szpilki z wczoraj są jeszcze w magazynie"),
    images=(
        Picture("https://cdn.example/wide.png", 1200, 627, "image/png"),
        Picture("https://cdn.example/square.jpg", 600, 600, "image/jpeg"),
    ),
    icon=Picture("https://cdn.example/icon.png", 100, 100, "image/png"),
    sponsored="Szpilka",
    price="219,00 zł",
    call_to_action="Kup teraz",
)


def native_creative(number: int, advertiser: int, **members: object) -> Creative:
    """A native ad that passes every check and has the assets that nearly every request wants."""
    fields: dict[str, object] = {"format": Format.NATIVE, "html": "", "native": NATIVE}
    return creative(number, advertiser, (0, 0), **{**fields, **members})


def line_item(number: int, advertiser: int = 1, **members: object) -> LineItem:
    """A CPM line item at 2.00 PLN that targets everything with creative `advertiser`."""
    fields: dict[str, object] = {
        "id": number,
        "advertiser_id": advertiser,
        "campaign_id": advertiser,
        "name": f"line item {number}",
        "bid_micros": 2_000_000,
        "max_cpm_micros": 20_000_000,
        "creative_ids": (advertiser,),
        "pacing": Pacing.ASAP,
    }
    return LineItem(**{**fields, **members})  # type: ignore[arg-type]  # a test's keyword arguments


def catalogue(*line_items: LineItem, advertisers: int = 2, version: int = 1, **members: object) -> Catalogue:
    """A catalogue of the given line items; advertiser n has campaign n and creative n (300x250)."""
    numbers = range(1, advertisers + 1)
    fields: dict[str, object] = {
        "version": version,
        "published_ms": 1_790_000_000_000,
        "advertisers": tuple(Advertiser(id=n, name=f"shop {n}", domain=f"shop{n}.example") for n in numbers),
        "campaigns": tuple(Campaign(id=n, advertiser_id=n, name=f"campaign {n}") for n in numbers),
        "creatives": tuple(creative(n, n) for n in numbers),
        "exchanges": (EXCHANGE,),
        "fx_rates": {"USD": 4_000_000, "EUR": 4_300_000},
        "line_items": line_items,
    }
    return Catalogue(**{**fields, **members})  # type: ignore[arg-type]  # a test's keyword arguments


def large_catalogue(line_items: int, eligible_share: float, *, seed: int = 1) -> Catalogue:
    """`line_items` of 50 shops with varied targeting, of which about `eligible_share` fit an average request.

    The request that fits is the bench's: Poland, a news site, desktop or phone, two common sizes.
    """
    chance = random.Random(seed)
    shops = 50
    creatives = [
        creative(shop * 100 + number, shop, size) for shop in range(1, shops + 1) for number, size in enumerate(SIZES)
    ]
    lines = [_varied_line(number, 1 + number % shops, eligible_share, chance) for number in range(1, line_items + 1)]
    segments = tuple(
        Segment(id=shop * 10 + kind, advertiser_id=shop, name=f"segment {kind}", rule="visits >= 1")
        for shop in range(1, shops + 1)
        for kind in range(4)
    )
    return catalogue(*lines, advertisers=shops, creatives=tuple(creatives), segments=segments)


def _varied_line(number: int, shop: int, eligible_share: float, chance: random.Random) -> LineItem:
    fits = chance.random() < eligible_share
    goal = chance.choice((Goal.CPM, Goal.CPC, Goal.CPA))
    bid = {Goal.CPM: 1_500_000, Goal.CPC: 800_000, Goal.CPA: 25_000_000}[goal] * chance.randint(80, 120) // 100
    country = ("POL",) if fits else (chance.choice(COUNTRIES[1:]),)
    targeting = Targeting(
        exchanges=(1,) if chance.random() < 0.5 else (),
        countries=country,
        device_types=chance.choice(((), (1, 2, 4, 5))),
        operating_systems=chance.choice(((), ("windows", "android", "ios", "macos"))),
        browsers=chance.choice(((), ("chrome", "safari", "firefox", "edge"))),
        languages=chance.choice(((), ("pl",))),
        domains_deny=(f"bad{number % 100}.example",) if chance.random() < 0.3 else (),
        categories=("IAB12", "IAB18", "IAB22") if chance.random() < 0.2 else (),
        categories_deny=("IAB26",) if chance.random() < 0.3 else (),
        hours_of_week=tuple(range(168)) if chance.random() < 0.2 else (),
        segments_none=(shop * 10,) if chance.random() < 0.2 else (),
    )
    return line_item(
        number,
        shop,
        goal=goal,
        bid_micros=bid,
        creative_ids=tuple(shop * 100 + kind for kind in range(len(SIZES))),
        targeting=targeting,
    )
