"""Consent at the door of the profile store. Reading TC and GPP strings is another room's work: readers are given."""

from collections.abc import Callable
from typing import Final

import msgspec

from segments.events.privacy import Signals

_TCF_EU: Final = 2  # the section of a GPP string that holds a TC string


class ConsentFlags(msgspec.Struct, frozen=True):
    """What a visitor permits: purpose 1 (cookies and ids), purpose 3 (a profile may be written)."""

    identifiers: bool
    profile_write: bool


class Sections(msgspec.Struct, frozen=True):
    """What a GPP string says: `limited` if a section that applies limits us or is unreadable, and its TC string."""

    limited: bool
    tc_string: str | None = None


ConsentReader = Callable[[str], ConsentFlags]
"""Flags of a TC string; everything refused when it cannot be decoded. Never raises."""

SectionReader = Callable[[str, tuple[int, ...]], Sections]
"""What a GPP string says in these sections; in all of its sections, when none are given. Never raises."""

GRANTED: Final = ConsentFlags(identifiers=True, profile_write=True)
REFUSED: Final = ConsentFlags(identifiers=False, profile_write=False)


def read_nothing(_gpp: str, _sections: tuple[int, ...]) -> Sections:
    """The reader where GPP strings are not read: every string counts as a refusal."""
    return Sections(limited=True)


class EventConsentPolicy:
    """Decides from what came with an event or a sync.

    `gdpr_by_default`: whether the regulation is taken to apply when the sender says nothing about it.
    """

    __slots__ = ("_gdpr_by_default", "_reader", "_sections")

    def __init__(
        self, reader: ConsentReader, sections: SectionReader = read_nothing, *, gdpr_by_default: bool = True
    ) -> None:
        self._reader = reader
        self._sections = sections
        self._gdpr_by_default = gdpr_by_default

    def flags(self, signals: Signals, *, vouched: bool = False) -> ConsentFlags:
        """Flags for one event; a consent string present means that the regulation applies unless gdpr says 0.

        `vouched`: the sender holds the shop's API key; when it says nothing, the shop answers for having asked. What it
        does say counts: a word such as "granted" is no proof and adds nothing, one that refuses refuses.
        """
        if signals.refusal:
            return REFUSED
        tc_string, applies = signals.consent, signals.gdpr
        if signals.gpp or signals.sections:
            found = self._sections(signals.gpp, signals.sections)
            if found.limited:
                return REFUSED
            if _TCF_EU in signals.sections:
                applies, tc_string = True, found.tc_string or ""
            elif found.tc_string is not None:
                tc_string = found.tc_string
            elif signals.sections and applies is None and not tc_string:
                applies = False  # `gpp_sid` says which laws apply, and this one is not among them
        if applies is False:
            return GRANTED
        if tc_string:
            return self._reader(tc_string)
        if applies is None:
            applies = self._gdpr_by_default and not vouched
        return REFUSED if applies else GRANTED
