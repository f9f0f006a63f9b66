"""Creatives as they stand in a bid: prepared once for each exchange, and admitted by the rules of a request.

Everything of a bid that does not change between auctions (markup, notice URLs, advertiser, size) is encoded to JSON
once per creative and exchange and cut at the places of the token; a bid is then a handful of joins.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import cast

import msgspec

from bidder.decision.filling import filling_of
from bidder.decision.request_macros import MACRO
from bidder.dialects.generic import Speaker
from bidder.dialects.table import speaker_of
from bidder.openrtb.response import tactic_json
from bidder.openrtb.transparency import TransparencyAsked, transparency
from bidder.request.auction import Auction, Impression
from bidder.targeting.compiled import Payer
from bidder.targeting.index import Index
from bidder.targeting.memory import OBJECT_BYTES, Memo, bytes_of
from bidder.targeting.normalise import normal_domain
from core.model import Creative, Exchange
from creatives.formats.base import Ad, AdNotice
from creatives.formats.offer import Offer, fits
from creatives.formats.table import FORMATS
from creatives.macros import TOKEN
from creatives.products.choosing import plan_of
from pacing.caps import CapTable
from pacing.landscape.shading import ShadedBid, Shading, ShadingCell
from pacing.notices.claims import landing_digest, terms_of
from pacing.notices.tokens import TokenSigner

# Bytes that are remembered for one (line item, offers, exchange, rules) beside its key, and for each ad. Senders decide
# how long their lists are: what has a longer key is worked out each time.
FITTING_BYTES = 200
SHOWABLE_BYTES = 600
MAX_FITTING_KEY_BYTES = 4_096

_NONE_SHADED: Mapping[int, ShadedBid] = {}

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode


class PreparedBid:
    """One ad on one exchange: JSON of everything but id, impression, price, deal and token, in parts."""

    __slots__ = ("ad", "around_token", "asks", "domain", "filling", "is_complete", "landing", "plan", "seat")

    def __init__(
        self,
        ad: Ad,
        speaker: Speaker,
        shop: Payer,
        campaign_id: int,
        track_url: str,
        asked: TransparencyAsked | None = None,
        with_notice: Callable[[AdNotice], Ad | None] = lambda _notice: None,
    ) -> None:
        creative, told = ad.creative, None
        if asked is not None:
            own = None if asked.publisher_renders else with_notice(AdNotice(shop.behalf, shop.paid, asked.chosen_by))
            told = transparency(asked, shop.behalf, shop.paid, track_url, ad_shows=own is not None)
            if told is not None and own is not None:
                ad = own
        self.ad = ad
        self.seat = speaker.seat_of(creative.advertiser_id, campaign_id)
        self.domain = normal_domain(creative.advertiser_domain or shop.domain)
        self.landing = landing_digest(creative.landing_url)
        members = speaker.members(ad, shop.domain, campaign_id, track_url)
        self.is_complete = members.keys() >= set(speaker.dialect.needed)
        if asked is not None:
            self.is_complete = self.is_complete and (told is not None or not asked.required)
            if told is not None:
                members["ext"] = {**cast(dict[str, object], members.get("ext", {})), "dsa": told}
        static = _to_json(members)
        # A comma for the opening brace: what is static follows the variable members.
        self.around_token = (b"," + static[1:]).split(TOKEN.encode())
        self.filling = filling_of(ad, campaign_id, static)
        """What fills a bid that carries its products itself; None for all others."""
        self.asks = MACRO.search(static) is not None or (self.filling is not None and self.filling.asks)
        """Whether the markup has macros whose values the request has."""
        # An ad that is filled when it is shown chooses its products then, by prices and stock of that moment.
        self.plan = None if creative.template is not None and self.filling is None else plan_of(creative)


def may_show(prepared: PreparedBid, auction: Auction, impression: Impression) -> bool:
    """Whether the request's rules for creatives admit this one (OpenRTB 2.6 sections 3.2.1, 3.2.4)."""
    ad, request = prepared.ad, auction.request
    creative = ad.creative
    if not prepared.is_complete or (impression.imp.secure and not ad.secure):
        return False
    if (request.wseat and prepared.seat not in request.wseat) or (request.bseat and prepared.seat in request.bseat):
        return False
    languages = request.wlang or request.wlangb
    if languages and creative.language and not _speaks(creative.language, languages):
        return False
    return FORMATS[creative.format].admits(ad, impression.offer)


