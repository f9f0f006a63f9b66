import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.cli.cells import CellError, identifier, number, truth


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("120.00", "120"), ("120.50", "120.50"), ("120,50", "120.50"), ("12,5", "12.5"), ("0,234", "0.234"),
        ("1 234,56", "1234.56"), ("1\u00a0234,56", "1234.56"), ("1\u202f234\u202f567,89", "1234567.89"),
        ("1 234", "1234"), ("1.234,56", "1234.56"), ("1,234.56", "1234.56"), ("1,234,567", "1234567"),
        ("1.234.567", "1234567"), ("1234,567", "1234.567"), ("-5", "-5"), ("+5", "5"), ("2,00", "2"), (",5", "0.5"),
        ("1.5E+2", "1.5E+2"), ("1,5e2", "1.5e2"), ("007", "007"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("comma_country", [True, False])
def test_a_number_with_one_reading_is_read(cell: str, read: str, comma_country: bool) -> None:
    assert number(cell, comma_country=comma_country) == read


def test_a_point_and_three_digits_depend_on_the_country() -> None:
    assert number("1.234", comma_country=False) == "1.234"
    with pytest.raises(CellError, match=r"1234 in one country and 1\.234 in another"):
        number("1.234", comma_country=True)


@pytest.mark.parametrize(
    "cell",
    [
        "1,234",
        "120,50 zł",
        "1 23",
        "1 2345",
        "12.34.56",
        "1,5,0",
        "dear",
        "1\n",
        "½",
        "١٢",
        "NaN",
        "inf",
        "0x1F",
        "1_000",
    ],
)
def test_a_number_with_two_readings_or_none_is_refused(cell: str) -> None:
    with pytest.raises(CellError):
        number(cell, comma_country=False)


@given(st.text(max_size=12), st.booleans())
def test_what_is_read_is_a_number_with_a_point_or_nothing(text: str, comma_country: bool) -> None:
    try:
        read = number(text, comma_country=comma_country)
    except CellError:
        return
    float(read)
    assert read.isascii()
    assert read.strip() == read


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2))
def test_every_price_of_a_polish_spreadsheet_is_read_exactly(price: object) -> None:
    written = f"{price:,}".replace(",", "\u00a0").replace(".", ",")
    assert float(number(written, comma_country=True)) == float(str(price))


@pytest.mark.parametrize(("cell", "read"), [("PRAWDA", "true"), ("fałsz", "false"), ("TRUE", "true"), ("0", "false")])
def test_truth_is_read_in_polish_too(cell: str, read: str) -> None:
    assert truth(cell) == read


def test_what_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(CellError):
        truth("maybe")


def test_an_id_that_a_spreadsheet_has_rounded_is_refused() -> None:
    assert identifier("A-1,5E") == "A-1,5E"
    for cell in ("1,23457E+11", "1.23457e+11"):
        with pytest.raises(CellError, match="rounded by the spreadsheet"):
            identifier(cell)


@pytest.mark.parametrize("cell", ["#N/A", "#N/D!", "#N/D", "#REF!", "#ARG!", "#NAZWA?", "#DIV/0!", "#VALUE!"])
def test_an_error_of_the_spreadsheet_is_no_id(cell: str) -> None:
    with pytest.raises(CellError, match="error of the spreadsheet"):
        identifier(cell)
    assert identifier("#1001") == "#1001"
