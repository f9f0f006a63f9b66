"""The way of one version of a creative through one exchange's review: a state machine of values.

A review begins `pending`, before and after the creative was sent. The exchange decides: `approved`, or `rejected` with
a reason; a decision may end (`expired`), and every one may become another. An expired creative is sent again by itself,
a rejected one when somebody asks for it or the creative is changed.
"""

import enum
from typing import Final

import msgspec


class ReviewState(enum.StrEnum):
    """What an exchange says of a creative."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """Where one version of a creative stands with one exchange. Times are milliseconds since 1970."""

    creative_id: int
    exchange_id: int
    advertiser_id: int
    creative_version: int
    state: ReviewState = ReviewState.PENDING
    reason: str = ""  # of a rejection, in the exchange's words
    reference: str = ""  # the exchange's id of the ad; "" before it was sent
    submitted_ms: int | None = None
    changed_ms: int  # when the state came
    due_ms: int | None = None  # when it is to be sent next; None: it needs no sending
    attempts: int = 0  # in a row that failed
    problem: str = ""  # why the last attempt failed


class Decision(msgspec.Struct, frozen=True):
    """What an exchange answered of an ad."""

    reference: str
    state: ReviewState
    reason: str = ""


# After a failure: at once for a hiccup, rarely for a service that is down for a day.
FIRST_RETRY_MS: Final = 1_000
LONGEST_RETRY_MS: Final = 300_000
# What the exchange calls wrong stays so until the creative or the settings change; it is tried again now and then.
REFUSED_RETRY_MS: Final = 3_600_000
# An expired creative is sent again after this: soon enough for delivery, and late enough to be seen.
RENEW_MS: Final = 60_000
# Nothing else repeats a call for so long after it began.
CALL_MS: Final = 60_000


def begun(creative_id: int, exchange_id: int, advertiser_id: int, version: int, now_ms: int) -> Review:
    """The review of a version that is to be sent now."""
    return Review(
        creative_id=creative_id, exchange_id=exchange_id, advertiser_id=advertiser_id, creative_version=version,
        changed_ms=now_ms, due_ms=now_ms,
    )  # fmt: skip


def decided(review: Review, decision: Decision, now_ms: int) -> Review:
    """The review after the exchange has answered, to a submission or to a question."""
    changed_ms = review.changed_ms if decision.state is review.state else now_ms
    return msgspec.structs.replace(
        review,
        state=decision.state,
        reason=decision.reason,
        reference=decision.reference,
        changed_ms=changed_ms,
        due_ms=now_ms + RENEW_MS if decision.state is ReviewState.EXPIRED else None,
        attempts=0,
        problem="",
    )


def failed(review: Review, problem: str, now_ms: int, *, refused: bool) -> Review:
    """The review after an attempt to send it failed; `refused` where the exchange calls what was sent wrong."""
    pause = min(LONGEST_RETRY_MS, FIRST_RETRY_MS << min(20, review.attempts))
    return msgspec.structs.replace(
        review,
        attempts=review.attempts + 1,
        problem=problem,
        due_ms=now_ms + (REFUSED_RETRY_MS if refused else pause),
    )


def asked_again(review: Review, now_ms: int) -> Review:
    """The review after a person asked that the exchange look again; the decision holds until it has."""
    return msgspec.structs.replace(review, due_ms=now_ms, attempts=0, problem="")


def set_by_hand(review: Review, state: ReviewState, reason: str, now_ms: int) -> Review:
    """The review after a person noted what the exchange said, where it has no interface that says it."""
    changed_ms = review.changed_ms if state is review.state else now_ms
    return msgspec.structs.replace(
        review, state=state, reason=reason, changed_ms=changed_ms, due_ms=None, attempts=0, problem=""
    )
