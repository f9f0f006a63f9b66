"""The domain model: what advertisers configure, as immutable values that every room shares.

Conventions: `*_micros` is an amount of the advertiser's currency in micros, `*_cpm_micros` a price of a thousand
impressions, `*_ms` a time since 1970 UTC, `*_s` a duration. `None` means "not restricted" or "not set"; an empty
targeting tuple means "not restricted" too.
"""

import enum

import msgspec

from core.published import Approval as Approval
from core.published import EventKey as EventKey
from core.published import WebhookTarget as WebhookTarget
from core.spot import Spot
from core.terms import AuctionType as AuctionType
from core.terms import BillingEvent as BillingEvent
from core.terms import Clearing as Clearing
from core.terms import Format as Format
from core.terms import ListKind as ListKind
from core.terms import NoBidStyle as NoBidStyle
from core.terms import PriceEncryption as PriceEncryption
from core.terms import RefusalStyle as RefusalStyle
from core.terms import ReviewPolicy as ReviewPolicy
from core.terms import SellerCheck as SellerCheck
from core.terms import UnreadablePrice as UnreadablePrice


class Status(enum.StrEnum):
    """Whether an object takes part in bidding. Archived objects stay for reports and cannot come back."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Goal(enum.StrEnum):
    """What a line item pays for. The goal decides which probability multiplies `bid_micros`."""

    CPM = "cpm"  # bid_micros is a price of a thousand impressions
    CPC = "cpc"  # ... of one click
    CPA = "cpa"  # ... of one conversion


class Pacing(enum.StrEnum):
    EVEN = "even"
    ASAP = "asap"


class FrequencyCap(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most `impressions` to one user in any `window_s` seconds: of all formats together, or of one."""

    impressions: int
    window_s: int
    format: Format | None = None


class Budget(msgspec.Struct, frozen=True):
    """A limit in money or in impressions; either may be None, and with both None there is no limit."""

    micros: int | None = None
    impressions: int | None = None


class BudgetShare(msgspec.Struct, frozen=True):
    """A part of a line item's budgets kept for the members of a segment, with its own caps and bid factor."""

    segment_id: int
    percent: int
    bid_factor_percent: int = 100
    caps: tuple[FrequencyCap, ...] = ()


class BidModifier(msgspec.Struct, frozen=True):
    """Multiplies bids where a targeting field has one of the values; a circle's value is "latitude,longitude,km"."""

    field: str
    values: tuple[int | str, ...]
    factor_percent: int = 100


class Radius(msgspec.Struct, frozen=True):
    """A circle on the earth, in degrees and kilometres."""

    latitude: float
    longitude: float
    kilometres: float


