"""What may be done with data about the user: one `Consent` for each auction.

Each signal that applies can only take away: the TC string where GDPR applies, an opt-out of the United States, COPPA,
limited ad tracking. A signal that is there but cannot be read counts as refusal; so does one that is missing where it
is needed. Nothing here looks at who the user is. Sources: spec, openrtb 3.1 to 3.5; docs/consent.md.
"""

import functools
import re

import msgspec

from bidder.openrtb.consent.gpp import GppError, GppString, read_gpp
from bidder.openrtb.consent.permission import Vendor, VendorView, permits, read_view
from bidder.openrtb.consent.tcf import TcError
from bidder.openrtb.countries import alpha_3
from bidder.openrtb.enums import GppSection, Purpose, TrackingStatus
from bidder.openrtb.lenient import UNREADABLE_SECTION
from bidder.openrtb.types import BidRequest, Device, Regs
from bidder.request.auction import Auction, Consent
from core.config import ConsentSettings
from core.reasons import NoBid

# Countries where GDPR or its British and Swiss likeness holds, overseas parts of the EU included.
GDPR_COUNTRIES = frozenset({
    "AUT", "BEL", "BGR", "HRV", "CYP", "CZE", "DNK", "EST", "FIN", "FRA", "DEU", "GRC", "HUN", "IRL", "ITA", "LVA",
    "LTU", "LUX", "MLT", "NLD", "POL", "PRT", "ROU", "SVK", "SVN", "ESP", "SWE", "ISL", "LIE", "NOR", "GBR", "CHE",
    "GIB", "IMN", "JEY", "GGY", "ALA", "GLP", "MTQ", "GUF", "REU", "MYT", "MAF",
})  # fmt: skip
# What cannot be read is a place that somebody meant: it counts as one of these.
INSIDE: frozenset[str | None] = GDPR_COUNTRIES | {None}
UNITED_STATES = frozenset({"USA", "PRI", "GUM", "VIR", "ASM", "MNP", "UMI"})

# 2026-03-01 00:00 UTC in deciseconds: strings made from then on must list the vendors they disclosed (TCF 2.3).
DISCLOSURE_REQUIRED_FROM = 17_723_232_000

# 2019-08-21 00:00 UTC in deciseconds: version 2 of the TCF was published, and no string of it is older.
FIRST_STRINGS = 15_663_456_000

PRECISE_GEO = 1  # special feature of the TCF

_US_PRIVACY = re.compile(r"1[YN-][YN-][YN-]", re.IGNORECASE)
_SALE_OPT_OUT = 2  # place of the answer in a US privacy string

# Longer strings are read each time, so that a sender cannot fill the memory with them.
MAX_REMEMBERED_CHARS = 4_096

_LIMITED_STATUSES = frozenset({TrackingStatus.NOT_DETERMINED, TrackingStatus.RESTRICTED, TrackingStatus.DENIED})
_NO_SECTION_APPLIES = -1
_READ_ELSEWHERE = frozenset({_NO_SECTION_APPLIES, GppSection.TCF_EU})
_ZEROS = frozenset("0-")
_NO_GPC = frozenset({"", "0", "false", "no", "off"})

EVERYTHING = Consent(
    identifiers=True, ads=True, profile_write=True, segments=True, measurement=True, precise_geo=True
)  # fmt: skip
"""No signal limits anything."""

CONTEXTUAL = Consent(
    identifiers=False, ads=True, profile_write=False, segments=False, measurement=False, precise_geo=False
)  # fmt: skip
"""Ads by the page alone: opt-outs, COPPA, limited ad tracking."""

NOTHING = Consent(
    identifiers=False, ads=False, profile_write=False, segments=False, measurement=False, precise_geo=False
)  # fmt: skip
"""GDPR applies and the user refused, was not asked, or the answer cannot be read."""


