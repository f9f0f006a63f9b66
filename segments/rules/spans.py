"""Sets of time as sorted, disjoint, half-open spans: the algebra that segment windows are made with.

A set is a flat tuple of unix seconds, `(start, end, start, end, ...)`, inside `[0, FOREVER_S)`. Flat tuples of integers
cost a third of tuples of pairs, and the two commonest sets are constants that compare by identity.
"""

from collections.abc import Sequence
from typing import Final

from segments.facts.facts import FOREVER_S

Spans = tuple[int, ...]

NEVER: Final[Spans] = ()
ALWAYS: Final[Spans] = (0, FOREVER_S)


def span(start: int, end: int) -> Spans:
    """`[start, end)` cut to what can be stored; NEVER where nothing is left."""
    start, end = max(start, 0), min(end, FOREVER_S)
    return (start, end) if start < end else NEVER


def complement(spans: Spans) -> Spans:
    """All time that is not in the set."""
    if spans is NEVER or not spans:
        return ALWAYS
    edges = list(spans)
    if edges[0] == 0:
        del edges[0]
    else:
        edges.insert(0, 0)
    if edges and edges[-1] == FOREVER_S:
        del edges[-1]
    else:
        edges.append(FOREVER_S)
    return tuple(edges)


def intersect(left: Spans, right: Spans) -> Spans:
    """Time that is in both sets."""
    if left is ALWAYS:
        return right
    if right is ALWAYS:
        return left
    if len(left) == 2 and len(right) == 2:  # nearly always
        start = max(right[0], left[0])
        end = min(right[1], left[1])
        return (start, end) if start < end else NEVER
    edges: list[int] = []
    at_left = at_right = 0
    while at_left < len(left) and at_right < len(right):
        start = max(left[at_left], right[at_right])
        end = min(left[at_left + 1], right[at_right + 1])
        if start < end:
            edges += (start, end)
        if left[at_left + 1] <= right[at_right + 1]:
            at_left += 2
        else:
            at_right += 2
    return tuple(edges)


def unite(left: Spans, right: Spans) -> Spans:
    """Time that is in at least one of the sets."""
    if left is ALWAYS or not right:
        return left
    if right is ALWAYS or not left:
        return right
    pairs = [(left[at], left[at + 1]) for at in range(0, len(left), 2)]
    pairs += [(right[at], right[at + 1]) for at in range(0, len(right), 2)]
    return joined(pairs)


def joined(pairs: list[tuple[int, int]]) -> Spans:
    """The union of half-open spans in any order; empty and overlapping ones are allowed, none below 0."""
    pairs.sort()
    edges: list[int] = []
    for start, end in pairs:
        if start >= FOREVER_S or start >= end:
            continue
        if edges and start <= edges[-1]:
            if end > edges[-1]:
                edges[-1] = min(end, FOREVER_S)
        else:
            edges += (start, min(end, FOREVER_S))
    return tuple(edges)


def where_sum_lies(steps: Sequence[tuple[int, int]], start_sum: int, least: int, most: int | None) -> Spans:
    """When a sum lies in `least`..`most`. It is `start_sum` at first and changes by `steps`: (unix second, change)."""
    edges: list[int] = []
    total, inside = start_sum, start_sum >= least and (most is None or start_sum <= most)
    if inside:
        edges.append(0)
    ordered = sorted(steps)
    for index, (moment, change) in enumerate(ordered):
        total += change
        if index + 1 < len(ordered) and ordered[index + 1][0] == moment:
            continue  # all changes of one second happen together
        if moment >= FOREVER_S:
            break
        now_inside = total >= least and (most is None or total <= most)
        if now_inside != inside:
            inside = now_inside
            edges.append(moment)
    if inside:
        edges.append(FOREVER_S)
    return tuple(edges)


class SpanBuilder:
    """A set put together from its parts in order of time."""

    __slots__ = ("_edges",)

    def __init__(self) -> None:
        self._edges: list[int] = []

    def add(self, spans: Spans, start: int, end: int) -> None:
        """Add the part of `spans` that lies in `[start, end)`; no `start` may lie before the last call's `end`."""
        edges = self._edges
        for at in range(0, len(spans), 2):
            first, last = max(spans[at], start), min(spans[at + 1], end)
            if first < last:
                if edges and edges[-1] == first:
                    edges[-1] = last
                else:
                    edges += (first, last)

    def spans(self) -> Spans:
        return tuple(self._edges)


def contains(spans: Spans, at_s: int) -> bool:
    """Whether a moment lies in the set."""
    return any(spans[at] <= at_s < spans[at + 1] for at in range(0, len(spans), 2))
