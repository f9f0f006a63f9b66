import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import (
    GROSZ_CPM_MICROS,
    MAX_CPM_MICROS,
    FxTable,
    Money,
    MoneyError,
    ceil_to_grosz,
    cpm_from_float,
    cpm_not_below,
    cpm_to_text,
    floor_to_grosz,
    format_micros,
    impression_micros,
    parse_decimal,
    settle,
)

AMOUNTS = st.integers(-(10**17), 10**17)
RATES = st.integers(1, 10**9)
FX = FxTable("PLN", {"USD": 3_640_000, "EUR": 4_270_000})


@given(AMOUNTS)
def test_an_amount_s_text_reads_back_as_the_amount(micros: int) -> None:
    assert parse_decimal(format_micros(micros)) == micros


@pytest.mark.parametrize(
    ("micros", "text"), [(1_050_000, "1.05"), (0, "0.00"), (-1, "-0.000001"), (1_000_000, "1.00"), (123, "0.000123")]
)
def test_amounts_have_two_to_six_decimals(micros: int, text: str) -> None:
    assert format_micros(micros) == text


@pytest.mark.parametrize(
    "text", ["", "x", "NaN", "sNaN", "Infinity", "-inf", "1e13", "0.0000001", "1,5", "1." + "0" * 40 + "1"]
)
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        parse_decimal(text)


def test_amounts_add_up_in_one_currency_only() -> None:
    assert Money(2, "PLN") + Money(3, "PLN") - Money(1, "PLN") == Money(4, "PLN")
    assert str(Money(12_500_000, "PLN")) == "12.50 PLN"
    with pytest.raises(MoneyError):
        Money(1, "PLN") + Money(1, "EUR")
    with pytest.raises(MoneyError):
        Money(1, "PLN") - Money(1, "EUR")


@pytest.mark.parametrize("price", [-0.01, float("nan"), float("inf"), -float("inf"), 1_000_000.01])
def test_wire_prices_out_of_range_are_refused(price: float) -> None:
    with pytest.raises(MoneyError):
        cpm_from_float(price)


@given(st.floats(0, 1_000_000))
def test_no_micros_of_a_floor_are_below_it(floor: float) -> None:
    cpm = cpm_not_below(floor)
    assert cpm / 1_000_000 >= floor
    assert (cpm - 1) / 1_000_000 < floor


@given(st.integers(0, MAX_CPM_MICROS))
def test_a_floor_of_six_decimals_is_itself(micros: int) -> None:
    assert cpm_not_below(float(f"{micros // 1_000_000}.{micros % 1_000_000:06d}")) == micros


@given(st.integers(0, MAX_CPM_MICROS // GROSZ_CPM_MICROS))
def test_prices_on_the_grid_survive_the_wire(groszes: int) -> None:
    cpm = groszes * GROSZ_CPM_MICROS
    assert cpm_from_float(float(cpm_to_text(cpm))) == cpm
    assert decimal.Decimal(cpm_to_text(cpm)) == decimal.Decimal(groszes) / 100
    assert impression_micros(cpm) * 1000 == cpm


@given(st.integers(0, 10**12))
def test_rounding_goes_to_the_nearest_grosz_of_its_direction(cpm: int) -> None:
    down, up = floor_to_grosz(cpm), ceil_to_grosz(cpm)
    assert down <= cpm <= up
    assert up - down in (0, GROSZ_CPM_MICROS)
    assert down % GROSZ_CPM_MICROS == up % GROSZ_CPM_MICROS == 0


@pytest.mark.parametrize(
    ("bid", "second", "floor", "charge"),
    [
        (2_000_000, 1_000_000, 500_000, 1_010_000),
        (2_000_000, 0, 1_500_000, 1_510_000),
        (2_000_000, 1_999_999, 0, 2_000_000),
        (2_000_000, 3_000_000, 0, 2_000_000),
        (2_000_000, 1_000_001, 0, 1_020_000),
        (1_000_000, 0, 0, 10_000),
        (1_000_000, 1_000_000, 1_000_000, 1_000_000),
    ],
)
def test_settlement_is_the_second_price_plus_one_grosz(bid: int, second: int, floor: int, charge: int) -> None:
    assert settle(bid, second, floor) == charge


@given(st.integers(0, 10**12), RATES, RATES)
def test_a_converted_floor_is_never_below_the_original(cpm: int, first: int, second: int) -> None:
    fx = FxTable("PLN", {"AAA": first, "BBB": second})
    converted = fx.floor_cpm(cpm, "AAA", "BBB")
    assert converted * second >= cpm * first
    assert (converted - 1) * second < cpm * first


@given(st.integers(-(10**15), 10**15), RATES, RATES)
def test_conversion_rounds_half_to_even(micros: int, first: int, second: int) -> None:
    fx = FxTable("PLN", {"AAA": first, "BBB": second})
    with decimal.localcontext(prec=60):
        exact = decimal.Decimal(micros) * first / second
        assert fx.convert(micros, "AAA", "BBB") == int(exact.to_integral_value(decimal.ROUND_HALF_EVEN))


def test_one_currency_needs_no_rate() -> None:
    assert FX.rate("XXX", "XXX") == 1.0
    assert FX.convert(7, "XXX", "XXX") == 7
    assert FX.floor_cpm(7, "XXX", "XXX") == 7


def test_the_base_currency_and_the_listed_ones_are_known() -> None:
    assert FX.knows("PLN")
    assert FX.knows("USD")
    assert not FX.knows("GBP")
    assert FX.rate("USD", "PLN") == 3.64
    assert FX.rate("PLN", "USD") == pytest.approx(1 / 3.64)


def test_a_missing_rate_says_which_ones_there_are() -> None:
    with pytest.raises(MoneyError, match="GBP: the table has EUR, PLN, USD"):
        FX.rate("GBP", "PLN")
    with pytest.raises(MoneyError):
        FX.convert(1, "PLN", "GBP")