def _speaks(language: str, wanted: tuple[str, ...]) -> bool:
    primary = language.partition("-")[0].lower()
    return any(tag.partition("-")[0].lower() == primary for tag in wanted)


class Line(msgspec.Struct, frozen=True, gc=False):
    """What a bid needs to know of its line item, as Python values."""

    line_item_id: int
    share: int
    advertiser_id: int
    campaign_id: int
    several_per_request: bool
    is_capped: bool
    has_least: bool  # whether it bids a certain CPM at least
    pod_place: int  # that it insists on (bidder.targeting.pod_places)


class Showable:
    """A line item with an ad that it may show, on one exchange."""

    __slots__ = ("_exchange", "_model_version", "_token_part", "line", "offer_row", "prepared", "shaded", "tactic")

    def __init__(self, prepared: PreparedBid, line: Line, exchange: Exchange, model_version: int) -> None:
        self._model_version = model_version
        self.prepared = prepared
        self.line = line
        self.tactic = tactic_json(line.line_item_id) if speaker_of(exchange).sends("tactic") else b""
        self._exchange = exchange
        self._token_part = b""
        self.shaded: Mapping[int, ShadedBid] = _NONE_SHADED
        creative = prepared.ad.creative
        # What the journal's rows of all its bids have in common (journal.bid_batches), packed once for all of them.
        self.offer_row = msgspec.Raw(
            _to_msgpack((
                line.advertiser_id, line.campaign_id, line.line_item_id, line.share, creative.id, exchange.id,
                creative.format, prepared.seat, creative.width, creative.height,
            ))
        )  # fmt: skip

    def cell(self, shading: Shading, currency: str) -> ShadingCell:
        """The cell that shades its bids at first price. Without a least bid `shaded` has its bids from now on."""
        creative = self.prepared.ad.creative
        cell = shading.cell(self._exchange.id, currency, creative.width, creative.height)
        if not self.line.has_least:
            self.shaded = cell.known
        return cell

    def token_part(self, signer: TokenSigner, *, is_test: bool) -> bytes:
        """Its part of a token, made once; `signer` is always the same."""
        if is_test:
            return self._make_token_part(signer, is_test=True)
        if not self._token_part:
            self._token_part = self._make_token_part(signer, is_test=False)
        return self._token_part

    def _make_token_part(self, signer: TokenSigner, *, is_test: bool) -> bytes:
        creative = self.prepared.ad.creative
        return signer.offer_part(
            terms=terms_of(self._exchange),
            is_test=is_test,
            share=self.line.share,
            line_item_id=self.line.line_item_id,
            advertiser_id=self.line.advertiser_id,
            campaign_id=self.line.campaign_id,
            creative_id=creative.id,
            exchange_id=self._exchange.id,
            landing=self.prepared.landing,
            markup=creative.format,
            model_version=self._model_version,
        )


