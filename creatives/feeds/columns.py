"""Names under which feeds give a product's fields: aliases of columns and elements, and the XML dialects as values.

A path names an element below the item, its attribute, or an element chosen by its `name` attribute:
`g:price` is `price`, then `imgs/main/@url`, `attrs/a[Producent]`. Names are compared without prefix, case and dashes.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from core.errors import Fault, InputError
from creatives.product import FIELDS

ALIASES: Final[dict[str, str]] = {
    alias: field
    for field, aliases in {
        "id": "id item_id product_id sku offer_id identyfikator retailer_id content_id",
        "title": "title name product_name tytul tytuł nazwa titre titel titulo título titolo nazev",
        "link": "link url product_url product_link lien enlace adres_url",
        "image": "image_link image image_url img imgurl picture lien_image link_do_zdjecia link_do_zdjęcia bildlink "
        "enlace_imagen link_immagine",
        "price": "price cena prix preis precio prezzo",
        "currency": "currency currency_code waluta",
        "availability": "availability available stock_status dostepnosc dostępność disponibilite disponibilité "
        "verfügbarkeit verfuegbarkeit disponibilidad disponibilità dostupnost",
        "sale_price": "sale_price cena_promocyjna prix_solde prix_soldé sonderangebotspreis "
        "precio_de_oferta prezzo_scontato",
        "sale_dates": "sale_price_effective_date sale_effective_date",
        "category": "product_type category google_product_category kategoria fb_product_category categorie",
        "brand": "brand manufacturer vendor marka producent marque marke marca",
        "group": "item_group_id group_id parent_id itemgroup_id",
        "size": "size rozmiar taille größe talla taglia",
        "color": "color colour kolor couleur farbe colore",
        "gender": "gender plec płeć geschlecht sexe sexo",
        "age_group": "age_group",
        "margin": "margin margin_label marza marża",
        "shipping": "shipping_label",
        "loyalty": "loyalty_program_label loyalty_label program_label",
        "loyalty_price": "loyalty_price loyalty_program_price member_price",
        "label_0": "custom_label_0",
        "label_1": "custom_label_1",
        "label_2": "custom_label_2",
        "label_3": "custom_label_3",
        "label_4": "custom_label_4",
    }.items()
    for alias in aliases.split()
}
"""Column or element name -> field."""

PREFERENCE: Final = {name: rank for rank, name in enumerate(ALIASES)}
"""Of several columns for one field the one with the lower rank is read: product_type before google_product_category."""

CSV_ALIASES: Final = ALIASES | {"shipping": "shipping_price"}
"""In a table delivery is one text, `PL::Courier:0.00 PLN`; in XML an element with a price of its own."""

GATHERED: Final = frozenset({"shipping_price"})
"""Fields of which all values count: delivery is free where it costs nothing in each country that the feed names."""


class FeedDialect(msgspec.Struct, frozen=True):
    """One form of XML feed: which element is a product, and where its fields lie."""

    items: tuple[str, ...]  # names of the product's element
    paths: Mapping[str, str]  # path -> field
    currency: str = ""  # of prices that name none
    categories: str = ""  # element that declares a category: <category id="7" parentId="1">Shoes</category>
    availability: Mapping[str, str] = {}  # the dialect's own codes -> words of AVAILABILITIES


GOOGLE: Final = FeedDialect(
    items=("item", "entry"),
    paths=ALIASES | {"shipping/price": "shipping_price", "loyalty_program/price": "loyalty_price",
                     "loyalty_program/program_label": "loyalty", "link/@href": "link"},
)  # fmt: skip

CENEO: Final = FeedDialect(
    items=("o",),
    paths={
        "@id": "id", "@url": "link", "@price": "price", "@avail": "availability", "name": "title", "cat": "category",
        "imgs/main/@url": "image", "attrs/a[Producent]": "brand", "attrs/a[Rozmiar]": "size",
        "attrs/a[Kolor]": "color", "attrs/a[Płeć]": "gender", "@group_id": "group",
    },
    currency="PLN",
    # Days until the parcel leaves; 99 is "ask the shop", 110 "to order" (Ceneo's manual).
    availability={"1": "in_stock", "3": "in_stock", "7": "in_stock", "14": "in_stock", "90": "preorder",
                  "99": "out_of_stock", "110": "backorder"},
)  # fmt: skip

YML: Final = FeedDialect(
    items=("offer",),
    paths={
        "@id": "id", "@available": "availability", "@group_id": "group", "url": "link", "price": "price",
        "oldprice": "old_price", "currencyId": "currency", "categoryId": "category_id", "picture": "image",
        "name": "title", "model": "model", "typePrefix": "type_prefix", "vendor": "brand", "param[Размер]": "size",
        "param[Цвет]": "color", "param[Пол]": "gender", "param[Size]": "size", "param[Color]": "color",
    },
    categories="category",
)  # fmt: skip

HEUREKA: Final = FeedDialect(
    items=("shopitem",),
    paths={
        "ITEM_ID": "id", "PRODUCTNAME": "title", "PRODUCT": "model", "URL": "link", "IMGURL": "image",
        "PRICE_VAT": "price", "MANUFACTURER": "brand", "CATEGORYTEXT": "category", "ITEMGROUP_ID": "group",
        "DELIVERY_DATE": "delivery_days",
    },
    currency="CZK",
)  # fmt: skip

ROOTS: Final[dict[str, FeedDialect]] = {
    "rss": GOOGLE, "feed": GOOGLE, "rdf": GOOGLE, "channel": GOOGLE, "offers": CENEO,
    "yml_catalog": YML, "shop": HEUREKA,
}  # fmt: skip
"""Root element -> dialect. Another root needs a mapping of the feed's own."""

