"""From a checked rule to a function that says when it holds, for all time, if nothing more happens.

A condition on facts that only events change holds always or never; one that looks at the clock holds in spans. `and`,
`or` and `not` are intersection, union and complement of those spans, so the result is exact to the second. The bid path
then compares a clock with windows and never sees a rule (DESIGN.md section 4).
"""

from collections.abc import Callable

from segments.facts import Facts
from segments.layout import FOREVER_S
from segments.rules import conditions
from segments.rules.conditions import Condition
from segments.rules.spans import ALWAYS, NEVER, Spans, complement, intersect, joined, span, unite, where_sum_lies
from segments.rules.vocabulary import Fact, Value

Holds = Callable[[Facts], Spans]
"""When a rule holds for a visitor: all time, not cut at the present."""


def compiled(condition: Condition) -> Holds:
    """The function that computes the spans of a condition."""
    match condition:
        case conditions.Fixed(holds=holds):
            constant = ALWAYS if holds else NEVER
            return lambda _: constant
        case conditions.AllOf(parts=parts):
            return _all_of([compiled(part) for part in _cheap_first(parts)])
        case conditions.AnyOf(parts=parts):
            return _any_of([compiled(part) for part in _cheap_first(parts)])
        case conditions.Opposite(part=part):
            return _opposite(compiled(part))
        case conditions.Test(fact=fact, holds=holds):
            return _by_value(fact, lambda value: ALWAYS if holds(value) else NEVER)
        case conditions.Known(fact=fact):
            return _by_value(fact, lambda _: ALWAYS)
        case conditions.Distance():
            return _by_value(condition.fact, _distance_from(condition))
        case conditions.Occurrences():
            return _occurrences(condition)


def _cheap_first(parts: tuple[Condition, ...]) -> list[Condition]:
    """Fields before lists: a rule mostly fails on its cheapest part, and the rest is then not looked at."""
    return sorted(parts, key=_cost)


def _cost(condition: Condition) -> int:
    match condition:
        case conditions.AllOf(parts=parts) | conditions.AnyOf(parts=parts):
            return sum(map(_cost, parts))
        case conditions.Opposite(part=part):
            return _cost(part)
        case conditions.Occurrences(source=source):
            return 4 + source.limit
        case conditions.Test(fact=fact) | conditions.Known(fact=fact) | conditions.Distance(fact=fact):
            return 1 if fact.changes is None else 3
        case conditions.Fixed():
            return 0


def _all_of(parts: list[Holds]) -> Holds:
    def holds(facts: Facts) -> Spans:
        result = ALWAYS
        for part in parts:
            result = intersect(result, part(facts))
            if not result:
                return NEVER
        return result

    return holds


def _any_of(parts: list[Holds]) -> Holds:
    def holds(facts: Facts) -> Spans:
        result = NEVER
        for part in parts:
            result = unite(result, part(facts))
            if result is ALWAYS:
                return ALWAYS
        return result

    return holds


def _opposite(part: Holds) -> Holds:
    return lambda facts: complement(part(facts))


def _by_value(fact: Fact, spans_of: Callable[[Value], Spans]) -> Holds:
    """Spans that follow from a fact's value, cut to the time while the fact has that value."""
    value_of, changes_of = fact.value, fact.changes
    if changes_of is None:

        def constant(facts: Facts) -> Spans:
            value = value_of(facts, 0)
            return NEVER if value is None else spans_of(value)

        return constant

    def stepwise(facts: Facts) -> Spans:
        moments = sorted({moment for moment in changes_of(facts) if 0 < moment < FOREVER_S})
        result = NEVER
        start = 0
        for end in (*moments, FOREVER_S):
            value = value_of(facts, start)
            if value is not None:
                result = unite(result, intersect(spans_of(value), (start, end)))
            start = end
        return result

    return stepwise


def _distance_from(condition: conditions.Distance) -> Callable[[Value], Spans]:
    low, high = condition.low, condition.high

    def behind(value: Value) -> Spans:
        if type(value) is not int:
            return NEVER
        return span(value + low, FOREVER_S if high is None else value + high + 1)

    def ahead(value: Value) -> Spans:
        if type(value) is not int:
            return NEVER
        return span(0 if high is None else value - high, value - low + 1)

    return ahead if condition.ahead else behind


def _occurrences(condition: conditions.Occurrences) -> Holds:
    source, match, since = condition.source, condition.match, condition.since
    if condition.weighted and source.amounts is not None:
        listed = source.amounts
        events: Callable[[Facts], list[tuple[int, int]]] = listed
    else:
        moments = source.moments
        if condition.least == 1 and condition.most is None and since is None and source.ends is None:
            return _any_occurrence(condition)

        def events(facts: Facts) -> list[tuple[int, int]]:
            return [(moment, 1) for moment in moments(facts, match)]

    def given(facts: Facts, anchor: int) -> Spans:
        chosen = [event for event in events(facts) if event[0] >= anchor]
        if source.ends is None:
            return _spans_of_sum(condition, chosen)
        end = source.ends(facts)  # from then on the list counts as empty
        before = intersect(_spans_of_sum(condition, chosen), span(0, end))
        return unite(before, intersect(_spans_of_sum(condition, []), span(end, FOREVER_S)))

    if since is None:
        return lambda facts: given(facts, 0)

    # Without its moment no event counts; where the moment ends with time (a cart), that is so from then on.
    counts = _by_anchor(since, given)
    known = _by_value(since, lambda _: ALWAYS)
    empty = _spans_of_sum(condition, [])
    return lambda facts: unite(counts(facts), intersect(empty, complement(known(facts))))


def _by_anchor(since: Fact, given: Callable[[Facts, int], Spans]) -> Holds:
    def holds(facts: Facts) -> Spans:
        return _by_value(since, lambda value: given(facts, value) if type(value) is int else NEVER)(facts)

    return holds


def _any_occurrence(condition: conditions.Occurrences) -> Holds:
    """At least one event in the period: the union of one span an event."""
    moments, match, low, high = condition.source.moments, condition.match, condition.low, condition.high
    if high is None:
        return lambda facts: ALWAYS if moments(facts, match) else NEVER
    after = high + 1

    def holds(facts: Facts) -> Spans:
        return joined([(moment + low, moment + after) for moment in moments(facts, match)])

    return holds


def _spans_of_sum(condition: conditions.Occurrences, events: list[tuple[int, int]]) -> Spans:
    if condition.high is None:
        total = sum(weight for _, weight in events)
        inside = total >= condition.least and (condition.most is None or total <= condition.most)
        return ALWAYS if inside else NEVER
    steps = [(moment + condition.low, weight) for moment, weight in events]
    steps += [(moment + condition.high + 1, -weight) for moment, weight in events]
    return where_sum_lies(steps, 0, condition.least, condition.most)
