"""Titles are shortened by whole words to what fits."""

import pytest

from creatives.templates.fitting import LEAST_HALVES, MOST_HALVES, bold_em, price_class, shortened, width_of
from creatives.templates.library import BASE_CSS


def test_what_fits_stays() -> None:
    assert shortened("Red  heels ", 200, 14, 1) == "Red heels"


def test_words_are_left_out_whole() -> None:
    text = shortened("Wodoodporny plecak turystyczny trekkingowy Himalaya", 120, 14, 2)
    assert text.endswith("…")
    assert "Wodoodporny plecak turystyczny trekkingowy Himalaya".startswith(text[:-1])
    assert text[:-1].split() == text[:-1].split(" ")


@pytest.mark.parametrize("word", ["W" * 200, "Donaudampfschifffahrtsgesellschaftskapitän" * 3, "皮" * 80, "é" * 90])
def test_a_long_word_is_cut(word: str) -> None:
    text = shortened(word, 100, 12, 2)
    assert text.endswith("…")
    assert width_of(text, 12) <= 200


def test_nothing_is_nothing() -> None:
    assert shortened("", 100, 12, 1) == ""


@pytest.mark.parametrize(("price", "name"), [("1 zł", "e6"), ("399,00\u00a0zł", "e13"), ("9" * 40, "e24")])
def test_the_class_of_a_price_says_how_wide_it_is(price: str, name: str) -> None:
    assert price_class(price) == name


def test_each_class_of_a_price_has_its_rule() -> None:
    for halves in range(LEAST_HALVES, MOST_HALVES + 1):
        assert f".e{halves}{{--price-em:{halves / 2:g}}}" in BASE_CSS


def test_signs_that_are_wider_than_letters_and_those_that_are_nothing_are_counted_so() -> None:
    assert width_of("👟" * 10, 10) > width_of("W" * 10, 10)
    assert width_of("a\u200db\ufe0f", 10) == width_of("ab", 10)
    assert bold_em("") == 1.0
