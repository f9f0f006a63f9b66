"""Reads the reference rates that the European Central Bank publishes on working days (eurofxref XML).

The file has one `Cube` with a `time` and in it one for each currency, how much of it a euro is. Grosz keeps micros of
its base currency for one unit, so the base itself must be in the file. Source: ECB, "Euro foreign exchange reference
rates".
"""

import datetime
import decimal
from collections.abc import Mapping
from typing import Final
from xml.parsers import expat

import msgspec

from core.errors import Fault, InputError
from core.money import MICROS_PER_UNIT

# The bank's file has some 30 currencies in 2 KiB; nothing of this size is one.
MAX_FILE_BYTES: Final = 262_144
_EURO: Final = "EUR"


class ReferenceRates(msgspec.Struct, frozen=True):
    """Micros of the base currency for one unit of each other one, as of a day."""

    as_of: datetime.date
    rates: Mapping[str, int]


class _Reading:
    """What the parser has found so far."""

    def __init__(self) -> None:
        self.day = ""
        self.per_euro: dict[str, decimal.Decimal] = {}
        self.faults: list[Fault] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name.rpartition(":")[2] != "Cube":
            return
        if "time" in attributes:
            if self.day and self.day != attributes["time"]:
                self.faults.append(Fault("/time", "repeated", "the file has several days", "use the file of one day"))
            self.day = attributes["time"]
        if "currency" in attributes:
            self._rate(attributes["currency"], attributes.get("rate", ""))

    def _rate(self, currency: str, text: str) -> None:
        try:
            rate = decimal.Decimal(text)
        except decimal.InvalidOperation:
            rate = decimal.Decimal(0)
        if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
            self.faults.append(Fault(f"/{currency[:10]}", "value", "not a currency of ISO 4217"))
        elif not (rate.is_finite() and 0 < rate < 1_000_000_000):
            self.faults.append(Fault(f"/{currency}", "value", f"'{text[:20]}' is not a rate"))
        elif currency in self.per_euro:
            self.faults.append(Fault(f"/{currency}", "repeated", "comes twice"))
        else:
            self.per_euro[currency] = rate


def read_reference_rates(body: bytes, base: str) -> ReferenceRates:
    """The rates of a file against `base`. Raises InputError with every fault; then nothing of it is used."""
    if len(body) > MAX_FILE_BYTES:
        raise InputError("the file of rates is too large", hint=f"at most {MAX_FILE_BYTES} bytes are read")
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reading.start
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise InputError(f"the file of rates is not XML: {error}", hint="use the bank's eurofxref-daily.xml") from None
    try:
        day = datetime.date.fromisoformat(reading.day)
    except ValueError:
        reading.faults.append(Fault("/time", "value", f"'{reading.day[:20]}' is not a day"))
        day = datetime.date.min
    per_euro = {_EURO: decimal.Decimal(1), **reading.per_euro}
    if base not in per_euro and not any(fault.pointer == f"/{base}" for fault in reading.faults):
        reading.faults.append(Fault(f"/{base}", "missing", "the file has no rate of the base currency"))
    if reading.faults:
        raise InputError("the file of rates is not valid", faults=reading.faults)
    return ReferenceRates(day, _against(base, per_euro))


def _against(base: str, per_euro: Mapping[str, decimal.Decimal]) -> dict[str, int]:
    with decimal.localcontext(prec=40):
        rates = {
            currency: int((per_euro[base] / rate * MICROS_PER_UNIT).to_integral_value(decimal.ROUND_HALF_EVEN))
            for currency, rate in per_euro.items()
            if currency != base
        }
    # A unit worth less than a micro of the base cannot be counted in it.
    return {currency: rate for currency, rate in sorted(rates.items()) if rate > 0}


def _refuse_doctype(*_: object) -> None:
    raise InputError(
        "the file of rates declares a document type", hint="the bank's file has none; entities are not read"
    )
