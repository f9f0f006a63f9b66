"""What events do to facts."""

import msgspec
import pytest

from segments.facts.apply import ApplyPolicy, apply_event
from segments.facts.event import Event, Item, Kind, Source, order_key
from segments.facts.facts import (
    CART_LIFETIME_S,
    DAY_S,
    LIFECYCLE_EXIT_S,
    MAX_PRODUCTS,
    VISIT_GAP_S,
    CartStage,
    Facts,
    Lifecycle,
    lifecycle_at,
    recency_class_at,
)

T0 = 1_790_000_000
PLN = 1_000_000


def happen(facts: Facts, kind: str, at_s: int, *items: Item, **fields: object) -> frozenset[str]:
    event = msgspec.structs.replace(Event(kind, 1, "u", at_s * 1000, items=items), **fields)
    return apply_event(facts, event)


def shoe(price: int = 640, quantity: int = 1, name: str = "heels", category: str = "shoes") -> Item:
    return Item(name, category, price * PLN, quantity)


def test_a_first_page_view_begins_a_visit() -> None:
    facts = Facts()
    changed = happen(facts, Kind.PAGE_VIEW, T0, path="/buty")
    assert (facts.visits, facts.pages, facts.first_visit_s, facts.last_visit_s) == (1, 1, T0, T0)
    assert facts.lifecycle == Lifecycle.ACQUISITION
    assert [(visit.path, visit.count) for visit in facts.paths] == [("/buty", 1)]
    assert {"visits", "pages", "last_visit_s", "first_visit_s", "paths", "events", "score"} <= changed
    assert "cart" not in changed
    assert "purchases" not in changed


@pytest.mark.parametrize(("gap_s", "visits"), [(VISIT_GAP_S, 1), (VISIT_GAP_S + 1, 2)])
def test_a_visit_ends_after_half_an_hour_of_silence(gap_s: int, visits: int) -> None:
    facts = Facts()
    happen(facts, Kind.PAGE_VIEW, T0)
    happen(facts, Kind.PAGE_VIEW, T0 + gap_s)
    assert facts.visits == visits


def test_the_source_of_a_visit_is_kept_with_its_phrase() -> None:
    facts = Facts()
    happen(facts, Kind.PAGE_VIEW, T0, source=Source("facebook", "cpc", "autumn", "szpilki", explicit=True))
    happen(facts, Kind.PAGE_VIEW, T0 + 5, source=Source("facebook", "cpc", "autumn", "szpilki", explicit=True))
    happen(facts, Kind.PAGE_VIEW, T0 + 9, source=Source("google", "cpc", explicit=True))
    assert [(entry.source, entry.phrase) for entry in facts.entries] == [("facebook", "szpilki"), ("google", "")]
    assert facts.visits == 1


def test_a_cart_has_value_and_age_from_its_last_activity() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe(320, 2))
    happen(facts, Kind.PAGE_VIEW, T0 + 600)
    assert facts.cart_micros == 640 * PLN
    assert (facts.cart_since_s, facts.cart_idle_s, facts.cart_stage) == (T0, T0 + 600, CartStage.CART)
    assert facts.lifecycle == Lifecycle.SALES


def test_the_same_product_again_adds_pieces() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe(100))
    happen(facts, Kind.ADD_TO_CART, T0 + 1, shoe(90))
    assert [(line.quantity, line.price_micros) for line in facts.cart] == [(2, 90 * PLN)]


def test_removing_the_last_piece_ends_the_cart() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe(100, 2))
    happen(facts, Kind.REMOVE_FROM_CART, T0 + 1, shoe(100, 1))
    assert facts.cart_micros == 100 * PLN
    happen(facts, Kind.REMOVE_FROM_CART, T0 + 2, shoe(100, 1))
    assert (facts.cart, facts.cart_micros, facts.cart_idle_s, facts.cart_ended_s) == ([], 0, 0, T0 + 2)


def test_a_shown_cart_replaces_what_was_known() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe(100))
    happen(facts, Kind.VIEW_CART, T0 + 1, shoe(50, name="hat", category="hats"), value_micros=45 * PLN)
    assert [line.id for line in facts.cart] == ["hat"]
    assert facts.cart_micros == 45 * PLN


def test_an_empty_shown_cart_ends_it() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    happen(facts, Kind.VIEW_CART, T0 + 1, value_micros=0)
    assert facts.cart == []


