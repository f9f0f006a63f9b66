"""What is known of each exchange dialect: its data, without any behaviour.

A *dialect* is the way in which one exchange speaks OpenRTB: which auctions it holds, what it bills on, how its price
macro is written, what its bids must say. Three parts are joined by the dialect's name: its data here, how requests are
read and answers written in `bidder/dialects/NAME.py`, how its notices are read in `pacing/notices/dialects.py`. A test
holds the names together. Columns of `core.model.Exchange` that are not None override the data for one exchange.

`docs/dialects.md` is written from this table by `scripts/make-dialects`: every fact that a dialect says names its
public source; one without a source is called *assumed*.
"""

import functools

import msgspec

from core.model import BillingEvent, Exchange, NoBidStyle, PriceEncryption, RefusalStyle, ReviewPolicy

GENERIC = "generic"
ASSUMED = "assumed"


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One way to speak OpenRTB."""

    name: str
    title: str = ""
    """What its users call it."""

    first_price: bool | None = None
    """Whether a bid is charged as it stands; None: as `at` of each request or deal says."""
    no_bid_style: NoBidStyle = NoBidStyle.NO_CONTENT
    """How the exchange wants to hear "no"."""
    over_cap: RefusalStyle = RefusalStyle.NO_CONTENT
    """What it hears when it sends more than the exchange's cap: a no-bid, or 429."""
    price_encryption: PriceEncryption = PriceEncryption.NONE
    """How prices in notices are encrypted."""
    price_macro: str = "${AUCTION_PRICE}"
    """What the exchange replaces by the clearing price."""
    billing_event: BillingEvent = BillingEvent.BILL
    """Which notice makes a bid billable: `bill` (burl), `win` (nurl) or `impression` (our own pixel)."""

    version: str = "2.6"
    """The newest version of OpenRTB that the exchange speaks: members of a bid that came later are not sent."""
    currencies: tuple[str, ...] = ()
    """What bids may be in; none: whatever the request allows."""
    win_notice: bool = True
    """Whether the exchange calls a bid's nurl when it has won."""
    price_in_markup: bool = False
    """Whether our pixel in the markup carries the price macro."""
    seat_required: bool = False
    """Whether every bid must name a seat."""
    one_seat: bool = False
    """Whether all bids of an answer must be of one seat."""
    seat_is_number: bool = False
    """Whether a seat is a text of digits."""
    campaign_is_seat: bool = False
    """Whether `cid` names what the exchange bills, and not our campaign: the seat is sent in its place."""
    bills_multiplier: bool = False
    """Whether an impression that counts as several (`qty.multiplier`) costs the price of one, times the multiplier, and
    `${AUCTION_MULTIPLIER}` says how many there were; otherwise such impressions are not bid on."""
    deal_beside_open: bool = False
    """Whether an impression takes a bid on a deal and another without one; otherwise the dearer of them is sent."""
    deal_floor_else_impression: bool = False
    """Whether a bid on a deal that names no floor has the impression's to clear; otherwise it has none."""
    max_bids: int = 0
    """Bids that one answer may have; 0: no limit is known."""
    needed: tuple[str, ...] = ()
    """Members without which a bid is not taken: a creative that lacks them is not shown."""
    sent_when_empty: tuple[str, ...] = ()
    """Lists that must be there even if nothing is in them."""
    one_value_lists: tuple[str, ...] = ()
    """Lists of which only the first element is sent."""

    click_macro: str = ""
    """What counts a click for the exchange, and goes on to the percent-encoded address behind it."""
    click_macro_encoded: str = ""
    """The same inside another address."""
    native_root: bool = False
    """Whether native markup always has the outer member `native`; otherwise only where the request has it (1.0)."""
    native_as_object: bool = False
    """Whether native markup is an object in `adm`, and not its text."""

    review: ReviewPolicy = ReviewPolicy.NONE
    """Whether an ad must be approved before it bids (`before`), may bid until it is rejected (`after`), or is not
    reviewed in a way that bidders hear of (`none`)."""

    sources: dict[str, str] = {}
    """Where each member that is not as `AS_WRITTEN` is publicly said, by the member's name; ASSUMED where nowhere."""


AS_WRITTEN = Dialect(name="")
"""OpenRTB before any dialect says anything."""


_NOTES = "https://github.com/InteractiveAdvertisingBureau/openrtb2.x/blob/main/implementation.md"
_XANDR = "https://learn.microsoft.com/en-us/xandr/bidders/incoming-bid-response-from-bidders"
_XANDR_EXAMPLE = "https://learn.microsoft.com/en-us/xandr/bidders/submit-a-bid-response"
_XANDR_REVIEW = "https://learn.microsoft.com/en-us/xandr/bidders/creative-service"
_GOOGLE_GUIDE = "https://developers.google.com/authorized-buyers/rtb/response-guide"
_GOOGLE_PRICE = "https://support.google.com/authorizedbuyers/answer/3187591"
_GOOGLE_FIELDS = "https://developers.google.com/ad-exchange/rtb/adx-extensions-guide"
_PUBMATIC_21 = "https://community.pubmatic.com/docs/DOC-1753"
_PUBMATIC_23 = "https://community.pubmatic.com/display/BA/OpenRTB+2.3+PubMatic+Extensions"
_INDEX_MACRO = "https://kb.indexexchange.com/dsps/open-rtb/notification_macro.htm"
_INDEX_FIELDS = "https://kb.indexexchange.com/dsps/open-rtb/list_of_supported_openrtb_bid_response_fields_dsp.htm"
_OPENX_ANSWER = "https://docs.openx.com/demand-partners/openrtb-bidresponse/"
_OPENX_PRICE = "https://docs.openx.com/demand-partners/openrtb-win-notification/"
_MAGNITE = "https://help.magnite.com/help/openrtb-specification"

