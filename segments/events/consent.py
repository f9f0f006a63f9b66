"""Consent at the door of the profile store. Decoding TC strings is another room's work: a reader is handed in."""

from collections.abc import Callable
from typing import Final

import msgspec


class ConsentFlags(msgspec.Struct, frozen=True):
    """What a visitor permits: purpose 1 (cookies and ids), purpose 3 (a profile may be written)."""

    identifiers: bool
    profile_write: bool


ConsentReader = Callable[[str], ConsentFlags]
"""Flags of a TC string; everything refused when it cannot be decoded. Never raises."""

GRANTED: Final = ConsentFlags(identifiers=True, profile_write=True)
REFUSED: Final = ConsentFlags(identifiers=False, profile_write=False)


class ConsentPolicy:
    """Decides from what came with an event or a sync.

    `gdpr_by_default`: whether the regulation is taken to apply when the sender says nothing about it.
    """

    __slots__ = ("_gdpr_by_default", "_reader")

    def __init__(self, reader: ConsentReader, *, gdpr_by_default: bool = True) -> None:
        self._reader = reader
        self._gdpr_by_default = gdpr_by_default

    def flags(
        self, gdpr: int | None, consent: str, ad_personalization: str = "", *, vouched: bool = False
    ) -> ConsentFlags:
        """Flags for one event; a consent string present means that the regulation applies unless gdpr says 0.

        `vouched`: the sender holds the shop's API key; when it says nothing, the shop answers for having asked.
        `ad_personalization` is the consent-mode word of tag managers: "denied" always refuses, whatever else is said;
        "granted" is no proof and adds nothing.
        """
        if ad_personalization.lower() == "denied":
            return REFUSED
        if gdpr == 0:
            return GRANTED
        if consent:
            return self._reader(consent)
        applies = gdpr is not None or (self._gdpr_by_default and not vouched)
        return REFUSED if applies else GRANTED
