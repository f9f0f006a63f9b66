"""What API and command line say of audiences, visitors and their events. Moments are null where there is none."""

import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from admin.validation import fields as f
from segments.audiences.matrix import Matrix
from segments.events.collect import Outcome
from segments.events.dropped import Dropped
from segments.facts.event import MAX_BATCH
from segments.rules.lexer import MAX_RULE_CHARS

# A rule is asked of thousands of profiles; a matrix of ten by ten cells asks a hundred.
MAX_RULES = 100

RuleText = Annotated[str, Meta(min_length=1, max_length=MAX_RULE_CHARS)]
AxisText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_RULE_CHARS,
        description="A fact, or a fact and its bounds: `lifetime_value:100,500`, `last_visit:7d,30d`, `lifecycle`.",
        examples=["lifetime_value:100,500"],
    ),
]


class SegmentVisitors(msgspec.Struct):
    """How many visitors are in one segment now."""

    segment: int
    name: str
    visitors: int


class SizesPage(msgspec.Struct):
    """The active segments of an advertiser."""

    items: list[SegmentVisitors]
    count: int


class OverlapQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Two segments of the advertiser."""

    left: f.Id
    right: f.Id


class Overlap(msgspec.Struct):
    """How many visitors are in both of two segments."""

    segments: list[int]
    visitors: int


class TagEvent(msgspec.Struct):
    """When an event last came, and how often: today, yesterday, on a day of the last week."""

    event: str
    last: datetime.datetime | None
    today: int
    yesterday: int
    daily_mean: float


class IgnoredMember(msgspec.Struct):
    """`written` stands in events where `meant` was probably meant."""

    meant: str
    written: str
    last: datetime.datetime | None


class LastTagEvent(msgspec.Struct):
    """One of the last events, without whose it was: the first ids of its products, and how many it had."""

    event: str
    at: datetime.datetime
    products: list[str]
    product_count: int
    value_micros: int | None


class TagReport(msgspec.Struct):
    """Whether an advertiser's tags fire, which of their members are not understood; the last events, newest first.

    `dropped`: events of today and yesterday (UTC) that were not stored, without a word about consent or with a refusal.
    """

    events: list[TagEvent]
    ignored: list[IgnoredMember]
    last: list[LastTagEvent] = []
    dropped: Dropped = Dropped()


class CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Rules as in docs/segments.md."""

    rules: Annotated[list[RuleText], Meta(min_length=1, max_length=MAX_RULES)]


class RuleCounts(msgspec.Struct):
    """`visitors[i]` is for the i-th rule: exact if `share` is 1, otherwise scaled up from that share of all profiles.

    `asked` profiles of the advertiser were looked at.
    """

    visitors: list[int]
    share: float
    asked: int


class MatrixRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Two facts to be crossed. Without `counted` the cells have their rules only."""

    rows: AxisText
    columns: AxisText
    counted: bool = True


class MatchQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The exchange, by its name in URLs."""

    exchange: f.ExchangeKey


class MatchDay(msgspec.Struct):
    """Cookie sync of one browser family on one day (UTC); `rate` is the fraction of calls that brought our cookie."""

    day: datetime.date
    browser: str
    returning: int
    new: int
    refused: int
    opted_out: int
    rate: float


class MatchPage(msgspec.Struct):
    """Cookie sync with one exchange, oldest day first."""

    items: list[MatchDay]
    count: int


class GivenUpCall(msgspec.Struct):
    """A call of an audience hook that was given up after its last try."""

    given_up: datetime.datetime
    webhook: int
    delivery: str
    reason: str


class GivenUpPage(msgspec.Struct):
    """Calls that were given up in the last 30 days, oldest first."""

    items: list[GivenUpCall]
    count: int


class SentAgain(msgspec.Struct):
    """How many calls are made again, with all their tries."""

    sent_again: int


class PassProgress(msgspec.Struct):
    """The background pass that brings changed rules to existing profiles, while `running` for `advertiser_ids`.

    `takes_over`: when a pass that brings another meaning of rules changes all audiences at once; null for every other.
    """

    running: bool
    share: float
    scanned: int
    expected: int
    rewritten: int
    advertiser_ids: list[int]
    finished: datetime.datetime | None
    takes_over: datetime.datetime | None


class VisitorReport(msgspec.Struct):
    """Everything that is stored of one user id. `ads` are the billed impressions and clicks that orders go by."""

    user_id: str
    found: bool
    opted_out: bool
    advertisers: list[dict[str, Any]]
    exchange_ids: dict[str, str]
    first_party_ids: list[int]
    impressions: list[tuple[int, int, str]]
    ads: list[dict[str, Any]]


class VisitorErased(msgspec.Struct):
    """What an erasure removed; `user_ids` are the asked one and the devices linked to it by a login."""

    user_ids: list[str]
    advertisers: int
    exchange_ids: int


class EventBatch(msgspec.Struct, forbid_unknown_fields=True):
    """Events of an advertiser (docs/events.md) from a trusted sender: they may be offline, and corrected."""

    events: Annotated[list[Any], Meta(min_length=1, max_length=MAX_BATCH)]


class EventResults(msgspec.Struct):
    """What became of each event, in order. Those with the status `retry` are to be sent again."""

    results: list[Outcome]


VISITOR_TYPES: tuple[type, ...] = (
    SizesPage, Overlap, TagReport, CountRequest, RuleCounts, MatrixRequest, Matrix, MatchPage, GivenUpPage, SentAgain,
    PassProgress, VisitorReport, VisitorErased, EventBatch, EventResults,
)  # fmt: skip
