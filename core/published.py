"""What is published beside what advertisers configure; part of the model (`core.model`), which passes it on."""

import msgspec


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What exchanges have decided about the version of a creative that is in force: their ids. `id` is the creative's.

    An exchange that is in neither list has not decided, or its approval has expired.
    """

    id: int
    approved: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()


class EventKey(msgspec.Struct, frozen=True):
    """An API key that may send shop events from a server: its SHA-256, and for whom (None: every advertiser)."""

    sha256: bytes
    advertiser_ids: tuple[int, ...] | None = None


class WebhookTarget(msgspec.Struct, frozen=True):
    """Where an advertiser wants to hear of users who enter a segment; `secret` signs the calls.

    Without a URL it hears by mail, at an address that is the control plane's alone.
    """

    id: int
    advertiser_id: int
    url: str
    secret: str
