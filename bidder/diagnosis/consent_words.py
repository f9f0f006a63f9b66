"""Why a request's user may not be known or shown ads, in words: silence is told apart from refusal."""

from bidder.openrtb.consent.gpp import GppString
from bidder.openrtb.enums import GppSection, Purpose
from bidder.openrtb.types import BidRequest
from bidder.request.auction import Consent
from bidder.request.consent import ConsentPolicy, gdpr_applies, limit_of, tc_string_of


def consent_words(request: BidRequest, policy: ConsentPolicy) -> str:
    """What limits the use of the user's data; "" where nothing does. Ask before the stages have removed anything."""
    regs = request.regs
    gpp = policy.gpp(regs.gpp) if regs is not None and regs.gpp else None
    if gdpr_applies(request, gpp):
        refusal = _tc_words(request, gpp, policy)
        if refusal:
            return f"GDPR applies ({_why_it_applies(request, gpp)}) and {refusal}"
    return limit_of(request, gpp, policy.settings)


def _why_it_applies(request: BidRequest, gpp: GppString | None) -> str:
    regs, user = request.regs, request.user
    if regs is not None and regs.gpp_sid and GppSection.TCF_EU in regs.gpp_sid:
        return "gpp_sid lists section 2"
    if regs is not None and regs.gdpr is not None:
        return f"gdpr is {int(regs.gdpr)}"
    if (user is not None and user.consent) or (gpp is not None and gpp.tc_string is not None):
        return "a consent string came with the request"
    return "the country is inside"


def _tc_words(request: BidRequest, gpp: GppString | None, policy: ConsentPolicy) -> str:
    text = tc_string_of(request, gpp)
    if not text:
        in_gpp = request.regs is not None and request.regs.gpp
        where = "in the GPP string, or it cannot be read" if in_gpp else "in the request"
        return f"there is no consent string {where}"
    return policy.doubt(text) or _refused(policy.permitted(text))


def _refused(consent: Consent) -> str:
    purposes = (
        (Purpose.STORE_AND_ACCESS, consent.identifiers),
        (Purpose.BASIC_ADS, consent.ads),
        (Purpose.PROFILE_FOR_ADS, consent.profile_write),
        (Purpose.PERSONALISED_ADS, consent.segments),
    )
    missing = [str(int(purpose)) for purpose, permitted in purposes if not permitted]
    if not missing:
        return ""
    return f"the consent string does not permit {'purpose' if len(missing) == 1 else 'purposes'} {', '.join(missing)}"
