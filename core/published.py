"""What is published beside what advertisers configure; part of the model (`core.model`), which passes it on."""

import msgspec


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The exchanges (ids) that have approved or rejected the version in force of the creative with this `id`.

    An exchange that is in neither list has not decided, or its approval has expired.
    """

    id: int
    approved: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()


class EventKey(msgspec.Struct, frozen=True):
    """An API key that may send shop events from a server: its SHA-256, and the advertisers it is for (None: all)."""

    sha256: bytes
    advertiser_ids: tuple[int, ...] | None = None


class WebhookTarget(msgspec.Struct, frozen=True):
    """Where an advertiser wants to be told of users who enter a segment; `secret` signs the calls.

    Without a URL the advertiser is told by mail, at an address that only the control plane knows.
    """

    id: int
    advertiser_id: int
    url: str
    secret: str
