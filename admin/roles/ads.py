"""Ads that are filled when they are shown: `/a/{token}` on the track port.

Siblings meet here: the token (pacing) says for which bid, the profile (segments) who it was for, the product tables
(creatives) what it shows. A token is in markup that anybody can read, and lives longer than a wish to be forgotten. So
what is personal is shown only while the bid is young, to the browser that it was made for or to one without our cookie,
if its owner has not opted out and nothing that came with the request refuses; everybody else sees bestsellers. Whatever
fails, the ad without a product is shown.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from admin.products.shopper import shopper_of
from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.ids import is_user_id
from core.model import Catalogue, Creative, Format, ProductStrategy
from core.telemetry.metrics import Telemetry
from creatives.macros import TOKEN, Tracker
from creatives.product import FeedProduct
from creatives.products.choosing import Plan, Shopper, plan_of
from creatives.products.recommending import Recommender
from creatives.templates.filling import AdFiller
from creatives.templates.library import template_of
from pacing.notices.claims import Claims
from pacing.notices.notices import STATUS_OF_FAULT
from pacing.notices.tokens import TokenError, TokenSigner
from segments.events.consent import EventConsentPolicy
from segments.events.privacy import signals_of
from segments.facts.layout import LayoutError, expires_of, unpack_cold, unpack_windows
from segments.profiles.store import ProfileStore

MAX_AGE_S: Final = 3_600
"""How long after its bid an ad may show what its visitor left: pages show ads within minutes, apps within the hour."""

# Browsers wait for an ad longer than this, people do not.
CHOOSE_S: Final = 0.25
MAX_FILLERS: Final = 2_000


class AdRequest(NamedTuple):
    """What a browser sent: query, our cookie, whether it has opted out, and its Sec-GPC header."""

    query: Mapping[str, str]
    user_id: str = ""
    is_out: bool = False
    sec_gpc: str = ""


class ShownAd(msgspec.Struct, frozen=True):
    """An ad as it was made: `page` is HTML, empty where there is none of ours (`status` says why).

    `outcome` is counted: `personal`, `bestsellers`, or why the ad shows no product.
    """

    status: int
    outcome: str
    page: str = ""
    claims: Claims | None = None
    products: tuple[str, ...] = ()


class _Visitor(NamedTuple):
    shopper: Shopper
    segments: frozenset[int]


NOBODY: Final = _Visitor(Shopper(), frozenset())


class AdDesk:
    """Makes ads. `catalogue` gives the present one, None before the first; `on_shown` gets the products of each ad."""

    def __init__(
        self,
        signer: TokenSigner,
        catalogue: Callable[[], Catalogue | None],
        profiles: ProfileStore,
        recommender: Recommender,
        consent: EventConsentPolicy,
        clock: Clock,
        telemetry: Telemetry,
        track_url: str,
        on_shown: Callable[[Claims, str, Sequence[str]], None] | None = None,
    ) -> None:
        self._signer = signer
        self._catalogue = catalogue
        self._profiles = profiles
        self._recommender = recommender
        self._consent = consent
        self._clock = clock
        self._tracker = Tracker(track_url)
        self._on_shown = on_shown
        self._creatives: tuple[Catalogue, dict[int, Creative]] | None = None
        self._fillers: dict[tuple[int, int, int], AdFiller] = {}
        self._counts = telemetry.counter(
            "grosz_ads_shown_total",
            "Ads filled at the impression, by what they showed or why no product.",
            ("outcome",),
        )

    async def show(self, token: str, request: AdRequest) -> ShownAd:
        """The ad of a bid, for the browser that asks for it."""
        ad = await self._show(token, request)
        self._counts.labels(ad.outcome).inc()
        if ad.products and ad.claims is not None and self._on_shown is not None:
            self._on_shown(ad.claims, ad.outcome, ad.products)
        return ad

    async def _show(self, token: str, request: AdRequest) -> ShownAd:
        now_s = self._clock.now_ms() // 1000
        try:
            claims = self._signer.verify(token, now_s)
        except TokenError as error:
            if error.claims is None:
                return ShownAd(STATUS_OF_FAULT[error.fault], error.fault.value)
            claims = error.claims
        creative = self._creative(claims)
        filler = None if creative is None else self._filler(creative, claims.campaign_id)
        if creative is None or filler is None:
            return ShownAd(404, "unknown_creative", claims=claims)
        if claims.issued_s + MAX_AGE_S < now_s:
            return self._static(filler, "too_old", claims, token)
        try:
            async with asyncio.timeout(CHOOSE_S):
                visitor = await self._visitor(claims, request, now_s)
                products = await self._chosen(creative, visitor, filler.most)
        except (UnavailableError, CatalogueError, TimeoutError):
            return self._static(filler, "unavailable", claims, token)
        if not products:
            return self._static(filler, "no_products", claims, token)
        page = filler.fill(products, now_s, self._signer, claims.nonce, visitor.segments).replace(TOKEN, token)
        outcome = "bestsellers" if visitor is NOBODY else "personal"
        return ShownAd(200, outcome, page, claims, tuple(product.id for product in products[: filler.most]))

    @staticmethod
    def _static(filler: AdFiller, outcome: str, claims: Claims, token: str) -> ShownAd:
        return ShownAd(200, outcome, filler.static().replace(TOKEN, token), claims)

    async def _visitor(self, claims: Claims, request: AdRequest, now_s: int) -> _Visitor:
        """The visitor whom the ad is for; NOBODY where consent, opt-out or another cookie forbids to know."""
        if not claims.user_id or request.is_out:
            return NOBODY
        if is_user_id(request.user_id) and request.user_id != claims.user_id:
            return NOBODY
        # A bid whose request said nothing about consent was judged by its country: nothing more is known here.
        flags = self._consent.flags(signals_of(request.query, sec_gpc=request.sec_gpc), vouched=True)
        if not (flags.identifiers and flags.profile_write):
            return NOBODY
        shop = claims.advertiser_id
        user = (await self._profiles.read({claims.user_id: [shop]}))[claims.user_id]
        field = user.fields[shop]
        if user.meta.opted_out or not field.cold:
            return NOBODY
        try:
            if expires_of(field.hot) <= now_s:
                return NOBODY
            segments = frozenset(row[0] for row in unpack_windows(field.hot) if row[1] <= now_s < row[2])
            return _Visitor(shopper_of(unpack_cold(field.cold), now_s), segments)
        except LayoutError:
            return NOBODY

    async def _chosen(self, creative: Creative, visitor: _Visitor, most: int) -> tuple[FeedProduct, ...]:
        plan = plan_of(creative) or Plan()
        choice = msgspec.structs.replace(plan.choice, count=min(most, plan.choice.count))
        if visitor is NOBODY:
            choice = msgspec.structs.replace(choice, strategies=(ProductStrategy.BESTSELLERS,))
        plan = msgspec.structs.replace(plan, choice=choice)
        return await self._recommender.listed(creative.advertiser_id, visitor.shopper, plan)

    def _creative(self, claims: Claims) -> Creative | None:
        catalogue = self._catalogue()
        if catalogue is None:
            return None
        if self._creatives is None or self._creatives[0] is not catalogue:
            dynamic = {each.id: each for each in catalogue.creatives if each.template is not None}
            self._creatives = (catalogue, dynamic)
        creative = self._creatives[1].get(claims.creative_id)
        return creative if creative is not None and creative.advertiser_id == claims.advertiser_id else None

    def _filler(self, creative: Creative, campaign_id: int) -> AdFiller | None:
        key = (creative.id, creative.version, campaign_id)
        found = self._fillers.get(key)
        if found is not None:
            return found
        template = template_of(creative.template.name) if creative.template is not None else None
        layout = template.layout(creative.width, creative.height) if template is not None else None
        if template is None or layout is None or creative.format is not Format.BANNER:
            return None
        while len(self._fillers) >= MAX_FILLERS:
            del self._fillers[next(iter(self._fillers))]
        found = self._fillers[key] = AdFiller(creative, template, layout, self._tracker, campaign_id)
        return found