class ConsentPolicy:
    """The settings, compiled, with the outcomes of the TC strings seen last."""

    def __init__(self, settings: ConsentSettings) -> None:
        self.settings = settings
        self._vendor = Vendor(
            id=settings.vendor_id,
            consent_purposes=frozenset(settings.consent_purposes),
            interest_purposes=frozenset(settings.interest_purposes),
            flexible_purposes=frozenset(settings.flexible_purposes),
        )
        self._purposes = frozenset(settings.consent_purposes) | frozenset(settings.interest_purposes)
        self._remembered = functools.lru_cache(maxsize=settings.cached_strings)(self._evaluate)
        self._remembered_gpp = functools.lru_cache(maxsize=settings.cached_strings)(self._read_gpp)

    def gpp(self, text: str) -> GppString | None:
        """What a GPP string says to us; None for one that cannot be read."""
        if len(text) > MAX_REMEMBERED_CHARS:
            return self._read_gpp(text)
        return self._remembered_gpp(text)

    def _read_gpp(self, text: str) -> GppString | None:
        try:
            return read_gpp(text, self.settings.vendor_id, self._purposes)
        except GppError:  # unreadable is refused: that is the whole consequence
            return None

    def permitted(self, tc_string: str) -> Consent:
        """What a TC string permits us; NOTHING for one that cannot be read or relied upon."""
        if len(tc_string) > MAX_REMEMBERED_CHARS:
            return self._evaluate(tc_string)
        return self._remembered(tc_string)

    def _evaluate(self, tc_string: str) -> Consent:
        settings = self.settings
        if not settings.vendor_id and not settings.trust_purposes_alone:
            return NOTHING
        try:
            tc = read_view(tc_string, settings.vendor_id)
        except TcError:  # undecodable is refused: that is the whole consequence
            return NOTHING
        if settings.trust_purposes_alone:
            tc = _as_if_named(tc)
        return NOTHING if self._doubt(tc) else self._flags(tc)

    def doubt(self, tc_string: str) -> str:
        """Why a TC string is not relied upon, in words; "" for one that is."""
        if not self.settings.vendor_id and not self.settings.trust_purposes_alone:
            return "we are not registered as a vendor (consent.vendor_id)"
        try:
            tc = read_view(tc_string, self.settings.vendor_id)
        except TcError as error:
            return f"the consent string cannot be read: it {error.message}"
        return self._doubt(_as_if_named(tc) if self.settings.trust_purposes_alone else tc)

    def _doubt(self, tc: VendorView) -> str:
        settings = self.settings
        if tc.policy_version < settings.min_policy_version:
            return f"the consent string is of policy {tc.policy_version}, before {settings.min_policy_version}"
        if settings.require_service_specific and not tc.service_specific:
            return "the consent string is not for this service alone"
        if tc.updated < tc.created:
            return "the consent string was updated before it was created"
        if tc.disclosed is not True and settings.require_disclosed_vendors and _must_disclose(tc):
            return "the consent string does not list us among the vendors that were shown"
        return ""

    def _flags(self, tc: VendorView) -> Consent:
        interest_allowed = tc.disclosed is True or (tc.disclosed is None and not _must_disclose(tc))

        def allows(purpose: Purpose) -> bool:
            return permits(tc, self._vendor, purpose, interest_allowed=interest_allowed)

        waived = tc.purpose_one_treatment and tc.publisher_country in self.settings.purpose_one_waived_in
        identifiers = waived or allows(Purpose.STORE_AND_ACCESS)
        ads = allows(Purpose.BASIC_ADS)
        return _consent(
            identifiers,
            ads,
            identifiers and allows(Purpose.PROFILE_FOR_ADS),
            identifiers and ads and allows(Purpose.PERSONALISED_ADS),
            allows(Purpose.MEASURE_ADS),
            ads and tc.special_features[PRECISE_GEO - 1] == "1",
        )


def _must_disclose(tc: VendorView) -> bool:
    """Whether a string has to list the vendors that the user was shown.

    The later of its times decides. One from before there were such strings is no time, and switches nothing off.
    """
    return tc.updated >= DISCLOSURE_REQUIRED_FROM or tc.created < FIRST_STRINGS


@functools.cache  # 64 at most; equal outcomes are one object
def _consent(
    identifiers: bool, ads: bool, profile_write: bool, segments: bool, measurement: bool, precise_geo: bool
) -> Consent:
    return Consent(
        identifiers=identifiers,
        ads=ads,
        profile_write=profile_write,
        segments=segments,
        measurement=measurement,
        precise_geo=precise_geo,
    )


def _as_if_named(tc: VendorView) -> VendorView:
    return msgspec.structs.replace(tc, has_consent=True, has_interest=True, restrictions=frozenset(), disclosed=True)


def resolve_consent(auction: Auction, policy: ConsentPolicy) -> None:
    """Set `consent` of the auction, and its `no_bid` where no ad may be selected at all."""
    request = auction.request
    consent = EVERYTHING
    regs = request.regs
    gpp = policy.gpp(regs.gpp) if regs is not None and regs.gpp else None
    if gdpr_applies(request, gpp):
        tc_string = tc_string_of(request, gpp)
        consent = policy.permitted(tc_string) if tc_string else NOTHING
        if not consent.ads:
            auction.consent = NOTHING
            if not policy.settings.bid_without_purpose_2:
                auction.no_bid = NoBid.CONSENT_PURPOSE_2
            return
    if limit_of(request, gpp, policy.settings):
        consent = CONTEXTUAL
    auction.consent = consent


