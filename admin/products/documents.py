"""What the API says and takes of products. Amounts are decimal texts with a currency, as everywhere in the API."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from admin.validation import fields as f
from core.errors import Fault, InputError
from core.model import Creative, Margin, ProductChoice, ProductStrategy
from core.money import format_micros, parse_decimal
from creatives.feeds.runs import Run, RunProgress
from creatives.product import MAX_ID_CHARS, Availability, FeedProduct
from creatives.products.changes import StockChange
from creatives.products.choosing import Choice, Plan, plan_of

MAX_CHANGES = 1_000
MAX_FOUND = 200

AvailabilityName = Literal["in_stock", "out_of_stock", "preorder", "backorder"]
ProductId = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS, pattern=f.TEXT)]


class FeedReport(msgspec.Struct):
    """How a feed fares: its last run, the last one that loaded (null: none yet), and a running one (null: none)."""

    feed_id: int
    last: Run | None
    good: Run | None
    progress: RunProgress | None


class RefreshRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`force` takes a feed that has lost more than half of its products."""

    force: bool = False


class RefreshAnswer(msgspec.Struct):
    """The load begins within a second; the feed's report shows it."""

    feed_id: int
    requested: bool


class ProductView(msgspec.Struct):
    """A product as it is now. `current_price` is what a buyer pays; `sale_price` is null without a reduced price."""

    id: str
    title: str
    link: str
    image: str
    price: f.Amount
    current_price: f.Amount
    sale_price: f.Amount | None
    on_sale: bool
    availability: AvailabilityName
    category: str
    brand: str
    group: str
    size: str
    color: str
    margin: str
    shipping: str
    loyalty: str
    labels: list[str]


class ProductPage(msgspec.Struct):
    """Products that were found. `complete` is false when there are more than were asked for."""

    items: list[ProductView]
    count: int
    complete: bool


class ProductQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Either one product by its id or item group, or those whose title, brand, category or id has all words of `q`."""

    id: ProductId | None = None
    q: Annotated[str, Meta(max_length=200, pattern=f.TEXT)] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_FOUND)] = 20


class ProductChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is new of one product; what is left out stays. `sale_price` null ends the sale."""

    id: ProductId
    availability: AvailabilityName | UnsetType = UNSET
    price: f.Amount | UnsetType = UNSET
    sale_price: f.Amount | UnsetType | None = UNSET


class ProductChanges(msgspec.Struct, forbid_unknown_fields=True):
    """Changes since the feed was made; they are in the next ad within a second, and hold until a newer feed."""

    products: Annotated[list[ProductChange], Meta(min_length=1, max_length=MAX_CHANGES)]


class ProductChangesAnswer(msgspec.Struct):
    """How many products were changed, and the ids that the feeds do not have."""

    changed: int
    unknown: list[str]


class EventMatch(msgspec.Struct):
    """For one kind of event: how many ids there were, and how many of them a feed has, by id and by item group."""

    event: str
    ids: int
    by_id: int
    by_group: int
    unmatched: int
    rate: float
    examples: list[str]


class MatchReport(msgspec.Struct):
    """Whether the ids of events are those of the feeds, over the newest events."""

    events: list[EventMatch]
    products: int


class RecommendRequest(msgspec.Struct, forbid_unknown_fields=True):
    """For whom, and how to choose: as `creative_id` does, otherwise as told here (docs/choosing.md)."""

    user_id: Annotated[str, Meta(max_length=64)] = ""
    products: Annotated[
        list[ProductId], Meta(max_length=50, description="Seen in this visit, instead of a user's.")
    ] = []
    creative_id: Annotated[
        f.Id | None, Meta(description="Choose as this creative of the advertiser; the members below are ignored.")
    ] = None
    strategies: Annotated[list[ProductStrategy], Meta(max_length=12, description="Empty: those of an ad.")] = []
    count: Annotated[int, Meta(ge=1, le=50)] = 8
    seed: Annotated[str, Meta(max_length=64)] = ""
    exclude_bought_days: f.Days = 30
    least_margin: Literal["", "low", "medium", "high"] = ""
    in_stock: bool = True
    one_of_group: bool = True
    reorder_after_days: f.Days = 30
    successor_after_days: f.Days = 365
    successor_step: Annotated[float, Meta(ge=0, le=100)] = 1.0


class Recommended(msgspec.Struct):
    """The chosen products in order, and every candidate with why it was taken or left out."""

    products: list[ProductView]
    choices: list[Choice]
    model_fitted_ms: int


def view_of(product: FeedProduct, now_s: int) -> ProductView:
    """A product for the API."""

    def amount(micros: int) -> f.Amount:
        return f.Amount(format_micros(micros), product.currency)

    return ProductView(
        product.id, product.title, product.link, product.image, amount(product.price_micros),
        amount(product.current_micros(now_s)), amount(product.sale_micros) if product.sale_micros else None,
        product.on_sale(now_s), _name(product.availability), product.category, product.brand, product.group,
        product.size, product.color, product.margin, product.shipping, product.loyalty, list(product.labels),
    )  # fmt: skip


def _name(availability: Availability) -> AvailabilityName:
    names: dict[Availability, AvailabilityName] = {
        Availability.IN_STOCK: "in_stock", Availability.OUT_OF_STOCK: "out_of_stock",
        Availability.PREORDER: "preorder", Availability.BACKORDER: "backorder",
    }  # fmt: skip
    return names[availability]


def change_of(change: ProductChange) -> StockChange:
    """A change for the store."""
    sale: int | None = None
    if change.sale_price is None:
        sale = 0
    elif change.sale_price is not UNSET:
        sale = parse_decimal(change.sale_price.amount)
    return StockChange(
        change.id,
        None if change.availability is UNSET else Availability[change.availability.upper()],
        None if change.price is UNSET else parse_decimal(change.price.amount),
        sale,
    )


def plan_for(request: RecommendRequest, creative: Creative | None) -> Plan:
    """How to choose, in the terms of the chooser. Raises InputError for a creative that shows no products."""
    if creative is not None:
        plan = plan_of(creative)
        if plan is None:
            fault = Fault(
                "/creative_id", "no_products", f"creative {creative.id} shows no products", "set its products"
            )
            raise InputError("the input is not valid", faults=[fault])
        return plan
    choice = ProductChoice(
        strategies=tuple(request.strategies) or ProductChoice().strategies,
        count=request.count,
        exclude_bought_days=request.exclude_bought_days,
        least_margin=Margin(request.least_margin) if request.least_margin else None,
        in_stock=request.in_stock,
        one_of_group=request.one_of_group,
        reorder_after_days=request.reorder_after_days,
        successor_after_days=request.successor_after_days,
        successor_step=request.successor_step,
    )
    return Plan(choice, request.seed)