def test_the_checkout_raises_the_stage_and_never_lowers_it() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    for kind in (Kind.BEGIN_CHECKOUT, Kind.ADD_SHIPPING_INFO, Kind.ADD_PAYMENT_INFO, Kind.VIEW_CART):
        happen(facts, kind, T0 + 1)
    assert facts.cart_stage == CartStage.PAYMENT


def test_an_untouched_cart_is_dropped_after_14_days() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    happen(facts, Kind.PAGE_VIEW, T0 + CART_LIFETIME_S)
    assert facts.cart == []
    assert facts.cart_ended_s == T0 + CART_LIFETIME_S


def test_a_purchase_ends_the_cart_and_starts_the_cool_down_of_its_categories() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    changed = happen(facts, Kind.PURCHASE, T0 + 60, order=order_key("A-1"))
    assert (facts.cart, facts.purchases, facts.purchases_micros) == ([], 1, 640 * PLN)
    assert [(row.category, row.until_s) for row in facts.cooldowns] == [("shoes", T0 + 60 + ApplyPolicy().cooldown_s)]
    assert [row.id for row in facts.bought] == ["heels"]
    assert facts.lifecycle == Lifecycle.RETENTION
    assert {"cart", "cart_micros", "purchases", "orders", "bought", "cooldowns"} <= changed


def test_an_order_sent_twice_counts_once() -> None:
    facts = Facts()
    for at_s in (T0, T0 + 1):
        happen(facts, Kind.PURCHASE, at_s, order=order_key("A-1"), value_micros=PLN)
    assert (facts.purchases, facts.purchases_micros) == (1, PLN)


def test_an_offline_purchase_is_no_visit_but_ends_the_cart() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    happen(facts, Kind.PURCHASE, T0 + 60, shoe(), offline=True)
    assert (facts.visits, facts.last_visit_s, facts.cart) == (1, T0, [])


def test_a_late_report_of_an_older_purchase_leaves_a_newer_cart_alone() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    happen(facts, Kind.PURCHASE, T0 - 3_600, shoe(10, name="hat", category="hats"), offline=True)
    assert facts.cart_micros == 640 * PLN
    assert facts.purchases == 1


def test_a_late_cart_event_does_not_refill_a_cart_that_was_bought() -> None:
    facts = Facts()
    happen(facts, Kind.PURCHASE, T0, shoe())
    happen(facts, Kind.ADD_TO_CART, T0 - 5, shoe())
    assert facts.cart == []


def test_a_refund_takes_back_the_value_once() -> None:
    facts = Facts()
    happen(facts, Kind.PURCHASE, T0, order=order_key("A-1"), value_micros=100 * PLN)
    happen(facts, Kind.REFUND, T0 + 1, order=order_key("A-1"), value_micros=30 * PLN)
    assert (facts.purchases, facts.purchases_micros) == (1, 70 * PLN)
    for _ in range(2):
        happen(facts, Kind.REFUND, T0 + 2, order=order_key("A-1"))
    assert (facts.purchases, facts.purchases_micros, facts.refunds) == (0, 0, 2)


def test_a_customer_of_200_every_two_months_is_worth_1200_a_year() -> None:
    facts = Facts()
    for number in range(4):
        at_s = T0 + number * 365 * DAY_S // 6
        happen(facts, Kind.PURCHASE, at_s, order=number + 1, value_micros=200 * PLN)
    assert facts.lifetime_value_micros == 1_200 * PLN
    assert facts.average_basket_micros == 200 * PLN


def test_the_score_adds_points_and_halves_in_a_week() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())
    assert facts.score == 15
    happen(facts, "my_quiz_done", T0 + 7 * DAY_S)
    assert facts.score == pytest.approx(7.5)


def test_products_are_bounded_and_the_newest_stay() -> None:
    facts = Facts()
    for number in range(MAX_PRODUCTS + 5):
        happen(facts, Kind.VIEW_ITEM, T0 + number, Item(str(number)))
    happen(facts, Kind.VIEW_ITEM, T0 + 100, Item("20", price_micros=5))
    assert len(facts.products) == MAX_PRODUCTS
    assert facts.products_count == 5
    assert (facts.products[-1].id, facts.products[-1].views, facts.products[-1].price_micros) == ("20", 2, 5)


def test_a_like_counts_once_a_product() -> None:
    facts = Facts()
    for _ in range(2):
        happen(facts, Kind.ADD_TO_WISHLIST, T0, Item("a"))
    assert facts.likes == 1