def gdpr_applies(request: BidRequest, gpp: GppString | None) -> bool:
    """Whether a TC string is needed: as `gpp_sid` or `gdpr` says; if neither does, by country or the string itself."""
    regs = request.regs
    if regs is not None:
        sections = regs.gpp_sid
        if sections and GppSection.TCF_EU in sections:
            return True
        if regs.gdpr is not None:
            return regs.gdpr != 0  # 2 and the like mean something, and it is not "no"
        if sections and UNREADABLE_SECTION not in sections:
            return False  # other sections apply, this one does not
    user = request.user
    if (user is not None and user.consent) or (gpp is not None and gpp.tc_string is not None):
        return True
    return not INSIDE.isdisjoint(_countries(request))


def _countries(request: BidRequest) -> list[str | None]:
    """Where the request says that device and user are; None for a place that it says and that cannot be read."""
    device, user = request.device, request.user
    places = (device.geo if device is not None else None, user.geo if user is not None else None)
    said = [geo.country for geo in places if geo is not None and geo.country and geo.country.strip()]
    return [alpha_3(country) for country in said]


def tc_string_of(request: BidRequest, gpp: GppString | None) -> str | None:
    """The string that counts: the GPP's where its European section applies or is there, otherwise `user.consent`.

    None where it is missing, also where a GPP string that should have it does not, or cannot be read.
    """
    user, regs = request.user, request.regs
    if regs is not None and regs.gpp:
        if regs.gpp_sid and GppSection.TCF_EU in regs.gpp_sid:
            return gpp.tc_string if gpp is not None else None
        if gpp is not None and gpp.tc_string is not None:
            return gpp.tc_string
    return user.consent if user is not None else None


def limit_of(request: BidRequest, gpp: GppString | None, settings: ConsentSettings) -> str:
    """What but GDPR keeps the user's data out, in words: a child, an opt-out, limited tracking; "" for nothing."""
    regs, device = request.regs, request.device
    if regs is not None:
        if regs.coppa:
            return "the request is of a child (coppa)"
        if (regs.gpp or regs.gpp_sid) and sections_limit(regs, gpp):
            return "a GPP section that applies limits us, is missing or cannot be read"
        if (regs.us_privacy or regs.gpc is not None) and _opted_out(request, regs):
            return "the user opted out (us_privacy, gpc), or us_privacy cannot be read"
    if device is not None and _tracking_is_limited(device, settings):
        return "the device limits tracking (lmt, dnt, atts or an empty advertising id)"
    return ""


def sections_limit(regs: Regs, gpp: GppString | None) -> bool:
    """Whether a GPP section that applies, other than the European, limits us, is missing or cannot be read.

    Without `gpp_sid` nobody says which of them applies, so all that are in the string do.
    """
    if not regs.gpp_sid:
        return gpp is None or bool(gpp.limiting)
    applying = set(regs.gpp_sid) - _READ_ELSEWHERE
    if not applying:
        return False
    if gpp is None or not applying <= gpp.sections:
        return True
    return not applying.isdisjoint(gpp.limiting) or min(applying) < GppSection.TCF_CANADA


def _opted_out(request: BidRequest, regs: Regs) -> bool:
    us_privacy = regs.us_privacy.strip() if regs.us_privacy else ""
    if us_privacy:
        if _US_PRIVACY.fullmatch(us_privacy):
            if us_privacy[_SALE_OPT_OUT] in "Yy":
                return True
        elif _may_be_in_united_states(request):
            return True
    return regs.gpc is not None and _is_signal(regs.gpc) and _may_be_in_united_states(request)


def _is_signal(gpc: int | str) -> bool:
    """Whether the flag says anything but a clear no."""
    return gpc.strip().lower() not in _NO_GPC if isinstance(gpc, str) else gpc != 0


def _may_be_in_united_states(request: BidRequest) -> bool:
    countries = _countries(request)
    return not countries or None in countries or not UNITED_STATES.isdisjoint(countries)


def _tracking_is_limited(device: Device, settings: ConsentSettings) -> bool:
    if device.lmt or (device.dnt and settings.honour_do_not_track):
        return True
    if device.ext is not None and device.ext.atts in _LIMITED_STATUSES:
        return True
    ifa = device.ifa
    # All zeros: the answer where tracking is off. Nearly every id begins with something else.
    return bool(ifa) and ifa is not None and ifa[0] in _ZEROS and not ifa.strip("0-")
