from segments.facts.apply import apply_event
from segments.facts.event import Event, Item, Kind
from segments.facts.facts import FOREVER_S, Bought, CartLine, Facts, Product, Traits
from segments.facts.merge import merge
from segments.facts.traits import BRAND, MARGIN, REDUCED, Detail, asked_for, reduced_at, reduced_changes, refresh_traits

NOW_S = 1_790_000_000
SHOE = Detail(199_000_000, Traits("high", "Gino", ("outlet", "new"), True, 5, 9))
DEAR = Detail(250_000_000, Traits("low"))


def event(kind: str, *items: Item, at_s: int = NOW_S, order: int = 0) -> Event:
    return Event(kind, 1, "A" * 22, at_s * 1000, items=items, order=order)


def test_only_what_rules_ask_for_is_kept() -> None:
    assert asked_for(SHOE, frozenset()) == Detail()
    assert asked_for(SHOE, frozenset({MARGIN})) == Detail(0, Traits("high"))
    assert asked_for(SHOE, frozenset({REDUCED})) == Detail(0, Traits(reduced_from_s=5, reduced_to_s=9))
    long = Detail(0, Traits(brand="x" * 500, labels=("y",) * 9))
    kept = asked_for(long, frozenset({BRAND, "label"})).traits
    assert (len(kept.brand), len(kept.labels)) == (60, 5)


def test_an_event_notes_what_its_products_were_like() -> None:
    facts = Facts()
    apply_event(facts, event(Kind.VIEW_ITEM, Item("a"), Item("b", price_micros=7)), details={"a": SHOE, "b": DEAR})
    assert [(one.price_micros, one.traits) for one in facts.products] == [(199_000_000, SHOE.traits), (7, DEAR.traits)]
    changed = apply_event(facts, event(Kind.ADD_TO_CART, Item("a")), details={"a": SHOE})
    assert "cart" in changed
    assert facts.cart[0].traits == SHOE.traits
    assert facts.cart[0].price_micros == 0  # a cart is worth what the shop's page said


def test_traits_stay_what_they_were_at_the_event() -> None:
    facts = Facts()
    apply_event(facts, event(Kind.VIEW_ITEM, Item("a")), details={"a": SHOE})
    apply_event(facts, event(Kind.PAGE_VIEW, at_s=NOW_S + 60))
    assert facts.products[0].traits == SHOE.traits
    apply_event(facts, event(Kind.VIEW_ITEM, Item("a"), at_s=NOW_S + 90), details={"a": DEAR})
    assert facts.products[0].traits == DEAR.traits


def test_an_event_that_comes_late_does_not_change_what_came_after_it() -> None:
    facts = Facts()
    apply_event(facts, event(Kind.VIEW_ITEM, Item("a")), details={"a": SHOE})
    apply_event(facts, event(Kind.VIEW_ITEM, Item("a"), at_s=NOW_S - 90), details={"a": DEAR})
    assert facts.products[0].traits == SHOE.traits


def test_a_purchase_of_the_cart_takes_its_traits_along() -> None:
    facts = Facts()
    apply_event(facts, event(Kind.ADD_TO_CART, Item("a", price_micros=5)), details={"a": SHOE})
    apply_event(facts, event(Kind.PURCHASE, order=1, at_s=NOW_S + 5))
    assert (facts.bought[0].price_micros, facts.bought[0].traits) == (5, SHOE.traits)
    apply_event(facts, event(Kind.PURCHASE, Item("b"), order=2, at_s=NOW_S + 9), details={"b": DEAR})
    assert (facts.bought[1].price_micros, facts.bought[1].traits) == (250_000_000, DEAR.traits)


def test_the_cart_page_keeps_the_traits_of_its_lines() -> None:
    facts = Facts()
    apply_event(facts, event(Kind.ADD_TO_CART, Item("a")), details={"a": SHOE})
    apply_event(facts, event(Kind.VIEW_CART, Item("a"), Item("b"), at_s=NOW_S + 5), details={"a": DEAR, "b": DEAR})
    assert [line.traits for line in facts.cart] == [SHOE.traits, DEAR.traits]


def test_a_refresh_fills_what_is_missing_and_changes_the_reduction_only() -> None:
    facts = Facts(
        products=[Product("a", traits=Traits("low")), Product("b")], bought=[Bought("b")], cart=[CartLine("z")]
    )
    assert refresh_traits(facts, {"a": SHOE, "b": DEAR}) == {"products", "bought"}
    assert facts.products[0].traits == Traits("low", reduced_from_s=5, reduced_to_s=9)
    assert facts.products[1].traits == facts.bought[0].traits == DEAR.traits
    assert facts.bought[0].price_micros == 250_000_000
    assert refresh_traits(facts, {"a": SHOE, "b": DEAR}) == frozenset()


def test_reduced_products_are_those_seen_and_not_bought_since() -> None:
    ends = {"a": 9, "b": FOREVER_S, "c": 9, "d": 0}
    facts = Facts(
        products=[Product(name, seen_s=4, traits=Traits(reduced_from_s=5, reduced_to_s=end))
                  for name, end in ends.items()],
        bought=[Bought("c", bought_s=4), Bought("b", bought_s=3)],
    )  # fmt: skip
    assert [reduced_at(facts, now_s) for now_s in (4, 5, 8, 9)] == [0, 2, 2, 1]
    assert sorted(set(reduced_changes(facts))) == [5, 9]


def test_two_devices_keep_what_either_knows() -> None:
    mine = Facts(products=[Product("a", seen_s=9)], bought=[Bought("a", bought_s=5, price_micros=3)])
    other = Facts(products=[Product("a", seen_s=5, traits=Traits("high"))], bought=[Bought("a", bought_s=9)])
    merge(mine, "A", other, "B")
    assert mine.products[0].traits == Traits("high")
    assert mine.bought[0].price_micros == 3
