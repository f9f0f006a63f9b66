"""What a bid is worth: the arrays against the formula, number by number; nobody's data prices another shop's bid."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidder.decision.price_memo import PriceMemo
from bidder.decision.pricing import Evaluation, price
from bidder.targeting.bitmaps import all_ones
from core.model import CartValue, Catalogue, Goal
from tests.kit.bidding import NOBODY, Shopper, ShopState, TestBidder, bids_of, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.naive_pricing import priced, two_column_model
from tests.kit.naive_targeting import modified
from tests.kit.random_bidding import EXCHANGES, MOMENTS, random_catalogue, random_request, random_shopper

SEEDS = st.integers(0, 2**32)
LINE_ITEMS = 12
DURATIONS = st.integers(1, 10**6)


def price_everything(
    bidder: TestBidder,
    requests: list[dict[str, object]],
    users: list[Shopper | None],
    *,
    alternate: bool = True,
    memo: PriceMemo | None = None,
) -> Evaluation:
    """Every line item on every impression of a batch, eligible or not; `alternate`: requests of two exchanges."""
    keys = [EXCHANGES[at % 2 if alternate else 0].key for at in range(len(requests))]
    auctions = [bidder.screened(request, key) for request, key in zip(requests, keys, strict=True)]
    for auction in auctions:
        for impression in auction.impressions:
            impression.eligible = all_ones(bidder.snapshot.index.count)
    return price(auctions, profile_batch(users), bidder.snapshot, bidder.clock.now_ms(), memo)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_prices_follow_the_formula(seed: int) -> None:
    chance = random.Random(seed)
    catalogue, now_ms = random_catalogue(chance, LINE_ITEMS, targeted=False), chance.choice(MOMENTS)
    model = two_column_model(seed) if chance.random() < 0.7 else None
    bidder = TestBidder(catalogue, now_ms=now_ms, model=model)
    bidder.book.multiplier[:] = [chance.choice((1.0, 0.1, 0.77)) for _ in bidder.book.pools]
    requests = [random_request(chance, number, plain=True) for number in range(4)]
    users = [random_shopper(chance, LINE_ITEMS, now_ms) for _ in requests]
    found = price_everything(bidder, requests, users)
    lines = {line.id: line for line in catalogue.line_items}
    for pair in range(len(found.positions)):
        slot, position = found.slots[int(found.slot_of_pair[pair])], int(found.positions[pair])
        line, share = (
            lines[int(bidder.snapshot.index.lines.line_item[position])],
            bidder.snapshot.showcase.line(position).share,
        )
        request = requests[slot.number]
        imps = request["imp"]
        assert isinstance(imps, list)
        expected = priced(
            catalogue, line, share, request, imps[slot.impression.position], users[slot.number] or NOBODY, now_ms,
            slot.auction.currency, model=model,
            multiplier=float(bidder.book.multiplier[position])
            * modified(line, slot.auction.exchange, request, imps[slot.impression.position]),
        )  # fmt: skip
        scores = found.scores
        assert scores is not None
        assert scores.click_rate[pair] == pytest.approx(expected.click, rel=1e-9)
        assert scores.conversion_rate[pair] == pytest.approx(expected.conversion, rel=1e-9)
        assert scores.expected_value[pair] == pytest.approx(expected.value, rel=1e-9)
        assert (scores.cart_value[pair] if scores.cart_value is not None else 0) == pytest.approx(
            expected.cart, rel=1e-9
        )
        assert int(found.cpm[pair]) == expected.cpm
        rate = np.broadcast_to(found.rate, len(found.cpm))[pair]
        assert found.cost[pair] * 1000 >= int(found.cpm[pair]) / rate - 1e-3


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_a_remembered_price_is_the_price(seed: int, crowded: bool) -> None:
    """Batch after batch, with users that shops know or not, changing multipliers, and a memo that has room or not."""
    chance = random.Random(seed)
    catalogue, now_ms = random_catalogue(chance, LINE_ITEMS, targeted=False), chance.choice(MOMENTS)
    bidder = TestBidder(catalogue, now_ms=now_ms, model=two_column_model(seed) if chance.random() < 0.5 else None)
    memo = PriceMemo(bidder.snapshot.index.count, 3 if crowded else 1_000)
    for _ in range(4):
        if chance.random() < 0.4:
            bidder.book.multiplier[:] = [chance.choice((1.0, 0.1, 0.77)) for _ in bidder.book.pools]
        requests = [random_request(chance, number, plain=True) for number in range(chance.randint(1, 5))]
        users = [random_shopper(chance, LINE_ITEMS, now_ms) for _ in requests]
        direct, remembered = (price_everything(bidder, requests, users, memo=each) for each in (None, memo))
        assert (direct.cpm == remembered.cpm).all()
        assert (direct.verdict == remembered.verdict).all()


def added_by_carts(cart: CartValue, ages_s: list[float], cart_micros: int = 100_000_000) -> list[float]:
    """What the score stage adds to a conversion's value for carts of these ages."""
    bidder = TestBidder(catalogue(line_item(1, cart=cart)))
    request = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "regs": {"gdpr": 0}}
    users = [Shopper(shops={1: ShopState(cart_micros=cart_micros, cart_age_s=age)}) for age in ages_s]
    scores = price_everything(bidder, [{**request} for _ in ages_s], list(users), alternate=False).scores
    added = scores.cart_value if scores is not None else None
    return [] if added is None else added.tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.builds(CartValue, delay_s=st.integers(0, 10**6), rise_s=DURATIONS, decay_s=DURATIONS),
    st.lists(st.floats(0, 10**7), min_size=1, max_size=8),
)
def test_a_cart_adds_nothing_before_its_delay_and_its_margin_at_most(cart: CartValue, ages_s: list[float]) -> None:
    for age_s, added in zip(ages_s, added_by_carts(cart, ages_s), strict=True):
        assert 0 <= added <= 6_000_000 * (1 + 1e-9)  # 6 % of 100 PLN
        if age_s <= cart.delay_s:
            assert added == 0


