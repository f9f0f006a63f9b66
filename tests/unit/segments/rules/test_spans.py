from segments.facts.facts import FOREVER_S
from segments.rules.spans import (
    ALWAYS,
    NEVER,
    SpanBuilder,
    complement,
    contains,
    intersect,
    joined,
    span,
    unite,
    where_sum_lies,
)


def test_a_span_is_cut_to_what_can_be_stored() -> None:
    assert span(-5, 3) == (0, 3)
    assert span(FOREVER_S - 1, FOREVER_S + 10) == (FOREVER_S - 1, FOREVER_S)
    assert span(7, 7) is NEVER
    assert span(FOREVER_S + 1, FOREVER_S + 10) is NEVER


def test_the_complement_swaps_inside_and_outside() -> None:
    assert complement(NEVER) is ALWAYS
    assert complement(ALWAYS) == NEVER
    assert complement((5, 9)) == (0, 5, 9, FOREVER_S)
    assert complement((0, 5, 9, FOREVER_S)) == (5, 9)


def test_the_intersection_keeps_what_is_in_both() -> None:
    assert intersect((0, 10, 20, 30), (5, 25)) == (5, 10, 20, 25)
    assert intersect((0, 10), (10, 20)) == NEVER
    assert intersect(ALWAYS, (3, 4)) == (3, 4)


def test_the_union_joins_what_touches() -> None:
    assert unite((0, 10), (10, 20)) == (0, 20)
    assert unite((5, 6), (1, 2)) == (1, 2, 5, 6)
    assert unite((0, 10), (3, 4)) == (0, 10)


def test_joining_takes_spans_in_any_order_and_drops_empty_ones() -> None:
    assert joined([(5, 9), (1, 3), (2, 4), (7, 7), (FOREVER_S, FOREVER_S + 5)]) == (1, 4, 5, 9)
    assert joined([(1, FOREVER_S + 5)]) == (1, FOREVER_S)


def test_the_sum_counts_all_changes_of_a_second_together() -> None:
    assert where_sum_lies([(5, 1), (5, -1), (9, 1)], 0, 1, None) == (9, FOREVER_S)
    assert where_sum_lies([(5, 1), (7, 1), (9, -2)], 0, 1, 1) == (5, 7)
    assert where_sum_lies([(5, 1)], 0, 0, 0) == (0, 5)
    assert where_sum_lies([], 0, 0, None) == ALWAYS


def test_a_moment_is_inside_from_the_start_to_before_the_end() -> None:
    assert [contains((3, 5), moment) for moment in (2, 3, 4, 5)] == [False, True, True, False]


def test_a_set_is_put_together_from_parts_in_order_of_time() -> None:
    builder = SpanBuilder()
    builder.add(ALWAYS, 0, 10)
    builder.add((5, 12, 14, 16), 10, 15)
    builder.add(NEVER, 15, 20)
    builder.add(ALWAYS, 20, FOREVER_S)
    assert builder.spans() == (0, 12, 14, 15, 20, FOREVER_S)
