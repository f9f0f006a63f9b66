from segments.facts import Facts, Product, Search
from segments.rules.happenings import SOURCES, source_of
from segments.rules.parser import VERBS
from segments.rules.predicates import like


def test_every_verb_has_a_source_and_every_source_a_verb() -> None:
    assert {verb for verb, _ in SOURCES} | {"purchased"} == VERBS


def test_purchased_is_another_word_for_bought() -> None:
    assert source_of("purchased", "category", patterned=True) is SOURCES["bought", "category"]


def test_a_text_after_visited_is_a_page() -> None:
    assert source_of("visited", "", patterned=True) is SOURCES["visited", "page"]
    assert source_of("visited", "", patterned=False) is SOURCES["visited", ""]


def test_an_object_that_a_verb_does_not_know_has_no_source() -> None:
    assert source_of("searched", "product", patterned=True) is None


def test_only_what_matches_counts() -> None:
    facts = Facts(
        products=[Product("a", "shoes", 5), Product("b", "hats", 6, liked=True), Product("c", "", 7)],
        searches=[Search("red shoes", 8)],
    )
    assert SOURCES["viewed", ""].moments(facts, like("*")) == [5, 6, 7]
    assert SOURCES["viewed", "category"].moments(facts, like("*")) == [5, 6]
    assert SOURCES["viewed", "product"].moments(facts, like("B")) == [6]
    assert SOURCES["liked", ""].moments(facts, like("*")) == [6]
    assert SOURCES["searched", ""].moments(facts, like("*shoes")) == [8]
