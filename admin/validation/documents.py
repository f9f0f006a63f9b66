"""The documents of the API and of catalogue files, one struct a resource. They mirror core.model (and
admin.store.model):
same field names, except that `*_micros` is an amount without the suffix and `start_ms`, `end_ms` are `start`, `end`."""

import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from admin.store.model import CountUnique, FeedFormat, Scope
from admin.validation import fields as f
from admin.validation.targeting import BidModifierDocument, targeting_document
from core.dialects import GENERIC
from core.model import (
    AdDelivery,
    BillingEvent,
    Clearing,
    Format,
    Goal,
    ImageSource,
    ListKind,
    Margin,
    NoBidStyle,
    Pacing,
    PriceEncryption,
    ProductChoice,
    ProductStrategy,
    ReviewPolicy,
    SellerCheck,
    TemplateUse,
    UnreadablePrice,
)
from core.spot import DeliveryMethod

WritableStatus = Literal["active", "paused"]
Moment = Annotated[
    datetime.datetime, Meta(tz=True, description="ISO 8601 with an offset.", examples=["2026-11-01T00:00:00Z"])
]
IdList = Annotated[list[f.Id], Meta(max_length=f.MAX_LIST)]


SellerList = Annotated[list[f.Seller], Meta(max_length=f.MAX_LIST)]


class Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every resource has."""

    status: WritableStatus = "active"
    external_id: f.ExternalId = ""
    notes: f.Notes = ""


class FrequencyCapDocument(msgspec.Struct, forbid_unknown_fields=True):
    """At most `impressions` to one user in any `window_s` seconds: of all formats together, or of `format` alone."""

    impressions: Annotated[int, Meta(ge=1, le=1000)]
    window_s: Annotated[int, Meta(ge=60, le=31_536_000)]
    format: Format | None = None


# More than eight caps on one object are a mistake, and each is checked for every bid.
Caps = Annotated[list[FrequencyCapDocument], Meta(max_length=8)]


class BudgetDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A limit in money or in impressions; null is no limit."""

    spend: f.Amount | None = None
    impressions: f.PositiveCount | None = None


class BudgetShareDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A part of the budgets kept for members of a segment."""

    segment_id: f.Id
    percent: f.Percent
    bid_factor_percent: Annotated[int, Meta(ge=1, le=10_000)] = 100
    caps: Caps = []


if TYPE_CHECKING:

    class TargetingDocument(msgspec.Struct):
        """See admin.validation.targeting, which makes it of the table of fields."""

else:
    TargetingDocument = targeting_document()


class CartValueDocument(msgspec.Struct, forbid_unknown_fields=True):
    """How an abandoned cart raises the bid: margin of the cart's value, up to a cap, by the cart's age."""

    margin_ppm: Annotated[int, Meta(ge=0, le=1_000_000, description="Parts per million of the cart's value.")] = 60_000
    cap: f.Amount = f.Amount("3000.00")
    delay_s: f.Seconds = 3_600
    rise_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 3_600
    decay_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 237_600


class AdvertiserDocument(Document, kw_only=True):
    """A shop."""

    name: f.Name
    currency: f.Currency = "PLN"
    timezone: f.Timezone = "Europe/Warsaw"
    domain: f.OptionalDomain = ""
    origins: Annotated[
        list[f.Origin], Meta(max_length=20, description="Further origins whose pages are the shop's (`/r/`, `/e/`).")
    ] = []
    balance: f.Amount | None = None
    caps: Caps = []
    profile_retention_days: Annotated[int, Meta(ge=1, le=730)] = 90
    product_categories: Annotated[list[f.ShortText], Meta(max_length=1000)] = []
    dsa_behalf: f.Transparency = ""
    dsa_paid: f.Transparency = ""


class CampaignDocument(Document, kw_only=True):
    """A group of line items with a common budget and dates."""

    advertiser_id: f.Id
    name: f.Name
    start: Moment | None = None
    end: Moment | None = None
    total_budget: BudgetDocument = msgspec.field(default_factory=BudgetDocument)
    caps: Caps = []


class LineItemDocument(Document, kw_only=True):
    """What bids: a price, a targeting, creatives, budgets and caps."""

    advertiser_id: f.Id
    campaign_id: f.Id
    name: f.Name
    start: Moment | None = None
    end: Moment | None = None
    goal: Goal = Goal.CPM
    bid: f.Price
    max_cpm: f.Price
    min_cpm: f.Price | None = None
    cart: CartValueDocument | None = None
    targeting: TargetingDocument = msgspec.field(default_factory=TargetingDocument)
    creative_ids: Annotated[list[f.Id], Meta(max_length=1000)] = []
    daily_budget: BudgetDocument = msgspec.field(default_factory=BudgetDocument)
    total_budget: BudgetDocument = msgspec.field(default_factory=BudgetDocument)
    budget_shares: Annotated[list[BudgetShareDocument], Meta(max_length=16)] = []
    bid_modifiers: Annotated[
        list[BidModifierDocument],
        Meta(max_length=100, description="What applies to an impression is multiplied, 0.1 at least and 10 at most."),
    ] = []
    pacing: Pacing = Pacing.EVEN
    spend_all: Annotated[
        bool,
        Meta(
            description="Spend the whole paced budget: where bids at the value of an impression do not, raise them, "
            "tenfold at most and never above `max_cpm`."
        ),
    ] = False
    target_cpa: f.Amount | None = None
    target_roas_percent: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    caps: Caps = []
    min_gap_s: Annotated[int, Meta(ge=0, le=2_592_000)] = 0
    several_per_request: bool = False


class ProductChoiceDocument(msgspec.Struct, forbid_unknown_fields=True):
    """Which products of the advertiser's feeds an ad shows (docs/choosing.md)."""

    strategies: Annotated[
        list[ProductStrategy],
        Meta(min_length=1, max_length=len(ProductStrategy), description="The first one's products come first."),
    ] = msgspec.field(default_factory=lambda: list(ProductChoice().strategies))
    count: Annotated[int, Meta(ge=1, le=50, description="The most that the ad shows.")] = 8
    exclude_bought_days: f.Days = 30
    cool_down: Annotated[bool, Meta(description="Leave out categories that were just bought.")] = True
    in_stock: bool = True
    with_image: bool = True
    least_margin: Annotated[
        Margin | None, Meta(description="By the margin label of the feed; products without one are left out.")
    ] = None
    one_of_group: Annotated[bool, Meta(description="Of a product's variants only the first.")] = True
    price_within_percent: Annotated[int, Meta(ge=1, le=100, description="How far `similar` strays in price.")] = 20
    reorder_after_days: f.Days = 30
    successor_after_days: f.Days = 365
    successor_step: Annotated[float, Meta(ge=0, le=100)] = 1.0


