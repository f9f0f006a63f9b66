"""decide(): the stages of one batch of bid requests, in order.

A batch is all requests that arrived in one turn of the event loop: one profile round trip (the only await), one numpy
pass over every (impression, line item) pair, one internal auction per impression.
"""

from collections.abc import Callable, Iterator, Sequence

from bidder.decision.answer import answer
from bidder.decision.bids_out import BatchCaps
from bidder.decision.choose import Chosen, choose
from bidder.decision.noting import BidNotes
from bidder.decision.pricing import Evaluation, price
from bidder.decision.products import attach_products
from bidder.decision.snapshot import Snapshot
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy, resolve_consent
from bidder.request.identify import identify
from bidder.request.locate import locate
from bidder.request.regulate import note_regulations
from bidder.request.validate import check_request
from bidder.targeting.quality import refusal
from core.clock import Clock
from core.reasons import NoBid
from pacing.notices.tokens import TokenSigner
from segments.profiles.reading import ProfileBatch, ProfileReader


def screen(auction: Auction, snapshot: Snapshot, policy: ConsentPolicy) -> bool:
    """The stages that need the request alone. False, with `auction.no_bid` set, when there is nothing to bid on."""
    check_request(auction, snapshot.index.fx)
    if auction.speaker.is_choosy and auction.no_bid is None:
        auction.no_bid = refusal(auction, snapshot.quality)
    if auction.no_bid is None:
        resolve_consent(auction, policy)
    if auction.no_bid is None:
        identify(auction)
        locate(auction)
        regs = auction.request.regs
        if regs is not None and (regs.coppa or regs.dsa or ((ext := regs.ext) is not None and ext.s22580)):
            note_regulations(auction, regs)
        matcher = snapshot.uncounted if auction.is_test else snapshot.matcher
        if not matcher.match_context(auction):
            # Nobody may bid on anything: that is why, not the request.
            auction.no_bid = snapshot.live.nobody or NoBid.NOT_TARGETED
    return auction.no_bid is None


def prepare(auction: Auction, snapshot: Snapshot, policy: ConsentPolicy) -> Iterator[None]:
    """Work out what `screen` will look up of a request, with pauses for others; the auction stays as it is."""
    trial = Auction(auction.request, auction.exchange, auction.deadline, auction.speaker, auction.arrival)
    check_request(trial, snapshot.index.fx)
    yield
    if trial.no_bid is None:
        resolve_consent(trial, policy)
    if trial.no_bid is None:
        identify(trial)
        locate(trial)
        yield from (snapshot.uncounted if trial.is_test else snapshot.matcher).prepare(trial)


async def look_up(auctions: Sequence[Auction], profiles: ProfileReader, now_ms: int, deadline: float) -> ProfileBatch:
    """Profiles of the batch, in its order, without what consent does not let us use."""
    users = [(auction.user_id, auction.exchange.id, auction.exchange_user) for auction in auctions]
    batch = await profiles.fetch(users, now_ms, deadline)
    for number, auction in enumerate(auctions):
        if batch.found[number] and not (auction.consent is not None and auction.consent.segments):
            batch.keep_only_ring(number)
    return batch


