from segments.facts.facts import Facts, Product, Search
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
