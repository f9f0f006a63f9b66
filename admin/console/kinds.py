"""What the console shows of each kind of object: columns of its list, fields of its form."""

import functools
import types
import typing
from collections.abc import Mapping
from typing import Final

import msgspec

from admin.console.fields import N_, FormField, InputKind
from core.dialects import DIALECTS
from core.model import BillingEvent, Clearing, Goal, NoBidStyle, Pacing, PriceEncryption, Targeting, UnreadablePrice


class Column(msgspec.Struct, frozen=True):
    """A column of a list; `inline` columns are edited in their place."""

    field: FormField
    inline: bool = False


class KindPage(msgspec.Struct, frozen=True):
    """The pages of a kind."""

    name: str
    title: str
    one: str
    new: str
    """The heading of the form that makes one: languages say "new" by the gender of what is made."""
    columns: tuple[Column, ...]
    form: tuple[FormField, ...]
    more: tuple[FormField, ...] = ()
    """Fields that most objects leave as they are; shown on demand."""
    copies: bool = True


_NAME = FormField("name", N_("Name"), required=True)
_ADVERTISER = FormField("advertiser_id", N_("Advertiser"), "one", of="advertisers", fixed=True, required=True)
_NOTES = FormField("notes", N_("Notes"), "prose")
_EXTERNAL = FormField("external_id", N_("Your own id"))
_START = FormField("start", N_("Start ({zone})"), "moment")
_END = FormField("end", N_("End ({zone})"), "moment")
_CAPS = FormField(
    "caps", N_("Caps for one person"), "caps", N_("impressions and window: 12/1d, 3/1h; of one format: 3/1d video")
)
_TOTAL = FormField("total_budget.spend", N_("Total budget"), "money")
_RIGHTS = FormField(
    "scopes",
    N_("Rights"),
    "boxes",
    choices=(N_("read"), N_("trade"), N_("finance"), N_("admin")),
    meanings=(
        N_("see pages and reports"),
        N_("change campaigns, line items, creatives, segments, feeds"),
        N_("change balances, see the ledger"),
        N_("exchanges, people, keys, and all of the others"),
    ),
)
_DAILY = FormField("daily_budget.spend", N_("Daily budget"), "money")
_BID = FormField(
    "bid", N_("Bid"), "money", N_("what the goal is worth to you: a thousand impressions, a click or an order")
)


CURRENCIES: Final = ("PLN", "EUR", "USD", "GBP", "CZK", "SEK", "HUF", "RON")
"""Currencies that forms offer; others are set by the API."""

CHOICES: Final = (
    N_("cpm"),
    N_("cpc"),
    N_("cpa"),
    N_("even"),
    N_("asap"),
    N_("banner"),
    N_("native"),
    N_("video"),
    N_("audio"),
    N_("bill"),
    N_("win"),
    N_("impression"),
    N_("reported"),
    N_("house"),
    N_("empty"),
)
"""Choices that are said in words; others are terms that stay, as nbr."""


def _values(choices: type) -> tuple[str, ...]:
    return tuple(str(choice.value) for choice in choices)  # type: ignore[attr-defined] # an enum


def _chosen(path: str, label: str, choices: type, hint: str = "") -> FormField:
    return FormField(path, label, "choice", hint, _values(choices))


def _overridden(path: str, label: str, choices: type) -> FormField:
    """A choice that can also be none: as it is elsewhere."""
    return FormField(path, label, "choice", choices=("", *_values(choices)))


def _listed(*fields: FormField, inline: tuple[FormField, ...] = ()) -> tuple[Column, ...]:
    return tuple(Column(field, field in inline) for field in fields)


@functools.cache
def targeting_fields() -> tuple[FormField, ...]:
    """One input a member of a line item's targeting."""
    found = []
    for field in msgspec.structs.fields(Targeting):
        (item, *_) = typing.get_args(field.type)
        kinds: Mapping[object, InputKind] = {str: "list", int: "numbers"}
        label = field.name.replace("_", " ").capitalize()
        found.append(FormField(f"targeting.{field.name}", label, kinds.get(item, "json")))
    return tuple(found)


