"""What was sent, is to be sent, or could not be, in the words of the API."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from admin.api.reading import moment_text


class SentDelivery(msgspec.Struct):
    """What was sent, is to be sent, or could not be."""

    id: int
    advertiser_id: int | None
    channel: str
    target: str
    subject: str
    state: str
    attempts: int
    error: str
    due_at: str
    created_at: str


class SentDeliveryPage(msgspec.Struct):
    """The newest deliveries."""

    items: list[SentDelivery]


DELIVERY_TYPES: Final = (SentDelivery, SentDeliveryPage)


def sent_delivery(row: Mapping[str, Any]) -> SentDelivery:
    """A row of the outbox."""
    return SentDelivery(
        row["id"], row["advertiser_id"] or None, row["channel"], row["target"], row["subject"], row["state"],
        row["attempts"], row["error"], moment_text(row["due_ms"]), moment_text(row["created_ms"]),
    )  # fmt: skip
