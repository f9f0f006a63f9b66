"""Macros of markup that the request has the values of: what the user consents to, for scripts and pixels of others.

Exchanges and publishers fill them in by the Transparency and Consent Framework and GPP, and many do not where the
markup came in a bid. So they are filled in here, and only in ads that have them: all others cost one look at a flag.
"""

import re
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Final

from bidder.openrtb.types import BidRequest

# The number in a macro names a vendor; the user's string is the same for all vendors.
MACRO: Final = re.compile(rb"\$\{(GDPR|GDPR_CONSENT_\d{1,6}|GPP_STRING_\d{1,6}|GPP_SID|US_PRIVACY)\}")

# What consent strings consist of (TCF 2.2, GPP); everything else is escaped, so a value is safe in HTML, in a script,
# in an address and in JSON alike.
_SAFE: Final = "-_.~"


def _gdpr(request: BidRequest) -> str:
    regs = request.regs
    return "" if regs is None or regs.gdpr is None else str(int(regs.gdpr))


def _consent(request: BidRequest) -> str:
    return (request.user.consent or "") if request.user is not None else ""


def _gpp(request: BidRequest) -> str:
    return (request.regs.gpp or "") if request.regs is not None else ""


def _sections(request: BidRequest) -> str:
    return ",".join(map(str, (request.regs.gpp_sid or ()) if request.regs is not None else ()))


def _us_privacy(request: BidRequest) -> str:
    return (request.regs.us_privacy or "") if request.regs is not None else ""


_VALUES: Final[dict[bytes, Callable[[BidRequest], str]]] = {
    b"GDPR": _gdpr, b"GDPR_CONSENT": _consent, b"GPP_STRING": _gpp, b"GPP_SID": _sections, b"US_PRIVACY": _us_privacy,
}  # fmt: skip


# Each notice asks for the currency of its price; behind that, how many impressions there were (OpenRTB 2.6 section
# 4.4.1).
_CURRENCY: Final = b"c=${AUCTION_CURRENCY}"
_HOW_MANY: Final = _CURRENCY + b"&q=${AUCTION_MULTIPLIER}"


def asking_how_many(parts: Sequence[bytes]) -> list[bytes]:
    """Parts of a bid's JSON whose notices say how many impressions a play was, for those that count as several."""
    return [part.replace(_CURRENCY, _HOW_MANY) for part in parts]


def expiring(parts: Sequence[bytes], usual_s: int, seconds: int) -> list[bytes]:
    """Parts of a bid's JSON with an `exp` of `seconds` instead of `usual_s`: how long we wait for the bill."""
    usual, longer = b',"exp":%d' % usual_s, b',"exp":%d' % seconds
    return [part.replace(usual, longer) for part in parts]


def filled(parts: Sequence[bytes], request: BidRequest) -> list[bytes]:
    """Parts of a bid's JSON with the macros replaced by percent-encoded values, which may be empty."""

    def value(found: re.Match[bytes]) -> bytes:
        name = found[1].rstrip(b"0123456789").rstrip(b"_")
        return urllib.parse.quote(_VALUES[name](request), safe=_SAFE, errors="replace").encode()

    return [MACRO.sub(value, part) for part in parts]
