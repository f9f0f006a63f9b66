import pytest

from core.stars import with_stars


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "", True),
        ("/a/*", "/a/", True),
        ("/a/*", "/b/", False),
        ("*/a", "/a/a", True),
        ("a*a", "a", False),  # one letter cannot be both ends
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c--b", False),
        ("*b*b*", "ab", False),
        ("A*", "a", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, text: str, fits: bool) -> None:
    assert with_stars(pattern)(text) is fits
