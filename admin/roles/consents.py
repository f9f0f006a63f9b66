"""One reading of a consent string for bids and for shops' events."""

from bidder.request.consent import ConsentPolicy
from core.config import ConsentSettings
from segments.events.consent import ConsentFlags, ConsentReader


def consent_reader(settings: ConsentSettings) -> ConsentReader:
    """What the profile store asks, answered by the policy of the bid path."""
    policy = ConsentPolicy(settings)

    def read(tc_string: str) -> ConsentFlags:
        permitted = policy.permitted(tc_string)
        return ConsentFlags(identifiers=permitted.identifiers, profile_write=permitted.profile_write)

    return read
