"""What the API and the command line say and take of approvals."""

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from admin.reviews.states import Review, ReviewState
from admin.validation import fields as f

MAX_LISTED = 500

StateName = Literal["pending", "approved", "rejected", "expired"]


class ApprovalView(msgspec.Struct):
    """What an exchange says of the present version of a creative.

    `crid` is what the exchange knows it by in bids, `reference` in its reviews ("" before it was sent). `next_attempt`
    is when it is sent next (null: it is not to be sent), `problem` why the last attempt failed.
    """

    creative_id: int
    exchange_id: int
    advertiser_id: int
    crid: str
    state: StateName
    reason: str
    reference: str
    submitted: datetime.datetime | None
    changed: datetime.datetime
    next_attempt: datetime.datetime | None
    attempts: int
    problem: str


class ApprovalPage(msgspec.Struct):
    """Approvals by creative and exchange; `next` is the cursor of what follows, null at the end."""

    items: list[ApprovalView]
    count: int
    next: str | None


class ApprovalQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which approvals. `cursor` is `next` of the page before."""

    creative_id: f.Id | None = None
    exchange_id: f.Id | None = None
    state: StateName | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = 50
    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,10}-[0-9]{1,10}" + f.END)] | None = None


class ApprovalRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What an exchange has said to a person, where it has no interface that says it."""

    state: StateName
    reason: Annotated[str, Meta(max_length=1_000, pattern=f.PROSE)] = ""


APPROVAL_TYPES = (ApprovalView, ApprovalPage, ApprovalQuery, ApprovalRequest)


def view_of(review: Review) -> ApprovalView:
    """A review for people."""
    return ApprovalView(
        creative_id=review.creative_id,
        exchange_id=review.exchange_id,
        advertiser_id=review.advertiser_id,
        crid=f"{review.creative_id}-{review.creative_version}",
        state=state_name(review.state),
        reason=review.reason,
        reference=review.reference,
        submitted=_moment(review.submitted_ms),
        changed=datetime.datetime.fromtimestamp(review.changed_ms / 1000, datetime.UTC),
        next_attempt=_moment(review.due_ms),
        attempts=review.attempts,
        problem=review.problem,
    )


def state_name(state: ReviewState) -> StateName:
    names: dict[ReviewState, StateName] = {
        ReviewState.PENDING: "pending", ReviewState.APPROVED: "approved", ReviewState.REJECTED: "rejected",
        ReviewState.EXPIRED: "expired",
    }  # fmt: skip
    return names[state]


def _moment(milliseconds: int | None) -> datetime.datetime | None:
    return None if milliseconds is None else datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
