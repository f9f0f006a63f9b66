"""From a checked rule to a function that says when it holds, now and ever after, if nothing more happens.

A condition on facts that only events change holds always or never; one that looks at the clock holds in spans. `and`,
`or` and `not` are intersection, union and complement of those spans, so the result is exact to the second. The bid path
then compares a clock with windows and never sees a rule (docs/profile-layout.md).
"""

from collections.abc import Callable, Mapping
from typing import Final

from segments.facts.facts import FOREVER_S, Facts
from segments.rules import conditions
from segments.rules.conditions import Condition, Key, shared_key
from segments.rules.predicates import Predicate
from segments.rules.spans import (
    ALWAYS,
    NEVER,
    SpanBuilder,
    Spans,
    complement,
    intersect,
    joined,
    span,
    unite,
    where_sum_lies,
)
from segments.rules.view import View
from segments.rules.vocabulary import Fact, Value

Holds = Callable[[View], Spans]
"""When a rule holds for a visitor: exact from the view's moment on; one that is open then begins some time before."""


NOTHING_SHARED: Final[Mapping[Key, int]] = {}


def compiled(condition: Condition, shared: Mapping[Key, int] = NOTHING_SHARED) -> Holds:
    """The function that computes the spans of a condition; parts that are `shared` are computed once a view."""
    number = shared.get(shared_key(condition)) if shared else None
    if number is not None:
        return _once(number, _compiled(condition, shared))
    return _compiled(condition, shared)


def _once(number: int, holds: Holds) -> Holds:
    def remembered(view: View) -> Spans:
        known = view.known.get(number)
        if known is None:
            known = view.known[number] = holds(view)
        return known

    return remembered


def _compiled(condition: Condition, shared: Mapping[Key, int]) -> Holds:
    match condition:
        case conditions.Fixed(holds=holds):
            constant = ALWAYS if holds else NEVER
            return lambda _: constant
        case conditions.AllOf(parts=parts):
            return _all_of([compiled(part, shared) for part in _cheap_first(parts)])
        case conditions.AnyOf(parts=parts):
            return _any_of([compiled(part, shared) for part in _cheap_first(parts)])
        case conditions.Opposite(part=part):
            return _opposite(compiled(part, shared))
        case conditions.Test(fact=fact, holds=holds):
            return _by_test(fact, holds)
        case conditions.Known(fact=fact):
            return _by_value(fact, lambda _, __: ALWAYS)
        case conditions.Distance():
            return _by_value(condition.fact, _distance_from(condition))
        case conditions.Occurrences():
            return _occurrences(condition)


def _cheap_first(parts: tuple[Condition, ...]) -> list[Condition]:
    """The parts in order of cost: a rule mostly fails on its cheapest part, and the others are not computed then."""
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
    def holds(view: View) -> Spans:
        result = ALWAYS
        for part in parts:
            result = intersect(result, part(view))
            if not result:
                return NEVER
        return result

    return holds


def _any_of(parts: list[Holds]) -> Holds:
    def holds(view: View) -> Spans:
        result = NEVER
        for part in parts:
            result = unite(result, part(view))
            if result is ALWAYS:
                return ALWAYS
        return result

    return holds


def _opposite(part: Holds) -> Holds:
    return lambda view: complement(part(view))


def _by_test(fact: Fact, test: Predicate) -> Holds:
    """As `_by_value`, for a test that does not depend on time, which most conditions are."""
    value_of = fact.value
    if fact.changes is None:

        def constant(view: View) -> Spans:
            value = value_of(view.facts, view.now_s)
            return ALWAYS if value is not None and test(value) else NEVER

        return constant

    def stepwise(view: View) -> Spans:
        pieces = view.pieces(fact)
        if len(pieces) == 1:
            start, end, value = pieces[0]
            return (start, end) if test(value) else NEVER
        return joined([(start, end) for start, end, value in pieces if test(value)])

    return stepwise


def _by_value(fact: Fact, spans_of: Callable[[Value, View], Spans]) -> Holds:
    """Spans that follow from a fact's value, cut to the time while the fact has that value."""
    value_of = fact.value
    if fact.changes is None:

        def constant(view: View) -> Spans:
            value = value_of(view.facts, view.now_s)
            return NEVER if value is None else spans_of(value, view)

        return constant

    def stepwise(view: View) -> Spans:
        pieces = view.pieces(fact)
        if len(pieces) == 1:
            start, end, value = pieces[0]
            return intersect(spans_of(value, view), (start, end))
        builder = SpanBuilder()
        for start, end, value in pieces:
            builder.add(spans_of(value, view), start, end)
        return builder.spans()

    return stepwise


