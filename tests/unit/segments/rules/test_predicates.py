import pytest

from segments.rules.predicates import any_like, any_of, between, contains, equals, is_flag, like, numeric, textual


@pytest.mark.parametrize(
    ("pattern", "text", "covered"),
    [
        ("/promo/*", "/promo/", True),
        ("/promo/*", "/promo", False),
        ("*.html", "/a.HTML", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c--b", False),
        ("*ab*ab*", "xabx", False),
        ("*ab*ab*", "xabab", True),
        ("ab*b", "ab", False),
        ("**", "x", True),
        ("*", "", False),
        ("a", "A", True),
        ("a", "ab", False),
        ("a.c", "abc", False),
        ("*żółć*", "ZAŻÓŁĆI", True),
        ("*żółć", "zażóŁĆ", True),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, text: str, covered: bool) -> None:
    assert like(pattern)(text) is covered


def test_a_pattern_of_many_stars_does_not_explode() -> None:
    assert not like("*a" * 99 + "b")("a" * 200)


def test_one_of_several_patterns_is_enough() -> None:
    match = any_like(["a*", "b"])
    assert [match(text) for text in ("ax", "B", "bx", "")] == [True, True, False, False]


def test_without_a_pattern_everything_matches() -> None:
    assert any_like([])("") is True


def test_texts_compare_without_case() -> None:
    assert equals("Straße")("STRASSE")
    assert contains("SZPIL")("czerwone szpilki")
    assert any_of(["Facebook", "x"], "in")("facebook")
    assert any_of(["pil", "x"], "contains")("szPILki")
    assert any_of(["*ki"], "like")("szpilki")


@pytest.mark.parametrize(
    ("operator", "results"),
    [
        ("=", [False, True, False]), ("!=", [True, False, True]), ("<", [True, False, False]),
        ("<=", [True, True, False]), (">", [False, False, True]), (">=", [False, True, True]),
    ],
)  # fmt: skip
def test_numbers_compare_as_written(operator: str, results: list[bool]) -> None:
    holds = numeric(operator, 2)
    assert [holds(value) for value in (1, 2.0, 3)] == results


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("value", [True, "2", None])
def test_what_is_no_number_never_compares_as_one(operator: str, value: bool | str | None) -> None:
    assert not numeric(operator, 1)(value)


def test_a_range_includes_both_ends() -> None:
    assert [between(1, 3)(value) for value in (0, 1, 3, 4, True)] == [False, True, True, False, False]


def test_yes_and_no_are_not_one_and_zero() -> None:
    assert is_flag(True)(True)
    assert not is_flag(True)(1)


def test_of_several_texts_one_is_enough() -> None:
    holds = textual(equals("a"))
    assert [holds(value) for value in ("a", ("b", "A"), ("b",), (), 3)] == [True, True, False, False, False]