def evaluate(auctions: Sequence[Auction], profiles: ProfileBatch, snapshot: Snapshot, now_ms: int) -> Evaluation | None:
    """Match users, price and judge all pairs. None when no pair is left."""
    snapshot.matcher.match_user(auctions, profiles, snapshot.caps, snapshot.counts, now_ms // 1000)
    if not any(impression.eligible for auction in auctions for impression in auction.impressions):
        return None
    return price(auctions, profiles, snapshot, now_ms, snapshot.prices)


def count_bids_out(profiles: ProfileBatch, snapshot: Snapshot, now_ms: int) -> None:
    """Let caps count what this process has bid for the batch's users and what may still be shown."""
    out, lost = snapshot.out, profiles.lost
    if out:
        profiles.cap_rings = [
            ring if user is None else out.ring(user, ring, now_ms, lost.get(at, b"") if lost else b"")
            for at, (user, ring) in enumerate(zip(profiles.user_ids, profiles.rings, strict=True))
        ]


def respond(
    auctions: Sequence[Auction],
    profiles: ProfileBatch,
    snapshot: Snapshot,
    signer: TokenSigner,
    now_ms: int,
    notes: BidNotes | None = None,
) -> dict[int, bytes]:
    """Everything after the look-up: responses by auction number; auctions without one have `no_bid` set.

    `notes` are given what was chosen.

    A batch whose catalogue was replaced while it waited is not bid on: its positions name other leases by now.
    """
    if not snapshot.is_bound:
        for auction in auctions:
            auction.no_bid = NoBid.NO_SNAPSHOT
        return {}
    count_bids_out(profiles, snapshot, now_ms)
    found = evaluate(auctions, profiles, snapshot, now_ms)
    responses: dict[int, bytes] = {}
    chosen: dict[int, Chosen] = {}
    if found is not None:
        out = snapshot.out
        caps = None if out is None else BatchCaps(out, snapshot.caps, profiles, now_ms)
        chosen = choose(found, snapshot, now_ms, caps)
        if snapshot.showcase.shows_products and snapshot.products is not None:
            attach_products(chosen, found, snapshot.products, profiles, now_ms)
        snapshot.counts.count_pairs(found.positions, found.verdict)
        responses = answer(found, chosen, snapshot, profiles, signer, now_ms)
    if notes is not None:
        notes.hold(auctions, found, chosen, snapshot, profiles, now_ms)
    if len(responses) < len(auctions):
        lacking = lacking_leases(found)
        for number, auction in enumerate(auctions):
            if number not in responses:
                auction.no_bid = why_silent(auction, profiles, number, snapshot, lacking)
    return responses


def why_silent(
    auction: Auction, profiles: ProfileBatch, number: int, snapshot: Snapshot, lacking: frozenset[int]
) -> NoBid:
    """The reason of a matched auction without a bid; `lacking` are those of its batch that `lacking_leases` gives.

    It does not depend on what else was in the batch.
    """
    if any(impression.eligible for impression in auction.impressions):
        return NoBid.NO_LEASE if number in lacking else NoBid.NOBODY_BIDS
    if auction.no_bid is not None:  # caps: all that would bid was shown too often
        return auction.no_bid
    # Line items wanted the impressions, and none this user: a stranger is in nobody's way but for segments.
    if number in profiles.failed:
        return NoBid.LOOK_UP_FAILED
    is_stranger = profiles.segments[number] is None and not profiles.rings[number]
    return NoBid.NO_PROFILE if is_stranger and snapshot.index.segments.restricts else NoBid.NOT_TARGETED


def lacking_leases(found: Evaluation | None) -> frozenset[int]:
    """The auctions in which a line item would have met the floor, but this process holds no lease that covers it."""
    if found is None:
        return frozenset()
    slots = found.slot_of_pair[found.verdict == NoBid.NO_LEASE.index]
    return frozenset([found.slots[slot].number for slot in set(slots.tolist())]) if len(slots) else frozenset()


async def decide(
    auctions: Sequence[Auction],
    snapshot: Snapshot,
    profiles: ProfileReader,
    signer: TokenSigner,
    clock: Clock,
    deadline: float,
    looked_up: Callable[[], None],
    notes: BidNotes | None = None,
) -> tuple[dict[int, bytes], float]:
    """Responses of a screened batch by auction number, and the seconds that they took after the look-up.

    `deadline` of the look-up is in monotonic seconds. `looked_up` is called when it has ended, however it ended.
    """
    try:
        batch = await look_up(auctions, profiles, clock.now_ms(), deadline)
    finally:
        looked_up()
    started = clock.monotonic()
    responses = respond(auctions, batch, snapshot, signer, clock.now_ms(), notes)
    return responses, clock.monotonic() - started
