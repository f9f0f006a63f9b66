"""Why each line item bids or does not bid on one request: the same stages, with everything they know written down.

What really happens is decided first, by the stages as the bid path runs them. Then each line item is asked for all its
reasons, not the first one, and priced even where it is not eligible, so that near misses show: "floor 1.20, your bid
1.05". Nothing is reserved, counted or sent.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from bidder.decision import rank
from bidder.decision.choose import Chosen, choose
from bidder.decision.pipeline import evaluate, lacking_leases, look_up, screen, why_silent
from bidder.decision.pricing import Evaluation, price
from bidder.decision.snapshot import Snapshot
from bidder.diagnosis.consent_words import consent_words
from bidder.diagnosis.near_misses import clock_detail
from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction, Impression
from bidder.request.consent import ConsentPolicy
from bidder.targeting.bitmaps import all_ones
from bidder.targeting.index import Index
from bidder.targeting.normalise import members
from core.clock import Clock
from core.model import Exchange
from core.money import format_micros
from core.reasons import NO_BID_REASONS, NoBid
from core.ring import recent_impressions
from pacing.ledger.rows import NOT_SHADED
from segments.profiles.reading import ProfileBatch, ProfileReader

# A look-up for explain waits longer than a bid would: the person would rather know.
LOOK_UP_S = 2.0


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason of one line item on one impression."""

    reason: str
    text: str
    hint: str
    detail: str = ""


class AppliedModifier(msgspec.Struct, frozen=True):
    """A bid modifier that applies to the impression: what it is about, and its factor."""

    modifier: str
    factor: float


class PriceBuildUp(msgspec.Struct, frozen=True):
    """How a bid came about. Amounts are decimal text; bid and floor in `currency`, the rest in the advertiser's.

    `bid_cpm` is what the impression is worth. For the winner, `sent_cpm` is what is bid: `shading` times `bid_cpm`.
    """

    click_rate: float
    conversion_rate: float
    cart_value: str  # added to the value of a conversion
    expected_value: str  # of one impression
    pacing_multiplier: float
    bid_factor: float
    maximum_cpm: str
    bid_cpm: str
    floor_cpm: str
    currency: str
    sent_cpm: str = ""
    shading: float = 1.0
    bid_modifier: float = 1.0  # the product of those below, between 0.1 and 10
    modifiers: tuple[AppliedModifier, ...] = ()


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line item (or one of its budget shares) on one impression."""

    line_item_id: int
    share: int
    outcome: str  # "bid" or "no_bid"
    reasons: tuple[Reason, ...]
    price: PriceBuildUp
    creative_id: int | None = None


class ImpressionVerdicts(msgspec.Struct, frozen=True):
    """One impression in one of the formats that it offers; one that offers several is told of once for each."""

    impression_id: str
    format: str
    winner: int | None  # line item id
    line_items: tuple[Verdict, ...]


class UserFacts(msgspec.Struct, frozen=True):
    """What the user's profile contributed."""

    user_id: str | None
    found: bool
    segments: tuple[int, ...]
    shops: tuple[dict[str, float], ...]
    impressions_remembered: int


class Explanation(msgspec.Struct, frozen=True):
    request_id: str
    outcome: str
    reason: Reason | None
    faults: tuple[str, ...]  # of impressions that were left out
    user: UserFacts | None
    impressions: tuple[ImpressionVerdicts, ...]
    consent: str = ""  # what limits the use of the user's data; "" where nothing does


class Viewer(msgspec.Struct, frozen=True):
    """Who an explanation is for. Line items, segments and profile parts of other advertisers are left out of it.

    For a viewer who may not know of all advertisers the auction itself is held among their own line items. To learn
    that another one bids more, for a user and above a floor of the viewer's choice, would tell who visited another shop
    and, by bisection, what it bids.
    """

    advertisers: frozenset[int] | None = None  # None: all
    segments: frozenset[int] = frozenset()  # those of these advertisers

    def sees(self, advertiser: int) -> bool:
        return self.advertisers is None or advertiser in self.advertisers


EVERYBODY = Viewer()


class Background(Protocol):
    """What is known outside the bid path: the catalogue's words, the budgets behind a lease."""

    def refine(self, reason: NoBid, position: int) -> tuple[NoBid, str]:
        """A more precise reason for the line item at an index position, and its detail; or the same and ""."""
        ...

    def near_miss(self, reason: NoBid, position: int, said: str) -> str:
        """What the line item wants beside what the request `said`, in words; "" where there is nothing to tell."""
        ...


class NothingMore:
    """A background that adds nothing: reasons stay in the bid path's own words."""

    def refine(self, reason: NoBid, position: int) -> tuple[NoBid, str]:  # noqa: ARG002 - the protocol's
        return reason, ""

    def near_miss(self, reason: NoBid, position: int, said: str) -> str:  # noqa: ARG002 - the protocol's
        return ""


