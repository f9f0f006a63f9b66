"""Is the bill right? Our own books, line item by line item, against the bidder's ledger.

The ledger comes as `grosz ledger export` writes it (CSV or JSON), once before the run and once after it. What lies
between must be what we were told to pay for, to the micro; only where a notice carried no price, or was never
answered, a range is allowed, and the report says so.
"""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import orjson

from loadtest.facts import mapping, objects, text
from loadtest.report import AuditLine, AuditReport
from loadtest.scenario import ScenarioError
from loadtest.tally import BillKey, BillLine

MICROS = 1_000_000

_CAMPAIGN = "campaign-"

_LINE_ITEM = ("line_item_id", "line_item")
_CURRENCY = ("currency", "charge_currency")
_IMPRESSIONS = ("impressions", "quantity")
_MICROS = ("charge_micros", "micros", "amount_micros")
_AMOUNT = ("charge", "amount")


class LedgerLine(NamedTuple):
    """What the ledger says of one line item."""

    micros: int = 0
    impressions: int = 0


Ledger = Mapping[BillKey, LedgerLine]


def read_ledger(export: str) -> dict[BillKey, LedgerLine]:
    """Sums by line item and currency of an export, JSON or CSV. Raises ScenarioError."""
    try:
        rows = _json_rows(export) if export.lstrip()[:1] in ("[", "{") else list(csv.DictReader(io.StringIO(export)))
        totals: dict[BillKey, LedgerLine] = {}
        for row in rows:
            key = BillKey(str(_first(row, _LINE_ITEM)), str(_first(row, _CURRENCY)))
            before = totals.get(key, LedgerLine())
            totals[key] = LedgerLine(
                before.micros + _micros(row), before.impressions + int(str(_first(row, _IMPRESSIONS)))
            )
    except (ValueError, KeyError, InvalidOperation) as error:
        raise ScenarioError(f"the ledger export cannot be read: {error}") from error
    return totals


def load_ledger(path: Path) -> dict[BillKey, LedgerLine]:
    """The same from a file. Raises ScenarioError."""
    try:
        return read_ledger(path.read_text())
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
    bill: Mapping[str, BillLine],
    after: Ledger,
    before: Ledger | None = None,
    campaign_of: Mapping[str, str] | None = None,
) -> AuditReport:
    """Compare our bill with what the ledger gained between two exports.

    `campaign_of` (line item to campaign) is needed where bids named only their campaign: the ledger is then added up
    alike.
    """
    ours = {BillKey.parse(key): line for key, line in bill.items()}
    if any(key.account.startswith(_CAMPAIGN) for key in ours):
        if campaign_of is None:
            raise ScenarioError(
                "the bids name only their campaigns: give the catalogue, so that line items can be added up"
            )
        after, before = _by_campaign(after, campaign_of), _by_campaign(before or {}, campaign_of)
    before = before or {}
    lines = []
    for key in sorted({*ours, *after}):
        old, new = before.get(key, LedgerLine()), after.get(key, LedgerLine())
        gained = LedgerLine(new.micros - old.micros, new.impressions - old.impressions)
        mine = ours.get(key, BillLine())
        if mine == BillLine() and gained == LedgerLine():
            continue
        lines.append(_compare(key, mine, gained))
    agrees = all(line.agrees for line in lines)
    wrong = sum(not line.agrees for line in lines)
    doubtful = sum(line.doubtful for line in ours.values())
    unpriced = sum(line.unpriced for line in ours.values())
    total = sum(line.ledger for line in lines)
    summary = f"{len(lines)} accounts, {total / MICROS:.6f} in the ledger, " + (
        "every one agrees" if agrees else f"{wrong} DIFFER"
    )
    if unpriced or doubtful:
        summary += f" ({unpriced} impressions without a price and {doubtful} unanswered notices judged by range)"
    return AuditReport(lines, agrees, summary)


def _by_campaign(ledger: Ledger, campaign_of: Mapping[str, str]) -> Ledger:
    totals: dict[BillKey, LedgerLine] = {}
    for key, line in ledger.items():
        campaign = BillKey(f"{_CAMPAIGN}{campaign_of.get(key.account, '?')}", key.currency)
        old = totals.get(campaign, LedgerLine())
        totals[campaign] = LedgerLine(old.micros + line.micros, old.impressions + line.impressions)
    return totals


def load_campaigns(path: Path) -> dict[str, str]:
    """Campaign of each line item, from a `grosz catalogue export` file. Raises ScenarioError."""
    try:
        catalogue = mapping(orjson.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ScenarioError(f"catalogue '{path}' cannot be read: {error}") from error
    return {text(item.get("id")): text(item.get("campaign_id")) for item in objects(catalogue.get("line_items"))}


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


async def settled_audit(
    bill: Mapping[str, BillLine],
    read: Callable[[], Awaitable[Ledger]],
    before: Ledger,
    campaign_of: Mapping[str, str] | None,
    *,
    attempts: int = 10,
    pause_s: float = 0.5,
) -> AuditReport:
    """Audit against a ledger that is written a moment after a notice is acknowledged: try until it agrees, for a
    while."""
    report = audit(bill, await read(), before, campaign_of)
    for _ in range(attempts - 1):
        if report.agrees:
            break
        await asyncio.sleep(pause_s)
        report = audit(bill, await read(), before, campaign_of)
    return report
