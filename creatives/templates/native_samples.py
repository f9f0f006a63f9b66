"""Native ads of a template as a publisher's page may put them together: for a look at them before a page is there.

What a page does with the assets is its own business; here it does what Native 1.2 recommends, and shortens nothing.
"""

import html
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from core.model import Creative, Format, NativeAssets, Picture, ProductChoice, TemplateUse
from creatives.formats.native import NativeRequest, WantedAsset
from creatives.formats.native_filling import NativeFiller
from creatives.macros import TOKEN, Tracker
from creatives.product import FeedProduct
from creatives.templates.library import AdTemplate
from creatives.templates.samples import LANDING, PICTURES, USUAL, Unsigned, drawn
from creatives.templates.wording import direction_of, language_of

TITLE, IMAGE, TEXT, SPONSORED, PRICE, SALE, CALL = range(1, 8)


class NativePlace(NamedTuple):
    """A place on a page: its measures in pixels, and what it asks for."""

    width: int
    height: int
    picture: tuple[int, int]
    assets: tuple[WantedAsset, ...]


def _place(width: int, height: int, picture: tuple[int, int], title: int, text: int) -> NativePlace:
    assets = (
        WantedAsset(TITLE, "titles", True, title),
        WantedAsset(IMAGE, "images", True, 0, 2 * picture[0], 2 * picture[1]),
        WantedAsset(SPONSORED, "sponsored", True, 25),
        WantedAsset(PRICE, "price", False, 20),
        WantedAsset(SALE, "sale_price", False, 20),
        WantedAsset(CALL, "call_to_action", False, 15),
        *([WantedAsset(TEXT, "texts", False, text)] if text else ()),
    )
    return NativePlace(width, height, picture, assets)


PLACES: Final[Mapping[str, NativePlace]] = {
    "feed": _place(300, 340, (276, 144), title=90, text=90),
    "tile": _place(200, 320, (180, 135), title=50, text=0),
    "row": _place(360, 120, (96, 96), title=40, text=0),
}
"""An article among articles, a tile of recommended ones, a line of a list: the lengths that IAB's guide names."""

_STYLE: Final = (
    "html,body{margin:0}*{box-sizing:border-box}.ad{font:14px/1.35 Georgia,serif;color:#222;background:#fff;"
    "overflow-wrap:anywhere}.product{display:flex;flex-direction:column;gap:4px;height:100%;padding:10px;"
    "color:inherit;text-decoration:none}.row .product{flex-direction:row;gap:10px}img{display:block;flex:none;"
    "object-fit:contain}.words{display:flex;flex-direction:column;gap:2px;min-width:0;flex:1}small{font-size:11px;"
    "color:#666}.title{font-weight:700}.text{font-size:12px}.prices{white-space:nowrap}.old{margin-inline-start:6px;"
    "color:#666;font-size:12px}.call{margin-top:auto;align-self:flex-start;padding:2px 10px;border:1px solid #222;"
    "font-size:12px}.row .call{display:none}"
)


def native_creative_of(template: AdTemplate, parameters: Mapping[str, str], language: str = "pl") -> Creative:
    """A creative of a native template, with assets of its own for a bid without a product."""
    measures = {(asset.width, asset.height) for place in PLACES.values() for asset in place.assets if asset.width}
    own = NativeAssets(
        titles=("Szpilka",), texts=("Buty i dodatki",), sponsored="Szpilka",
        images=tuple(Picture(f"{LANDING}own-{width}.png", width, height) for width, height in sorted(measures)),
    )  # fmt: skip
    use = TemplateUse(name=template.name, parameters=dict(parameters))
    return Creative(
        id=1, advertiser_id=1, name=f"{template.name}: sample", format=Format.NATIVE, landing_url=LANDING, native=own,
        language=language, products=ProductChoice(), template=use,
    )  # fmt: skip


def native_preview(creative: Creative, template: AdTemplate, name: str, product: FeedProduct = USUAL[0]) -> str:
    """The page of a place with one product; it loads nothing."""
    place = PLACES[name]
    filler = NativeFiller(creative, template, NativeRequest(place.assets), Tracker(LANDING.rstrip("/")), 1)
    native = json.loads(filler.fill((product,), 1, Unsigned(), 1).replace(TOKEN, "preview"))
    found: dict[int, dict[str, Any]] = {each["id"]: each for each in native["assets"]}

    def text(number: int) -> str:
        asset = found.get(number, {})
        value = asset.get("title", {}).get("text") or asset.get("data", {}).get("value") or ""
        return html.escape(str(value))

    address = str(found[IMAGE]["img"]["url"]).removeprefix(f"{LANDING}i/")
    width, height = place.picture
    picture = html.escape(PICTURES.get(address) or drawn(width, height, "#9e9e9e"))  # grey: the creative's own
    price, sale = text(PRICE), text(SALE)
    old = f'<s class="old">{price}</s>' if sale and price else ""
    parts = (
        f"<small>{text(SPONSORED)}</small>", f'<span class="title" dir="auto">{text(TITLE)}</span>',
        f'<span class="text" dir="auto">{text(TEXT)}</span>' if text(TEXT) else "",
        f'<span class="prices"><b class="price">{sale or price}</b>{old}</span>',
        f'<span class="call">{text(CALL)}</span>',
    )  # fmt: skip
    language, link = language_of(creative.language), html.escape(native["link"]["url"])
    return (
        f'<!doctype html><html lang="{language}" dir="{direction_of(language)}"><meta charset="utf-8">'
        f"<title>{name}</title>"
        f"<style>{_STYLE}.ad{{width:{place.width}px;height:{place.height}px}}</style>"
        f'<div class="ad {name}"><a class="product" href="{link}" target="_blank" rel="noopener">'
        f'<img src="{picture}" width="{width}" height="{height}" alt="">'
        f'<span class="words">{"".join(parts)}</span></a></div>'
    )
