import pytest

from segments.rules.patterns import TextPatterns, contains, like, one_of


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
    assert like(pattern)(text.casefold()) is covered
    assert TextPatterns([pattern]).covers(text.casefold()) is covered
    assert bool(TextPatterns([pattern]).select({text.casefold(): [1]})) is covered


def test_a_pattern_of_many_stars_does_not_explode() -> None:
    assert not like("*a" * 99 + "b")("a" * 200)


def test_one_of_several_patterns_is_enough() -> None:
    patterns = TextPatterns(["a*", "B"])
    assert [patterns.covers(text) for text in ("ax", "b", "bx", "")] == [True, True, False, False]


def test_without_a_pattern_everything_is_covered() -> None:
    assert TextPatterns([]).covers("")
    assert TextPatterns([]).select({"": [1], "a": [2, 3]}) == [1, 2, 3]


@pytest.mark.parametrize(
    ("patterns", "moments"),
    [
        (["A"], [1, 2]),
        (["a", "x"], [1, 2]),
        (["*b"], [3, 4]),
        (["a", "b*"], [1, 2, 3]),
        (["*"], [1, 2, 3, 4]),
        (["a", "*c*"], [1, 2, 4]),
    ],
)
def test_the_moments_of_all_covered_texts_are_selected(patterns: list[str], moments: list[int]) -> None:
    assert TextPatterns(patterns).select({"": [9], "a": [1, 2], "b": [3], "cb": [4]}) == moments


def test_texts_compare_without_case() -> None:
    assert one_of(["Straße"])("STRASSE".casefold())
    assert contains(["SZPIL"])("czerwone szpilki")
    assert contains(["pil", "x"])("szpilki")
    assert not contains(["q", "x"])("szpilki")