class SegmentCallDocument(msgspec.Struct, forbid_unknown_fields=True):
    """What an ad calls the members of a segment to do."""

    segment_id: f.Id
    text: Annotated[str, Meta(min_length=1, max_length=40, pattern=f.TEXT, examples=["15% for you"])]


class TemplateUseDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A template that shows products of the feeds (docs/product-ads.md)."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_-]*" + f.END, examples=["grid"])]
    parameters: Annotated[
        dict[str, Annotated[str, Meta(max_length=2048, pattern=f.TEXT)]],
        Meta(max_length=40, description="By the template's schema: `grosz template show NAME`."),
    ] = {}
    calls: Annotated[
        list[SegmentCallDocument],
        Meta(max_length=10, description="The first whose segment the visitor is in stands for the parameter `call`."),
    ] = []
    delivery: AdDelivery = AdDelivery.AUTO
    images: ImageSource = ImageSource.SHOP
    query: Annotated[
        str,
        Meta(
            max_length=500,
            pattern=r"^[A-Za-z0-9_.~%={}&+-]*" + f.END,
            description="Added to each product's page; {campaign}, {creative} and {product} are filled in.",
        ),
    ] = TemplateUse(name="").query


class PictureDocument(msgspec.Struct, forbid_unknown_fields=True):
    """An image of an ad; its measures are those of the file."""

    url: f.PictureUrl
    width: f.Pixels
    height: f.Pixels
    mime: f.OptionalMime = ""


# So many titles, texts or images are more than requests tell apart; each is looked at for each kind of request.
NativeTexts = Annotated[list[f.NativeText], Meta(max_length=20)]


class NativeDocument(msgspec.Struct, forbid_unknown_fields=True):
    """What a native ad is put together from, each once; the publisher says which of it is shown (docs/creatives.md)."""

    titles: NativeTexts = []
    texts: NativeTexts = []
    more_texts: NativeTexts = []
    images: Annotated[list[PictureDocument], Meta(max_length=20)] = []
    icon: PictureDocument | None = None
    logo: PictureDocument | None = None
    sponsored: f.ShortText = ""
    rating: f.ShortText = ""
    likes: f.ShortText = ""
    downloads: f.ShortText = ""
    price: f.ShortText = ""
    sale_price: f.ShortText = ""
    phone: f.ShortText = ""
    address: f.ShortText = ""
    display_url: f.ShortText = ""
    call_to_action: f.ShortText = ""


