"""The parsed rule: what was written and where, before anything is known about facts and types.

Nodes keep their `span`, so that a type error found later points at the word that causes it.
"""

import msgspec

from segments.rules.errors import Span
from segments.rules.lexer import TokenKind


class Name(msgspec.Struct, frozen=True):
    """A fact, a verb or a word of a fixed list (`exit`), in lower case."""

    text: str
    span: Span


class Literal(msgspec.Struct, frozen=True):
    """A value. `number` is in the kind's unit (seconds, micros); `text` is a string's value, or the word as written."""

    kind: TokenKind  # STRING, NUMBER, MONEY, DURATION, or NAME for a bare word (true, false, exit)
    text: str
    span: Span
    number: int | float = 0
    currency: str = ""


class Range(msgspec.Struct, frozen=True):
    """`low..high`, both included."""

    low: Literal
    high: Literal
    span: Span


class Choices(msgspec.Struct, frozen=True):
    """`(a, b, c)`: any of them."""

    items: tuple[Literal, ...]
    span: Span


class InPeriod(msgspec.Struct, frozen=True):
    """`in 7d` or `in 1d..7d`: ages of the event in seconds, both included."""

    low: int
    high: int
    span: Span


class Since(msgspec.Struct, frozen=True):
    """`since cart`: not earlier than the moment that a fact holds."""

    moment: Name


class PriceClause(msgspec.Struct, frozen=True):
    """`>= 200 PLN` or `in 100 PLN..200 PLN` behind `price`. `operator` is one of `Comparison`'s for numbers."""

    operator: str
    value: Literal | Range


class EventClause(msgspec.Struct, frozen=True):
    """`viewed category "shoes*" in 7d`: things that the visitor did.

    `kind` is product, category, page, a trait of products (margin, brand, label, price, on_sale) or ''.
    """

    verb: Name
    kind: str
    patterns: tuple[Literal, ...]  # alternatives; empty: any
    period: InPeriod | Since | None
    span: Span
    amount: PriceClause | None = None  # with `kind` price, and always then


class Measure(msgspec.Struct, frozen=True):
    """`count(event) >= 3` or `total(event) >= 500 PLN`."""

    function: str
    event: EventClause
    operator: str
    value: Literal | Range
    span: Span


class Comparison(msgspec.Struct, frozen=True):
    """`fact operator value`. `direction` is 'ago' or 'ahead' where it was written; `operator` is =, !=, <, <=, >, >=,
    in, contains or like."""

    fact: Name
    operator: str
    value: Literal | Range | Choices
    direction: str
    span: Span


class Has(msgspec.Struct, frozen=True):
    """`has fact`: the profile holds a value."""

    fact: Name


class Constant(msgspec.Struct, frozen=True):
    """`everyone` or `nobody`."""

    holds: bool


class Not(msgspec.Struct, frozen=True):
    part: "Node"


class And(msgspec.Struct, frozen=True):
    parts: tuple["Node", ...]


class Or(msgspec.Struct, frozen=True):
    parts: tuple["Node", ...]


Node = And | Or | Not | Constant | Has | Comparison | Measure | EventClause
