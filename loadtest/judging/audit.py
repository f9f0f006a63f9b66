"""Is the bill right? Our own books, line item by line item, against the bidder's ledger.

The ledger comes as `grosz ledger export` writes it (CSV or JSON), once before the run and once after it. What lies
between must be what we were told to pay for, to the micro; only where a notice carried no price, or was never
answered, a range is allowed, and the report says so.
"""

import asyncio
import csv
import io
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson

from loadtest.judging.books import CAMPAIGN, NO_BOOKS, Books
from loadtest.measure.tally import BillKey, BillLine
from loadtest.report.report import AuditLine, AuditReport
from loadtest.traffic.facts import mapping, objects
from loadtest.traffic.scenario import ScenarioError

MICROS = 1_000_000

# The ledger of a year of days is read in seconds; a command that takes this long waits for something.
LEDGER_COMMAND_S = 60.0

_LINE_ITEM = ("line_item_id", "line_item")
_CURRENCY = ("currency", "charge_currency")
_IMPRESSIONS = ("impressions", "quantity")
_MICROS = ("charge_micros", "micros", "amount_micros")
_AMOUNT = ("charge", "amount")


Line = TypeVar("Line")


class LedgerLine(NamedTuple):
    """What the ledger says of one line item."""

    micros: int = 0
    impressions: int = 0

    def plus(self, other: "LedgerLine") -> "LedgerLine":
        return LedgerLine(self.micros + other.micros, self.impressions + other.impressions)


Ledger = Mapping[BillKey, LedgerLine]


def read_ledger(export: str) -> dict[BillKey, LedgerLine]:
    """Sums by line item and currency of an export, JSON or CSV. Raises ScenarioError."""
    try:
        rows = _json_rows(export) if export.lstrip()[:1] in ("[", "{") else list(csv.DictReader(io.StringIO(export)))
        totals: dict[BillKey, LedgerLine] = {}
        for row in rows:
            key = BillKey(str(_first(row, _LINE_ITEM)), str(_first(row, _CURRENCY)))
            line = LedgerLine(_micros(row), int(str(_first(row, _IMPRESSIONS))))
            totals[key] = totals.get(key, LedgerLine()).plus(line)
    except (ValueError, KeyError, InvalidOperation) as error:
        raise ScenarioError(f"the ledger export cannot be read: {error}") from error
    return totals