class Showcase(Memo):
    """The ads of one catalogue that bids have shown, each prepared at its first use."""

    __slots__ = (
        "_caps", "_fitting", "_index", "_lines", "_model_version", "_prepared", "_shops", "_track_url",
        "shows_products",
    )  # fmt: skip

    def __init__(
        self, index: Index, caps: CapTable, shops: Mapping[int, Payer], track_url: str, model_version: int
    ) -> None:
        """`model_version` is that of the model that prices the bids."""
        super().__init__()
        self._index = index
        self._caps = caps
        self._shops = shops
        self._lines: dict[int, Line] = {}
        self._track_url, self._model_version = track_url, model_version
        self.shows_products = False  # whether any ad that was prepared shows products of a feed
        self._prepared: dict[Hashable, PreparedBid] = {}
        self._fitting: dict[Hashable, tuple[Showable, ...]] = {}

    def forget(self) -> None:
        """See `Memo`."""
        self._prepared.clear()
        self._fitting.clear()
        self.nbytes = 0

    def prepared(
        self, position: int, offer: Offer, exchange: Exchange, asked: TransparencyAsked | None = None
    ) -> tuple[PreparedBid, ...]:
        """Prepared bids of a line item's creatives that have an offered shape, best shape first."""
        unapproved, number = self._index.unapproved, exchange.id
        creatives = [
            each
            for each in self._index.creatives_of(position)
            if each.format == offer.format and number not in unapproved[each.id]
        ]
        return tuple(
            self._prepare(creative, offer, exchange, position, asked) for creative in _fitting(creatives, offer)
        )

    def showable(self, position: int, auction: Auction, impression: Impression) -> tuple[Showable, ...]:
        """Those of `prepared` that the request admits, remembered under all that this depends on."""
        request, exchange = auction.request, auction.exchange
        languages = request.wlang or request.wlangb
        key: tuple[Hashable, ...] = (position, impression.offer, exchange.id, impression.imp.secure, languages)
        asked = auction.transparency
        if exchange.seats:
            key = (*key, request.wseat, request.bseat)
        if asked is not None:
            key = (*key, asked)
        found = self._fitting.get(key)
        if found is None:
            line = self.line(position)
            fitting = self.prepared(position, impression.offer, exchange, asked)
            found = tuple(
                Showable(each, line, exchange, self._model_version)
                for each in fitting
                if may_show(each, auction, impression)
            )
            key_bytes = bytes_of(key)
            if key_bytes <= MAX_FITTING_KEY_BYTES:
                self.take(key_bytes + FITTING_BYTES + SHOWABLE_BYTES * len(found))
                self._fitting[key] = found
        return found

    def lacks_approval(self, position: int, auction: Auction, impression: Impression) -> bool:
        """Whether an ad of an offered shape is left out of `showable` because the exchange has not approved it."""
        unapproved, number = self._index.unapproved, auction.exchange.id
        own = [
            each
            for each in self._index.creatives_of(position)
            if each.format == impression.offer.format and number in unapproved[each.id]
        ]
        return any(_fitting(own, impression.offer))

    def line(self, position: int) -> Line:
        """What a bid says of its line item, as Python values: reading them from arrays costs 0.1 us each."""
        line = self._lines.get(position)
        if line is None:
            lines = self._index.lines
            line = self._lines[position] = Line(
                int(lines.line_item[position]),
                int(lines.share[position]),
                int(lines.advertiser[position]),
                int(lines.campaign[position]),
                bool(lines.several_per_request[position]),
                self._caps.limits(int(lines.line_item[position])),
                bool(lines.min_cpm[position] > 0),
                int(lines.pod_place[position]),
            )
        return line

    def domains(self, position: int) -> frozenset[str]:
        """The domains that a line item's creatives advertise, in normal form."""
        return frozenset(
            normal_domain(creative.advertiser_domain or self._shops[creative.advertiser_id].domain)
            for creative in self._index.creatives_of(position)
        )

    def _prepare(
        self, creative: Creative, offer: Offer, exchange: Exchange, position: int, asked: TransparencyAsked | None
    ) -> PreparedBid:
        campaign_id = self.line(position).campaign_id
        ad_format = FORMATS[creative.format]
        key = (creative.id, exchange.id, campaign_id, ad_format.variant(offer), asked)
        prepared = self._prepared.get(key)
        if prepared is None:
            shop, speaker = self._shops[creative.advertiser_id], speaker_of(exchange)
            tracker = speaker.tracker(self._track_url)
            ad = ad_format.render(creative, offer, tracker)
            prepared = PreparedBid(
                ad,
                speaker,
                shop,
                campaign_id,
                self._track_url,
                asked,
                partial(ad_format.with_notice, ad, offer, tracker),
            )
            self.take(SHOWABLE_BYTES + sum(len(part) + OBJECT_BYTES for part in prepared.around_token))
            self._prepared[key] = prepared
            self.shows_products |= prepared.plan is not None
        return prepared


def _fitting(creatives: Sequence[Creative], offer: Offer) -> Iterable[Creative]:
    """Creatives of an offered shape, each once: those of the best shape first."""
    found: dict[int, Creative] = {}
    for shape in offer.shapes:
        for creative in creatives:
            if any(fits(own, shape) for own in FORMATS[creative.format].shapes(creative)):
                found.setdefault(creative.id, creative)
    return found.values()
