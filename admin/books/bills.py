"""An exchange's own bill against the ledger: which days and line items differ, and by how much.

A bill is CSV; a mapping says which of its columns is the day, the line item, the impressions, the amount and, if it has
one, the currency. Its lines are added up by day and line item, as the ledger's are. Amounts are never converted: what
an exchange bills in another currency than the ledger is at the rate of its invoice, which only the invoice says.
"""

import csv
import datetime
import io
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, NamedTuple

import msgspec

from core.errors import Fault, InputError
from core.money import format_micros

FIELDS: Final = ("day", "line_item", "impressions", "amount")
"""What a bill must have a column for."""
CURRENCY: Final = "currency"
"""What it may have a column for."""

_DELIMITERS: Final = ",;\t|"
_MICROS: Final = 1_000_000
MAX_FAULTS: Final = 20
# No line item has more in a day: a larger number was misread.
MAX_NUMBER: Final = 10**12
# A bill is about a month, or a year: a day further away was misread.
MAX_DAYS: Final = 400
_CODE: Final = re.compile(r"[A-Z]{3}")

Key = tuple[datetime.date, int]
"""Day and line item."""

Sums = dict[Key, tuple[int, int]]
"""Impressions and micros."""


class ExchangeBill(NamedTuple):
    """What a bill has by day and line item, and the currency of each line item where it says one."""

    sums: Sums
    currencies: dict[int, str]


class BillDifference(msgspec.Struct, frozen=True):
    """One day of a line item: what the ledger has, what the bill has, and by how much the bill is above, in percent.

    Amounts are decimal texts; a percentage is null where the ledger has nothing. `agrees`: within what is tolerated.
    `lacks`: which of the two has no line about it.
    """

    day: datetime.date
    line_item_id: int
    impressions: int
    billed_impressions: int
    amount: str
    billed_amount: str
    impressions_percent: float | None
    amount_percent: float | None
    agrees: bool
    lacks: Literal["", "bill", "ledger"] = ""


def read_bill(text: str, mapping: Mapping[str, str], day_format: str = "%Y-%m-%d", currency: str = "") -> ExchangeBill:
    """A bill's sums. `mapping` gives the bill's column for each of FIELDS, and CURRENCY, that has another name there.

    `currency` is that of a bill without such a column. Raises InputError with the lines that cannot be read.
    """
    known = (*FIELDS, CURRENCY)
    unknown = mapping.keys() - set(known)
    if unknown:
        fault = Fault("/columns", "unknown", f"there is no '{min(unknown)}' to be mapped", "", known)
        raise InputError("the bill cannot be read", faults=[fault])
    if currency and not _CODE.fullmatch(currency):
        raise InputError(f"{currency!r} is no currency", hint="PLN, EUR, ...: three capital letters")
    try:
        return _added_up(text, mapping, day_format, currency)
    except csv.Error as error:
        raise InputError(f"the bill is no CSV: {error}") from None


def _added_up(text: str, mapping: Mapping[str, str], day_format: str, currency: str) -> ExchangeBill:
    head = text.lstrip("\ufeff").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=delimiter)
    columns = _columns(rows.fieldnames or (), mapping, currency)
    bill = ExchangeBill({}, {})
    faults = []
    for row in rows:
        try:
            _add(bill, {field: row[column] or "" for field, column in columns.items()}, day_format, currency)
        except ValueError as error:
            faults.append(Fault(f"line {rows.line_num}", "value", str(error)))
            if len(faults) >= MAX_FAULTS:
                break
    if faults:
        raise InputError("the bill cannot be read", faults=faults)
    return bill


def _columns(names: Iterable[str], mapping: Mapping[str, str], currency: str) -> Mapping[str, str]:
    """The column of each field. Raises InputError."""
    present = set(names)
    columns = {field: mapping.get(field, field) for field in (*FIELDS, CURRENCY)}
    if CURRENCY not in mapping and columns[CURRENCY] not in present:
        del columns[CURRENCY]  # not every bill has one
    missing = [column for column in columns.values() if column not in present]
    if missing:
        faults = [Fault("/columns", "missing", f"the bill has no column '{column}'") for column in missing]
        raise InputError("the bill cannot be read", faults=faults, hint="name them: --column amount='Total cost'")
    if currency and CURRENCY in columns:
        raise InputError(f"the bill says its currencies itself, in the column '{columns[CURRENCY]}'")
    return columns


