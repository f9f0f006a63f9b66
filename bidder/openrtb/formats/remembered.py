"""Offers of impressions that were read before.

Publishers have a handful of places each, so banners and players come again and again, in the same words.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import msgspec

from core.errors import Fault
from creatives.formats.offer import Offer

# 8 MB at most for a format: a longer member is read each time, so that a sender cannot fill the memory.
MOST: Final = 4_096
MAX_BYTES: Final = 1_024

_to_json = msgspec.json.Encoder().encode
OfferT = TypeVar("OfferT", bound=Offer)


class RememberedOffers(Generic[OfferT]):
    """What members of impressions offer, by all that they say; `known` is asked first."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[Hashable, OfferT | Fault] = {}

    def learn(self, key: Hashable, member: msgspec.Struct, found: OfferT | Fault) -> OfferT | Fault:
        """Remember what was found, unless the member is long; when the memory is full it begins anew."""
        if len(_to_json(member)) <= MAX_BYTES:
            if len(self.known) >= MOST:
                self.known.clear()
            self.known[key] = found
        return found
