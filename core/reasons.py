"""Why there was no bid: one list for the bid path, metrics, explain, funnel and docs.

Each reason has the code for OpenRTB's `nbr` (2.6, list "No-Bid Reason Codes"), a sentence, and a hint.
"""

import enum


class NoBid(enum.Enum):
    """A reason. `REQUEST` reasons stop the whole request; the others exclude one line item on one impression."""

    nbr: int
    text: str
    hint: str
    index: int  # position in arrays of counters

    def __new__(cls, nbr: int, text: str, hint: str) -> "NoBid":
        member = object.__new__(cls)
        member._value_ = text
        member.nbr, member.text, member.hint = nbr, text, hint
        member.index = len(cls.__members__)
        return member

    # Members are single objects; Enum's own hash is a Python function, called for each answer that is counted.
    __hash__ = object.__hash__

    # the whole request
    MALFORMED = 2, "request is malformed", "see the grosz_malformed_requests_total metric for the rule it broke"
    UNKNOWN_EXCHANGE = (
        8,
        "no such exchange, or it is paused",
        "check the key in the bid URL against `grosz exchange list`",
    )
    EXCHANGE_ACCESS = 2, "credentials are missing or wrong", "send the exchange's bearer token"
    NO_TIME = 15, "not enough of tmax left", "raise tmax, or lower the exchange's network margin"
    OVERLOAD = 1, "shed, since the batch could not meet its deadline", "add bidder processes"
    NO_SNAPSHOT = 1, "catalogue is missing or older than allowed", "check that the admin role is up and publishing"
    CLOCK_OFF = 1, "this machine's clock is too far from Redis's", "set the clock; see `/readyz` of the bidder"
    RATE_CAPPED = 1, "the exchange sends more than its cap of requests", "raise the exchange's requests per second"
    CURRENCY = 0, "no currency in `cur` that has an exchange rate", "add the currency to the rate table"
    CONSENT_PURPOSE_2 = (
        0,
        "no consent to select basic ads",
        "see what the request says of consent; without consent.vendor_id no string permits",
    )
    SEAT_BLOCKED = 0, "our seat is blocked or not invited", "check `wseat` and `bseat` with the exchange"
    NO_BIDDABLE_IMPRESSION = 0, "no impression in a format and size that can be bid on", "see the impression's fault"
    INVALID_IMPRESSION = (
        2,
        "every floor is unreadable, or in a currency without an exchange rate (USD, where a request names none)",
        "add the currency to the rate table",
    )
    CRAWLER = 3, "the user agent is a crawler's", "nothing to do: nobody would see the ad"
    SUSPICIOUS_AGENT = 4, "the user agent is a program's, not a person's", "nothing to do: nobody would see the ad"
    DATA_CENTRE = 5, "the address is a data centre's", "check the file of bid.data_centres, or the exchange's settings"
    INVENTORY_BLOCKED = 7, "nobody bids on this site or app", "see the exchange's `inventory_deny`"
    ADS_TXT_UNKNOWN = 11, "the ads.txt of the site or app is not known", "crawl or import it: `grosz supply`"
    ADS_TXT_VIOLATION = (
        12,
        "the ads.txt of the site or app does not name the seller",
        "nothing to do: it is not theirs to sell",
    )
    CHAIN_INCOMPLETE = 16, "the supply chain is missing or incomplete", "ask the exchange for complete chains"
    SELLER_BLOCKED = (
        17,
        "a seller in the supply chain is denied, not allowed or unknown to its own system",
        "see the exchange's sellers",
    )
    NOT_TARGETED = 0, "no line item targets this request", "see `grosz explain` for each line item's reasons"
    NOBODY_BIDS = 0, "line items matched, but none could pay the floor or was free to bid", "see `grosz explain`"
    # a line item on an impression
    INACTIVE = 0, "line item, campaign or advertiser is paused", "resume it"
    OUTSIDE_FLIGHT = 0, "now is outside the flight", "change the start or end"
    EXCHANGE = 0, "exchange is not targeted", "add the exchange to the targeting"
    ENVIRONMENT = 0, "environment (site, app, dooh) is not targeted", "widen the environments"
    SIZE = 0, "no creative fits the format and size", "add a creative in one of the offered sizes"
    CREATIVE_BLOCKED = (
        0,
        "every fitting creative is blocked by the request",
        "see blocked attributes, types, languages or frameworks",
    )
    NOT_APPROVED = (
        0,
        "the exchange has not approved a fitting creative",
        "see `grosz creative approvals`: pending, rejected with a reason, or expired",
    )
    ADVERTISER_BLOCKED = 0, "the publisher blocks the advertiser's domain", "nothing to do on this site"
    CATEGORY_BLOCKED = (
        0,
        "the publisher blocks the product category, or an ad has none",
        "give every creative its categories; what is blocked otherwise is the publisher's choice",
    )
    COUNTRY = 0, "country is not targeted", "widen the countries"
    REGION = 0, "region is not targeted", "widen the regions"
    CITY = 0, "city is not targeted", "widen the cities"
    POSTCODE = 0, "postcode is not targeted", "widen the postcodes"
    RADIUS = 0, "outside every targeted circle", "widen the radius"
    DEVICE_TYPE = 0, "device type is not targeted", "widen the device types"
    OPERATING_SYSTEM = 0, "operating system is not targeted", "widen the operating systems"
    BROWSER = 0, "browser is not targeted", "widen the browsers"
    CONNECTION = 0, "connection type is not targeted", "widen the connections"
    LANGUAGE = 0, "language is not targeted", "widen the languages"
    DOMAIN = 0, "domain is denied or not allowed", "check the domain lists"
    APP = 0, "app is denied or not allowed", "check the app lists"
    PAGE_PATH = 0, "page path does not match", "check the path patterns"
    PAGE_KEYWORD = 0, "page keywords do not match", "check the keywords and the denied keywords"
    CATEGORY = 0, "content category is not targeted", "widen the categories"
    PUBLISHER = 0, "publisher is denied or not allowed", "check the publisher lists"
    SELLER = 0, "seller is denied or not allowed", "check the seller lists"
    VENUE = 0, "venue type is not targeted", "widen the venues"
    POSITION = 0, "ad position is not targeted", "widen the positions"
    TAG_ID = 0, "placement (tagid) is denied or not allowed", "check the lists of tag ids"
    GPID = 0, "global placement id is denied or not allowed", "check the lists of global placement ids"
    PLACEMENT_TYPE = 0, "video placement type is not targeted", "widen the placement types"
    POD_SLOT = 0, "the place in the pod is not targeted", "widen the places in pods"
    POD_BREAK = 0, "the pod's place in the content is not targeted", "widen the breaks"
    INTERSTITIAL = 0, "full screen or not is not as targeted", "target both kinds"
    REWARDED = 0, "rewarded or not is not as targeted", "target both kinds"
    DAYPART = 0, "now is outside the targeted hours", "widen the hours of the week"
    DEAL = 0, "impression does not offer a targeted deal", "check the deal ids with the exchange"
    PRIVATE_AUCTION = 0, "private auction and no deal of this line item", "target one of the offered deals"
    SEGMENT = 0, "user is not in a targeted segment", "widen the segments; check their size"
    EXCLUDED_SEGMENT = 0, "user is in an excluded segment", "nothing to do: it works as set"
    NO_PROFILE = 8, "user is unknown, or consent forbids the profile", "raise the cookie-sync match rate"
    LOOK_UP_FAILED = (
        1,
        "the user could not be looked up in time, so nobody knows of caps and exclusions",
        "see grosz_profile_look_ups_failed_total: Redis is slow, or a node of it is away",
    )
    FREQUENCY_CAP = 9, "frequency cap is reached", "raise the cap or wait"
    MIN_GAP = 9, "too soon after the last impression", "lower the minimum gap"
    PACED_OUT = 0, "held back by pacing", "raise the budget or the bid"
    NO_LEASE = 0, "no budget lease in this process", "check the budgets; the lease bank may be away"
    BUDGET_SPENT = 0, "a budget is spent", "raise the budget"
    VALUE_TOO_LOW = 0, "price is below the line item's minimum", "lower the minimum CPM or raise the bid"
    FLOOR = 0, "price is below the floor", "raise the bid or the maximum CPM"
    OUTRANKED = 0, "another of our line items pays more", "raise the bid"
    ALREADY_IN_REQUEST = 0, "line item already bids on another impression of the request", "allow several per request"


NO_BID_REASONS: tuple[NoBid, ...] = tuple(NoBid)
REASON_COUNT = len(NO_BID_REASONS)


def text_of_reason(name: str) -> str:
    """The sentence of a reason that metrics and journal know by `name`; any other name is returned as it is."""
    found = NoBid.__members__.get(name.upper())
    return name if found is None else found.text