class Explainer:
    """Explains requests against one snapshot. `snapshot.book` decides what counts as affordable."""

    def __init__(self, profiles: ProfileReader, policy: ConsentPolicy, clock: Clock) -> None:
        self._profiles = profiles
        self._policy = policy
        self._clock = clock

    async def explain(
        self,
        body: bytes,
        exchange_key: str,
        snapshot: Snapshot,
        *,
        line_item_id: int | None = None,
        user_id: str | None = None,
        viewer: Viewer = EVERYBODY,
        background: Background | None = None,
    ) -> Explanation:
        """Explain a bid request to `viewer`; optionally for one line item, and as if `user_id` had sent it.

        Raises Malformed for a body that is not a bid request, KeyError for an unknown exchange.
        """
        rehearsal = snapshot.rehearsal()
        request = decode_request(body, Tolerances())
        words = consent_words(request, self._policy)
        exchange = _as_seen(snapshot.index.exchanges[exchange_key], viewer)
        auction = Auction(request, exchange, self._clock.monotonic() + LOOK_UP_S, speaker_of(exchange))
        screen(auction, rehearsal, self._policy)
        unwanted = auction.no_bid
        if unwanted not in (None, NoBid.NOT_TARGETED, rehearsal.live.nobody):
            return _refusal(auction, words)
        if viewer.advertisers is not None:
            own = _wanted(snapshot.index, None, viewer)
            for impression in auction.impressions:
                impression.eligible &= own
        if user_id is not None and auction.consent is not None and auction.consent.identifiers:
            auction.user_id = user_id
        now_ms = self._clock.now_ms()
        profiles = await look_up([auction], self._profiles, now_ms, auction.deadline)
        found = evaluate([auction], profiles, rehearsal, now_ms)
        chosen = choose(found, rehearsal, now_ms) if found is not None else {}
        lacking = lacking_leases(found)
        if viewer.advertisers is None:
            silent = unwanted or why_silent(auction, profiles, 0, rehearsal, lacking)
        else:
            silent = _own_silence(found, lacking)
        # Priced on the book as it is, without what the rehearsal reserved.
        wanted = _wanted(snapshot.index, line_item_id, viewer)
        everything = _price_all(auction, profiles, snapshot, now_ms, wanted)
        told = _Telling(auction, profiles, snapshot, now_ms, viewer, background or NothingMore(), words)
        return told.explanation(found, chosen, everything, silent)


def _as_seen(exchange: Exchange, viewer: Viewer) -> Exchange:
    """The exchange without the seats of advertisers that the viewer may not know of: `wseat` would ask for them."""
    seats = tuple(each for each in exchange.seats if viewer.sees(each.advertiser_id))
    return exchange if len(seats) == len(exchange.seats) else msgspec.structs.replace(exchange, seats=seats)


def _own_silence(found: Evaluation | None, lacking: frozenset[int]) -> NoBid:
    """Why none of a viewer's own line items bids, told without anything that depends on those of others."""
    if found is None:
        return NoBid.NOT_TARGETED
    return NoBid.NO_LEASE if lacking else NoBid.NOBODY_BIDS


def _refusal(auction: Auction, consent: str) -> Explanation:
    reason = auction.no_bid or NoBid.NO_BIDDABLE_IMPRESSION
    detail = consent if reason is NoBid.CONSENT_PURPOSE_2 else ""
    faults = tuple(str(fault.pointer) + ": " + fault.message for fault in auction.faults)
    return Explanation(auction.request.id, "no_bid", _reason(reason, detail), faults, None, (), consent)


def _wanted(index: Index, line_item_id: int | None, viewer: Viewer) -> int:
    """The set of positions to tell about."""
    if line_item_id is not None:
        positions: Iterable[int] = index.by_line_item.get(line_item_id, ())
    elif viewer.advertisers is None:
        return all_ones(index.count)
    else:
        positions = np.flatnonzero(np.isin(index.lines.advertiser, list(viewer.advertisers))).tolist()
    return sum(1 << position for position in positions if viewer.sees(int(index.lines.advertiser[position])))


def _price_all(
    auction: Auction, profiles: ProfileBatch, snapshot: Snapshot, now_ms: int, wanted: int
) -> Evaluation | None:
    """Price every wanted line item on every impression; None when none is wanted."""
    if not wanted:
        return None
    for impression in auction.impressions:
        impression.eligible = wanted
    return price([auction], profiles, snapshot, now_ms)


_Place = tuple[int, str, int]
"""Position of an impression in the request, the format, and which ad of a pod."""


