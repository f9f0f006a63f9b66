"""Prices as real feeds write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creatives.feeds.prices import NotAPrice, parse_price


@pytest.mark.parametrize(
    ("text", "micros", "currency"),
    [
        ("15.00 PLN", 15_000_000, "PLN"), ("15 PLN", 15_000_000, "PLN"), ("PLN 15", 15_000_000, "PLN"),
        ("32.0 USD", 32_000_000, "USD"), ("15.00PLN", 15_000_000, "PLN"), ("15 pln", 15_000_000, "PLN"),
        ("1 299,00 zł", 1_299_000_000, "PLN"), ("1\u00a0299,00\u202fzł", 1_299_000_000, "PLN"),
        ("1.299,50 EUR", 1_299_500_000, "EUR"), ("1,299.50 USD", 1_299_500_000, "USD"),
        ("1,299 USD", 1_299_000_000, "USD"),
        ("1.299.000 CZK", 1_299_000_000_000, "CZK"), ("12,5 PLN", 12_500_000, "PLN"),
        ("€ 15", 15_000_000, "EUR"),
        ("1299,- Kč", 1_299_000_000, "CZK"), ("362.00800000000004 SAR", 362_010_000, "SAR"),
        ("1'299.00 CHF", 1_299_000_000, "CHF"), ("1.234 KWD", 1_234_000, "KWD"), ("100 RUR", 100_000_000, "RUB"),
        ("15.000 Ft", 15_000_000_000, "HUF"), ("1.299 JPY", 1_299_000_000, "JPY"),
        ("15 lei", 15_000_000, "RON"), ("15,50 Lei", 15_500_000, "RON"), ("12 лв.", 12_000_000, "BGN"),
        ("R$ 15,00", 15_000_000, "BRL"), ("0.999 EUR", 1_000_000, "EUR"), ("1299.990 PLN", 1_299_990_000, "PLN"),
        (" 7 GBP ", 7_000_000, "GBP"), ("0.01 PLN", 10_000, "PLN"), ("10000000 PLN", 10_000_000_000_000, "PLN"),
        ("£1,299.00 GBP", 1_299_000_000, "GBP"), ("PLN 1 299,00 zł", 1_299_000_000, "PLN"),
        ("$12.50 CAD", 12_500_000, "CAD"), ("15.00 euro", 15_000_000, "EUR"),
        ("INR 1,23,456.00", 123_456_000_000, "INR"), ("₹12,34,567", 1_234_567_000_000, "INR"),
        ("₪ 99.90", 99_900_000, "ILS"), ("1 990 руб.", 1_990_000_000, "RUB"), ("₫150.000", 150_000_000_000, "VND"),  # noqa: RUF001
        ("٣ SAR", 3_000_000, "SAR"), ("\u0661\u066c\u0662\u0669\u0669\u066b\u0665\u0660 SAR", 1_299_500_000, "SAR"),
        ("\u06f1\u06f2\u06f9 AED", 129_000_000, "AED"),
        ("\u200f99.50\xa0ر.س", 99_500_000, "SAR"), ("99.50 ر.س.", 99_500_000, "SAR"), ("د.إ99.00", 99_000_000, "AED"),
        ("1.250 د.ك", 1_250_000, "KWD"),
    ],
)  # fmt: skip
def test_the_usual_spellings_are_read(text: str, micros: int, currency: str) -> None:
    assert parse_price(text) == (micros, currency, False)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("15.00", "no_currency"), ("$12", "no_currency"), ("12 kr", "no_currency"), ("113.25.00 SAR", "not_a_price"),
        ("362.00800000000004.00 SAR", "not_a_price"), ("12 34 PLN", "not_a_price"), ("", "not_a_price"),
        ("abc", "not_a_price"), ("15.00 ABC", "not_a_price"), ("15 szt", "not_a_price"), ("15,00 net", "not_a_price"),
        ("1.299 EUR", "ambiguous_price"), ("12.500 zł", "ambiguous_price"),
        ("od 15 PLN", "not_a_price"), ("PLN 15 EUR", "not_a_price"), ("1,2,3 PLN", "not_a_price"),
        ("0 PLN", "price_not_positive"), ("-5 PLN", "price_not_positive"), ("10000001 PLN", "not_a_price"),
        ("٣ DHL", "not_a_price"), ("£12 EUR", "not_a_price"), ("$12 PLN", "no_currency"),
        ("1,23,45 INR", "not_a_price"), ("1,2,345,678 INR", "not_a_price"), ("1.23.456 INR", "not_a_price"),
        ("1e3 PLN", "not_a_price"), ("15.00 PLN/szt", "not_a_price"), ("NaN PLN", "not_a_price"),
    ],
)  # fmt: skip
def test_what_is_not_certainly_a_price_is_none(text: str, code: str) -> None:
    with pytest.raises(NotAPrice) as refused:
        parse_price(text)
    assert refused.value.code == code


def test_a_default_currency_is_taken_only_where_none_is_written() -> None:
    assert parse_price("15.00", "PLN") == (15_000_000, "PLN", True)
    assert parse_price("15.00 EUR", "PLN") == (15_000_000, "EUR", False)
    assert parse_price("$15", "CAD") == (15_000_000, "CAD", False)
    with pytest.raises(NotAPrice):
        parse_price("$15", "HUF")


@given(st.integers(1, 999_999_999), st.sampled_from([".", ","]), st.sampled_from(["", " ", "\u00a0"]))
def test_every_amount_comes_back_whatever_separators_it_is_written_with(cents: int, point: str, group: str) -> None:
    whole = f"{cents // 100:,}".replace(",", group)
    assert parse_price(f"{whole}{point}{cents % 100:02} PLN") == (cents * 10_000, "PLN", False)


@given(st.text(max_size=30))
def test_any_text_is_a_price_or_a_named_fault(text: str) -> None:
    try:
        micros, currency, _ = parse_price(text, "PLN")
    except NotAPrice as fault:
        micros, currency = (
            1,
            {"not_a_price": "PLN", "ambiguous_price": "PLN", "no_currency": "PLN", "price_not_positive": "PLN"}[
                fault.code
            ],
        )
    assert micros > 0
    assert len(currency) == 3