_BIDSWITCH = "https://protocol.bidswitch.com/standards/bsw-ortb-diff.html"
_BIDSWITCH_ANSWER = "https://protocol.bidswitch.com/standards-v57/bid-response.html"
_SMAATO = "https://developers.smaato.com/demand-partners/openrtb-getting-started/"

OVERRIDES = (
    "first_price", "no_bid_style", "price_encryption", "price_macro", "billing_event", "review",
    "deal_floor_else_impression",
)  # fmt: skip
"""Members of a dialect that are also columns of an exchange; None or an empty text there means: as the dialect says."""

DIALECTS: dict[str, Dialect] = {
    each.name: each
    for each in (
        Dialect(
            name=GENERIC,
            title="OpenRTB 2.x",
            bills_multiplier=True,
            deal_beside_open=True,
            sources={"bills_multiplier": _NOTES, "deal_beside_open": _NOTES},
        ),
        Dialect(
            name="google",
            title="Google Authorized Buyers, OpenRTB in JSON",
            no_bid_style=NoBidStyle.EMPTY,
            price_encryption=PriceEncryption.GOOGLE,
            campaign_is_seat=True,
            needed=("crid", "adomain"),
            click_macro="%%CLICK_URL_UNESC%%",
            click_macro_encoded="%%CLICK_URL_ESC%%",
            sources={
                "click_macro": _GOOGLE_PRICE,
                "click_macro_encoded": _GOOGLE_PRICE,
                "no_bid_style": _GOOGLE_GUIDE,
                "price_encryption": _GOOGLE_PRICE,
                "campaign_is_seat": _GOOGLE_FIELDS,
                "needed": _GOOGLE_GUIDE,
            },
        ),
        Dialect(
            name="xandr",
            title="Xandr (Microsoft)",
            version="2.4",
            billing_event=BillingEvent.WIN,
            seat_required=True,
            review=ReviewPolicy.BEFORE,
            sources={
                "version": _XANDR,
                "billing_event": _XANDR_EXAMPLE,
                "seat_required": _XANDR,
                "review": _XANDR_REVIEW,
            },
        ),
        Dialect(
            name="pubmatic",
            title="PubMatic",
            currencies=("USD", "JPY", "EUR", "GBP", "CAD", "AUD", "SEK", "CHF", "CZK", "DKK", "BRL", "NZD"),
            win_notice=False,
            seat_required=True,
            seat_is_number=True,
            max_bids=5,
            needed=("adomain", "cid", "crid", "iurl"),
            sent_when_empty=("attr",),
            one_value_lists=("adomain", "attr"),
            sources={
                "currencies": _PUBMATIC_21,
                "win_notice": _PUBMATIC_21,
                "seat_required": _PUBMATIC_21,
                "seat_is_number": _PUBMATIC_23,
                "max_bids": _PUBMATIC_23,
                "needed": _PUBMATIC_21,
                "sent_when_empty": _PUBMATIC_21,
                "one_value_lists": _PUBMATIC_23,
            },
        ),
        Dialect(
            name="index",
            title="Index Exchange",
            currencies=("USD",),
            billing_event=BillingEvent.IMPRESSION,
            price_in_markup=True,
            needed=("adm", "adomain"),
            one_value_lists=("adomain",),
            sources={
                "currencies": _INDEX_MACRO,
                "billing_event": _INDEX_MACRO,
                "price_in_markup": _INDEX_MACRO,
                "needed": _INDEX_FIELDS,
                "one_value_lists": _INDEX_FIELDS,
            },
        ),
        Dialect(
            name="magnite",
            title="Magnite",
            version="2.5",
            sources={"version": _MAGNITE},
        ),
        Dialect(
            name="bidswitch",
            title="BidSwitch",
            version="2.5",
            seat_required=True,
            max_bids=2,
            needed=("adomain", "crid", "iurl"),
            sources={
                "version": _BIDSWITCH,
                "seat_required": _BIDSWITCH,
                "max_bids": _BIDSWITCH_ANSWER,
                "needed": _BIDSWITCH,
            },
        ),
        Dialect(name="smaato", title="Smaato", version="2.5", sources={"version": _SMAATO}),
        Dialect(
            name="openx",
            title="OpenX",
            price_encryption=PriceEncryption.GOOGLE,
            price_macro="${AUCTION_PRICE:OXCRYPT}",
            billing_event=BillingEvent.IMPRESSION,
            price_in_markup=True,
            one_seat=True,
            sources={
                "one_seat": _OPENX_ANSWER,
                "price_encryption": _OPENX_PRICE,
                "price_macro": _OPENX_PRICE,
                "billing_event": _OPENX_PRICE,
                "price_in_markup": _OPENX_PRICE,
            },
        ),
    )
}


@functools.lru_cache(maxsize=1024)
def spoken_by(exchange: Exchange) -> Dialect:
    """The dialect of an exchange, with the exchange's own columns in the place of the dialect's.

    A dialect that this version does not know is read as the generic one, for the notices of bids that a later version
    has made: what is published has all columns (`spelled_out`). Nobody bids in it (`bidder.dialects.table`).
    """
    dialect = DIALECTS.get(exchange.dialect, DIALECTS[GENERIC])
    own = {name: getattr(exchange, name) for name in OVERRIDES}
    return msgspec.structs.replace(dialect, **{name: value for name, value in own.items() if value not in (None, "")})


def spelled_out(exchange: Exchange) -> Exchange:
    """The exchange with its dialect's data in every column that it leaves to the dialect.

    What is published is spelled out, so that a process of the version before, to which these columns are never None,
    reads it too.
    """
    dialect = spoken_by(exchange)
    return msgspec.structs.replace(exchange, **{name: getattr(dialect, name) for name in OVERRIDES})
