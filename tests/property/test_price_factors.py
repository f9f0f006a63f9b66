"""What each fact about a shopper does to a bid: carts by age and value, purchases, the hour, numbers out of range."""

import datetime
import itertools
import math
import zoneinfo

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bidder.decision.model_file import MAX_LOGIT, Model, load_model
from core.model import CartValue, Goal
from tests.kit.bidding import NOW_MS, Shopper, ShopState, TestBidder, price_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

HOUR_S, DAY_S = 3_600.0, 86_400.0
MILLION = 1_000_000

# So dear that the grosz grid hides nothing: a grosz is a ten-thousandth of the bid and less.
CPC = 500_000 * MILLION
CPA = 30_000_000 * MILLION
REQUEST = raw_request(regs={"gdpr": 0})
GOALS = st.sampled_from((Goal.CPC, Goal.CPA))
ORDINARY = CartValue()


def bidder_for(goal: Goal, cart: CartValue | None = None, bid_micros: int | None = None) -> TestBidder:
    bid = bid_micros or (CPC if goal is Goal.CPC else CPA)
    return TestBidder(catalogue(line_item(1, goal=goal, bid_micros=bid, max_cpm_micros=10**15, cart=cart)))


def bid(bidder: TestBidder, **state: float) -> float:
    """The price for a visitor of whom the shop knows this."""
    return price_of(bidder.answer(REQUEST, Shopper(shops={1: msgspec.convert(state, ShopState, strict=False)})))


@settings(max_examples=40, deadline=None)
@given(GOALS, st.integers(1, 10**11), st.floats(0, 14 * DAY_S), st.booleans())
@example(Goal.CPA, 500 * MILLION, 1.0, True)
def test_a_cart_before_its_delay_or_without_a_cart_value_has_no_effect(
    goal: Goal, micros: int, age_s: float, configured: bool
) -> None:
    bidder = bidder_for(goal, CartValue(delay_s=math.ceil(age_s)) if configured else None)
    assert bid(bidder, cart_micros=micros, cart_age_s=age_s) == bid(bidder)


@settings(max_examples=40, deadline=None)
@given(GOALS, st.lists(st.integers(MILLION, 10**11), min_size=2, max_size=6), st.floats(1.5, 300.0))
def test_a_cart_is_worth_what_the_formula_says_of_its_value(goal: Goal, values: list[int], hours: float) -> None:
    """(goal value + margin * min(cart, cap) * g) / goal value for CPA; for CPC in proportion to P(conversion)."""
    bidder = bidder_for(goal, ORDINARY, bid_micros=30 * MILLION if goal is Goal.CPA else 500_000)
    plain = bid(bidder)
    assert bid(bidder, cart_micros=MILLION, cart_age_s=hours * HOUR_S) <= 1.05 * plain
    bids = [bid(bidder, cart_micros=value, cart_age_s=hours * HOUR_S) for value in sorted(values)]
    assert bids == sorted(bids)
    at_cap = bid(bidder, cart_micros=ORDINARY.cap_micros, cart_age_s=hours * HOUR_S)
    assert bids[-1] <= at_cap
    if goal is Goal.CPA:
        added = 0.06 * min(max(values), ORDINARY.cap_micros) * shape(hours - 1.0) / shape(peak_hours())
        expected = plain * (1 + added / (30 * MILLION))
        assert bids[-1] == pytest.approx(expected, abs=0.011 * (1 + added / (30 * MILLION))) or hours > 13 * 24


def shape(hours: float) -> float:
    return (1 - math.exp(-hours)) * math.exp(-hours / 66)


def peak_hours() -> float:
    return math.log(1 + 66)


@settings(max_examples=30, deadline=None)
@given(
    GOALS,
    st.builds(
        CartValue, delay_s=st.integers(0, 86_400), rise_s=st.integers(600, 10**6), decay_s=st.integers(3_600, 10**8),
        margin_ppm=st.integers(0, MILLION),
    ),
    st.integers(MILLION, 10**11),
)  # fmt: skip
@example(Goal.CPA, CartValue(decay_s=10**8, margin_ppm=MILLION), 10**11)
def test_no_bid_jumps_when_a_cart_ends_on_its_fourteenth_day(goal: Goal, cart: CartValue, micros: int) -> None:
    bidder = bidder_for(goal, cart)
    ages = [14 * DAY_S + seconds for seconds in (-2.0, -1.0, -0.5, 0.0)]
    bids = [bid(bidder, cart_micros=micros * (age < 14 * DAY_S), cart_age_s=age, last_visit_age_s=age) for age in ages]
    assert all(later >= 0.95 * earlier for earlier, later in itertools.pairwise(bids))


def test_no_bid_jumps_as_time_goes_by() -> None:
    """Steps of a minute over twenty days from the last visit, for a visitor with a cart."""
    bidder = bidder_for(Goal.CPA, ORDINARY)
    bids = []
    for minute in range(61, 20 * 1_440, 7):
        age_s = 60.0 * minute
        cart = 500 * MILLION if age_s < 14 * DAY_S else 0
        bids.append(bid(bidder, cart_micros=cart, cart_age_s=age_s, last_visit_age_s=age_s))
    ratios = np.array(bids[1:]) / np.array(bids[:-1])
    assert ratios.min() > 0.95
    assert ratios.max() < 1.05


