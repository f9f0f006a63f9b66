"""Texts and addresses of feeds are cleaned once, and nothing that could run is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creatives.feeds.text import clean_text, clean_url, unescape


@pytest.mark.parametrize(
    ("raw", "clean", "marks"),
    [
        ("Plain title", "Plain title", []),
        ("Tom &amp; Jerry", "Tom & Jerry", ["escaped_twice"]),
        ("&amp;amp;", "&amp;", ["escaped_twice"]),
        ("A <b>bold</b> thing", "A bold thing", ["markup"]),
        ("&lt;p&gt;Opis&lt;/p&gt;", "Opis", ["escaped_twice", "markup"]),
        ("<script>alert(1)</script>Shoe", "Shoe", ["markup"]),
        ("5 < 6 and 7 > 6", "5 < 6 and 7 > 6", []),
        ("two\n lines\u00a0 here ", "two lines here", []),
        ("Shoe\x00\x0b", "Shoe", ["control_characters"]),
        ("BrÃ¼cke", "BrÃ¼cke", ["mojibake"]),
        ("25Â°", "25Â°", ["mojibake"]),
        ("\xc5\u201auk", "\xc5\u201auk", ["mojibake"]),
        ("Århus", "Århus", []),
        ("SÃO PAULO", "SÃO PAULO", []),
        ("?a=1&copy=2", "?a=1&copy=2", []),
        ("&bogus; &#0; &#xD800;", "&bogus;", ["escaped_twice"]),
    ],
)
def test_a_text_is_cleaned_and_what_was_found_is_named(raw: str, clean: str, marks: list[str]) -> None:
    found: list[str] = []
    assert clean_text(raw, found) == clean
    assert found == marks


@given(st.text(max_size=60))
def test_a_cleaned_text_is_one_line_without_control_characters(raw: str) -> None:
    clean = clean_text(raw, [])
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in clean)
    assert clean == clean.strip()
    assert "  " not in clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("https://a.example/p?x=1&y=2#z", "https://a.example/p?x=1&y=2#z"),
        (" HTTP://a.example/ ", "http://a.example/"),
        ("//cdn.a.example/1.jpg", "https://cdn.a.example/1.jpg"),
        ("https://a.example/ż ó", "https://a.example/%C5%BC%20%C3%B3"),
        ("https://żółć.example/a", "https://xn--kda4b0koi.example/a"),
        ("https://a.example/%D8%AD", "https://a.example/%D8%AD"),
        ('https://a.example/"onload="x', "https://a.example/%22onload=%22x"),
        ("https://a.example/?x=1&amp;y=2", "https://a.example/?x=1&y=2"),
        ("javascript:alert(1)", ""), ("data:text/html,x", ""), ("/p/1", ""), ("https://", ""), ("https:///p", ""),
        ("https://user:pass@a.example/", ""), ("https://a.example\\@evil.example", ""), ("https://a.example/\nx", ""),
        ("ftp://a.example/", ""), ("", ""), ("https://?x", ""),
    ],
)  # fmt: skip
def test_an_address_is_http_and_safe_in_markup_or_none(raw: str, clean: str) -> None:
    assert clean_url(raw) == clean


@given(st.text(max_size=60))
def test_a_cleaned_address_has_nothing_that_ends_an_attribute(raw: str) -> None:
    url = clean_url(f"https://a.example/{raw}")
    assert url.isascii()
    assert not set(url) & set('"<> \\^`{|}')


def test_only_references_with_a_semicolon_are_replaced() -> None:
    assert unescape("&copy &copy; &#65; &#x42;") == "&copy © A B"


@pytest.mark.parametrize("mark", ["<!--", "<script>", "<style ", "<a", "&a"])
def test_a_text_of_openings_alone_costs_no_more_than_its_length(mark: str) -> None:
    assert len(clean_text("Shoe " + mark * 60_000, [])) <= 5 + len(mark) * 60_000
    assert clean_text("Shoe <!-- new", []) == "Shoe"
    assert clean_text("Shoe <script>alert(1)", []) == "Shoe"
