"""One reading of consent strings for bids and for shops' events and syncs."""

from collections.abc import Callable

from bidder.openrtb.types import Regs
from bidder.request.auction import Consent
from bidder.request.consent import ConsentPolicy, sections_limit
from core.config import ConsentSettings
from segments.events.consent import ConsentFlags, Sections
from segments.events.consent import EventConsentPolicy as EventPolicy


def event_policy(settings: ConsentSettings) -> EventPolicy:
    """The policy that decides about events and syncs; consent is read by the readers of the bid path."""
    return _policy(settings, lambda permitted: permitted.profile_write)


def ad_policy(settings: ConsentSettings) -> EventPolicy:
    """The policy that decides whether an ad may be chosen for a person: `event_policy` by the purposes of segments."""
    return _policy(settings, lambda permitted: permitted.segments)


def _policy(settings: ConsentSettings, may_write: Callable[[Consent], bool]) -> EventPolicy:
    policy = ConsentPolicy(settings)

    def read(tc_string: str) -> ConsentFlags:
        permitted = policy.permitted(tc_string)
        return ConsentFlags(identifiers=permitted.identifiers, profile_write=may_write(permitted))

    def read_sections(gpp: str, sections: tuple[int, ...]) -> Sections:
        found = policy.gpp(gpp) if gpp else None
        regs = Regs(gpp=gpp or None, gpp_sid=sections or None)
        return Sections(sections_limit(regs, found), found.tc_string if found is not None else None)

    return EventPolicy(read, read_sections)