@settings(max_examples=40, deadline=None)
@given(GOALS, st.floats(0, HOUR_S), st.integers(1, 40), st.integers(0, 40), st.booleans())
def test_who_has_just_bought_is_bid_a_quarter_at_most(
    goal: Goal, bought_s: float, visits: int, products: int, has_cart_value: bool
) -> None:
    bidder = bidder_for(goal, ORDINARY if has_cart_value else None)
    known: dict[str, float] = {"visits": visits, "products_viewed": products, "last_visit_age_s": bought_s}
    assert bid(bidder, last_purchase_age_s=bought_s, **known) <= 0.25 * bid(bidder, **known)


@settings(max_examples=20, deadline=None)
@given(GOALS, st.floats(0, 60 * DAY_S))
def test_a_newer_cart_ends_what_a_purchase_did_and_an_older_one_does_not(goal: Goal, bought_s: float) -> None:
    bidder = bidder_for(goal)
    newer: dict[str, float] = {"cart_micros": 200 * MILLION, "cart_age_s": bought_s / 2}
    older: dict[str, float] = {"cart_micros": 200 * MILLION, "cart_age_s": bought_s + 1}
    assert bid(bidder, last_purchase_age_s=bought_s + 1, **newer) == bid(bidder, **newer)
    assert bid(bidder, last_purchase_age_s=bought_s, **older) == bid(bidder, last_purchase_age_s=bought_s)


@pytest.mark.parametrize("goal", [Goal.CPC, Goal.CPA])
def test_the_interest_comes_back_along_the_purchase_cycle(goal: Goal) -> None:
    bidder = bidder_for(goal)
    plain = bid(bidder)
    shares = [bid(bidder, last_purchase_age_s=days * DAY_S) / plain for days in (0, 5, 10, 15, 20, 25, 30, 90)]
    assert shares == sorted(shares)
    assert shares[3] == pytest.approx(0.575, abs=0.001)
    assert shares[-2:] == [1.0, 1.0]


@pytest.mark.parametrize("goal", [Goal.CPC, Goal.CPA])
@pytest.mark.parametrize("cycle_days", [7, 60, 200])
def test_the_interest_comes_back_along_the_visitor_s_own_cycle_where_it_is_known(goal: Goal, cycle_days: int) -> None:
    bidder = bidder_for(goal)
    plain = bid(bidder)
    halfway, whole = (
        bid(bidder, last_purchase_age_s=part * cycle_days * DAY_S, purchase_cycle_s=cycle_days * DAY_S) / plain
        for part in (0.5, 1.1)
    )
    assert halfway == pytest.approx((0.15 + 1) / 2, abs=0.05)  # cycles are known to a twelfth
    assert whole == 1.0


def test_a_purchase_changes_nothing_for_who_pays_by_impression() -> None:
    bidder = bidder_for(Goal.CPM, bid_micros=5 * MILLION)
    assert bid(bidder, last_purchase_age_s=60.0) == bid(bidder)


def hours_model() -> Model:
    """Each hour has a price of its own."""
    shipped = load_model()
    weights = np.zeros_like(shipped.weights)
    for hour, row in shipped.manifest.request_fields["hour"].rows.items():
        weights[row, 0, 0] = 0.05 * int(hour)
    return Model(shipped.manifest, weights)


def hour_of(price: float, midnight: float) -> int:
    return round(math.log(price / midnight) / 0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(NOW_MS - 400 * 86_400_000, NOW_MS + 400 * 86_400_000),
    st.sampled_from((None, -720, -210, 0, 60, 330, 840, 5_000)),
    st.sampled_from(("Europe/Warsaw", "America/New_York", "Asia/Kolkata")),
)
def test_the_hour_is_the_user_s_else_the_advertiser_s(now_ms: int, offset: int | None, zone: str) -> None:
    configured = catalogue(
        line_item(1, goal=Goal.CPC, bid_micros=CPC // 100, max_cpm_micros=10**15), line_item(2, advertiser=2)
    )
    shops = tuple(
        msgspec.structs.replace(shop, timezone=zone if shop.id == 1 else "Pacific/Auckland")
        for shop in configured.advertisers
    )
    bidder = TestBidder(msgspec.structs.replace(configured, advertisers=shops), now_ms=now_ms, model=hours_model())
    geo = {"country": "POL", **({} if offset is None else {"utcoffset": offset})}
    price = price_of(bidder.answer({**REQUEST, "device": {"geo": geo}}))
    midnight = 1000 * 1 / (1 + math.exp(6.5)) * (CPC // 100) / 1e6
    moment = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(zone))
    if offset is not None and abs(offset) <= 840:
        moment = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.timezone(datetime.timedelta(minutes=offset)))
    assert hour_of(price, midnight) == moment.hour


@settings(max_examples=30, deadline=None)
@given(st.floats(-MAX_LOGIT, MAX_LOGIT), st.floats(-MAX_LOGIT, MAX_LOGIT), st.floats(-MAX_LOGIT, MAX_LOGIT))
@pytest.mark.filterwarnings("error")
def test_logits_of_any_size_are_probabilities(bias: float, sale: float, weight: float) -> None:
    shipped = load_model()
    manifest = msgspec.structs.replace(shipped.manifest, bias=(bias, sale))
    model = Model(manifest, np.full_like(shipped.weights, weight))
    configured = catalogue(line_item(1, goal=Goal.CPA, bid_micros=MILLION, max_cpm_micros=10**12, cart=ORDINARY))
    bidder = TestBidder(configured, model=model)
    for shopper in (None, Shopper(shops={1: ShopState(cart_micros=10**9, cart_age_s=10_000.0)})):
        assert 0.0 <= price_of(bidder.answer(REQUEST, shopper)) <= 10**6
    kinds = bidder.snapshot.model.slot_rates
    assert np.isfinite(kinds).all()
    assert ((kinds >= 0) & (kinds <= 1)).all()