_LINE_ITEM_FORM = (
    _NAME,
    FormField("campaign_id", N_("Campaign"), "one", of="campaigns", fixed=True, required=True),
    _chosen("goal", N_("Goal"), Goal, N_("cpm: impressions, cpc: clicks, cpa: orders")),
    _BID,
    FormField("max_cpm", N_("Highest price of a thousand impressions"), "money"),
    _DAILY,
    _TOTAL,
    _START,
    _END,
    _CAPS,
    FormField("targeting.segments_any", N_("In any of these segments"), "many", of="segments"),
    FormField("targeting.segments_none", N_("In none of these segments"), "many", of="segments"),
    FormField("targeting.countries", N_("Countries"), "list", N_("three letters each: POL, DEU")),
    FormField("creative_ids", N_("Creatives"), "many", of="creatives"),
)
_LINE_ITEM_MORE = (
    FormField(
        "bid_modifiers",
        N_("Bid modifiers"),
        "modifiers",
        N_("what applies to an impression is multiplied, 10% at least and 1000% at most; an empty row is none"),
    ),
    FormField("min_cpm", N_("Lowest price of a thousand impressions"), "money"),
    FormField(
        "cart",
        N_("Worth of a cart"),
        "json",
        N_("share of the cart's value that an order is worth more, see docs/pricing.md"),
    ),
    _chosen("pacing", N_("Pacing"), Pacing),
    FormField("spend_all", N_("Spend the whole budget, also above the value"), "flag"),
    FormField("target_cpa", N_("Target cost of an order"), "money"),
    FormField("target_roas_percent", N_("Target return on spend, percent"), "number"),
    FormField("min_gap_s", N_("Seconds between two impressions to one person"), "number"),
    FormField("several_per_request", N_("Several ads on one page"), "flag"),
    FormField("daily_budget.impressions", N_("Impressions a day"), "number"),
    FormField("total_budget.impressions", N_("Impressions in total"), "number"),
    FormField("budget_shares", N_("Budget shares by segment"), "json"),
)


def _without(fields: tuple[FormField, ...], *paths: str) -> tuple[FormField, ...]:
    return tuple(field for field in fields if field.path not in paths)


