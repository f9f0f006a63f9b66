"""A rule at one moment, straight from its text's tree: the plain meaning of the language.

Slow and independent of check.py and windows.py on purpose (operators are applied as written, patterns are matched by
another algorithm, nothing is turned into ranges): tests hold the windows against it, and `explain` uses it.
"""

import operator
from collections.abc import Callable
from typing import Final

from segments.facts.facts import Facts
from segments.rules import syntax
from segments.rules.happenings import source_of
from segments.rules.lexer import TokenKind
from segments.rules.parser import parse
from segments.rules.vocabulary import Fact, Type, Value, fact_named

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def evaluate(rule: str, facts: Facts, at_ms: int) -> bool:
    """Whether a visitor with these facts is in the segment at `at_ms` (milliseconds; whole seconds count).

    The rule must have passed `check`; a rule that does not parse raises RuleError.
    """
    return _holds(parse(rule), facts, at_ms // 1000)


def _holds(node: syntax.Node, facts: Facts, at_s: int) -> bool:
    match node:
        case syntax.And(parts=parts):
            return all(_holds(part, facts, at_s) for part in parts)
        case syntax.Or(parts=parts):
            return any(_holds(part, facts, at_s) for part in parts)
        case syntax.Not(part=part):
            return not _holds(part, facts, at_s)
        case syntax.Constant(holds=holds):
            return holds
        case syntax.Has(fact=name):
            return _fact(name).value(facts, at_s) is not None
        case syntax.Comparison():
            return _compares(node, facts, at_s)
        case syntax.Measure():
            return _measures(node, facts, at_s)
        case syntax.EventClause():
            return bool(_matching(node, facts, at_s))


def _fact(name: syntax.Name) -> Fact:
    fact = fact_named(name.text)
    if fact is None:
        raise LookupError(f"{name.text} is no fact: check the rule first")
    return fact


def _compares(node: syntax.Comparison, facts: Facts, at_s: int) -> bool:
    fact = _fact(node.fact)
    value = fact.value(facts, at_s)
    if value is None:
        return False
    if fact.type in {Type.MOMENT, Type.AGE}:
        value = at_s - value if isinstance(value, int) else 0
        value = -value if node.direction == "ahead" else value
        if value < 0:
            return False
    values = value if isinstance(value, tuple) else (value,)
    return any(_one_compares(fact, one, node.operator, node.value) for one in values)


def _one_compares(
    fact: Fact, value: Value, written: str, other: syntax.Literal | syntax.Range | syntax.Choices
) -> bool:
    if isinstance(other, syntax.Choices):
        each = "=" if written == "in" else written
        return any(_one_compares(fact, value, each, item) for item in other.items)
    if isinstance(other, syntax.Range):
        return _one_compares(fact, value, ">=", other.low) and _one_compares(fact, value, "<=", other.high)
    bound = _bound(fact, other)
    if isinstance(bound, str):
        return isinstance(value, str) and _text_compares(value.casefold(), written, bound.casefold())
    if isinstance(bound, bool) or isinstance(value, bool):
        return type(bound) is type(value) and _COMPARE[written](bound, bool(value))
    if not isinstance(value, int | float):
        return False
    if written == "in":  # a period: up to that long
        return value <= bound
    return _COMPARE[written](value, bound)


def _bound(fact: Fact, literal: syntax.Literal) -> str | bool | int | float:
    if fact.type is Type.WORD:
        return fact.words.index(literal.text.lower())
    if literal.kind is TokenKind.STRING:
        return literal.text
    if literal.kind is TokenKind.NAME:
        return literal.text == "true"
    return literal.number


def _text_compares(value: str, written: str, other: str) -> bool:
    match written:
        case "=":
            return value == other
        case "!=":
            return value != other
        case "contains":
            return other in value
        case _:
            return _covers(other, value)


def _covers(pattern: str, text: str) -> bool:
    """Whether a pattern with stars covers a text that is not empty: the textbook's table of prefixes, row by row."""
    reachable = [True] + [False] * len(text)
    for character in pattern:
        if character == "*":
            first = reachable.index(True) if True in reachable else len(text) + 1
            reachable = [at >= first for at in range(len(text) + 1)]
        else:
            reachable = [False] + [reachable[at] and text[at] == character for at in range(len(text))]
    return bool(text) and reachable[-1]


def _measures(node: syntax.Measure, facts: Facts, at_s: int) -> bool:
    matching = _matching(node.event, facts, at_s)
    total = sum(amount for _, amount in matching) if node.function == "total" else len(matching)
    if isinstance(node.value, syntax.Range):
        return node.value.low.number <= total <= node.value.high.number
    return _COMPARE[node.operator](total, node.value.number)


def _is_about(event: syntax.EventClause, text: str) -> bool:
    """Whether an event is about what the clause names; `text` is a price in micros, labels one a line, or a text."""
    if event.amount is not None:
        value = event.amount.value
        if isinstance(value, syntax.Range):
            return value.low.number <= int(text) <= value.high.number
        return _COMPARE[event.amount.operator](int(text), value.number)
    patterns = [literal.text.casefold() for literal in event.patterns]
    texts = text.casefold().split("\n") if event.kind == "label" else [text.casefold()]
    return not patterns or any(_covers(pattern, one) for pattern in patterns for one in texts)


def _matching(event: syntax.EventClause, facts: Facts, at_s: int) -> list[tuple[int, int]]:
    """(unix seconds, micros) of the events that count at a moment."""
    source = source_of(event.verb.text, event.kind, patterned=bool(event.patterns))
    if source is None or (source.ends is not None and at_s >= source.ends(facts)):
        return []
    events = [(moment, 0) for text, moment in source.rows(facts) if _is_about(event, text)]
    if source.amounts is not None:
        events = source.amounts(facts)
    match event.period:
        case syntax.InPeriod(low=low, high=high):
            return [(moment, amount) for moment, amount in events if low <= at_s - moment <= high]
        case syntax.Since(moment=name):
            anchor = _fact(name).value(facts, at_s)
            return [one for one in events if isinstance(anchor, int) and one[0] >= anchor]
        case _:
            return events