def _add(bill: ExchangeBill, cells: Mapping[str, str], day_format: str, currency: str) -> None:
    """Add a line. Raises ValueError for what cannot be read."""
    key = (_day(cells["day"], day_format), _whole(cells["line_item"]))
    impressions, micros = bill.sums.get(key, (0, 0))
    shown, amount = _whole(cells["impressions"]), _number(cells["amount"])
    code = cells.get(CURRENCY, currency).strip().upper()
    if CURRENCY in cells and not _CODE.fullmatch(code):
        raise ValueError(f"{cells[CURRENCY]!r} is no currency")
    if code and bill.currencies.setdefault(key[1], code) != code:
        raise ValueError(f"line item {key[1]} is in {code} here and in {bill.currencies[key[1]]} before")
    bill.sums[key] = (impressions + shown, micros + round(amount * _MICROS))


def _day(text: str, day_format: str) -> datetime.date:
    try:
        return datetime.datetime.strptime(text.strip(), day_format).replace(tzinfo=datetime.UTC).date()
    except ValueError:
        raise ValueError(f"{text!r} is no day of the form {day_format}: say `--day-format`") from None


def _whole(text: str) -> int:
    """A line item's id, or impressions, which a correction may take away."""
    value = _number(text)
    if value != int(value):
        raise ValueError(f"{text!r} is no whole number")
    return int(value)


def _number(text: str) -> Decimal:
    """A number as bills write it: `1,234.50`, `1 234,50`, `1.234,50`, `1234.5`."""
    bare = text.strip().replace("\u00a0", "").replace(" ", "").replace("'", "")
    comma, point = bare.rfind(","), bare.rfind(".")
    if comma > point and (point >= 0 or (bare.count(",") == 1 and len(bare) - comma - 1 != 3)):
        bare = bare.replace(".", "").replace(",", ".")  # the comma is what separates the fraction
    else:
        bare = bare.replace(",", "")
    try:
        value = Decimal(bare)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite() or abs(value) > MAX_NUMBER:
        raise ValueError(f"{text!r} is no number that a bill could have")
    return value


def days_of(bill: ExchangeBill, since: datetime.date | None, until: datetime.date | None) -> list[datetime.date]:
    """Every day from the bill's first to its last, or from `since` to `until` where they are further away.

    Raises InputError.
    """
    named = [day for day, _line_item in bill.sums]
    if not named:
        raise InputError("the bill has no lines", hint="a bill has a head and a line a day and line item")
    first, last = min([*named, since or min(named)]), max([*named, until or max(named)])
    count = (last - first).days + 1
    if count > MAX_DAYS:
        text = f"the bill is about {count} days, from {first} to {last}"
        raise InputError(text, hint=f"{MAX_DAYS} at most: is --day-format right?")
    return [first + datetime.timedelta(days=number) for number in range(count)]


def require_same_currencies(ledger: Mapping[int, str], bill: ExchangeBill) -> None:
    """Raises InputError where a line item, by its id, is billed in another currency than it is booked in."""
    faults = [
        Fault(f"line item {number}", "currency", f"is booked in {ledger[number]} and billed in {billed}")
        for number, billed in sorted(bill.currencies.items())
        if ledger.get(number, billed) != billed
    ]
    if faults:
        hint = "convert the bill's amounts at the rate of its invoice first; the ledger is in the advertiser's currency"
        raise InputError("amounts in two currencies cannot be compared", faults=faults[:MAX_FAULTS], hint=hint)


def compare(ledger: Sums, bill: Sums, percent: float) -> list[BillDifference]:
    """Every day and line item of either side; `percent` is what impressions and amounts may differ by."""
    return [_difference(key, ledger.get(key), bill.get(key), percent) for key in sorted(ledger.keys() | bill.keys())]


def _difference(
    key: Key, booked: tuple[int, int] | None, billed: tuple[int, int] | None, percent: float
) -> BillDifference:
    ours, theirs = booked or (0, 0), billed or (0, 0)
    impressions, amount = (_percent(own, other) for own, other in zip(ours, theirs, strict=True))
    agrees = all(
        own == other or (of is not None and abs(of) <= percent)
        for own, other, of in zip(ours, theirs, (impressions, amount), strict=True)
    )
    return BillDifference(
        key[0],
        key[1],
        ours[0],
        theirs[0],
        format_micros(ours[1]),
        format_micros(theirs[1]),
        impressions,
        amount,
        agrees,
        "ledger" if booked is None else "bill" if billed is None else "",
    )


def _percent(ours: int, theirs: int) -> float | None:
    return round((theirs - ours) * 100 / ours, 3) if ours else None


def added(lines: Iterable[tuple[datetime.date, int, int, int]]) -> Sums:
    """Lines of (day, line item, impressions, micros) as sums."""
    sums: dict[Key, tuple[int, int]] = {}
    for day, line_item, impressions, micros in lines:
        before = sums.get((day, line_item), (0, 0))
        sums[day, line_item] = (before[0] + impressions, before[1] + micros)
    return sums
