"""Catalogues: a file that `grosz catalogue export` wrote, or one of any size for `grosz catalogue import`.

Line items are spread over shops and differ in targeting, so that about `eligible` of them fit an average banner
impression in Poland: what a match has to sift is the whole, what it finds stays the same.
"""

import codecs
import random
from collections.abc import Mapping
from pathlib import Path

import orjson

from loadtest.traffic import vocabulary
from loadtest.traffic.facts import mapping
from loadtest.traffic.scenario import ScenarioError

Object = dict[str, object]

_FORMAT = "grosz-catalogue/1"
_LINE_ITEMS_PER_CAMPAIGN = 10
_SIZES = tuple((width, height) for width, height, _ in vocabulary.BANNER_SIZES)


def read_catalogue(path: Path) -> Mapping[str, object]:
    """A `grosz catalogue export` file. Raises ScenarioError."""
    try:
        return mapping(orjson.loads(path.read_bytes().removeprefix(codecs.BOM_UTF8)))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"catalogue '{path}' cannot be read: {error}") from error


def make_catalogue(
    line_items: int,
    *,
    advertisers: int = 100,
    eligible: int = 60,
    daily_budget: str = "1000.00",
    asap: bool = False,
    seed: int = 1,
) -> Object:
    """An importable catalogue: advertisers with campaigns, line items, creatives in all common sizes, one exchange."""
    chance = random.Random(seed)
    advertisers = max(1, min(advertisers, line_items))
    # Every line item targets one site section, and one region or none; only this part of them runs everywhere.
    open_share = min(1.0, eligible / line_items)
    creatives = [creative for number in range(1, advertisers + 1) for creative in _creatives(number)]
    campaigns: dict[int, Object] = {}
    items = []
    pacing: Object = {"pacing": "asap" if asap else "even"}
    for number in range(1, line_items + 1):
        advertiser = (number - 1) % advertisers + 1
        campaign = (number - 1) // (_LINE_ITEMS_PER_CAMPAIGN * advertisers) * advertisers + advertiser
        campaigns.setdefault(
            campaign,
            {
                "id": campaign,
                "advertiser_id": advertiser,
                "name": f"Campaign {campaign}",
            },
        )
        items.append(_line_item(number, advertiser, campaign, chance, open_share, daily_budget) | pacing)
    return {
        "format": _FORMAT,
        "advertisers": [
            {"id": number, "name": f"Shop {number}", "domain": f"shop-{number}.example", "currency": "PLN"}
            for number in range(1, advertisers + 1)
        ],
        "campaigns": list(campaigns.values()),
        "line_items": items,
        "creatives": creatives,
        "exchanges": [{"id": 1, "key": "demo", "name": "Load test", "seat": "grosz", "default_currency": "PLN"}],
    }


def _creatives(advertiser: int) -> list[Object]:
    return [
        {
            "id": (advertiser - 1) * len(_SIZES) + position,
            "advertiser_id": advertiser,
            "name": f"Banner {width}x{height}",
            "format": "banner",
            "width": width,
            "height": height,
            "image_url": f"https://cdn.example/{advertiser}/{width}x{height}.png",
            "landing_url": f"https://shop-{advertiser}.example/",
            "advertiser_domain": f"shop-{advertiser}.example",
            "categories": ["IAB22"],
        }
        for position, (width, height) in enumerate(_SIZES, 1)
    ]


def _line_item(
    number: int, advertiser: int, campaign: int, chance: random.Random, open_share: float, daily_budget: str
) -> Object:
    first = (advertiser - 1) * len(_SIZES) + 1
    targeting: Object = {"countries": ["POL"]}
    if chance.random() >= open_share:
        # a domain of its own that traffic hardly ever has: the line item is sifted, and rarely found
        section = chance.choice(vocabulary.SECTIONS)[0]
        targeting["domains_allow"] = [f"{section}-{1_000_000 + number}.example"]
        if chance.random() < 0.5:
            targeting["regions"] = [f"POL/{chance.choice(vocabulary.PLACES)[0]}"]
    bid = round(chance.uniform(1.5, 8.0), 2)
    return {
        "id": number,
        "advertiser_id": advertiser,
        "campaign_id": campaign,
        "name": f"Line item {number}",
        "goal": "cpm",
        "bid": _money(f"{bid:.2f}"),
        "max_cpm": _money(f"{bid * 1.5:.2f}"),
        "targeting": targeting,
        "creative_ids": list(range(first, first + len(_SIZES))),
        "daily_budget": {"spend": _money(daily_budget)},
    }


def _money(amount: str) -> Object:
    return {"amount": amount, "currency": "PLN"}
