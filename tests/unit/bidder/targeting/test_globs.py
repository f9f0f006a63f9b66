import fnmatch
import types
from collections.abc import Iterator

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


class Unread(str):
    """A text that may be searched, but not walked through."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("each character was looked at")


@pytest.mark.parametrize("pattern", ["/buty/?*", "/*sale?", "/*a?b*c", "/[0-9]*/buty"])
def test_a_path_without_a_plain_part_of_the_pattern_is_not_walked_through(pattern: str) -> None:
    assert not compiled(pattern)(Unread("/torebki/" + "a" * 2_000))


def test_each_bracket_is_asked_once_about_each_character_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def match(character: str) -> bool:
        asked.append(character)
        return character == "a"

    monkeypatch.setattr(
        "bidder.targeting.globs.re", types.SimpleNamespace(compile=lambda _text: types.SimpleNamespace(match=match))
    )
    fits = compiled.__wrapped__("/*[a][a][a]x*")
    monkeypatch.undo()
    assert fits("/" + "ab" * 500 + "aaax")
    assert sorted(asked) == sorted("/abx" * 3)