class Winner(NamedTuple):
    """A bid that would be sent."""

    position: int  # in the index
    creative_id: int
    cpm: int
    shading: int


Winners = dict[_Place, Winner]
"""The winner of each place that has a bid."""


def _place(impression: Impression) -> _Place:
    return impression.position, impression.offer.format, impression.pod_index


class _Telling:
    """What one explanation is put together from."""

    def __init__(
        self,
        auction: Auction,
        profiles: ProfileBatch,
        snapshot: Snapshot,
        now_ms: int,
        viewer: Viewer,
        background: Background,
        consent: str,
    ) -> None:
        self._consent = consent
        self._auction = auction
        self._profiles = profiles
        self._snapshot = snapshot
        self._now_ms = now_ms
        self._viewer = viewer
        self._background = background

    def explanation(
        self,
        found: Evaluation | None,
        chosen: dict[int, Chosen],
        everything: Evaluation | None,
        silent: NoBid,
    ) -> Explanation:
        """`silent` is the reason where there is no bid."""
        auction = self._auction
        real = _real_verdicts(found)
        winners: Winners = {
            _place(found.slots[number].impression): Winner(
                int(found.positions[bid.pair]), bid.shown.prepared.ad.creative.id, bid.cpm, bid.shading
            )
            for number, bid in chosen.items()
            if found is not None
        }
        impressions = tuple(
            self._impression(number, impression, everything, real, winners)
            for number, impression in enumerate(auction.impressions)
        )
        reason = None if winners else _reason(silent)
        faults = tuple(f"{fault.pointer}: {fault.message}" for fault in auction.faults)
        outcome = "bid" if winners else "no_bid"
        user = _user(self._profiles, self._snapshot.index, self._viewer)
        return Explanation(auction.request.id, outcome, reason, faults, user, impressions, self._consent)

    def _impression(
        self,
        number: int,
        impression: Impression,
        everything: Evaluation | None,
        real: dict[tuple[_Place, int], int],
        winners: Winners,
    ) -> ImpressionVerdicts:
        snapshot, lines = self._snapshot, self._snapshot.index.lines
        verdicts: list[Verdict] = []
        if everything is not None:
            targeting = snapshot.matcher.reasons(
                self._auction, impression, self._profiles, 0, snapshot.caps, self._now_ms // 1000
            )
            verdicts = [
                self._verdict(everything, pair, impression, targeting, real, winners)
                for pair in range(*everything.pair_range(number))
            ]
        winner = winners.get(_place(impression))
        won = None if winner is None else int(lines.line_item[winner.position])
        return ImpressionVerdicts(impression.imp.id, impression.offer.format, won, tuple(verdicts))

    def _verdict(
        self,
        everything: Evaluation,
        pair: int,
        impression: Impression,
        targeting: Sequence[tuple[NoBid, int, str]],
        real: dict[tuple[_Place, int], int],
        winners: Winners,
    ) -> Verdict:
        position = int(everything.positions[pair])
        lines = self._snapshot.index.lines
        line_item, share = int(lines.line_item[position]), int(lines.share[position])
        bid_price = _price(everything, pair, position, self._auction, self._snapshot)
        winner = winners.get(_place(impression))
        if winner is not None and winner.position == position:
            sent = msgspec.structs.replace(
                bid_price, sent_cpm=format_micros(winner.cpm), shading=winner.shading / NOT_SHADED
            )
            return Verdict(line_item, share, "bid", (), sent, winner.creative_id)
        found = [(reason, detail) for reason, passing, detail in targeting if not passing >> position & 1]
        own = int(everything.verdict[pair])
        # What pacing holds back altogether is priced at nothing, which is no reason of its own.
        is_paced_out = any(reason is NoBid.PACED_OUT for reason, _detail in found)
        if own != rank.ELIGIBLE and not (is_paced_out and own == NoBid.VALUE_TOO_LOW.index):
            found.append((NO_BID_REASONS[own], _near_miss(NO_BID_REASONS[own], bid_price)))
        in_auction = real.get((_place(impression), position))
        if in_auction is not None and 0 <= in_auction < len(NO_BID_REASONS) and in_auction != own:
            found.append((NO_BID_REASONS[in_auction], ""))
        return Verdict(line_item, share, "no_bid", self._reasons(found, position), bid_price)

    def _said(self, reason: NoBid) -> str:
        """For reasons about segments, those of the user that the viewer may know of; "" for other reasons."""
        if reason not in (NoBid.SEGMENT, NoBid.EXCLUDED_SEGMENT):
            return ""
        held = members(self._profiles.segments[0])
        mine = held if self._viewer.advertisers is None else [each for each in held if each in self._viewer.segments]
        return ", ".join(map(str, mine))

    def _reasons(self, found: Iterable[tuple[NoBid, str]], position: int) -> tuple[Reason, ...]:
        """The reasons in the order found, each once: missing money shows both in the live sets and in the auction."""
        told: dict[tuple[NoBid, str], None] = {}
        for reason, detail in found:
            better, words = self._background.refine(reason, position)
            words = words or self._background.near_miss(reason, position, detail or self._said(reason))
            words = words or detail or clock_detail(reason, self._snapshot.index, position, self._now_ms)
            if reason is NoBid.NO_PROFILE:
                words = words or self._consent or "consent does not forbid it: the user is unknown"
            told.setdefault((better, words))
        return tuple(_reason(reason, words) for reason, words in told)