class Targeting(msgspec.Struct, frozen=True):
    """What a line item may bid on. Each non-empty field restricts; values inside a field are alternatives."""

    exchanges: tuple[int, ...] = ()
    environments: tuple[str, ...] = ()  # site, app, dooh
    countries: tuple[str, ...] = ()  # ISO 3166 alpha-3, upper case
    regions: tuple[str, ...] = ()  # "POL/MZ": country, then ISO 3166-2 suffix as exchanges send it, upper case
    cities: tuple[str, ...] = ()  # lower case
    postcodes: tuple[str, ...] = ()  # prefixes, without spaces and dashes, lower case
    radii: tuple[Radius, ...] = ()
    device_types: tuple[int, ...] = ()  # AdCOM: 1 mobile, 2 PC, 3 TV, 4 phone, 5 tablet, 6 connected, 7 set-top, 8 OOH
    operating_systems: tuple[str, ...] = ()  # lower case family: android, ios, windows, macos, linux, ...
    browsers: tuple[str, ...] = ()  # lower case family: chrome, safari, firefox, edge, opera, samsung internet, ...
    connections: tuple[int, ...] = ()  # AdCOM: 1 ethernet, 2 wifi, 3 cellular, 4 2G, 5 3G, 6 4G, 7 5G
    languages: tuple[str, ...] = ()  # primary subtag, lower case
    domains_allow: tuple[str, ...] = ()  # with all their subdomains
    domains_deny: tuple[str, ...] = ()
    apps_allow: tuple[str, ...] = ()  # bundle or store id
    apps_deny: tuple[str, ...] = ()
    page_paths: tuple[str, ...] = ()  # glob over the path of the page URL: "/buty/*"
    page_keywords: tuple[str, ...] = ()  # whole words or phrases of the page's URL, title and keywords, folded case
    page_keywords_deny: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()  # IAB Content Taxonomy 1.0 codes; "IAB18" covers "IAB18-3"
    categories_deny: tuple[str, ...] = ()
    publishers_allow: tuple[str, ...] = ()  # the exchange's id of the publisher; "demo/815" on one exchange only
    publishers_deny: tuple[str, ...] = ()
    sellers_allow: tuple[str, ...] = ()  # of the supply chain: "ssp.example/4711", "ssp.example"; of the sender
    sellers_deny: tuple[str, ...] = ()  # ... anybody in the chain
    venues: tuple[str, ...] = ()  # OpenOOH venue types, by name or number, with what is below them
    positions: tuple[int, ...] = ()  # AdCOM placement position: 1 above the fold, 3 below, ...
    tag_ids_allow: tuple[str, ...] = ()  # imp.tagid
    tag_ids_deny: tuple[str, ...] = ()
    gpids_allow: tuple[str, ...] = ()  # global placement ids, with what is below them
    gpids_deny: tuple[str, ...] = ()
    placement_types: tuple[int, ...] = ()  # AdCOM video placement: 1 in-stream, 2 accompanying content, ...
    pod_slots: tuple[int, ...] = ()  # AdCOM slot position in pod: 1 first, -1 last, 2 first or last, 0 any
    pod_breaks: tuple[int, ...] = ()  # AdCOM pod sequence: 1 first of the content, -1 last, 0 any
    interstitial: tuple[int, ...] = ()  # 1 full screen, 0 not
    rewarded: tuple[int, ...] = ()  # 1 rewarded, 0 not
    hours_of_week: tuple[int, ...] = ()  # 0 is Monday 00:00-01:00 in the advertiser's time zone, up to 167
    lists_allow: tuple[int, ...] = ()  # InventoryList ids: their values belong to the fields above
    lists_deny: tuple[int, ...] = ()
    deals: tuple[int, ...] = ()  # Deal ids; bids only on impressions that offer one of them
    segments_any: tuple[int, ...] = ()
    segments_all: tuple[int, ...] = ()
    segments_none: tuple[int, ...] = ()


class CartValue(msgspec.Struct, frozen=True):
    """How an abandoned cart raises the value of a conversion (docs/evidence.md, "Carts").

    Adds `margin_ppm / 1e6 * min(cart value, cap) * g(age)`, where g is 0 until `delay_s`, rises with time constant
    `rise_s`, decays with `decay_s` and is normalised to a maximum of 1.
    """

    margin_ppm: int = 60_000
    cap_micros: int = 3_000_000_000
    delay_s: int = 3_600
    rise_s: int = 3_600
    decay_s: int = 237_600  # 66 hours


