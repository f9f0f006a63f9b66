"""The kinds of catalogue object, declared once: their type, table, typed columns and what they refer to."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from admin.store import tables
from admin.store.model import ApiKey, Conversion, Feed, User, Webhook
from admin.validation import documents
from admin.validation.targeting import MODIFIED_KINDS, REFERENCES
from core.dialects import spelled_out
from core.ids import MAX_ID, MAX_LINE_ITEM_ID
from core.model import Advertiser, Budget, Campaign, Creative, Deal, Exchange, InventoryList, LineItem, Segment

Reference = tuple[str, str, int]
"""JSON pointer of the reference inside the document, kind of what it names, its id."""


class ObjectKind(msgspec.Struct, frozen=True):
    """One kind. `name` is also its path in the API; `member` is its field in core.model.Catalogue.

    `member` is '' for what the bid path does not know. A kind that is not a tenant's belongs to no advertiser.
    """

    name: str
    member: str
    domain: type[msgspec.Struct]
    document: type[documents.Document]
    table: sa.Table
    references: Callable[[Any], Iterable[Reference]]
    code: int
    """Stands for the kind in object_references; never changes."""
    tenant: bool = True
    title: str = ""
    max_id: int = MAX_ID


def _owner(value: Any) -> Iterable[Reference]:  # noqa: ANN401 - any tenant's object
    if value.advertiser_id is not None:
        yield "/advertiser_id", "advertisers", value.advertiser_id


def _line_item(value: LineItem) -> Iterable[Reference]:
    yield from _owner(value)
    yield "/campaign_id", "campaigns", value.campaign_id
    for position, creative in enumerate(value.creative_ids):
        yield f"/creative_ids/{position}", "creatives", creative
    for position, share in enumerate(value.budget_shares):
        yield f"/budget_shares/{position}/segment_id", "segments", share.segment_id
    targeting = value.targeting
    for field, kind in REFERENCES:
        for position, target in enumerate(getattr(targeting, field)):
            yield f"/targeting/{field}/{position}", kind, target
    for number, modifier in enumerate(value.bid_modifiers):
        kind = MODIFIED_KINDS.get(modifier.field, "")
        for position, target in enumerate(modifier.values if kind else ()):
            if isinstance(target, int):
                yield f"/bid_modifiers/{number}/values/{position}", kind, target


def _segment(value: Segment) -> Iterable[Reference]:
    yield from _owner(value)
    if value.webhook_id is not None:
        yield "/webhook_id", "webhooks", value.webhook_id


def _deal(value: Deal) -> Iterable[Reference]:
    yield from _owner(value)
    yield "/exchange_id", "exchanges", value.exchange_id


def _account(value: User | ApiKey) -> Iterable[Reference]:
    for position, advertiser in enumerate(value.advertiser_ids):
        yield f"/advertiser_ids/{position}", "advertisers", advertiser


def _nothing(_value: object) -> Iterable[Reference]:
    return ()


EXCHANGES = ObjectKind(
    "exchanges", "exchanges", Exchange, documents.ExchangeDocument, tables.exchanges, _nothing, 1, False, "exchange"
)
ADVERTISERS = ObjectKind(
    "advertisers",
    "advertisers",
    Advertiser,
    documents.AdvertiserDocument,
    tables.advertisers,
    _nothing,
    2,
    False,
    "advertiser",
)
CAMPAIGNS = ObjectKind(
    "campaigns", "campaigns", Campaign, documents.CampaignDocument, tables.campaigns, _owner, 3, title="campaign"
)
WEBHOOKS = ObjectKind("webhooks", "", Webhook, documents.WebhookDocument, tables.webhooks, _owner, 4, title="webhook")
SEGMENTS = ObjectKind(
    "segments", "segments", Segment, documents.SegmentDocument, tables.segments, _segment, 5, title="segment"
)
CREATIVES = ObjectKind(
    "creatives", "creatives", Creative, documents.CreativeDocument, tables.creatives, _owner, 6, title="creative"
)
DEALS = ObjectKind("deals", "deals", Deal, documents.DealDocument, tables.deals, _deal, 7, title="deal")
LISTS = ObjectKind("lists", "lists", InventoryList, documents.ListDocument, tables.lists, _owner, 13, title="list")
LINE_ITEMS = ObjectKind(
    "line-items",
    "line_items",
    LineItem,
    documents.LineItemDocument,
    tables.line_items,
    _line_item,
    8,
    title="line item",
    max_id=MAX_LINE_ITEM_ID,
)
FEEDS = ObjectKind("feeds", "", Feed, documents.FeedDocument, tables.feeds, _owner, 9, title="feed")
CONVERSIONS = ObjectKind(
    "conversions", "", Conversion, documents.ConversionDocument, tables.conversions, _owner, 10, title="conversion"
)

USERS = ObjectKind("users", "", User, documents.UserDocument, tables.users, _account, 11, False, "user")
API_KEYS = ObjectKind("api-keys", "", ApiKey, documents.ApiKeyDocument, tables.api_keys, _account, 12, False, "API key")

KINDS: tuple[ObjectKind, ...] = (
    EXCHANGES, ADVERTISERS, CAMPAIGNS, WEBHOOKS, SEGMENTS, CREATIVES, DEALS, LISTS, LINE_ITEMS, FEEDS, CONVERSIONS,
)  # fmt: skip
"""In the order in which they can be created: what is referred to comes first."""

ACCOUNT_KINDS = (USERS, API_KEYS)
"""Who may use the API; not part of a catalogue file."""

KIND_BY_NAME = {kind.name: kind for kind in (*KINDS, *ACCOUNT_KINDS)}

_OWN_COLUMNS = frozenset({"revision", "created_ms", "updated_ms", tables.SEARCH})


def columns_of(kind: ObjectKind, value: msgspec.Struct) -> dict[str, Any]:
    """The typed columns of an object. `total_budget_micros` is read from the Budget `total_budget`."""
    if isinstance(value, Exchange):  # lists are filtered by what is in force, also from the dialect
        value = spelled_out(value)
    searched = f"{getattr(value, 'name', '')}\n{getattr(value, 'external_id', '')}"
    out: dict[str, Any] = {tables.SEARCH: tables.folded(searched)}
    for column in kind.table.columns:
        if column.name in _OWN_COLUMNS:
            continue
        if hasattr(value, column.name):
            out[column.name] = getattr(value, column.name)
            continue
        field, _, part = column.name.rpartition("_")
        budget = getattr(value, field)
        out[column.name] = getattr(budget, part) if isinstance(budget, Budget) else None
    return out
