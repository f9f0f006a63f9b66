"""One product of a shop, as a feed gives it and as ads, rules and recommendations use it.

Prices are micros of `currency`; moments are unix seconds, 0 for "not set"; an empty text is "not given".
"""

import enum
from typing import Final

import msgspec

MAX_ID_CHARS: Final = 100
"""As in shop events (segments.events): a longer id could never be matched."""


class Availability(enum.IntEnum):
    """Whether the shop can sell it now. Only IN_STOCK, PREORDER and BACKORDER are shown in ads."""

    OUT_OF_STOCK = 0
    IN_STOCK = 1
    PREORDER = 2
    BACKORDER = 3


_STOCK: Final = {
    Availability.IN_STOCK: """
        in_stock instock available true 1 yes y t on_stock limited_availability limitedavailability instoreonly
        onlineonly na_stanie dostepny dostępny dostępne jest tak skladem en_stock disponible auf_lager lagernd active
        в_наличии""",
    Availability.OUT_OF_STOCK: """
        out_of_stock outofstock out_stock unavailable false 0 no n f sold_out soldout discontinued not_available brak
        niedostepny niedostępny nie neskladem vyprodano rupture_de_stock agotado ausverkauft archived inactive
        нет_в_наличии""",
    Availability.PREORDER: "preorder pre_order presale coming_soon przedsprzedaż",
    Availability.BACKORDER: """
        backorder back_order available_for_order available_on_order na_zamowienie na_zamówienie made_to_order""",
}
AVAILABILITIES: Final = {word: state for state, words in _STOCK.items() for word in words.split()}
"""What shops write for each, in feeds and events."""


class FeedProduct(msgspec.Struct, array_like=True, frozen=True):
    """A product. An array on the wire: append fields at the end, with a default, and never reorder them."""

    id: str
    title: str = ""
    link: str = ""
    image: str = ""
    price_micros: int = 0
    currency: str = ""
    availability: Availability = Availability.IN_STOCK
    sale_micros: int = 0  # 0: never reduced
    sale_from_s: int = 0
    sale_to_s: int = 0  # 0: without end
    category: str = ""
    brand: str = ""
    group: str = ""  # item_group_id: variants of one product share it
    size: str = ""
    color: str = ""
    gender: str = ""
    age_group: str = ""
    margin: str = ""  # the shop's own margin label, such as "high"
    shipping: str = ""  # "free", or the shop's shipping label
    loyalty: str = ""  # label of its loyalty programme
    loyalty_micros: int = 0  # the members' price
    labels: tuple[str, ...] = ()  # custom_label_0 to 4, without empty ones at the end

    @property
    def for_sale(self) -> bool:
        return self.availability is not Availability.OUT_OF_STOCK

    def on_sale(self, now_s: int) -> bool:
        """Whether the reduced price holds at `now_s`."""
        return (
            0 < self.sale_micros < self.price_micros
            and self.sale_from_s <= now_s
            and (self.sale_to_s == 0 or now_s < self.sale_to_s)
        )

    def current_micros(self, now_s: int) -> int:
        """What a buyer pays at `now_s`."""
        return self.sale_micros if self.on_sale(now_s) else self.price_micros


FIELDS: Final = (
    "id", "title", "link", "image", "price", "currency", "availability", "sale_price", "sale_dates", "category",
    "brand", "group", "size", "color", "gender", "age_group", "margin", "shipping", "loyalty", "loyalty_price",
    "label_0", "label_1", "label_2", "label_3", "label_4",
)  # fmt: skip
"""What a column or an XML element of a feed can be read as; a feed's own mapping names these."""