class MediaFileDocument(msgspec.Struct, forbid_unknown_fields=True):
    """One encoding of a spot; a video has a width and a height in pixels."""

    url: f.RequiredUrl
    mime: f.MediaMime
    width: Annotated[int, Meta(ge=0, le=10_000)] = 0
    height: Annotated[int, Meta(ge=0, le=10_000)] = 0
    bitrate_kbps: Annotated[int, Meta(ge=0, le=1_000_000, description="0: not known")] = 0
    delivery: DeliveryMethod = DeliveryMethod.PROGRESSIVE
    codec: f.ShortText = ""


class CompanionDocument(msgspec.Struct, forbid_unknown_fields=True):
    """What is shown beside the player: one of `image_url`, `frame_url` and `html`."""

    width: f.Pixels
    height: f.Pixels
    image_url: f.Url = ""
    image_mime: f.MediaMime = "image/png"
    frame_url: f.Url = ""
    html: Annotated[str, Meta(max_length=5_000, pattern=f.PROSE)] = ""
    alt_text: f.ShortText = ""


class VerificationDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A script that measures, by the Open Measurement interface."""

    vendor: Annotated[str, Meta(min_length=1, max_length=255, pattern=f.TEXT, examples=["company.example-omid"])]
    url: f.RequiredUrl
    parameters: Annotated[str, Meta(max_length=2_000, pattern=f.PROSE)] = ""
    not_executed_url: f.Url = ""


class SpotDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A video or a sound, in as many encodings as there are: each player gets those that it plays."""

    duration_ms: Annotated[int, Meta(ge=1, le=600_000, description="Length in milliseconds.")]
    media: Annotated[list[MediaFileDocument], Meta(min_length=1, max_length=20)]
    skip_after_s: Annotated[int, Meta(ge=0, le=600, description="When people may skip it.")] | None = None
    companions: Annotated[list[CompanionDocument], Meta(max_length=10)] = []
    verifications: Annotated[list[VerificationDocument], Meta(max_length=5)] = []
    universal_ad_id: f.ShortText = ""
    universal_ad_registry: f.ShortText = ""


class CreativeDocument(Document, kw_only=True):
    """One ad; a banner has one of `html`, `frame_url` and `image_url`, every other format a member of its name."""

    advertiser_id: f.Id
    name: f.Name
    format: Format = Format.BANNER
    width: Annotated[int, Meta(ge=0, le=10_000)] = 0
    height: Annotated[int, Meta(ge=0, le=10_000)] = 0
    html: f.Markup = ""
    frame_url: f.FrameUrl = ""
    image_url: f.ImageUrl = ""
    alt_text: f.ShortText = ""
    native: NativeDocument | None = None
    video: SpotDocument | None = None
    audio: SpotDocument | None = None
    privacy_url: f.Url = ""
    landing_url: f.Url = ""
    advertiser_domain: f.OptionalDomain = ""
    categories: Annotated[list[f.Category], Meta(max_length=50)] = []
    attributes: Annotated[list[f.ListCode], Meta(max_length=50)] = []
    apis: Annotated[list[f.ListCode], Meta(max_length=50)] = []
    language: f.OptionalLanguage = ""
    sample_url: f.Url = ""
    products: ProductChoiceDocument | None = None
    template: TemplateUseDocument | None = None


class SegmentDocument(Document, kw_only=True):
    """A group of visitors, defined by a rule."""

    advertiser_id: f.Id
    name: f.Name
    rule: Annotated[
        str,
        Meta(
            min_length=1, max_length=4000, pattern=f.PROSE, examples=["cart.value >= 500 PLN and cart.age in 1h..14d"]
        ),
    ]
    webhook_id: f.Id | None = None


class FeedDocument(Document, kw_only=True):
    """A product feed (docs/feeds.md)."""

    advertiser_id: f.Id
    name: f.Name
    url: Annotated[
        f.Url,
        Meta(description="Written whole, read back with password and keys masked. Empty: only uploads."),
    ] = ""
    secret_url: f.SecretUrl = ""
    format: FeedFormat = FeedFormat.AUTO
    refresh_s: Annotated[int, Meta(ge=300, le=604_800)] = 14_400
    price_currency: f.OptionalCurrency = ""
    encoding: Annotated[str, Meta(max_length=40, pattern=r"^[A-Za-z0-9._-]*" + f.END)] = ""
    item_element: Annotated[str, Meta(max_length=100, pattern=r"^[\w:.-]*" + f.END)] = ""
    mapping: Annotated[
        dict[str, Annotated[str, Meta(min_length=1, max_length=200, pattern=f.TEXT)]],
        Meta(max_length=40, examples=[{"margin": "custom_label_0", "id": "attrs/a[Code]"}]),
    ] = {}


class ConversionDocument(Document, kw_only=True):
    """An event that counts as success."""

    advertiser_id: f.Id
    name: f.Name
    event: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}" + f.END)] = "purchase"
    click_window_s: f.Seconds = 2_592_000
    view_window_s: f.Seconds = 86_400
    default_value: f.Amount | None = None
    count: CountUnique = CountUnique.ONE_PER_ORDER


