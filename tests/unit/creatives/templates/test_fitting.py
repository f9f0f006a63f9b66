"""Titles are shortened by whole words to what fits."""

import pytest

from creatives.templates.fitting import shortened, width_of


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
