"""Money: integer micro-units with a currency.

Two units occur and are never mixed: *CPM micros* (the price of a thousand impressions, as OpenRTB has it) and *micros*
(what one impression costs: a thousandth of it, exact because CPM prices lie on the grosz grid of 10,000 micros).

Between units and currencies amounts are rounded here: half to even, floors up. What is read from a text (the price of a
notice, the value of an event) is rounded where it is read, to the same grid and by the same rule.
"""

import decimal
from collections.abc import Mapping
from typing import NewType

import msgspec

Micros = NewType("Micros", int)
"""An amount: 1,000,000 is one unit of the currency."""

CpmMicros = NewType("CpmMicros", int)
"""A price of a thousand impressions, in micros."""

Currency = NewType("Currency", str)
"""ISO 4217 alphabetic code, upper case."""

PLN = Currency("PLN")
USD = Currency("USD")

MICROS_PER_UNIT = 1_000_000
GROSZ_CPM_MICROS = 10_000
"""One grosz (0.01) of the auction's currency, as a CPM price."""

# Beyond a million units CPM a price is a fault of the sender, and int64 sums over a day's bids stay exact below it.
MAX_CPM_MICROS = 1_000_000 * MICROS_PER_UNIT
_MAX_PRICE = MAX_CPM_MICROS / MICROS_PER_UNIT

# Budgets are counted in doubles, exact to 2^53 micros; above this a budget is beyond any advertiser.
MAX_BUDGET_MICROS = 9_000_000_000 * MICROS_PER_UNIT


class MoneyError(ValueError):
    """An amount that is not money: not finite, negative where it may not be, too precise, or in the wrong currency."""


class Money(msgspec.Struct, frozen=True, order=False):
    """An amount with its currency, for the edges: API, ledger export, messages."""

    micros: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.micros + other.micros, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.micros - other.micros, self.currency)

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise MoneyError(f"{self.currency} and {other.currency} do not add up: convert one of them first")

    def __str__(self) -> str:
        return f"{format_micros(self.micros)} {self.currency}"


def format_micros(micros: int) -> str:
    """Decimal text of an amount, with at least two and at most six decimals: 1_050_000 is '1.05'."""
    sign = "-" if micros < 0 else ""
    units, rest = divmod(abs(micros), MICROS_PER_UNIT)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{units}.{decimals}"


def parse_decimal(text: str) -> int:
    """Micros of a decimal text such as '12.50'. Raises MoneyError unless it is finite, with six decimals at most."""
    try:
        value = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise MoneyError(f"'{text}' is not an amount: write a decimal number such as 12.50") from None
    if not value.is_finite() or abs(value) > 10**12:
        raise MoneyError(f"'{text}' is out of range: amounts go up to a million million")
    with decimal.localcontext(prec=len(text) + 7):  # exact: the usual 28 digits would round a longer text to a micro
        micros = value * MICROS_PER_UNIT
    if micros != micros.to_integral_value():
        raise MoneyError(f"'{text}' is finer than a micro-unit: use six decimals at most")
    return int(micros)


def cpm_from_float(price: float) -> CpmMicros:
    """CPM micros of a wire price, rounded to the nearest micro. Raises MoneyError unless 0 <= price <= a million."""
    if not 0.0 <= price <= _MAX_PRICE:  # also refuses NaN
        raise _out_of_range(price)
    # Calling the type would cost as much as all of this, for each floor of each request.
    micros: CpmMicros = round(price * MICROS_PER_UNIT)  # type: ignore[assignment]
    return micros


def cpm_not_below(price: float) -> CpmMicros:
    """CPM micros of a floor on the wire, rounded up. Raises MoneyError as `cpm_from_float` does.

    An exchange compares a bid with its own float: 0.30 is below a floor of 0.1 + 0.2 (0.30000000000000004).
    """
    if not 0.0 <= price <= _MAX_PRICE:
        raise _out_of_range(price)
    # Written out, since a call would cost as much as all of this, for each floor of each request.
    micros: CpmMicros = round(price * MICROS_PER_UNIT)  # type: ignore[assignment]
    if micros / MICROS_PER_UNIT < price:
        micros += 1  # type: ignore[assignment]
    return micros