def _distance_from(condition: conditions.Distance) -> Callable[[Value, View], Spans]:
    low, high = condition.low, condition.high

    def behind(value: Value, _: View) -> Spans:
        if type(value) is not int:
            return NEVER
        start, end = value + low, FOREVER_S if high is None else value + high + 1
        return (start, end) if 0 <= start < end <= FOREVER_S else span(start, end)

    def ahead(value: Value, _: View) -> Spans:
        if type(value) is not int:
            return NEVER
        return span(0 if high is None else value - high, value - low + 1)

    return ahead if condition.ahead else behind


SpansOfEvents = Callable[[View, int | None], Spans]
"""When the number or value of events fits; only events from the given moment on count (None: all)."""


def _occurrences(condition: conditions.Occurrences) -> Holds:
    source, since = condition.source, condition.since
    spans_of = _weighted_spans(condition) if condition.weighted else _counted_spans(condition)
    nothing = ALWAYS if condition.least <= 0 else NEVER
    if source.ends is not None:
        spans_of = _while_there(source.ends, spans_of, nothing)
    if since is None:
        return lambda view: spans_of(view, None)

    # No event counts while the fact of `since` has no value, as a cart's once the cart has ended by age.
    counts = _by_value(since, lambda value, view: spans_of(view, value) if type(value) is int else NEVER)
    if nothing is NEVER:
        return counts
    known = _by_value(since, lambda _, __: ALWAYS)
    return lambda view: unite(counts(view), complement(known(view)))


def _while_there(ends: Callable[[Facts], int], spans_of: SpansOfEvents, nothing: Spans) -> SpansOfEvents:
    """The spans of `spans_of` until `ends`, from where on the list counts as empty, and `nothing` after it."""

    def cut(view: View, anchor: int | None) -> Spans:
        end = ends(view.facts)
        if end <= view.now_s:
            return nothing
        builder = SpanBuilder()
        builder.add(spans_of(view, anchor), 0, end)
        builder.add(nothing, end, FOREVER_S)
        return builder.spans()

    return cut


def _counted_spans(condition: conditions.Occurrences) -> SpansOfEvents:
    """The number of events."""
    source, low, high = condition.source, condition.low, condition.high
    may_cover, select = condition.patterns.may_cover, condition.patterns.select
    least, most = condition.least, condition.most
    some = least == 1 and most is None

    def spans_of(view: View, anchor: int | None) -> Spans:
        moments = select(view.column(source)) if may_cover(view.texts(source)) else []
        if anchor is not None:
            moments = [moment for moment in moments if moment >= anchor]
        if high is None:
            return ALWAYS if len(moments) >= least and (most is None or len(moments) <= most) else NEVER
        gone = view.now_s - high
        if some:
            latest = max(moments, default=0)
            if latest + low <= view.now_s:  # all have begun, so they last as long as the latest does
                return (0, latest + high + 1) if latest >= gone and moments else NEVER
            return joined([(moment + low, moment + high + 1) for moment in moments if moment >= gone])
        return _spans_of_sum(condition, [(moment, 1) for moment in moments if moment >= gone], view.now_s)

    return spans_of


def _weighted_spans(condition: conditions.Occurrences) -> SpansOfEvents:
    """The value of events."""
    amounts, least, most, high = condition.source.amounts, condition.least, condition.most, condition.high

    def spans_of(view: View, anchor: int | None) -> Spans:
        events = amounts(view.facts) if amounts is not None else []
        if anchor is not None:
            events = [event for event in events if event[0] >= anchor]
        if high is None:
            total = sum(amount for _, amount in events)
            return ALWAYS if total >= least and (most is None or total <= most) else NEVER
        gone = view.now_s - high
        return _spans_of_sum(condition, [event for event in events if event[0] >= gone], view.now_s)

    return spans_of


def _spans_of_sum(condition: conditions.Occurrences, events: list[tuple[int, int]], now_s: int) -> Spans:
    low, after = condition.low, (condition.high or 0) + 1
    start_sum = 0
    steps: list[tuple[int, int]] = []
    for moment, weight in events:
        if moment + low <= now_s:
            start_sum += weight
        else:
            steps.append((moment + low, weight))
        steps.append((moment + after, -weight))
    return where_sum_lies(steps, start_sum, condition.least, condition.most)
