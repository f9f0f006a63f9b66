"""Tests of one value, made once when a rule is compiled: each is a plain function from a fact's value to yes or no.

Texts are compared without regard to case everywhere: the source "Facebook" and the phrase "SZPILKI" mean one thing to
the people who write rules.
"""

from collections.abc import Callable, Collection

from segments.rules.vocabulary import Value

Predicate = Callable[[Value], bool]


def numeric(operator: str, bound: float) -> Predicate:
    """`value operator bound` for numbers; anything else, a yes/no included, is not a number and does not match."""
    match operator:
        case "=":
            return lambda value: _is_number(value) and value == bound
        case "!=":
            return lambda value: _is_number(value) and value != bound
        case "<":
            return lambda value: _is_number(value) and value < bound  # type: ignore[operator]  # a number, see _is_number
        case "<=":
            return lambda value: _is_number(value) and value <= bound  # type: ignore[operator]  # a number
        case ">":
            return lambda value: _is_number(value) and value > bound  # type: ignore[operator]  # a number
        case _:
            return lambda value: _is_number(value) and value >= bound  # type: ignore[operator]  # a number


def between(low: float, high: float) -> Predicate:
    """A number from `low` to `high`, both included."""
    return lambda value: _is_number(value) and low <= value <= high  # type: ignore[operator]  # a number


def one_of_numbers(bounds: Collection[float]) -> Predicate:
    allowed = frozenset(bounds)
    return lambda value: _is_number(value) and value in allowed


def is_flag(wanted: bool) -> Predicate:
    return lambda value: value is wanted


def textual(match: Callable[[str], bool]) -> Predicate:
    """A text that matches, or a list of texts of which one does."""

    def holds(value: Value) -> bool:
        if type(value) is str:
            return match(value)
        return type(value) is tuple and any(map(match, value))

    return holds


def equals(wanted: str) -> Callable[[str], bool]:
    folded = wanted.casefold()
    return lambda text: text.casefold() == folded


def one_of_texts(wanted: Collection[str]) -> Callable[[str], bool]:
    allowed = frozenset(text.casefold() for text in wanted)
    return lambda text: text.casefold() in allowed


def contains(wanted: str) -> Callable[[str], bool]:
    folded = wanted.casefold()
    return lambda text: folded in text.casefold()


def like(pattern: str) -> Callable[[str], bool]:
    """A text that a pattern covers, where * stands for any text; an empty text is never covered.

    Not a regular expression: the parts between stars are searched from left to right, which is linear in the text
    for any pattern an advertiser may send.
    """
    folded = pattern.casefold()
    if "*" not in folded:
        return lambda text: text.casefold() == folded
    first, *middle, last = folded.split("*")
    parts = [part for part in middle if part]
    shortest = len(first) + len(last)
    if not parts and not last:
        return lambda text: bool(text) and text.casefold().startswith(first)

    def covers(text: str) -> bool:
        text = text.casefold()
        if not text or len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for part in parts:
            position = text.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True

    return covers


def any_of(wanted: Collection[str], operator: str) -> Callable[[str], bool]:
    """A text that equals (`in`), contains or is covered by (`like`) one of several."""
    if operator == "in":
        return one_of_texts(wanted)
    if operator == "like":
        return any_like(wanted)
    folded = [text.casefold() for text in wanted]

    def holds(text: str) -> bool:
        text = text.casefold()
        return any(part in text for part in folded)

    return holds


def any_like(patterns: Collection[str]) -> Callable[[str], bool]:
    """A text that one of the patterns covers; every text, also an empty one, where there is no pattern."""
    if not patterns:
        return lambda _: True
    plain = one_of_texts([pattern for pattern in patterns if "*" not in pattern])
    globs = [like(pattern) for pattern in patterns if "*" in pattern]
    if len(patterns) == 1:
        return globs[0] if globs else plain
    return lambda text: plain(text) or any(glob(text) for glob in globs)


def _is_number(value: Value) -> bool:
    kind = type(value)
    return kind is int or kind is float