def _real_verdicts(found: Evaluation | None) -> dict[tuple[_Place, int], int]:
    """(impression and format, index position) -> what the auction itself said of the pair."""
    if found is None:
        return {}
    positions = [_place(slot.impression) for slot in found.slots]
    return {
        (positions[slot], position): verdict
        for slot, position, verdict in zip(
            found.slot_of_pair.tolist(), found.positions.tolist(), found.verdict.tolist(), strict=True
        )
    }


def _price(everything: Evaluation, pair: int, position: int, auction: Auction, snapshot: Snapshot) -> PriceBuildUp:
    scores, lines = everything.scores, snapshot.index.lines
    assert scores is not None  # noqa: S101 - tells the type checker that these were priced without a memo
    slot = everything.slots[int(everything.slot_of_pair[pair])]
    applying = snapshot.matcher.factors.applying(auction, slot.impression, position)
    return PriceBuildUp(
        click_rate=round(float(scores.click_rate[pair]), 8),
        conversion_rate=round(float(scores.conversion_rate[pair]), 8),
        cart_value=format_micros(round(float(scores.cart_value[pair])) if scores.cart_value is not None else 0),
        expected_value=format_micros(round(float(scores.expected_value[pair]))),
        pacing_multiplier=float(snapshot.book.multiplier[position]),
        bid_factor=float(lines.bid_factor[position]),
        maximum_cpm=format_micros(round(float(lines.max_cpm[position]))),
        bid_cpm=format_micros(int(everything.cpm[pair])),
        floor_cpm=format_micros(int(everything.floors[pair])),
        currency=auction.currency,
        bid_modifier=float(scores.modifier[pair]) if scores.modifier is not None else 1.0,
        modifiers=tuple(AppliedModifier(text, factor) for text, factor in applying),
    )


def _near_miss(reason: NoBid, bid: PriceBuildUp) -> str:
    if reason is NoBid.FLOOR:
        return f"floor {bid.floor_cpm} {bid.currency}, your bid {bid.bid_cpm}"
    if reason is NoBid.VALUE_TOO_LOW:
        return f"your bid would be {bid.bid_cpm} {bid.currency}"
    return ""


def _user(profiles: ProfileBatch, index: Index, viewer: Viewer) -> UserFacts:
    """The profile as far as the viewer may know of it; one unknown to the viewer's advertisers is told as unknown."""
    shops = tuple(
        {
            "advertiser_id": int(advertiser),
            "cart_micros": int(cart),
            "cart_stage": int(stage),
            "cart_age_s": float(age) if np.isfinite(age) else -1.0,
            "last_visit_age_s": float(visit) if np.isfinite(visit) else -1.0,
            "visits": float(visits),
        }
        for advertiser, cart, stage, age, visit, visits in zip(
            profiles.state_advertiser,
            profiles.cart_micros,
            profiles.cart_stage,
            profiles.cart_age_s,
            profiles.last_visit_age_s,
            profiles.visits,
            strict=True,
        )
        if viewer.sees(int(advertiser))
    )
    segments, shown = members(profiles.segments[0]), recent_impressions(profiles.rings[0], 0)
    if viewer.advertisers is None:
        return UserFacts(profiles.user_ids[0], profiles.found[0], segments, shops, sum(shown.values()))
    segments = tuple(segment for segment in segments if segment in viewer.segments)
    owners = {line_item: _owner(index, line_item) for line_item in shown}
    remembered = sum(count for line_item, count in shown.items() if owners[line_item] in viewer.advertisers)
    known = bool(shops or segments or remembered)
    return UserFacts(profiles.user_ids[0] if known else None, known, segments, shops, remembered)


def _owner(index: Index, line_item: int) -> int | None:
    """The advertiser of a line item, None once it is gone."""
    positions = index.by_line_item.get(line_item, ())
    return int(index.lines.advertiser[positions[0]]) if positions else None


def _reason(reason: NoBid, detail: str = "") -> Reason:
    return Reason(reason.name.lower(), reason.text, reason.hint, detail)


__all__ = ["EVERYBODY", "Background", "Explainer", "Explanation", "Malformed", "Viewer"]