class Advertiser(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    status: Status = Status.ACTIVE
    currency: str = "PLN"
    timezone: str = "Europe/Warsaw"
    domain: str = ""  # the shop's own domain, e.g. "buty.example"
    origins: tuple[str, ...] = ()  # whose pages are the shop's as well: "https://m.buty.example"
    balance_micros: int | None = None  # prepaid money; None is unlimited credit
    caps: tuple[FrequencyCap, ...] = ()
    profile_retention_days: int = 90
    product_categories: tuple[str, ...] = ()
    dsa_behalf: str = ""  # on whose behalf its ads are shown, and who pays for them (Digital Services Act, article 26)
    dsa_paid: str = ""
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    advertiser_id: int
    name: str
    status: Status = Status.ACTIVE
    start_ms: int | None = None
    end_ms: int | None = None
    total_budget: Budget = Budget()
    caps: tuple[FrequencyCap, ...] = ()
    external_id: str = ""
    notes: str = ""
    version: int = 1


class LineItem(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    advertiser_id: int
    campaign_id: int
    name: str
    status: Status = Status.ACTIVE
    start_ms: int | None = None  # the flight
    end_ms: int | None = None
    goal: Goal = Goal.CPM
    bid_micros: int = 0
    max_cpm_micros: int = 0  # never bids above
    min_cpm_micros: int = 0  # does not bid below
    cart: CartValue | None = None
    targeting: Targeting = Targeting()
    creative_ids: tuple[int, ...] = ()
    daily_budget: Budget = Budget()
    total_budget: Budget = Budget()
    budget_shares: tuple[BudgetShare, ...] = ()
    bid_modifiers: tuple[BidModifier, ...] = ()
    pacing: Pacing = Pacing.EVEN
    spend_all: bool = False  # bids above the value of an impression where the budget would not be spent otherwise
    target_cpa_micros: int | None = None
    target_roas_percent: int | None = None
    caps: tuple[FrequencyCap, ...] = ()
    min_gap_s: int = 0  # between two impressions to one user
    several_per_request: bool = False
    external_id: str = ""
    notes: str = ""
    version: int = 1


class ProductStrategy(enum.StrEnum):
    """Where the candidates for an ad's products come from (docs/choosing.md)."""

    CART = "cart"  # what is in the cart, by value
    LAST_VISIT = "last_visit"  # seen in the last visit, the newest first
    EVER_SEEN = "ever_seen"
    NEXT = "next"  # the likeliest next product of the visit, seen ones among them
    BOUGHT = "bought"  # to be bought again, when the visitor's or the shop's cycle says so
    SIMILAR = "similar"  # like the last ones seen, at about their price
    COMPLEMENTARY = "complementary"  # bought together with what is in the cart or was bought
    UPSELL = "upsell"  # dearer ones of the category
    REDUCED = "reduced"  # seen, and cheaper now
    SUCCESSOR = "successor"  # the next size of what was bought long ago
    BESTSELLERS = "bestsellers"
    TRENDING = "trending"


class Margin(enum.StrEnum):
    """What a shop earns by a product, as the margin label of its feed says."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ProductChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which products a creative shows: strategies in their order, and what none of them may propose."""

    strategies: tuple[ProductStrategy, ...] = (
        ProductStrategy.CART, ProductStrategy.LAST_VISIT, ProductStrategy.NEXT, ProductStrategy.SIMILAR,
        ProductStrategy.COMPLEMENTARY, ProductStrategy.EVER_SEEN, ProductStrategy.BESTSELLERS,
    )  # fmt: skip
    count: int = 8
    exclude_bought_days: int = 30  # 0: what was bought may be shown at once
    cool_down: bool = True  # leaves out categories that were just bought
    in_stock: bool = True
    with_image: bool = True
    least_margin: Margin | None = None  # leaves out products with a lower label, and those without one
    one_of_group: bool = True  # of the variants of a product only the first
    price_within_percent: int = 20  # of `similar`
    reorder_after_days: int = 30  # of `bought`, for visitors whose own rhythm is not known
    successor_after_days: int = 365
    successor_step: float = 1.0  # added to the size; without such a one the next larger of the category


class AdDelivery(enum.StrEnum):
    """When an ad of a template is filled with products (docs/product-ads.md)."""

    AUTO = "auto"  # at the impression where the exchange and the format allow it
    INLINE = "inline"  # when the bid is made: the bid carries the whole ad
    IMPRESSION = "impression"  # when it is shown: the bid's markup loads it from the tracker


class ImageSource(enum.StrEnum):
    """Where the pictures of products are loaded from."""

    SHOP = "shop"  # the addresses of the feed
    TRACKER = "tracker"  # `/i/`, which scales them to the size that the ad shows


class SegmentCall(msgspec.Struct, frozen=True):
    """What an ad calls the members of a segment to do: "15% for you"."""

    segment_id: int
    text: str


class TemplateUse(msgspec.Struct, frozen=True, kw_only=True):
    """An ad that is made of a template and products of the advertiser's feeds."""

    name: str  # of the template
    parameters: dict[str, str] = {}  # by the schema of the template
    calls: tuple[SegmentCall, ...] = ()  # the first whose segment the visitor is in, before the parameter `call`
    delivery: AdDelivery = AdDelivery.AUTO
    images: ImageSource = ImageSource.SHOP
    query: str = "utm_source=grosz&utm_medium=display&utm_campaign={campaign}&utm_content={creative}&utm_term={product}"
    """What is added to the page of each product; its own parameters stay."""


class Picture(msgspec.Struct, frozen=True):
    """An image of an ad, as it is loaded: its measures are those of the file."""

    url: str
    width: int
    height: int
    mime: str = ""  # "image/png"; "" where nobody said


class NativeAssets(msgspec.Struct, frozen=True, kw_only=True):
    """What a native ad is put together from. A request says which of it the publisher shows, and in which lengths.

    Of several titles, texts or images the one that suits a request best is taken, so one creative fits many requests.
    Texts are shown as they are, in the creative's language; the names in brackets are those of Native 1.2.
    """

    titles: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()  # description (data type 2)
    more_texts: tuple[str, ...] = ()  # more of it, shown below (10, desc2)
    images: tuple[Picture, ...] = ()  # main images (type 3), one of each ratio
    icon: Picture | None = None  # small and square (type 1)
    logo: Picture | None = None  # of the brand (type 2, which older requests have)
    sponsored: str = ""  # name of the brand (1)
    rating: str = ""  # out of five: "4.7" (3)
    likes: str = ""  # (4)
    downloads: str = ""  # (5)
    price: str = ""  # with its currency: "219,00 zł" (6)
    sale_price: str = ""  # (7)
    phone: str = ""  # (8)
    address: str = ""  # (9)
    display_url: str = ""  # as it is shown below the text (11)
    call_to_action: str = ""  # of the button (12)


class Creative(msgspec.Struct, frozen=True, kw_only=True):
    """One ad of one format.

    `html` (markup with macros), `frame_url` (a page that is shown in a frame) and `image_url` are a banner's, which has
    exactly one of them. Every other format has a member of its own name with all that only it needs: `native` is set
    if and only if `format` is native, and so are `video` and `audio`.
    """

    id: int
    advertiser_id: int
    name: str
    status: Status = Status.ACTIVE
    format: Format = Format.BANNER
    width: int = 0
    height: int = 0
    html: str = ""
    frame_url: str = ""  # with macros, percent-encoded
    image_url: str = ""
    alt_text: str = ""
    native: NativeAssets | None = None
    video: Spot | None = None
    audio: Spot | None = None
    privacy_url: str = ""  # what the AdChoices sign and its kin lead to: who advertises, and how to object
    landing_url: str = ""
    advertiser_domain: str = ""  # adomain
    categories: tuple[str, ...] = ()  # IAB Content Taxonomy 1.0 codes of what is advertised
    attributes: tuple[int, ...] = ()  # AdCOM creative attributes
    apis: tuple[int, ...] = ()  # frameworks the markup needs
    language: str = ""
    sample_url: str = ""  # iurl
    products: ProductChoice | None = None  # None: the ad shows no products of a feed
    template: TemplateUse | None = None  # what shows them
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Deal(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement with a seller; `deal_id` is the exchange's token. Floor and auction type come with the request."""

    id: int
    exchange_id: int
    advertiser_id: int | None = None  # None: any advertiser may target it
    deal_id: str
    name: str = ""
    status: Status = Status.ACTIVE
    external_id: str = ""
    notes: str = ""
    version: int = 1


class InventoryList(msgspec.Struct, frozen=True, kw_only=True):
    """A list of sites, apps, publishers, sellers or words that line items share; None: everybody's."""

    id: int
    advertiser_id: int | None = None
    name: str
    kind: ListKind
    values: tuple[str, ...] = ()
    status: Status = Status.ACTIVE
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A group of one advertiser's visitors, defined by a rule over profile facts (docs/segments.md)."""

    id: int
    advertiser_id: int
    name: str
    rule: str
    status: Status = Status.ACTIVE
    webhook_id: int | None = None
    external_id: str = ""
    notes: str = ""
    version: int = 1


class Seat(msgspec.Struct, frozen=True):
    """The seat under which an exchange knows the bids of an advertiser, or of one of its campaigns."""

    advertiser_id: int
    seat: str
    campaign_id: int | None = None


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange as configured. `key` is its name in the bid URL: `/openrtb2/{key}`."""

    id: int
    key: str
    name: str = ""
    status: Status = Status.ACTIVE
    seat: str = ""
    seats: tuple[Seat, ...] = ()  # of those that do not bid by `seat`
    default_currency: str = "USD"
    dialect: str = "generic"  # of core.dialects; the next columns are None where the exchange keeps to it
    first_price: bool | None = None  # None in the dialect, too: as each request's `at` says
    billing_event: BillingEvent | None = None
    price_macro: str | None = None
    price_encryption: PriceEncryption | None = None
    no_bid_style: NoBidStyle | None = None
    review: ReviewPolicy | None = None
    deal_floor_else_impression: bool | None = None
    clearing: Clearing = Clearing.REPORTED
    encryption_key: str = ""  # web-safe or plain base64
    integrity_key: str = ""
    unreadable_price: UnreadablePrice = UnreadablePrice.BID
    default_tmax_ms: int = 100
    time_to_notice_ms: int = 5_000  # how long after a bid its ad may still be shown without a notice of it
    network_margin_ms: int = 20  # what the way back costs, taken off tmax
    openrtb_version: str = "2.6"
    sync_url: str = ""  # their cookie-sync endpoint, with {uid}
    user_id_sources: tuple[str, ...] = ()  # where requests have what they sync: ifa, eids:SOURCE, data:PROVIDER
    bearer_token: str = ""  # when set, bid requests must carry it
    secret_header: str = ""  # the name of a header that bid requests must carry, and its value
    header_secret: str = ""
    networks: tuple[str, ...] = ()  # addresses and networks that bid requests may come from; none: any
    requests_per_second: int = 0  # of one bidder process; what is above is refused unread; 0: no cap
    admits_uncategorised: bool = False  # ads without categories may answer requests that block some
    complete_chains: bool = False  # only requests whose supply chain is complete are bid on
    sellers_allow: tuple[str, ...] = ()  # as in Targeting, for everybody
    sellers_deny: tuple[str, ...] = ()
    inventory_deny: tuple[str, ...] = ()  # domains, with their subdomains, and apps that nobody bids on
    ads_system: str = ""  # the exchange's own domain in ads.txt files
    seller_check: SellerCheck = SellerCheck.OFF
    humans_only: bool = False  # crawlers, programs and data centres are not bid on
    review_url: str = ""  # of its Ad Management API, with our bidder id: https://ssp.example/v1/bidder/492
    review_token: str = ""  # the bearer token of that API
    external_id: str = ""
    notes: str = ""
    version: int = 1


class ConversionRule(msgspec.Struct, frozen=True):
    """Which event of an advertiser's shop counts as success of an ad, and for how long after a click or a view."""

    advertiser_id: int
    event: str = "purchase"
    click_window_s: int = 2_592_000
    view_window_s: int = 86_400
    default_value_micros: int = 0  # of an event that names no value


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the bid path needs to know, at one version. Never changed in place: a change makes another one."""

    version: int
    published_ms: int
    advertisers: tuple[Advertiser, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    line_items: tuple[LineItem, ...] = ()
    creatives: tuple[Creative, ...] = ()
    deals: tuple[Deal, ...] = ()
    lists: tuple[InventoryList, ...] = ()
    segments: tuple[Segment, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    fx_base: str = "PLN"
    event_keys: tuple[EventKey, ...] = ()
    webhooks: tuple[WebhookTarget, ...] = ()
    conversions: tuple[ConversionRule, ...] = ()  # active ones, by id
    # Archived objects do not bid; bids of theirs that are still out are billed for hours.
    archived_advertisers: tuple[Advertiser, ...] = ()
    archived_exchanges: tuple[Exchange, ...] = ()
    approvals: tuple[Approval, ...] = ()  # of creatives that were sent to an exchange
    fx_rates: dict[str, int] = {}  # micros of the base currency for one unit, e.g. {"USD": 3_640_000}
