"""Prices are written as people of the language do."""

import pytest

from creatives.templates.wording import direction_of, discount_text, language_of, price_text, words_of


@pytest.mark.parametrize(
    ("micros", "currency", "language", "text"),
    [
        (12_345_670_000, "PLN", "pl", "12 345,67 zł"), (9_990_000, "PLN", "pl", "9,99 zł"),
        (12_345_670_000, "USD", "en", "$12,345.67"), (12_345_670_000, "EUR", "de", "12.345,67 €"),
        (1_500_000_000, "JPY", "en", "¥1,500"), (12_345_670_000, "PLN", "en", "PLN 12,345.67"),
        (9_990_000, "", "pl", "9.99"),
        (10_000_000, "GBP", "en", "£10.00"),
    ],
)  # fmt: skip
def test_prices(micros: int, currency: str, language: str, text: str) -> None:
    assert price_text(micros, currency, language).replace("\u00a0", " ") == text


def test_discounts_are_never_more_than_was_taken_off() -> None:
    assert discount_text(80_000_000, 100_000_000) == "\u221220%"
    assert discount_text(199, 299) == "\u221233%"  # 33.4
    assert discount_text(999, 1_000) == ""
    assert discount_text(1, 0) == ""


def test_languages_and_their_direction() -> None:
    assert [language_of(tag) for tag in ("pl-PL", "DE", "", "xx-klingon", "ar_EG")] == ["pl", "de", "en", "en", "ar"]
    assert (direction_of("he"), direction_of("pl")) == ("rtl", "ltr")
    assert words_of("fr") == words_of("en")
