from segments.facts.facts import Bought, CartLine, Facts, Product, Search, Traits
from segments.rules.happenings import SOURCES, source_of
from segments.rules.parser import VERBS


def test_every_verb_has_a_source_and_every_source_a_verb() -> None:
    assert {verb for verb, _ in SOURCES} | {"purchased"} == VERBS


def test_purchased_is_another_word_for_bought() -> None:
    assert source_of("purchased", "category", patterned=True) is SOURCES["bought", "category"]


def test_a_text_after_visited_is_a_page() -> None:
    assert source_of("visited", "", patterned=True) is SOURCES["visited", "page"]
    assert source_of("visited", "", patterned=False) is SOURCES["visited", ""]


def test_an_object_that_a_verb_does_not_know_has_no_source() -> None:
    assert source_of("searched", "product", patterned=True) is None


def test_rows_say_what_and_when() -> None:
    facts = Facts(
        products=[Product("a", "shoes", 5), Product("b", "hats", 6, liked=True)],
        searches=[Search("red shoes", 8)],
        events={"sign_up": 9},
    )
    assert SOURCES["viewed", ""].rows(facts) == [("", 5), ("", 6)]
    assert SOURCES["viewed", "category"].rows(facts) == [("shoes", 5), ("hats", 6)]
    assert SOURCES["liked", "product"].rows(facts) == [("b", 6)]
    assert SOURCES["searched", ""].rows(facts) == [("red shoes", 8)]
    assert SOURCES["did", ""].rows(facts) == [("sign_up", 9)]


def test_rows_say_what_products_were_like() -> None:
    shoe = Traits("high", "Gino", ("outlet", "new"), on_sale=True)
    facts = Facts(
        products=[Product("a", "shoes", 5, 200, traits=shoe), Product("b", "hats", 6)],
        bought=[Bought("a", "shoes", 7, price_micros=150, traits=shoe)],
        cart=[CartLine("c", "hats", 90, since_s=8, traits=Traits(brand="Nina"))],
    )
    assert SOURCES["viewed", "margin"].rows(facts) == [("high", 5)]
    assert SOURCES["viewed", "label"].rows(facts) == [("outlet\nnew", 5)]
    assert SOURCES["viewed", "price"].rows(facts) == [("200", 5)]
    assert SOURCES["bought", "price"].rows(facts) == [("150", 7)]
    assert SOURCES["bought", "on_sale"].rows(facts) == [("", 7)]
    assert SOURCES["added", "brand"].rows(facts) == [("Nina", 8)]
    assert SOURCES["added", "margin"].rows(facts) == []
