"""What the API and the command line say of the books: audits, and corrections by hand."""

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from admin.validation import fields as f
from admin.validation.days import Day

# As the columns of the ledger: a name is the row's `notice`, a note is kept with it.
CorrectionName = Annotated[
    str,
    Meta(min_length=1, max_length=64, pattern=f.TEXT, description="Names the correction: a name is booked once."),
]
Note = Annotated[str, Meta(min_length=1, max_length=255, pattern=f.TEXT, description="Why; kept with the row.")]
# Beyond a billion impressions somebody has mistyped; Redis counts exactly to 2^53.
ImpressionDelta = Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose counters; one advertiser at a time."""

    advertiser_id: f.Id


class BookAudit(msgspec.Struct):
    """An advertiser's counters against its ledger; `differences` is empty where they agree.

    The journal, which reports are made of, takes rows of the ledger some seconds after they are booked: it is compared
    up to the newest row that both have, booked at `journal_until` (null where no journal is kept, or it has no bill
    yet). `journal_waits` rows are newer.
    """

    advertiser_id: int
    advertiser: str
    spent: f.Balance
    counters: int
    differences: list[str]
    journal_until: datetime.datetime | None = None
    journal_waits: int = 0


class CorrectionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A row of the ledger by hand. `amount` is in the advertiser's currency, `day` in its time zone.

    Negative amounts and impressions give back. `share` 0 is what the budget shares of the line item leave; `exchange`
    is the key of the exchange that it is about.
    """

    name: CorrectionName
    line_item_id: f.Id
    note: Note
    day: Day
    amount: f.SignedDecimal = "0"
    impressions: ImpressionDelta = 0
    share: Annotated[int, Meta(ge=0, le=1_000)] = 0
    exchange: f.ExchangeKey | None = None


class CorrectionAnswer(msgspec.Struct):
    """`duplicate`: a correction of this name was booked before, and nothing has changed."""

    outcome: Literal["corrected", "duplicate"]
    line_item_id: int
    amount: f.Balance
    impressions: int


BOOK_TYPES: tuple[type, ...] = (BookAudit, CorrectionRequest, CorrectionAnswer)