_PATH: Final = re.compile(r"(?:[\w:.-]+/)*(?:[\w:.-]+(?:\[[^\[\]]{1,80}\])?|@[\w:.-]+)(?:/@[\w:.-]+)?")


def plain_name(name: str) -> str:
    """A column or element name as it is compared: without namespace prefix, in lower case, with underscores."""
    return name.strip().rpartition(":")[2].lower().replace(" ", "_").replace("-", "_")


def plain_path(path: str) -> str:
    """A path with plain names; what stands in brackets is kept as it is."""
    parts = []
    for part in path.split("/"):
        name, bracket, rest = part.partition("[")
        mark = "@" if name.startswith("@") else ""
        parts.append(f"{mark}{plain_name(name.removeprefix('@'))}{bracket}{rest}")
    return "/".join(parts)


def check_mapping(mapping: Mapping[str, str]) -> list[Fault]:
    """What is wrong with a feed's own mapping of fields to columns or paths."""
    faults = []
    for field, path in mapping.items():
        if field not in FIELDS:
            faults.append(Fault(f"/mapping/{field}", "unknown", "is not a field of products", allowed=FIELDS))
        elif _PATH.fullmatch(path) is None and "/" in path:
            hint = "such as imgs/main/@url or attrs/a[Producent]"
            faults.append(Fault(f"/mapping/{field}", "value", "is not a column or a path", hint=hint))
    return faults


def own_dialect(item: str, mapping: Mapping[str, str], base: FeedDialect | None) -> FeedDialect:
    """A dialect with a feed's own mapping laid over `base`; a mapped field is read from its path alone."""
    faults = check_mapping(mapping)
    if faults:
        raise InputError("the feed's mapping is not valid", faults=faults)
    start = base or FeedDialect(items=(), paths=ALIASES)
    kept = {path: field for path, field in start.paths.items() if field not in mapping}
    paths = kept | {path: field for field, path in mapping.items()}
    items = (item,) if item else start.items
    return msgspec.structs.replace(start, items=items, paths=paths)
