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