def test_a_cart_is_worth_its_margin_at_the_peak_and_is_capped() -> None:
    cart = CartValue()
    peak_s = cart.delay_s + cart.rise_s * math.log1p(cart.decay_s / cart.rise_s)
    early, peak, late = added_by_carts(cart, [peak_s / 2, peak_s, 2 * peak_s])
    assert peak == pytest.approx(6_000_000, rel=1e-12)
    assert early < peak > late
    assert added_by_carts(cart, [peak_s], 20_000_000_000) == pytest.approx([180_000_000])  # 6 % of the cap of 3,000 PLN


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_what_one_shop_knows_never_changes_another_shop_s_prices(seed: int) -> None:
    chance = random.Random(seed)
    catalogue = random_catalogue(chance, LINE_ITEMS, targeted=False)
    bidder = TestBidder(catalogue)
    requests = [random_request(chance, number, plain=True) for number in range(3)]
    stranger: list[Shopper | None] = [Shopper() for _ in requests]
    known: list[Shopper | None] = [
        Shopper(shops={1: ShopState(cart_micros=900_000_000, cart_age_s=30_000.0, visits=30.0)}) for _ in requests
    ]
    before, after = price_everything(bidder, requests, stranger), price_everything(bidder, requests, known)
    others = bidder.snapshot.index.lines.advertiser[before.positions] != 1
    assert (before.cpm[others] == after.cpm[others]).all()
    assert before.scores is not None
    assert after.scores is not None
    assert (before.scores.click_rate[others] == after.scores.click_rate[others]).all()


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_segments_of_another_advertiser_never_decide_who_may_bid(seed: int) -> None:
    """A user's membership in segments of shop 1 changes nothing for line items of shops 2 and 3, whatever they name."""
    chance = random.Random(seed)
    catalogue = random_catalogue(chance, LINE_ITEMS)
    request, exchange = random_request(chance), chance.choice(EXCHANGES)
    bidder = TestBidder(catalogue)
    own = tuple(segment for segment in (20, 21, 22, 30, 31, 32) if chance.random() < 0.5)
    without = bidder.matched(request, Shopper(own), exchange.key)
    with_foreign = bidder.matched(request, Shopper((10, 11, 12, *own)), exchange.key)
    owners = {line.id: line.advertiser_id for line in catalogue.line_items}
    for first, second in zip(without, with_foreign, strict=True):
        assert {pair for pair in first if owners[pair[0]] != 1} == {pair for pair in second if owners[pair[0]] != 1}


def with_user(request: dict[str, object], permission: dict[str, object]) -> dict[str, object]:
    """The request with a known cookie, and a change of permission merged in."""
    device = request.get("device")
    merged = {**request, "user": {"buyeruid": "u" * 22}, **permission}
    if "device" in permission and isinstance(device, dict):
        merged["device"] = {**device, **dict(permission["device"])}  # type: ignore[call-overload]  # JSON in a test
    return merged


REFUSALS: list[dict[str, object]] = [
    {"regs": {"gdpr": 0, "coppa": 1}},
    {"regs": {"gdpr": 1}},
    {"regs": {"gdpr": 1}, "user": {"buyeruid": "u" * 22, "consent": "garbage"}},
    {"regs": {"gdpr": 0}, "device": {"lmt": 1}},
    {"regs": {"gdpr": 0, "us_privacy": "1YYN"}},
]


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from(REFUSALS))
async def test_without_permission_no_bid_rests_on_the_user(seed: int, refusal: dict[str, object]) -> None:
    """With permission withdrawn the answer is that of a stranger, for whatever the shops know of the user."""
    chance = random.Random(seed)
    catalogue = random_catalogue(chance, LINE_ITEMS, targeted=chance.random() < 0.5)
    shopper = random_shopper(chance, LINE_ITEMS, MOMENTS[4]) or Shopper((10, 20, 30))
    request = with_user(random_request(chance, plain=True), refusal)
    known = TestBidder(catalogue, now_ms=MOMENTS[4], shoppers={"u" * 22: shopper})
    stranger = TestBidder(catalogue, now_ms=MOMENTS[4])
    assert await known.answer_known(request) == await stranger.answer_known(request)
    assert all(user_id is None for user_id, _exchange, _theirs in known.profiles.asked)


def test_permission_lets_the_same_user_s_cart_raise_the_bid() -> None:
    """The twin of the test above: it can tell the difference."""
    catalogue = cart_catalogue()
    shopper = Shopper(shops={1: ShopState(cart_micros=640_000_000, cart_age_s=20_000.0)})
    bidder = TestBidder(catalogue)
    request: dict[str, object] = {"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "regs": {"gdpr": 0}}
    (plain,), (retargeted,) = bids_of(bidder.answer(request)), bids_of(bidder.answer(request, shopper))
    assert float(str(retargeted["price"])) > float(str(plain["price"]))


def cart_catalogue() -> Catalogue:
    return catalogue(line_item(1, goal=Goal.CPA, bid_micros=30_000_000, cart=CartValue()))
