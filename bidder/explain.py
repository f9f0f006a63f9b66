"""Why each line item bids or does not bid on one request: the same stages, with everything they know written down.

What really happens is decided first, by the stages as the bid path runs them. Then each line item is asked for all its
reasons, not the first one, and priced even where it is not eligible, so that near misses show: "floor 1.20, your bid
1.05". Nothing is reserved, counted or sent.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from bidder.auction import Auction, Impression
from bidder.bidding import Chosen, choose
from bidder.bitmaps import all_ones
from bidder.evaluation import Evaluation, price
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.pipeline import evaluate, look_up, screen
from bidder.snapshot import Snapshot
from bidder.stages import rank
from bidder.stages.consent import ConsentPolicy
from bidder.values import members
from core.clock import Clock
from core.money import format_micros
from core.reasons import NO_BID_REASONS, NoBid
from segments.profiles import ProfileBatch, ProfileReader

# A look-up for explain waits longer than a bid would: the person would rather know.
LOOK_UP_S = 2.0


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason of one line item on one impression."""

    reason: str
    text: str
    hint: str
    detail: str = ""


class Price(msgspec.Struct, frozen=True):
    """How a bid came about. Amounts are decimal text; bid and floor in `currency`, the rest in the advertiser's."""

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


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line item (or one of its budget shares) on one impression."""

    line_item_id: int
    share: int
    outcome: str  # "bid" or "no_bid"
    reasons: tuple[Reason, ...]
    price: Price
    creative_id: int | None = None


class ImpressionVerdicts(msgspec.Struct, frozen=True):
    impression_id: str
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
    ) -> Explanation:
        """Explain a bid request; optionally for one line item, and as if `user_id` had sent it.

        Raises Malformed for a body that is not a bid request, KeyError for an unknown exchange.
        """
        rehearsal = snapshot.rehearsal()
        request = decode_request(body, Tolerances())
        auction = Auction(request, snapshot.index.exchanges[exchange_key], self._clock.monotonic() + LOOK_UP_S)
        screen(auction, rehearsal, self._policy)
        if auction.no_bid not in (None, NoBid.NOT_TARGETED):
            return _refusal(auction)
        if user_id is not None and auction.consent is not None and auction.consent.identifiers:
            auction.user_id = user_id
        now_ms = self._clock.now_ms()
        profiles = await look_up([auction], self._profiles, now_ms, auction.deadline)
        found = evaluate([auction], profiles, rehearsal, now_ms)
        chosen = choose(found, rehearsal, now_ms) if found is not None else {}
        # Priced on the book as it is, without what the rehearsal reserved.
        everything = _price_all(auction, profiles, snapshot, now_ms, line_item_id)
        return _assemble(auction, profiles, snapshot, found, chosen, everything, now_ms)


def _refusal(auction: Auction) -> Explanation:
    reason = auction.no_bid or NoBid.NO_BIDDABLE_IMPRESSION
    faults = tuple(str(fault.pointer) + ": " + fault.message for fault in auction.faults)
    return Explanation(auction.request.id, "no_bid", _reason(reason), faults, None, ())


def _price_all(
    auction: Auction, profiles: ProfileBatch, snapshot: Snapshot, now_ms: int, line_item_id: int | None
) -> Evaluation | None:
    """Every line item, or the asked one, on every impression; None when there is none."""
    index = snapshot.index
    wanted = all_ones(index.count)
    if line_item_id is not None:
        wanted = sum(1 << position for position in index.by_line_item.get(line_item_id, ()))
    if not wanted:
        return None
    for impression in auction.impressions:
        impression.eligible = wanted
    return price([auction], profiles, snapshot, now_ms)


def _assemble(
    auction: Auction,
    profiles: ProfileBatch,
    snapshot: Snapshot,
    found: Evaluation | None,
    chosen: dict[int, Chosen],
    everything: Evaluation | None,
    now_ms: int,
) -> Explanation:
    real = _real_verdicts(found)
    winners = {
        found.slots[number].impression.position: (int(found.positions[bid.pair]), bid.prepared.creative.id)
        for number, bid in chosen.items()
        if found is not None
    }
    impressions = []
    for number, impression in enumerate(auction.impressions):
        verdicts: list[Verdict] = []
        if everything is not None:
            targeting = snapshot.matcher.reasons(auction, impression, profiles, 0, snapshot.caps, now_ms // 1000)
            verdicts = [
                _verdict(everything, pair, auction, impression, snapshot, targeting, real, winners)
                for pair in range(*everything.pair_range(number))
            ]
        winner = winners.get(impression.position)
        won = int(snapshot.index.lines.line_item[winner[0]]) if winner else None
        impressions.append(ImpressionVerdicts(impression.imp.id, won, tuple(verdicts)))
    reason = None if winners else _reason(NoBid.NOBODY_BIDS if found is not None else NoBid.NOT_TARGETED)
    return Explanation(
        auction.request.id,
        "bid" if winners else "no_bid",
        reason,
        tuple(f"{fault.pointer}: {fault.message}" for fault in auction.faults),
        _user(profiles),
        tuple(impressions),
    )


def _real_verdicts(found: Evaluation | None) -> dict[tuple[int, int], int]:
    """(impression position, index position) -> what the auction itself said of the pair."""
    if found is None:
        return {}
    positions = [slot.impression.position for slot in found.slots]
    return {
        (positions[slot], position): verdict
        for slot, position, verdict in zip(
            found.slot_of_pair.tolist(), found.positions.tolist(), found.verdict.tolist(), strict=True
        )
    }


def _verdict(
    everything: Evaluation,
    pair: int,
    auction: Auction,
    impression: Impression,
    snapshot: Snapshot,
    targeting: Sequence[tuple[NoBid, int, str]],
    real: dict[tuple[int, int], int],
    winners: dict[int, tuple[int, int]],
) -> Verdict:
    position = int(everything.positions[pair])
    lines = snapshot.index.lines
    bid_price = _price(everything, pair, position, auction, snapshot)
    winner = winners.get(impression.position)
    if winner is not None and winner[0] == position:
        line_item, share = int(lines.line_item[position]), int(lines.share[position])
        return Verdict(line_item, share, "bid", (), bid_price, winner[1])
    reasons = [_reason(reason, detail) for reason, passing, detail in targeting if not passing >> position & 1]
    own = int(everything.verdict[pair])
    if own != rank.ELIGIBLE:
        reasons.append(_reason(NO_BID_REASONS[own], _near_miss(NO_BID_REASONS[own], bid_price)))
    in_auction = real.get((impression.position, position))
    if in_auction is not None and 0 <= in_auction < len(NO_BID_REASONS) and in_auction != own:
        reasons.append(_reason(NO_BID_REASONS[in_auction]))
    return Verdict(int(lines.line_item[position]), int(lines.share[position]), "no_bid", tuple(reasons), bid_price)


def _price(everything: Evaluation, pair: int, position: int, auction: Auction, snapshot: Snapshot) -> Price:
    scores, lines = everything.scores, snapshot.index.lines
    return Price(
        click_rate=round(float(scores.click_rate[pair]), 8),
        conversion_rate=round(float(scores.conversion_rate[pair]), 8),
        cart_value=format_micros(round(float(scores.cart_value[pair])) if scores.cart_value is not None else 0),
        expected_value=format_micros(round(float(scores.expected_value[pair]))),
        pacing_multiplier=float(snapshot.book.multiplier[position]),
        bid_factor=float(lines.bid_factor[position]),
        maximum_cpm=format_micros(round(float(lines.max_cpm[position]))),
        bid_cpm=format_micros(int(scores.cpm[pair])),
        floor_cpm=format_micros(int(everything.floors[pair])),
        currency=auction.currency,
    )


def _near_miss(reason: NoBid, bid: Price) -> str:
    if reason is NoBid.FLOOR:
        return f"floor {bid.floor_cpm} {bid.currency}, your bid {bid.bid_cpm}"
    if reason is NoBid.VALUE_TOO_LOW:
        return f"your bid would be {bid.bid_cpm} {bid.currency}"
    return ""


def _user(profiles: ProfileBatch) -> UserFacts:
    shops: Iterable[dict[str, float]] = (
        {
            "advertiser_id": int(advertiser),
            "cart_micros": int(cart),
            "cart_age_s": float(age) if np.isfinite(age) else -1.0,
            "last_visit_age_s": float(visit) if np.isfinite(visit) else -1.0,
            "visits": float(visits),
        }
        for advertiser, cart, age, visit, visits in zip(
            profiles.state_advertiser,
            profiles.cart_micros,
            profiles.cart_age_s,
            profiles.last_visit_age_s,
            profiles.visits,
            strict=True,
        )
    )
    return UserFacts(
        profiles.user_ids[0],
        profiles.found[0],
        members(profiles.segments[0]),
        tuple(shops),
        len(profiles.rings[0]) // 8,
    )


def _reason(reason: NoBid, detail: str = "") -> Reason:
    return Reason(reason.name.lower(), reason.text, reason.hint, detail)


__all__ = ["Explainer", "Explanation", "Malformed"]