PAGES: Final[Mapping[str, KindPage]] = types.MappingProxyType(
    {
        page.name: page
        for page in (
            KindPage(
                "line-items",
                N_("Line items"),
                N_("line item"),
                N_("New line item"),
                _listed(
                    _NAME,
                    _chosen("goal", N_("Goal"), Goal),
                    _BID,
                    _DAILY,
                    _TOTAL,
                    _chosen("pacing", N_("Pacing"), Pacing),
                    _START,
                    _END,
                    inline=(_BID, _DAILY, _TOTAL, _START, _END),
                ),
                (_ADVERTISER, *_LINE_ITEM_FORM),
                (
                    *_LINE_ITEM_MORE,
                    *_without(
                        targeting_fields(), "targeting.segments_any", "targeting.segments_none", "targeting.countries"
                    ),
                    _EXTERNAL,
                    _NOTES,
                ),
            ),
            KindPage(
                "campaigns",
                N_("Campaigns"),
                N_("campaign"),
                N_("New campaign"),
                _listed(_NAME, _ADVERTISER, _TOTAL, _START, _END, inline=(_TOTAL, _START, _END)),
                (_ADVERTISER, _NAME, _TOTAL, _START, _END, _CAPS),
                (FormField("total_budget.impressions", N_("Impressions in total"), "number"), _EXTERNAL, _NOTES),
            ),
            KindPage(
                "creatives",
                N_("Creatives"),
                N_("creative"),
                N_("New creative"),
                _listed(
                    _NAME,
                    _ADVERTISER,
                    FormField("format", N_("Format"), "choice"),
                    FormField("width", N_("Width")),
                    FormField("height", N_("Height")),
                ),
                (
                    _ADVERTISER,
                    _NAME,
                    FormField("width", N_("Width"), "number", required=True),
                    FormField("height", N_("Height"), "number", required=True),
                    FormField("image_url", N_("Address of the image")),
                    FormField("html", N_("Markup"), "prose", N_("instead of an image; link to ${CLICK_URL}")),
                    FormField("alt_text", N_("Text for those who do not see the image")),
                    FormField("landing_url", N_("Landing page"), required=True),
                    FormField("advertiser_domain", N_("Domain of the advertiser")),
                    FormField("categories", N_("Categories"), "list", N_("IAB codes of what is advertised: IAB18-3")),
                ),
                (
                    FormField("attributes", N_("Attributes"), "numbers"),
                    FormField("apis", N_("Frameworks"), "numbers"),
                    FormField("language", N_("Language")),
                    FormField("sample_url", N_("Address of a picture of the ad")),
                    _EXTERNAL,
                    _NOTES,
                ),
            ),
            KindPage(
                "segments",
                N_("Segments"),
                N_("segment"),
                N_("New segment"),
                _listed(_NAME, _ADVERTISER, FormField("rule", N_("Rule"))),
                (
                    _ADVERTISER,
                    _NAME,
                    FormField(
                        "rule",
                        N_("Rule"),
                        "prose",
                        N_("for example: cart.age > 1h and cart.value >= 500 PLN"),
                        required=True,
                    ),
                ),
                (FormField("webhook_id", N_("Webhook"), "one", of="webhooks"), _EXTERNAL, _NOTES),
            ),
            KindPage(
                "feeds",
                N_("Feeds"),
                N_("feed"),
                N_("New feed"),
                _listed(_NAME, _ADVERTISER, FormField("url", N_("Address")), FormField("format", N_("Format"))),
                (
                    _ADVERTISER,
                    _NAME,
                    FormField("url", N_("Address")),
                    FormField("format", N_("Format")),
                    FormField("refresh_s", N_("Seconds between two fetches"), "number"),
                    FormField("price_currency", N_("Currency of prices without one")),
                ),
                (
                    FormField("encoding", N_("Encoding")),
                    FormField("item_element", N_("Element of a product")),
                    FormField("mapping", N_("Mapping of columns"), "json"),
                    _EXTERNAL,
                    _NOTES,
                ),
            ),
            KindPage(
                "conversions",
                N_("What counts as a conversion"),
                N_("conversion"),
                N_("New conversion"),
                _listed(_NAME, _ADVERTISER, FormField("event", N_("Event"))),
                (
                    _ADVERTISER,
                    _NAME,
                    FormField("event", N_("Event")),
                    FormField("click_window_s", N_("Seconds after a click"), "number"),
                    FormField("view_window_s", N_("Seconds after a view"), "number"),
                    FormField("default_value", N_("Value of an order without one"), "money"),
                ),
                (_EXTERNAL, _NOTES),
            ),
            KindPage(
                "deals",
                N_("Deals"),
                N_("deal"),
                N_("New deal"),
                _listed(
                    _NAME,
                    FormField("deal_id", N_("Deal id")),
                    FormField("exchange_id", N_("Exchange"), "one", of="exchanges"),
                ),
                (
                    FormField("exchange_id", N_("Exchange"), "one", of="exchanges", fixed=True, required=True),
                    FormField("advertiser_id", N_("Advertiser"), "one", of="advertisers", fixed=True),
                    FormField("deal_id", N_("Deal id"), required=True),
                    _NAME,
                ),
                (_EXTERNAL, _NOTES),
            ),
            KindPage(
                "webhooks",
                N_("Webhooks"),
                N_("webhook"),
                N_("New webhook"),
                _listed(_NAME, _ADVERTISER, FormField("url", N_("Address")), FormField("mail", N_("E-mail address"))),
                (
                    _ADVERTISER,
                    _NAME,
                    FormField("url", N_("Address"), hint=N_("called for each visitor; or leave it empty")),
                    FormField(
                        "mail",
                        N_("E-mail address"),
                        hint=N_("instead: one mail an hour with how many entered; it must have agreed (Saved reports)"),
                    ),
                    FormField("secret", N_("Secret"), "secret"),
                ),
                (_EXTERNAL, _NOTES),
            ),
            KindPage(
                "advertisers",
                N_("Advertisers"),
                N_("advertiser"),
                N_("New advertiser"),
                _listed(
                    _NAME,
                    FormField("domain", N_("Domain")),
                    FormField("currency", N_("Currency")),
                    FormField("balance", N_("Balance"), "money"),
                ),
                (
                    _NAME,
                    FormField("domain", N_("Domain of the shop")),
                    FormField("currency", N_("Currency"), fixed=True),
                    FormField("timezone", N_("Time zone")),
                    FormField("balance", N_("Balance"), "money", N_("prepaid money; empty: no limit")),
                    _CAPS,
                ),
                (
                    FormField("profile_retention_days", N_("Days that a visitor is remembered"), "number"),
                    FormField("origins", N_("Further origins of the shop's pages"), "list"),
                    FormField("product_categories", N_("Product categories"), "list"),
                    _EXTERNAL,
                    _NOTES,
                ),
            ),
            KindPage(
                "exchanges",
                N_("Exchanges"),
                N_("exchange"),
                N_("New exchange"),
                _listed(
                    _NAME,
                    FormField("key", N_("Key")),
                    FormField("dialect", N_("Dialect")),
                    FormField("default_currency", N_("Currency")),
                ),
                (
                    _NAME,
                    FormField(
                        "key",
                        N_("Key"),
                        hint=N_("the last part of the bid address; empty: made of the name"),
                        fixed=True,
                    ),
                    FormField(
                        "dialect",
                        N_("Dialect"),
                        "choice",
                        N_("whose OpenRTB it speaks; generic: as the specification says"),
                        tuple(DIALECTS),
                    ),
                    FormField("seat", N_("Seat"), hint=N_("our account there, where bids must name it")),
                    FormField(
                        "default_currency",
                        N_("Currency"),
                        "choice",
                        N_("of bids, where a request names none"),
                        CURRENCIES,
                    ),
                    FormField("default_tmax_ms", N_("Time for an answer, milliseconds"), "number"),
                    FormField("sync_url", N_("Address of their cookie sync"), hint=N_("with {uid}")),
                    FormField(
                        "user_id_sources",
                        N_("Where requests have the synced id"),
                        "list",
                        N_("one a line: eids:ssp.example, data:ssp or ifa; empty: user.id alone"),
                    ),
                    _chosen(
                        "clearing",
                        N_("Clearing price"),
                        Clearing,
                        N_("what a win costs; reported: what its notices say, house: one grosz above the second price"),
                    ),
                ),
                (
                    _overridden("billing_event", N_("Billing event"), BillingEvent),
                    _overridden("no_bid_style", N_("Answer without a bid"), NoBidStyle),
                    _overridden("price_encryption", N_("Encryption of prices"), PriceEncryption),
                    _chosen("unreadable_price", N_("A price that cannot be read counts as"), UnreadablePrice),
                    FormField("network_margin_ms", N_("Milliseconds for the way back"), "number"),
                    FormField("bearer_token", N_("Token that requests must carry"), "secret"),
                    FormField("encryption_key", N_("Encryption key"), "secret"),
                    FormField("integrity_key", N_("Integrity key"), "secret"),
                    _EXTERNAL,
                    _NOTES,
                ),
                copies=False,
            ),
            KindPage(
                "users",
                N_("People"),
                N_("person"),
                N_("New person"),
                _listed(_NAME, FormField("email", N_("E-mail address")), _RIGHTS),
                (
                    _NAME,
                    FormField("email", N_("E-mail address"), required=True),
                    _RIGHTS,
                    FormField("advertiser_ids", N_("Only these advertisers"), "many", of="advertisers"),
                    FormField("password", N_("New password"), "secret", N_("twelve characters or more")),
                ),
                (_NOTES,),
                copies=False,
            ),
            KindPage(
                "api-keys",
                N_("API keys"),
                N_("API key"),
                N_("New API key"),
                _listed(_NAME, FormField("prefix", N_("Begins with")), _RIGHTS),
                (
                    _NAME,
                    _RIGHTS,
                    FormField("advertiser_ids", N_("Only these advertisers"), "many", of="advertisers"),
                    FormField("expires", N_("Expires ({zone})"), "moment"),
                    FormField("requests_per_minute", N_("Requests a minute"), "number"),
                ),
                (_NOTES,),
                copies=False,
            ),
        )
    }
)