def load_ledger(path: Path) -> dict[BillKey, LedgerLine]:
    """The sums by line item and currency of an export in a file. Raises ScenarioError."""
    try:
        return read_ledger(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ScenarioError(f"ledger '{path}' cannot be read: {error}") from error


def _json_rows(export: str) -> list[Mapping[str, object]]:
    """A list of rows, an object with a list in it, or one row a line."""
    try:
        value = orjson.loads(export)
    except ValueError:
        return [mapping(orjson.loads(line)) for line in export.splitlines() if line.strip()]
    if isinstance(value, dict):
        for member in value.values():
            if isinstance(member, list):
                return list(objects(member))
        return [value]
    return list(objects(value))


def _first(row: Mapping[str, object], names: tuple[str, ...]) -> object:
    for name in names:
        if row.get(name) not in (None, ""):
            return row[name]
    raise KeyError(f"a row has none of {', '.join(names)}")


def _micros(row: Mapping[str, object]) -> int:
    """The charge, from a column in micros or from a decimal amount; exact either way."""
    for name in _MICROS:
        if row.get(name) not in (None, ""):
            return int(str(row[name]))
    micros = Decimal(str(_first(row, _AMOUNT))) * MICROS
    if micros != micros.to_integral_value():
        raise ValueError(f"charge {row} is finer than a micro")
    return int(micros)


def audit(
    bill: Mapping[str, BillLine], after: Ledger, before: Ledger | None = None, books: Books = NO_BOOKS
) -> AuditReport:
    """Compare our bill with what the ledger gained between two exports.

    `books` are those that the bill was written by: where they could not tell line items apart, the ledger is added up
    by the same accounts.
    """
    ours = {BillKey.parse(key): line for key, line in bill.items()}
    unknown = sorted({key.account for key in ours if key.account.startswith(CAMPAIGN)})
    if unknown:
        return AuditReport(
            [], False,
            f"not possible: nothing tells which line items belong to {', '.join(unknown[:3])}; give the bidder's "
            "present catalogue with --catalogue",
        )  # fmt: skip
    accounts = books.account_of_line_item
    if not {key.account for key in ours} <= accounts.keys():  # otherwise every bid named its own line item
        ours = _by_account(ours, accounts, BillLine.plus, BillLine())
        after = _by_account(after, accounts, LedgerLine.plus, LedgerLine())
        before = _by_account(before or {}, accounts, LedgerLine.plus, LedgerLine())
    before = before or {}
    lines = []
    for key in sorted({*ours, *after}):
        old, new = before.get(key, LedgerLine()), after.get(key, LedgerLine())
        gained = LedgerLine(new.micros - old.micros, new.impressions - old.impressions)
        mine = ours.get(key, BillLine())
        if mine != BillLine() or gained != LedgerLine():
            lines.append(_compare(key, mine, gained))
    return AuditReport(lines, all(line.agrees for line in lines), _summary(lines, ours.values()))


def _by_account(
    lines: Mapping[BillKey, Line], accounts: Mapping[str, str], plus: Callable[[Line, Line], Line], nothing: Line
) -> dict[BillKey, Line]:
    totals: dict[BillKey, Line] = {}
    for key, line in lines.items():
        account = BillKey(accounts.get(key.account, key.account), key.currency)
        totals[account] = plus(totals.get(account, nothing), line)
    return totals


def _summary(lines: Sequence[AuditLine], ours: Iterable[BillLine]) -> str:
    ours = list(ours)
    wrong = sum(not line.agrees for line in lines)
    totals: Counter[str] = Counter()
    for line in lines:
        totals[line.currency] += line.ledger
    amounts = ", ".join(f"{micros / MICROS:.6f} {currency}" for currency, micros in sorted(totals.items())) or "nothing"
    summary = f"{len(lines)} accounts, {amounts} in the ledger, {f'{wrong} DIFFER' if wrong else 'every one agrees'}"
    unpriced, doubtful = sum(line.unpriced for line in ours), sum(line.doubtful for line in ours)
    if unpriced or doubtful:
        summary += f" ({unpriced} impressions without a price and {doubtful} unanswered notices judged by range)"
    return summary


def _compare(key: BillKey, mine: BillLine, gained: LedgerLine) -> AuditLine:
    low = mine.exact_micros + mine.low_micros
    high = mine.exact_micros + mine.high_micros
    fits = low <= gained.micros <= high and 0 <= gained.impressions - mine.impressions <= mine.doubtful
    return AuditLine(
        account=key.account,
        currency=key.currency,
        impressions=mine.impressions,
        ledger_impressions=gained.impressions,
        billed_low=low,
        billed_high=high,
        ledger=gained.micros,
        agrees=fits,
    )


async def ledger_of_command(command: str) -> dict[BillKey, LedgerLine]:
    """Run a command and read what it prints as a ledger. Raises ScenarioError when it fails or takes too long."""
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, start_new_session=True  # Ctrl-C is for the run, not for its ledger
    )  # fmt: skip
    try:
        async with asyncio.timeout(LEDGER_COMMAND_S):
            output, _ = await process.communicate()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise ScenarioError(f"the ledger command took longer than {LEDGER_COMMAND_S:.0f} s: {command}") from None
    if process.returncode:
        raise ScenarioError(f"the ledger command ended with {process.returncode}: {command}")
    return read_ledger(output.decode())


async def settled_audit(
    bill: Mapping[str, BillLine],
    read: Callable[[], Awaitable[Ledger]],
    before: Ledger,
    books: Books = NO_BOOKS,
    *,
    attempts: int = 10,
    pause_s: float = 0.5,
) -> AuditReport:
    """Audit against a ledger that is written a moment after a notice is acknowledged: repeat it for a while until it
    agrees."""
    report = audit(bill, await read(), before, books)
    for _ in range(attempts - 1):
        if report.agrees:
            break
        await asyncio.sleep(pause_s)
        report = audit(bill, await read(), before, books)
    return report
