"""Which bid is sent, at what price: the internal auction against its rules, over random traffic."""

import random
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.decision.choose import choose
from bidder.decision.creatives import may_show
from bidder.decision.pipeline import evaluate
from bidder.decision.pricing import Evaluation
from core.model import Catalogue, Creative
from core.money import GROSZ_CPM_MICROS, ceil_to_grosz, settle
from tests.kit.bidding import NOBODY, Shopper, TestBidder, bids_of, profile_batch
from tests.kit.layering import random_compiled
from tests.kit.naive_targeting import banners_of, offered_sizes
from tests.kit.random_bidding import (
    CURRENCIES,
    EXCHANGES,
    MOMENTS,
    RATES,
    random_catalogue,
    random_request,
    random_shopper,
)

SEEDS = st.integers(0, 2**32)
PRICES = st.integers(0, 10**9)
LINE_ITEMS = 14


@given(st.integers(0, 10**5).map(lambda groszes: groszes * GROSZ_CPM_MICROS), PRICES, PRICES)
def test_settlement_lies_between_floor_and_bid_on_the_grid(bid: int, second: int, floor: int) -> None:
    charge = settle(bid, second, floor)
    assert charge <= bid
    assert charge % GROSZ_CPM_MICROS == 0
    if bid >= floor:
        assert charge >= floor
    if bid > max(second, floor) + 2 * GROSZ_CPM_MICROS:
        assert 0 < charge - max(second, floor) <= 2 * GROSZ_CPM_MICROS
        if max(second, floor) % GROSZ_CPM_MICROS == 0:
            assert charge == max(second, floor) + GROSZ_CPM_MICROS


@given(st.integers(0, 10**5).map(lambda groszes: groszes * GROSZ_CPM_MICROS), PRICES, PRICES, PRICES)
def test_settlement_rises_with_second_price_and_floor(bid: int, second: int, floor: int, more: int) -> None:
    assert settle(bid, second, floor) <= settle(bid, second + more, floor)
    assert settle(bid, second, floor) <= settle(bid, second, floor + more)
    assert settle(bid, second, floor) == settle(bid, floor, second)


def traffic(seed: int) -> tuple[TestBidder, dict[str, Any], Shopper, str]:
    """A random bidder, request, user and exchange; half of the catalogues restrict nothing, so that many compete."""
    chance = random.Random(seed)
    catalogue, now_ms = random_catalogue(chance, LINE_ITEMS, targeted=chance.random() < 0.4), chance.choice(MOMENTS)
    bidder = TestBidder(catalogue, now_ms=now_ms, compiled=random_compiled(chance, catalogue))
    request = random_request(chance, seed % 1000)
    exchange = chance.choice(EXCHANGES)
    return bidder, request, random_shopper(chance, LINE_ITEMS, now_ms) or NOBODY, exchange.key


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_each_impression_goes_to_the_highest_bid_that_may_be_sent(seed: int) -> None:
    bidder, request, user, exchange = traffic(seed)
    auction = bidder.screened(request, exchange)
    found = evaluate([auction], profile_batch([user]), bidder.snapshot, bidder.clock.now_ms())
    if auction.no_bid is not None or found is None:
        return
    chosen = choose(found, bidder.snapshot, bidder.clock.now_ms())
    taken: set[int] = set()
    for number in range(len(found.slots)):
        usable = usable_bids(bidder, found, number, taken)
        bid = chosen.get(number)
        assert (bid is None) == (not usable)
        if bid is not None:
            line = bidder.snapshot.showcase.line(bid.position)
            assert (line.line_item_id, bid.position) in usable
            assert found.cpm[bid.pair] == max(usable.values())
            taken.add(line.line_item_id)


def usable_bids(bidder: TestBidder, found: Evaluation, number: int, taken: set[int]) -> dict[tuple[int, int], int]:
    """(line item, position) -> CPM of every bid that could be sent for a slot."""
    slot, usable = found.slots[number], {}
    for pair in range(*found.pair_range(number)):
        position, cpm = int(found.positions[pair]), int(found.cpm[pair])
        line = bidder.snapshot.showcase.line(position)
        least = bidder.snapshot.index.lines.min_cpm[position] * np.broadcast_to(found.rate, len(found.cpm))[pair]
        if cpm <= 0 or cpm < found.floors[pair] or cpm < least:
            continue
        if line.line_item_id in taken and not line.several_per_request:
            continue
        prepared = bidder.snapshot.showcase.prepared(position, slot.impression.offer, slot.auction.exchange)
        if any(may_show(each, slot.auction, slot.impression) for each in prepared):
            usable[line.line_item_id, position] = cpm
    return usable


