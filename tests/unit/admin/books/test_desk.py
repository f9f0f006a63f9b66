"""Amounts of corrections, before anything is opened."""

import pytest

from admin.books.desk import micros_of
from core.errors import InputError
from core.money import MAX_BUDGET_MICROS, format_micros


@pytest.mark.parametrize(("text", "micros"), [("0", 0), ("-1.5", -1_500_000), ("0.000001", 1)])
def test_an_amount_is_read_to_the_micro(text: str, micros: int) -> None:
    assert micros_of(text) == micros
    assert micros_of(format_micros(-MAX_BUDGET_MICROS)) == -MAX_BUDGET_MICROS


@pytest.mark.parametrize("text", ["nan", "inf", "", "1e3x", "1.0000001", "9000000000.01", "-9" + "0" * 10])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="amount"):
        micros_of(text)
