import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.targeting.globs import compiled


@given(st.text("ab*?[]!-/", max_size=10), st.text("ab[]!-/\n", max_size=8))
def test_a_glob_means_what_it_means_in_a_shell(pattern: str, text: str) -> None:
    assert compiled(pattern)(text) == fnmatch.fnmatchcase(text, pattern)


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("/buty", "/buty", "/buty/38"),
        ("/buty/*", "/buty/38", "/BUTY/38"),
        ("/*/sale*2026", "/buty/sale/2026", "/buty/2026"),
        ("/buty/??", "/buty/38", "/buty/380"),
        ("/[ab]*[!0-9]", "/a1b", "/a11"),
        ("/[open*", "/[open]", "/open"),
    ],
)
def test_globs_of_paths(pattern: str, fitting: str, other: str) -> None:
    assert compiled(pattern)(fitting)
    assert not compiled(pattern)(other)


def test_a_pattern_of_many_signs_takes_no_more_steps_than_the_path_is_long() -> None:
    # A regular expression tries these at each place of the path anew, and with each length between the stars.
    for pattern in (
        "/*" + "?" * 500 + "x",
        "/" + "*a" * 250 + "x",
        "/*" + "[a-c]" * 100 + "x",
        "/*" + "a" * 500 + "?x",
    ):
        assert not compiled(pattern)("/" + "a" * 2_000)
        assert compiled(pattern)("/" + "a" * 2_000 + "x")
