"""An exchange's own bill against the ledger: which days and line items differ, and by how much.

A bill is CSV; a mapping says which of its columns is the day, the line item, the impressions and the amount. Its lines
are added up by day and line item, as the ledger's are.
"""

import csv
import datetime
import io
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from core.errors import Fault, InputError
from core.money import format_micros

FIELDS: Final = ("day", "line_item", "impressions", "amount")
"""What a mapping names columns for."""

_DELIMITERS: Final = ",;\t|"
_MICROS: Final = 1_000_000
MAX_FAULTS: Final = 20
# No line item has more in a day: a larger number was misread.
MAX_NUMBER: Final = 10**12

Key = tuple[datetime.date, int]
"""Day and line item."""

Sums = Mapping[Key, tuple[int, int]]
"""Impressions and micros."""


class BillDifference(msgspec.Struct, frozen=True):
    """One day of a line item: what the ledger has, what the bill has, and by how much the bill is above, in percent.

    Amounts are decimal texts; a percentage is null where the ledger has nothing. `agrees`: within what is tolerated.
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


def read_bill(text: str, mapping: Mapping[str, str], day_format: str = "%Y-%m-%d") -> Sums:
    """A bill's sums. `mapping` gives the bill's column for each of FIELDS that has another name there.

    Raises InputError with the lines that cannot be read.
    """
    unknown = mapping.keys() - set(FIELDS)
    if unknown:
        fault = Fault("/columns", "unknown", f"there is no '{min(unknown)}' to be mapped", "", FIELDS)
        raise InputError("the bill cannot be read", faults=[fault])
    try:
        return _added_up(text, mapping, day_format)
    except csv.Error as error:
        raise InputError(f"the bill is no CSV: {error}") from None


def _added_up(text: str, mapping: Mapping[str, str], day_format: str) -> Sums:
    head = text.lstrip("\ufeff").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff")), delimiter=delimiter)
    columns = {field: mapping.get(field, field) for field in FIELDS}
    missing = [column for column in columns.values() if column not in (rows.fieldnames or ())]
    if missing:
        faults = [Fault("/columns", "missing", f"the bill has no column '{column}'") for column in missing]
        raise InputError("the bill cannot be read", faults=faults, hint="name them: --column amount='Total cost'")
    sums: dict[Key, tuple[int, int]] = {}
    faults = []
    for row in rows:
        try:
            key = (_day(row[columns["day"]] or "", day_format), _whole(row[columns["line_item"]] or ""))
            impressions, micros = sums.get(key, (0, 0))
            shown, amount = _whole(row[columns["impressions"]] or ""), _number(row[columns["amount"]] or "")
            sums[key] = (impressions + shown, micros + round(amount * _MICROS))
        except ValueError as error:
            faults.append(Fault(f"line {rows.line_num}", "value", str(error)))
            if len(faults) >= MAX_FAULTS:
                break
    if faults:
        raise InputError("the bill cannot be read", faults=faults)
    return sums


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


def compare(ledger: Sums, bill: Sums, percent: float) -> list[BillDifference]:
    """Every day and line item of either side; `percent` is what impressions and amounts may differ by."""
    return [
        _difference(key, ledger.get(key, (0, 0)), bill.get(key, (0, 0)), percent)
        for key in sorted(ledger.keys() | bill.keys())
    ]


def _difference(key: Key, ours: tuple[int, int], theirs: tuple[int, int], percent: float) -> BillDifference:
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