def _out_of_range(price: float) -> MoneyError:
    return MoneyError(f"price {price} is out of range: a CPM lies between 0 and a million")


def cpm_to_text(cpm: int) -> str:
    """Wire form of a price on the grosz grid: two decimals, no exponent ('1.05')."""
    groszes = cpm // GROSZ_CPM_MICROS
    return f"{groszes // 100}.{groszes % 100:02d}"


def exact_cpm_to_text(cpm: int) -> str:
    """Wire form of any price: two decimals or as many as it needs, no exponent ('2.555')."""
    if not cpm % GROSZ_CPM_MICROS:
        return cpm_to_text(cpm)
    return f"{cpm // MICROS_PER_UNIT}.{cpm % MICROS_PER_UNIT:06d}".rstrip("0")


def floor_to_grosz(cpm: int) -> CpmMicros:
    """The highest price on the grosz grid that is not above `cpm`."""
    return CpmMicros(cpm - cpm % GROSZ_CPM_MICROS)


def ceil_to_grosz(cpm: int) -> CpmMicros:
    """The lowest price on the grosz grid that is not below `cpm`."""
    return CpmMicros(-(-cpm // GROSZ_CPM_MICROS) * GROSZ_CPM_MICROS)


def impression_micros(cpm: int) -> Micros:
    """What one impression costs at a price on the grosz grid; exact."""
    return Micros(cpm // 1000)


def settle(bid: int, second: int, floor: int) -> CpmMicros:
    """Clearing price by second price plus one grosz, all CPM micros: `min(bid, max(second, floor) + 1 grosz)`.

    `second` and `floor` may lie off the grid (a converted floor); they are lifted to it first, so the charge is on
    the grid and, for `bid >= floor` on the grid, never above the bid and never below the floor.
    """
    return CpmMicros(min(bid, ceil_to_grosz(max(second, floor)) + GROSZ_CPM_MICROS))


class FxTable(msgspec.Struct, frozen=True):
    """Exchange rates: micros of the base currency for one unit of each currency, e.g. base PLN, USD: 3_640_000."""

    base: str
    rates: Mapping[str, int]

    def rate(self, source: str, target: str) -> float:
        """Units of `target` for one unit of `source`; raises MoneyError for a currency that is not in the table."""
        if source == target:
            return 1.0
        return self._base_micros(source) / self._base_micros(target)

    def knows(self, currency: str) -> bool:
        return currency == self.base or currency in self.rates

    def floor_cpm(self, cpm: int, source: str, target: str) -> CpmMicros:
        """A floor in another currency, rounded up, so that a bid at the result is never below the original floor."""
        if source == target:
            return CpmMicros(cpm)
        numerator, denominator = cpm * self._base_micros(source), self._base_micros(target)
        return CpmMicros(-(-numerator // denominator))

    def convert(self, micros: int, source: str, target: str) -> Micros:
        """An amount in another currency, rounded half to even."""
        if source == target:
            return Micros(micros)
        numerator, denominator = micros * self._base_micros(source), self._base_micros(target)
        quotient, rest = divmod(numerator, denominator)
        twice = 2 * rest
        round_up = twice > denominator or (twice == denominator and quotient % 2 == 1)
        return Micros(quotient + round_up)

    def _base_micros(self, currency: str) -> int:
        if currency == self.base:
            return MICROS_PER_UNIT
        try:
            return self.rates[currency]
        except KeyError:
            known = ", ".join(sorted({self.base, *self.rates}))
            raise MoneyError(f"no exchange rate for {currency}: the table has {known}") from None