class DealDocument(Document, kw_only=True):
    """An agreement with a seller."""

    exchange_id: f.Id
    advertiser_id: f.Id | None = None
    deal_id: Annotated[str, Meta(min_length=1, max_length=255, pattern=f.TEXT, description="The exchange's token.")]
    name: f.ShortText = ""


class ListDocument(Document, kw_only=True):
    """Domains, apps, publishers, sellers or words that line items share."""

    advertiser_id: f.Id | None = None
    name: f.Name
    kind: ListKind
    values: Annotated[list[f.ListValue], Meta(max_length=f.MAX_LIST)]


class SeatDocument(msgspec.Struct, forbid_unknown_fields=True):
    """An advertiser, or one campaign of it, whose bids have a seat of their own."""

    advertiser_id: f.Id
    seat: Annotated[str, Meta(min_length=1, max_length=255, pattern=f.TEXT)]
    campaign_id: f.Id | None = None


class ExchangeDocument(Document, kw_only=True):
    """One exchange that sends bid requests."""

    key: f.ExchangeKey
    name: f.ShortText = ""
    seat: f.ShortText = ""
    seats: Annotated[list[SeatDocument], Meta(max_length=10_000)] = []
    default_currency: f.Currency = "USD"
    dialect: f.DialectName = GENERIC
    first_price: bool | None = None
    clearing: Clearing = Clearing.REPORTED
    billing_event: BillingEvent | None = None
    price_macro: f.ShortText | None = None
    price_encryption: PriceEncryption | None = None
    encryption_key: f.Secret = ""
    integrity_key: f.Secret = ""
    unreadable_price: UnreadablePrice = UnreadablePrice.BID
    no_bid_style: NoBidStyle | None = None
    review: ReviewPolicy | None = None
    deal_floor_else_impression: Annotated[
        bool | None, Meta(description="Whether a deal without a floor has the impression's; null: as the dialect says.")
    ] = None
    review_url: Annotated[
        f.Url, Meta(description="Of its Ad Management API, with our bidder id: https://ssp.example/v1/bidder/492")
    ] = ""
    review_token: f.Secret = ""
    default_tmax_ms: Annotated[int, Meta(ge=10, le=5_000)] = 100
    time_to_notice_ms: Annotated[int, Meta(ge=0, le=300_000)] = 5_000
    network_margin_ms: Annotated[int, Meta(ge=0, le=1_000)] = 20
    openrtb_version: Literal["2.3", "2.4", "2.5", "2.6"] = "2.6"
    sync_url: f.Url = ""
    user_id_sources: Annotated[list[f.UserIdSource], Meta(max_length=8)] = []
    bearer_token: f.Secret = ""
    secret_header: f.HeaderName = ""
    header_secret: f.Secret = ""
    networks: Annotated[list[f.Network], Meta(max_length=1_000)] = []
    requests_per_second: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Cap of one bidder process; 0 is none.")
    ] = 0
    admits_uncategorised: Annotated[
        bool, Meta(description="Whether creatives without categories may answer requests that block categories.")
    ] = False
    complete_chains: Annotated[bool, Meta(description="Bid only on complete supply chains.")] = False
    sellers_allow: SellerList = []
    sellers_deny: SellerList = []
    inventory_deny: Annotated[list[f.Inventory], Meta(max_length=f.MAX_LIST)] = []
    ads_system: f.OptionalDomain = ""
    seller_check: Annotated[
        SellerCheck, Meta(description="What ads.txt and sellers.json files decide (docs/supply.md).")
    ] = SellerCheck.OFF
    humans_only: Annotated[bool, Meta(description="No bids for crawlers, programs and data centres.")] = False


class WebhookDocument(Document, kw_only=True):
    """Where an advertiser is told that a user entered a segment: at a URL for each visitor, or by mail for an hour."""

    advertiser_id: f.Id
    name: f.Name
    url: f.Url = ""
    mail: f.MailRecipient = ""
    secret: f.Secret = ""


Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=4)]


class UserDocument(Document, kw_only=True):
    """A person who logs in."""

    email: f.Email
    name: f.Name
    scopes: Scopes = msgspec.field(default_factory=lambda: [Scope.READ])
    advertiser_ids: IdList = []
    password: f.Password | None = None


class ApiKeyDocument(Document, kw_only=True):
    """A key of a program; its secret is shown once, when it is created."""

    name: f.Name
    scopes: Scopes = msgspec.field(default_factory=lambda: [Scope.READ])
    advertiser_ids: IdList = []
    requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 600
    expires: Moment | None = None