ABOUT: Final[Mapping[str, str]] = {
    "line-items": N_("A line item buys impressions: it has a bid, budgets, an audience and ads."),
    "campaigns": N_("A campaign holds line items that share a budget and a time."),
    "creatives": N_("A creative is an ad: an image, markup, a film or a sound, and the page that a click leads to."),
    "segments": N_("A segment is a group of visitors: those whom its rule describes, at every moment."),
    "feeds": N_("A feed is the list of a shop's products, which is fetched from its address again and again."),
    "conversions": N_(
        "Every purchase counts as a conversion, for 30 days after a click and a day after a view. A row here changes "
        "that for an advertiser. How many there were is told by reports."
    ),
    "deals": N_("A deal is an agreement with a publisher, by the id that bid requests name it with."),
    "webhooks": N_("A webhook is an address that is called when somebody enters a segment."),
    "advertisers": N_("An advertiser is a shop or a brand: it has a currency, a time zone and all that is its own."),
    "exchanges": N_("An exchange sends bid requests, each to an address of its own here."),
    "users": N_("People log in to this console."),
    "api-keys": N_("A key lets a program use the API."),
}
"""What objects of a kind are: told where there are none."""

NAVIGATION: Final = (
    (N_("Campaigns"), ("campaigns", "line-items", "creatives")),
    (N_("Audiences"), ("segments", "conversions", "feeds", "webhooks")),
    (N_("Installation"), ("advertisers", "exchanges", "deals", "users", "api-keys")),
)
"""Groups of the menu."""
