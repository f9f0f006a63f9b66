"""Typed identifiers.

Catalogue objects have positive 32-bit integers, so that ids pack into tokens, profiles and arrays; a user has a string.
"""

import hashlib
import re
import secrets
from typing import NewType

AdvertiserId = NewType("AdvertiserId", int)
CampaignId = NewType("CampaignId", int)
LineItemId = NewType("LineItemId", int)
CreativeId = NewType("CreativeId", int)
DealId = NewType("DealId", int)
SegmentId = NewType("SegmentId", int)
ExchangeId = NewType("ExchangeId", int)
LeaseId = NewType("LeaseId", int)

UserId = NewType("UserId", str)
"""Grosz's own cookie value: 22 characters of base64url, 128 random bits (what exchanges send back as `buyeruid`)."""

MAX_ID = 2**32 - 1
USER_ID_CHARS = 22
_USER_ID = re.compile(f"[A-Za-z0-9_-]{{{USER_ID_CHARS}}}")


def new_user_id() -> UserId:
    """A fresh, unguessable user id."""
    return UserId(secrets.token_urlsafe(16))


def is_user_id(text: str) -> bool:
    """Whether `text` has the exact shape of a user id of ours; anything else came from somebody else's cookie."""
    return _USER_ID.fullmatch(text) is not None


def product_reference(product_id: str) -> int:
    """64 bits that stand for a product within one shop: what hot profiles name products by (docs/profile-layout.md)."""
    digest = hashlib.blake2b(product_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
