from segments.facts.facts import CART_LIFETIME_S, FOREVER_S, LIFECYCLE_EXIT_S, CartLine, Facts, Lifecycle, Product
from segments.rules.happenings import SOURCES
from segments.rules.view import View
from segments.rules.vocabulary import FACTS


def test_events_are_grouped_by_folded_text() -> None:
    facts = Facts(products=[Product("1", "Shoes", 5), Product("2", "shoes", 6), Product("3", "", 7)])
    assert View(facts, 9).column(SOURCES["viewed", "category"]) == {"shoes": [5, 6], "": [7]}


def test_a_column_is_made_once() -> None:
    view = View(Facts(products=[Product("1", "a", 5)]), 9)
    assert view.column(SOURCES["viewed", "product"]) is view.column(SOURCES["viewed", "product"])
    assert view.column(SOURCES["viewed", "product"]) != view.column(SOURCES["viewed", "category"])


def test_a_fact_that_changes_with_time_comes_in_pieces() -> None:
    facts = Facts(lifecycle=Lifecycle.SALES, last_visit_s=100)
    lifecycle = FACTS["lifecycle"]
    end = 100 + LIFECYCLE_EXIT_S
    assert View(facts, 100).pieces(lifecycle) == [(0, end, Lifecycle.SALES), (end, FOREVER_S, Lifecycle.EXIT)]
    assert View(facts, end).pieces(lifecycle) == [(0, FOREVER_S, Lifecycle.EXIT)]


def test_time_in_which_a_fact_has_no_value_is_in_no_piece() -> None:
    facts = Facts(cart=[CartLine("x")], cart_since_s=50, cart_changed_s=60)
    assert View(facts, 70).pieces(FACTS["cart"]) == [(0, 60 + CART_LIFETIME_S, 50)]
    assert View(Facts(), 70).pieces(FACTS["cart"]) == []
