"""An exchange's bill against the ledger."""

import datetime

import pytest

from admin.books.bills import (
    MAX_DAYS,
    ExchangeBill,
    added,
    compare,
    days_of,
    read_bill,
    require_same_currencies,
)
from core.errors import InputError

DAY = datetime.date(2026, 11, 1)
ONE_DAY = datetime.timedelta(days=1)
MAPPING = {"day": "Date", "line_item": "Campaign", "impressions": "Imps", "amount": "Total cost"}


def test_a_bill_is_read_by_its_own_columns_and_added_up() -> None:
    lines = ("Date;Campaign;Imps;Total cost;Note", "01.11.2026;7;1 000;12,50;x", "01.11.2026;7;1;0,000001;",
             "02.11.2026;8;5;3;y")  # fmt: skip
    text = "\ufeff" + "\n".join(lines)
    assert read_bill(text, MAPPING, "%d.%m.%Y").sums == {
        (DAY, 7): (1_001, 12_500_001), (datetime.date(2026, 11, 2), 8): (5, 3_000_000),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "micros"),
    [
        ("1,234.50", 1_234_500_000), ("1.234,50", 1_234_500_000), ("1 234,50", 1_234_500_000), ("12.5", 12_500_000),
        ("1,234", 1_234_000_000), ("12,5", 12_500_000), ("-3.00", -3_000_000), ("1'000.00", 1_000_000_000),
    ],
)  # fmt: skip
def test_amounts_are_read_as_bills_write_them(amount: str, micros: int) -> None:
    text = f'day\tline_item\timpressions\tamount\n2026-11-01\t7\t1\t"{amount}"\n'
    assert read_bill(text, {}).sums == {(DAY, 7): (1, micros)}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("day,line_item,impressions\n2026-11-01,7,1\n", "no column 'amount'"),
        ("day,line_item,impressions,amount\nyesterday,7,1,2\n", "line 2"),
        ("day,line_item,impressions,amount\n2026-11-01,7,1,2\n2026-11-01,x,1,2\n", "line 3"),
        ("day,line_item,impressions,amount\n2026-11-01,7,1,NaN\n", "line 2"),
        ("day,line_item,impressions,amount\n2026-11-01,7,,2\n", "line 2"),
    ],
)
def test_a_bill_that_cannot_be_read_says_where(text: str, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read_bill(text, {})
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("30.11.2026,7,1,1", "line 2: '30.11.2026' is no day of the form %Y-%m-%d"),
        ("2026-11-01,\x1b[2J,1,1", r"line 2: '\x1b[2J' is no number"),
        ("2026-11-01,7,1.5,1", "line 2: '1.5' is no whole number"),
        ("2026-11-01,7,1,=1+1", "line 2: '=1+1' is no number"),
        ("2026-11-01,7,1,1e400", "line 2: '1e400' is no number that a bill could have"),
        ("2026-11-01,7,99999999999999,1", "is no number that a bill could have"),
        ("2026-11-01,7,1,nan", "line 2: 'nan' is no number that a bill could have"),
        (f"2026-11-01,7,1,{'1' * 200_000}", "the bill is no CSV: field larger than"),
    ],
)
def test_what_no_bill_says_is_refused_in_plain_words(line: str, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read_bill(f"day,line_item,impressions,amount\n{line}\n", {})
    assert fault in str(error.value)


def test_an_unknown_mapping_is_refused() -> None:
    with pytest.raises(InputError, match="cost"):
        read_bill("", {"cost": "Cost"})


def test_differences_are_told_by_day_and_line_item() -> None:
    ledger = added([(DAY, 7, 600, 5_000_000), (DAY, 7, 400, 5_000_000), (DAY, 8, 10, 1_000_000), (DAY, 9, 1, 1)])
    bill = {(DAY, 7): (1_005, 10_050_000), (DAY, 8): (12, 1_000_000), (DAY, 10): (3, 2_000_000)}
    found = compare(ledger, bill, 1.0)
    assert [(one.line_item_id, one.impressions_percent, one.amount_percent, one.agrees) for one in found] == [
        (7, 0.5, 0.5, True), (8, 20.0, 0.0, False), (9, -100.0, -100.0, False), (10, None, None, False),
    ]  # fmt: skip
    assert (found[0].amount, found[0].billed_amount) == ("10.00", "10.05")
    assert [one.lacks for one in found] == ["", "", "bill", "ledger"]


HEAD = "day,line_item,impressions,amount"


def test_a_bill_says_its_currency_by_a_column_or_is_told_it() -> None:
    line = "2026-11-01,7,1,2"
    assert read_bill(f"{HEAD}\n{line}\n", {}).currencies == {}
    assert read_bill(f"{HEAD}\n{line}\n", {}, currency="USD").currencies == {7: "USD"}
    assert read_bill(f"{HEAD},currency\n{line}, usd\n", {}).currencies == {7: "USD"}
    assert read_bill(f"{HEAD},Cur\n{line},USD\n", {"currency": "Cur"}).currencies == {7: "USD"}


@pytest.mark.parametrize(
    ("text", "mapping", "currency", "fault"),
    [
        (f"{HEAD}\n", {"currency": "Cur"}, "", "no column 'Cur'"),
        (f"{HEAD},currency\n", {}, "USD", "says its currencies itself, in the column 'currency'"),
        (f"{HEAD}\n", {}, "usd", "'usd' is no currency"),
        (f"{HEAD},currency\n2026-11-01,7,1,2,\n", {}, "", "line 2: '' is no currency"),
        (
            f"{HEAD},currency\n2026-11-01,7,1,2,USD\n2026-11-02,7,1,2,EUR\n", {}, "",
            "line 3: line item 7 is in EUR here and in USD before",
        ),
    ],
)  # fmt: skip
def test_a_currency_that_cannot_be_right_is_refused(
    text: str, mapping: dict[str, str], currency: str, fault: str
) -> None:
    with pytest.raises(InputError) as error:
        read_bill(text, mapping, currency=currency)
    assert fault in str(error.value)


def test_amounts_of_two_currencies_are_not_compared() -> None:
    bill = ExchangeBill({}, {7: "PLN", 8: "USD", 9: "USD"})
    require_same_currencies({7: "PLN", 8: "USD", 10: "EUR"}, bill)
    with pytest.raises(InputError, match="line item 8: is booked in PLN and billed in USD"):
        require_same_currencies({7: "PLN", 8: "PLN"}, bill)


def test_a_bill_is_about_every_day_from_its_first_to_its_last_or_about_more() -> None:
    bill = ExchangeBill({(DAY, 7): (1, 1), (DAY + 2 * ONE_DAY, 8): (1, 1)}, {})
    assert days_of(bill, None, None) == [DAY, DAY + ONE_DAY, DAY + 2 * ONE_DAY]
    assert days_of(bill, DAY + ONE_DAY, DAY + ONE_DAY) == days_of(bill, None, None)
    assert days_of(bill, DAY - ONE_DAY, DAY + 3 * ONE_DAY)[::4] == [DAY - ONE_DAY, DAY + 3 * ONE_DAY]
    with pytest.raises(InputError, match=f"about {MAX_DAYS + 1} days"):
        days_of(bill, None, DAY + MAX_DAYS * ONE_DAY)
    with pytest.raises(InputError, match="no lines"):
        days_of(ExchangeBill({}, {}), DAY, DAY)
