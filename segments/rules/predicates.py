"""Tests of one value, made once when a rule is compiled: each is a plain function from a fact's value to yes or no."""

from collections.abc import Callable, Collection
from typing import Final

from segments.rules.patterns import Matcher
from segments.rules.vocabulary import Value

Predicate = Callable[[Value], bool]

# The types of numbers. bool is a subclass of int and no number here, so types are looked up; isinstance would admit it.
# No function does it: the call would cost as much again.
_NUMBERS: Final = frozenset({int, float})


def numeric(operator: str, bound: float) -> Predicate:
    """`value operator bound` for numbers; anything else, a yes/no included, is not a number and does not match."""
    match operator:
        case "=":
            return lambda value: type(value) in _NUMBERS and value == bound
        case "!=":
            return lambda value: type(value) in _NUMBERS and value != bound
        case "<":
            return lambda value: type(value) in _NUMBERS and value < bound  # type: ignore[operator]  # a number
        case "<=":
            return lambda value: type(value) in _NUMBERS and value <= bound  # type: ignore[operator]  # a number
        case ">":
            return lambda value: type(value) in _NUMBERS and value > bound  # type: ignore[operator]  # a number
        case _:
            return lambda value: type(value) in _NUMBERS and value >= bound  # type: ignore[operator]  # a number


def between(low: float, high: float) -> Predicate:
    """A number from `low` to `high`, both included."""
    return lambda value: type(value) in _NUMBERS and low <= value <= high  # type: ignore[operator]  # a number


def one_of_numbers(bounds: Collection[float]) -> Predicate:
    allowed = frozenset(bounds)
    return lambda value: type(value) in _NUMBERS and value in allowed


def is_flag(wanted: bool) -> Predicate:
    return lambda value: value is wanted


def textual(match: Matcher) -> Predicate:
    """A text that matches, or a list of texts of which one does."""

    def holds(value: Value) -> bool:
        if type(value) is str:
            return match(value.casefold())
        return type(value) is tuple and any(match(text.casefold()) for text in value)

    return holds