def in_pln(amount: float, currency: str) -> float:
    return amount * (1.0 if currency == "PLN" else RATES[currency] / 1e6)


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_bids_keep_to_floors_maxima_creatives_and_one_a_line_item(seed: int) -> None:
    bidder, request, user, exchange = traffic(seed)
    response = bidder.answer(request, user, exchange)
    if response is None:
        return
    lines = {line.id: line for line in bidder.catalogue.line_items}
    currency = str(response["cur"])
    seen: dict[int, int] = {}
    bids = bids_of(response)
    places = {(bid["impid"], "dealid" in bid) for bid in bids}
    assert len(places) == len(bids), "at most one bid an impression, and one on a deal beside it"
    assert len({bid["id"] for bid in bids}) == len(bids)
    for bid in bids:
        imp = next(each for each in request["imp"] if each["id"] == bid["impid"])
        claims = bidder.claims(bid)
        line = lines[claims.line_item_id]
        price = float(str(bid["price"]))
        assert is_at_fixed_price(imp, bid) or abs(price * 100 - round(price * 100)) < 1e-9
        assert in_pln(price, currency) >= in_pln(*floor_of(imp, bid)) - 1e-9
        own_currency = CURRENCIES[line.advertiser_id - 1]
        assert in_pln(price, currency) <= in_pln(line.max_cpm_micros / 1e6, own_currency) + 1e-6
        assert claims.bid_cpm == ceil_to_grosz(round(price * 1e6))  # a fixed price is reserved on the grid above it
        assert claims.reserved_micros >= in_pln(claims.bid_cpm / 1000, currency) / in_pln(1, own_currency) - 1e-3
        assert_creative(bidder.catalogue, bid, imp)
        rejected = [each.id for each in bidder.catalogue.approvals if exchange == "house" and 2 in each.rejected]
        assert claims.creative_id not in rejected
        seen[line.id] = seen.get(line.id, 0) + 1
    assert all(count == 1 or lines[number].several_per_request for number, count in seen.items())


def is_at_fixed_price(imp: dict[str, Any], bid: dict[str, object]) -> bool:
    """Whether it is on a deal whose price is not ours to choose: it need not be of whole hundredths."""
    return any(deal["at"] == 3 for deal in imp.get("pmp", {}).get("deals", ()) if deal["id"] == bid.get("dealid"))


def floor_of(imp: dict[str, Any], bid: dict[str, object]) -> tuple[float, str]:
    """What the exchange compares the price with; a fixed-price deal wants its price."""
    if "dealid" in bid:
        deal = next(each for each in imp["pmp"]["deals"] if each["id"] == bid["dealid"])
        if deal["at"] == 3:
            assert float(str(bid["price"])) - deal["bidfloor"] < 0.01
        return deal["bidfloor"], deal["bidfloorcur"]
    assert not imp.get("pmp", {}).get("private_auction")
    return imp.get("bidfloor", 0.0), imp.get("bidfloorcur", "USD")


def assert_creative(catalogue: Catalogue, bid: dict[str, object], imp: dict[str, Any]) -> None:
    creative: Creative = next(item for item in catalogue.creatives if item.id == int(str(bid["adid"])))
    line_items = [line for line in catalogue.line_items if creative in banners_of(catalogue, line)]
    assert line_items, "a paused creative, or another advertiser's, is never shown"
    assert (bid["w"], bid["h"]) in offered_sizes(imp)
    assert not set(creative.attributes) & set(imp["banner"].get("battr", ()))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_the_order_of_the_catalogue_and_repetition_change_nothing(seed: int) -> None:
    bidder, request, user, exchange = traffic(seed)
    shuffled = list(bidder.catalogue.line_items)
    random.Random(seed).shuffle(shuffled)
    other = TestBidder(
        msgspec.structs.replace(bidder.catalogue, line_items=tuple(shuffled)), now_ms=bidder.clock.now_ms()
    )
    first = [essence(bidder, bid) for bid in bids_of(bidder.answer(request, user, exchange))]
    assert first == [essence(bidder, bid) for bid in bids_of(bidder.answer(request, user, exchange))]
    assert first == [essence(other, bid) for bid in bids_of(other.answer(request, user, exchange))]


def essence(bidder: TestBidder, bid: dict[str, object]) -> tuple[object, ...]:
    claims = bidder.claims(bid)
    return (
        bid["impid"], bid["price"], bid["crid"], bid.get("dealid"), claims.line_item_id, claims.share,
        claims.second_cpm, claims.floor_cpm,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_house_clearing_settles_against_the_best_rival_that_could_have_bid(seed: int) -> None:
    bidder, request, user, _exchange = traffic(seed)
    auction = bidder.screened(request, "house")
    profiles, now_ms = profile_batch([user]), bidder.clock.now_ms()
    found = evaluate([auction], profiles, bidder.snapshot, now_ms)
    if auction.no_bid is not None or found is None:
        return
    response = bidder.answer(request, user, "house")
    sent = {int(str(bid["id"])) - 1: bidder.claims(bid) for bid in bids_of(response)}
    for number, slot in enumerate(found.slots):
        claims = sent.get(slot.impression.position)
        if claims is None:
            continue
        elsewhere = {other.line_item_id for at, other in sent.items() if at != slot.impression.position}
        rivals = usable_bids(bidder, found, number, elsewhere | {claims.line_item_id})
        second = max((cpm for (line, _at), cpm in rivals.items() if line != claims.line_item_id), default=0)
        assert claims.second_cpm == second
        charge = settle(claims.bid_cpm, claims.second_cpm, claims.floor_cpm)
        assert claims.floor_cpm <= charge <= claims.bid_cpm