def test_attributes_are_learnt_and_removed() -> None:
    facts = Facts()
    assert "attributes" in happen(facts, "tier", T0, attributes={"loyalty": "gold", "margin": 3})
    happen(facts, "tier", T0, attributes={"loyalty": None})
    assert facts.attributes == {"margin": 3}
    assert "attributes" not in happen(facts, "tier", T0, attributes={"margin": 3})


def test_exit_and_recency_follow_the_clock() -> None:
    facts = Facts()
    happen(facts, Kind.PURCHASE, T0, value_micros=PLN)
    assert lifecycle_at(facts, T0 + LIFECYCLE_EXIT_S - 1) == Lifecycle.RETENTION
    assert lifecycle_at(facts, T0 + LIFECYCLE_EXIT_S) == Lifecycle.EXIT
    assert [recency_class_at(facts, T0 + days * DAY_S) for days in (0, 1, 7, 30, 90)] == [5, 4, 3, 2, 1]


def test_a_heartbeat_adds_time_on_site_only() -> None:
    facts = Facts()
    happen(facts, Kind.PAGE_VIEW, T0, path="/a")
    happen(facts, Kind.HEARTBEAT, T0 + 15, path="/b", seconds=15)
    assert (facts.seconds_on_site, facts.pages, len(facts.paths)) == (15, 1, 1)


def test_a_cart_shown_with_lines_of_no_pieces_is_an_emptied_one() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())

    changed = happen(facts, Kind.VIEW_CART, T0 + 10, shoe(quantity=0))

    assert facts.cart == []
    assert facts.cart_micros == facts.cart_idle_s == 0
    assert {"cart", "cart_micros", "cart_stage", "cart_since_s", "cart_changed_s", "cart_idle_s"} <= changed


def test_the_last_line_that_leaves_a_cart_ends_all_of_it() -> None:
    facts = Facts()
    happen(facts, Kind.ADD_TO_CART, T0, shoe())

    changed = happen(facts, Kind.REMOVE_FROM_CART, T0 + 10, shoe())

    assert facts.cart == []
    assert {"cart", "cart_micros", "cart_stage", "cart_since_s", "cart_changed_s", "cart_idle_s"} <= changed


def test_a_correction_takes_the_value_and_leaves_the_time() -> None:
    facts = Facts()
    happen(facts, Kind.PURCHASE, T0, order=order_key("A"), value_micros=10 * PLN)
    happen(facts, Kind.PURCHASE, T0 + 60, order=order_key("B"), value_micros=7 * PLN)
    happen(facts, Kind.PURCHASE, T0 + 90, order=order_key("A"), value_micros=4 * PLN, replaces=True, offline=True)
    assert (facts.purchases, facts.purchases_micros) == (2, 11 * PLN)
    assert (facts.last_purchase_s, facts.last_purchase_micros) == (T0 + 60, 7 * PLN)
    happen(facts, Kind.PURCHASE, T0 + 91, order=order_key("B"), value_micros=8 * PLN, replaces=True, offline=True)
    assert facts.last_purchase_micros == 8 * PLN
    older = happen(facts, Kind.PURCHASE, T0 + 80, order=order_key("B"), value_micros=1, replaces=True, offline=True)
    assert "purchases_micros" not in older, "a correction from before the last one"


def test_a_corrected_order_that_was_taken_back_counts_again() -> None:
    facts = Facts()
    happen(facts, Kind.PURCHASE, T0, order=order_key("A"), value_micros=10 * PLN)
    happen(facts, Kind.REFUND, T0 + 1, order=order_key("A"))
    assert (facts.purchases, facts.purchases_micros) == (0, 0)
    happen(facts, Kind.PURCHASE, T0 + 2, order=order_key("A"), value_micros=3 * PLN, replaces=True)
    assert (facts.purchases, facts.purchases_micros) == (1, 3 * PLN)


def test_a_correction_ends_no_cart() -> None:
    facts = Facts()
    happen(facts, Kind.PURCHASE, T0, order=order_key("A"), value_micros=0)
    happen(facts, Kind.ADD_TO_CART, T0 + 10, shoe())
    happen(facts, Kind.PURCHASE, T0 + 20, order=order_key("A"), value_micros=PLN, replaces=True, offline=True)
    assert [line.id for line in facts.cart] == ["heels"]
