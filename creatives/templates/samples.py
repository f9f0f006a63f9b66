"""Made-up products for a look at a template before a feed is there: usual ones, and those that ads fail with."""

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Final

from core.model import Creative, ProductChoice, TemplateUse
from creatives.macros import TOKEN, Tracker
from creatives.product import FeedProduct
from creatives.templates.engine import TemplateError
from creatives.templates.filling import AdFiller
from creatives.templates.library import SIZE, AdTemplate

LANDING: Final = "https://shop.example/"
_MICROS: Final = 1_000_000


def drawn(width: int, height: int, colour: str) -> str:
    """A `data:` address of an ellipse of these measures, which stands for a picture."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<ellipse cx="50%" cy="50%" rx="42%" ry="42%" fill="{colour}"/></svg>'
    )
    return "data:image/svg+xml," + urllib.parse.quote(svg, safe="/:=,;")


def _product(name: str, title: str, price: float, **members: object) -> FeedProduct:
    fields: dict[str, object] = {
        "id": name, "title": title, "link": f"{LANDING}{name}", "image": f"{LANDING}{name}.png", "currency": "PLN",
        "price_micros": round(price * _MICROS), **members,
    }  # fmt: skip
    return FeedProduct(**fields)  # type: ignore[arg-type]  # members of several types


USUAL: Final = (
    _product("heels", "Szpilki lakierowane czerwone", 249.99, sale_micros=199_990_000, loyalty_micros=179_990_000),
    _product("boots", "Botki skórzane czarne", 319.0, shipping="free"),
    _product("bag", "Torebka na ramię", 149.5, labels=("last_pieces",)),
    _product("scarf", "Szal wełniany w kratę", 89.0, sale_micros=69_000_000),
    _product("belt", "Pasek", 59.9),
)

UGLY: Final = (
    _product(
        "long",
        "Wodoodporny plecak turystyczny Himalaya Extreme Explorer 65 litrów z pokrowcem przeciwdeszczowym, stelażem "
        "aluminiowym i pasem biodrowym, czarny",
        1999.0,
        shipping="free",
    ),
    _product("narrow", "Lampa podłogowa", 449.0, sale_micros=399_000_000),
    _product("reduced", "Sofa rozkładana trzyosobowa", 12_345.67, sale_micros=9_990_000, labels=("last_pieces",)),
    _product("bare", "Zegar ścienny", 89.0, image="", brand="Zeitgeist"),
    _product("rtl", "حذاء جلدي فاخر للرجال باللون البني من مجموعة الخريف", 349.0, sale_micros=299_000_000),
)
"""A title of 140 characters; a picture of 1:4; 12,345.67 for 9.99; no picture; a title from right to left."""

PICTURES: Final[Mapping[str, str]] = {
    f"{LANDING}{name}.png": drawn(width, height, colour)
    for name, width, height, colour in (
        ("heels", 400, 400, "#c2185b"), ("boots", 400, 400, "#37474f"), ("bag", 400, 300, "#8d6e63"),
        ("scarf", 300, 400, "#00796b"), ("belt", 400, 200, "#5d4037"), ("long", 400, 400, "#00838f"),
        ("narrow", 100, 400, "#f9a825"), ("reduced", 400, 300, "#a1662f"), ("rtl", 400, 400, "#283593"),
    )
}  # fmt: skip
"""What stands for their pictures."""


class Unsigned:
    """Signs nothing: the clicks of a preview lead to no tracker."""

    def sign_click(self, _nonce: int, _product_id: str, _url: str) -> str:
        return "unsigned"

    def sign_picture(self, _width: int, _height: int, url: str) -> str:
        return url


def sample_creative(template: AdTemplate, size: str, parameters: Mapping[str, str], language: str = "pl") -> Creative:
    """A creative of a template. Raises TemplateError for a size that the template does not have."""
    match = SIZE.fullmatch(size)
    if match is None or template.layout(int(match[1]), int(match[2])) is None:
        raise TemplateError(f"{template.name} has no {size}", hint=f"there are {', '.join(template.schema.sizes)}")
    return Creative(
        id=1, advertiser_id=1, name=f"{template.name} {size}", width=int(match[1]), height=int(match[2]),
        landing_url=LANDING, language=language, products=ProductChoice(),
        template=TemplateUse(name=template.name, parameters=dict(parameters)),
    )  # fmt: skip


def filled(creative: Creative, template: AdTemplate, products: Sequence[FeedProduct], now_s: int = 1) -> str:
    """The page of an ad with these products. Raises TemplateError for a creative of no size."""
    layout = template.layout(creative.width, creative.height)
    if layout is None:
        raise TemplateError(f"{template.name} has no {creative.width}x{creative.height}")
    filler = AdFiller(creative, template, layout, Tracker(LANDING.rstrip("/")), 1)
    page = filler.fill(products, now_s, Unsigned(), 1) if products else filler.static()
    return page.replace(TOKEN, "preview")


def preview(creative: Creative, template: AdTemplate, products: tuple[FeedProduct, ...] = USUAL) -> str:
    """The page of an ad with sample products, which loads nothing. Raises TemplateError for a creative of no size."""
    page = filled(creative, template, products)
    for address, drawn in PICTURES.items():
        page = page.replace(f'src="{address}"', f'src="{drawn}"')
    return page
