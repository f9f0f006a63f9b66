"""Windows against the plain meaning of the language, for random rules over random visitors at random times."""

import itertools
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.model import Advertiser, Segment
from segments.facts.facts import (
    CART_LIFETIME_S,
    DAY_S,
    FOREVER_S,
    Bought,
    CartLine,
    Cooldown,
    Entry,
    Facts,
    Order,
    PathVisit,
    Product,
    Search,
    Traits,
)
from segments.rules.check import check
from segments.rules.evaluate import evaluate
from segments.rules.happenings import SOURCES
from segments.rules.ruleset import MAX_WINDOWS_PER_SEGMENT, CompiledRules, compile_rule
from segments.rules.spans import ALWAYS, Spans, complement, contains, intersect, unite
from segments.rules.view import View
from segments.rules.vocabulary import FACTS, Type
from segments.rules.windows import compiled

START: Final = 1_790_000_000
RETENTION_S: Final = 90 * DAY_S

# Few values, so that rules and visitors meet; mixed case, since case does not count.
WORDS: Final = ("shoes", "Shoes-Men", "hats", "szpilki", "/promo/sale", "/promo/", "/", "facebook", "x")
PATTERNS: Final = ("*", "shoes*", "*s", "/promo/*", "*o*s*", "x", "SZPILKI", "face*book", "nothing", "*-*")

moments = st.integers(0, 40 * DAY_S).map(lambda ago: START - ago)
maybe_moments = st.just(0) | moments
words = st.sampled_from(WORDS)
amounts = st.integers(0, 900).map(lambda units: units * 1_000_000)
small = st.integers(0, 6)


def _some(of: st.SearchStrategy[object]) -> st.SearchStrategy[list[object]]:
    return st.lists(of, max_size=4)


ends = st.sampled_from((START, START + 3 * DAY_S, START + 50 * DAY_S, FOREVER_S))
traits = st.none() | st.builds(
    Traits, st.sampled_from(("", "high", "Low")), words, st.lists(words, max_size=3).map(tuple), st.booleans(),
    maybe_moments, st.just(0) | ends,
)  # fmt: skip

facts_of_visitors = st.builds(
    Facts,
    first_visit_s=maybe_moments, last_visit_s=maybe_moments, visit_start_s=maybe_moments, visits=small, pages=small,
    seconds_on_site=st.integers(0, 4_000),
    entries=_some(st.builds(Entry, moments, words, words, words, words, words)),
    products=_some(st.builds(Product, words, words, moments, amounts, small, st.booleans(), traits)),
    searches=_some(st.builds(Search, words, moments)),
    paths=_some(st.builds(PathVisit, words, moments)),
    cart=_some(st.builds(CartLine, words, words, amounts, small, moments, traits)),
    cart_micros=amounts, cart_stage=st.integers(0, 4), cart_since_s=maybe_moments, cart_changed_s=moments,
    cart_idle_s=maybe_moments,
    purchases=small, purchases_micros=amounts, first_purchase_s=maybe_moments, last_purchase_s=maybe_moments,
    orders=_some(st.builds(Order, st.just(1), moments, amounts)),
    bought=_some(st.builds(Bought, words, words, moments, small, amounts, traits)),
    cooldowns=_some(st.builds(Cooldown, words, moments.map(lambda moment: moment + 14 * DAY_S))),
    score=st.floats(0, 200), lifecycle=st.integers(0, 4),
    attributes=st.dictionaries(st.sampled_from(("tier", "age")), words | small | st.booleans(), max_size=2),
    country=st.sampled_from(("", "POL")),
    events=st.dictionaries(words, moments, max_size=3),
)  # fmt: skip

durations = st.one_of(
    st.sampled_from(("0s", "1s", "1h", "1d", "7d", "14d", "30d", "60d", "1d12h")),
    st.integers(0, 45 * DAY_S).map(lambda seconds: f"{seconds}s"),
)
quoted = st.sampled_from((*WORDS, *PATTERNS)).map(lambda text: f'"{text}"')
comparisons = st.sampled_from(("=", "!=", "<", "<=", ">", ">="))
orderings = st.sampled_from((">", ">=", "<="))
MOMENTS: Final = sorted(name for name, fact in FACTS.items() if fact.type is Type.MOMENT)


def _of_type(*types: Type) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(name for name, fact in FACTS.items() if fact.type in types))


def _join(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map(" ".join)


def _ranges(low: st.SearchStrategy[int], unit: str) -> st.SearchStrategy[str]:
    return st.tuples(low, low).map(lambda pair: f"{min(pair)}{unit}..{max(pair)}{unit}")


numbers = st.integers(-1, 200).map(str)
seconds = st.integers(0, 40 * DAY_S)
periods = st.one_of(
    st.just(""), _join("in", durations), _join("in", _ranges(seconds, "s")), _join("since", st.sampled_from(MOMENTS))
)
verbs_of_products = st.sampled_from(("viewed", "bought", "added"))
prices = st.integers(0, 900).map(lambda units: f"{units} PLN")


def _price_range(pair: tuple[int, int]) -> str:
    low, high = sorted(pair)
    return f"{low // 1_000_000} PLN..{high // 1_000_000} PLN"


timed_events = st.one_of(
    st.sampled_from(("visited", "viewed", "bought", "purchased", "added")),
    _join("visited", quoted),
    _join(st.sampled_from(("viewed", "bought", "added")), st.sampled_from(("product", "category")), quoted),
    _join("viewed category (", quoted, ",", quoted, ")"),
    _join(verbs_of_products, st.sampled_from(("margin", "brand", "label")), quoted),
    _join(verbs_of_products, "label (", quoted, ",", quoted, ")"),
    _join(verbs_of_products, "on_sale"),
    _join(verbs_of_products, "price", st.sampled_from(("=", "<=", ">", ">=")), prices),
    _join(verbs_of_products, "price in", st.tuples(amounts, amounts).map(_price_range)),
    _join("searched", quoted),
    _join("did", quoted),
)
events = st.one_of(_join(timed_events, periods), st.sampled_from(("liked", 'liked category "shoes*"')))
TERMS: Final[dict[str, st.SearchStrategy[str]]] = {
    "events": events,
    "count at least": _join("count (", events, ")", orderings, st.integers(0, 4).map(str)),
    "count between": _join("count (", events, ") in", _ranges(small, "")),
    "count other than": _join("count (", events, ") !=", small.map(str)),
    "total": _join("total ( bought", periods, ")", orderings, st.integers(0, 900).map(lambda units: f"{units} PLN")),
    "what is in the cart": _join(st.sampled_from(("added", "not added")), periods),
    "number": _join(_of_type(Type.NUMBER), comparisons, numbers),
    "number between": _join(_of_type(Type.NUMBER), "in", _ranges(small, "")),
    "number of a list": _join(_of_type(Type.NUMBER), "in (", numbers, ",", numbers, ")"),
    "money": _join(_of_type(Type.MONEY), comparisons, st.integers(0, 900).map(lambda units: f"{units} PLN")),
    "duration": _join(_of_type(Type.DURATION), comparisons, durations),
    "moment": _join(st.sampled_from(MOMENTS), orderings, durations, st.sampled_from(("ago", "ahead"))),
    "moment between": _join(
        st.sampled_from(MOMENTS), "in", _ranges(seconds, "s"), st.sampled_from(("", "ago", "ahead"))
    ),
    "moment within": _join(st.sampled_from(MOMENTS), "in", durations),
    "age": _join(_of_type(Type.AGE), orderings, durations),
    "age of a moment": _join(st.sampled_from(MOMENTS).map(lambda name: f"{name}.age"), orderings, durations),
    "age between": _join(_of_type(Type.AGE), "in", _ranges(seconds, "s")),
    "text": _join(_of_type(Type.TEXT), st.sampled_from(("=", "!=", "contains", "like")), quoted),
    "texts": _join(_of_type(Type.TEXTS), st.sampled_from(("=", "contains", "like", "not contains")), quoted),
    "text of a list": _join(
        _of_type(Type.TEXT, Type.TEXTS), st.sampled_from(("in (", "like (", "contains (")), quoted, ",", quoted, ")"
    ),
    "lifecycle": _join("lifecycle", st.sampled_from(("=", "!=")), st.sampled_from(("exit", "sales", "nurture"))),
    "stage": _join("cart.stage", comparisons, st.sampled_from(("cart", "shipping"))),
    "attribute": st.one_of(
        _join("attribute.tier", st.sampled_from(("=", "!=")), st.sampled_from(("true", "false", '"shoes"', "3"))),
        _join("attribute.age in", _ranges(small, "")),
    ),
    "has": _join("has", _of_type(Type.MOMENT, Type.TEXT, Type.TEXTS, Type.AGE, Type.WORD) | st.just("attribute.age")),
    "constant": st.sampled_from(("everyone", "nobody")),
}
"""By kind, so that each kind is asked often enough to meet a visitor whom it concerns."""
terms = st.one_of(*TERMS.values())
rules = st.recursive(
    terms.map(lambda term: f"({term})"),
    lambda inner: st.one_of(
        _join("(", inner, "and", inner, ")"), _join("(", inner, "or", inner, ")"), _join("( not", inner, ")")
    ),
    max_leaves=5,
)  # fmt: skip
times = st.integers(START - 2 * DAY_S, START + 100 * DAY_S)


def _edges(spans: Spans, now: int) -> list[int]:
    """Moments where an error by one would show."""
    return [now, *(moment for edge in spans for moment in (edge - 1, edge) if now <= moment < FOREVER_S)]


LATER: Final = st.lists(st.integers(0, 60 * DAY_S), max_size=4)


@pytest.mark.parametrize("kind", TERMS)
def test_windows_of_every_kind_of_condition_agree_with_direct_evaluation(kind: str) -> None:
    @settings(max_examples=80)
    @given(rule=TERMS[kind], facts=facts_of_visitors, now=times, later=LATER)
    def agree(rule: str, facts: Facts, now: int, later: list[int]) -> None:
        _agree(rule, facts, now, later)

    agree()


@settings(max_examples=200)
@given(rule=rules, facts=facts_of_visitors, now=times, later=LATER)
@example(rule="(not purchased since cart)", facts=Facts(), now=START, later=[])
@example(rule="(count(bought since cart) <= 2)", facts=Facts(), now=START, later=[])
@example(
    rule="(cart.age > 1h)",
    facts=Facts(cart=[CartLine("x")], cart_changed_s=START, cart_idle_s=START),
    now=START,
    later=[],
)
def test_windows_agree_with_direct_evaluation_from_now_on(rule: str, facts: Facts, now: int, later: list[int]) -> None:
    _agree(rule, facts, now, later)


def _agree(rule: str, facts: Facts, now: int, later: list[int]) -> None:
    spans = compiled(check(rule, "PLN"))(View(facts, now))
    assert list(spans) == sorted(set(spans)), "sorted, disjoint, not touching"
    assert len(spans) % 2 == 0
    for moment in (*(now + wait for wait in later), *_edges(spans, now)):
        assert contains(spans, moment) == evaluate(rule, facts, moment * 1000 + 999), moment


@settings(max_examples=100)
@given(rule=rules, facts=facts_of_visitors, now=times)
def test_the_windows_of_a_segment_are_the_nearest_that_have_not_ended(rule: str, facts: Facts, now: int) -> None:
    segments = [Segment(id=7, advertiser_id=1, name="", rule=rule)]
    windows = CompiledRules(segments, Advertiser(id=1, name="")).windows_of(frozenset({7}), facts, now * 1000)
    assert len(windows) <= MAX_WINDOWS_PER_SEGMENT
    assert all(segment == 7 and now < leave <= FOREVER_S and enter < leave for segment, enter, leave in windows)
    inside = any(enter <= now < leave for _, enter, leave in windows)
    assert inside == evaluate(rule, facts, now * 1000)


@settings(max_examples=100)
@given(facts=facts_of_visitors, other=facts_of_visitors, now=times)
def test_facts_and_events_depend_on_nothing_but_the_fields_that_they_read(facts: Facts, other: Facts, now: int) -> None:
    def with_the_same(fields: frozenset[str]) -> Facts:
        return msgspec.structs.replace(other, **{field: getattr(facts, field) for field in fields})

    for fact in FACTS.values():
        twin = with_the_same(fact.reads)
        assert fact.value(twin, now) == fact.value(facts, now), fact.name
        if fact.changes is not None:
            assert list(fact.changes(twin)) == list(fact.changes(facts)), fact.name
    for name, source in SOURCES.items():
        twin = with_the_same(source.reads)
        assert source.rows(twin) == source.rows(facts), name
        assert source.amounts is None or source.amounts(twin) == source.amounts(facts), name
        assert source.ends is None or source.ends(twin) == source.ends(facts), name


@settings(max_examples=150)
@given(rule=rules, facts=facts_of_visitors, other=facts_of_visitors)
def test_a_rule_depends_on_nothing_but_the_fields_that_it_reads(rule: str, facts: Facts, other: Facts) -> None:
    compiled_rule = compile_rule(7, rule, "PLN", RETENTION_S)
    for field in compiled_rule.reads:
        setattr(other, field, getattr(facts, field))
    assert compiled_rule.holds(View(other, START)) == compiled_rule.holds(View(facts, START))


@pytest.mark.parametrize("kind", TERMS)
def test_a_condition_that_may_be_carried_over_changes_before_the_profile_expires(kind: str) -> None:
    @settings(max_examples=60)
    @given(rule=TERMS[kind], facts=facts_of_visitors, days=st.sampled_from((2, 7, 30, 90)))
    def expire(rule: str, facts: Facts, days: int) -> None:
        facts.last_visit_s = START  # no event of a profile is later than its last one
        compiled_rule = compile_rule(7, rule, "PLN", days * DAY_S)
        if not compiled_rule.always:
            changes = [edge for edge in compiled_rule.holds(View(facts, START)) if edge != FOREVER_S]
            assert max(changes, default=0) < START + days * DAY_S

    expire()


def _each(*words: Sequence[str]) -> list[str]:
    return [" ".join(chosen) for chosen in itertools.product(*words)]


# Every rule of a family differs from another in one respect, so a shared part that forgets one of them shows.
_PERIODS: Final = ("", "in 7d", "in 1d..7d", "in 30d", "since first_visit", "since last_visit")
FAMILIES: Final = {
    "counts": _each(["count ( viewed"], _PERIODS, [") >= 1", ") >= 2", ") <= 1", ") in 1..2"]),
    "other events": _each(["count ("], ["bought", "visited"], _PERIODS, [") >= 1", ") >= 2"]),
    "totals": _each(["total ( bought"], _PERIODS, [") >= 300 PLN", ") >= 600 PLN", ") <= 300 PLN"]),
    "patterns": _each(["viewed", "not viewed"], ["product", "category"], ['"shoes"', '"s*"', '"*s"'], _PERIODS[:3]),
    "moments": _each(["last_visit", "next_purchase", "cart"], ["in 1d..7d", "in 7d..30d"], ["ago", "ahead"]),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rule_gives_the_same_windows_alone_and_in_company(family: str) -> None:
    segments = [Segment(id=at, advertiser_id=1, name="", rule=text) for at, text in enumerate(FAMILIES[family], 1)]
    shop, now_ms = Advertiser(id=1, name=""), START * 1000
    together = CompiledRules(segments, shop)
    assert not together.broken
    alone = [CompiledRules([segment], shop) for segment in segments]

    @settings(max_examples=60)
    @given(facts=facts_of_visitors)
    def agree(facts: Facts) -> None:
        apart = [window for rules in alone for window in rules.windows_of(rules.segment_ids, facts, now_ms)]
        assert together.windows_of(together.segment_ids, facts, now_ms) == apart

    agree()


@settings(max_examples=150)
@given(
    texts=st.lists(rules, min_size=1, max_size=4),
    facts=facts_of_visitors,
    gaps=st.lists(st.integers(1, 20 * DAY_S), min_size=1, max_size=5),
)
def test_windows_renewed_event_by_event_are_those_computed_at_once(
    texts: list[str], facts: Facts, gaps: list[int]
) -> None:
    segments = [Segment(id=at, advertiser_id=1, name="", rule=text) for at, text in enumerate(texts, 1)]
    compiled_rules = CompiledRules(segments, Advertiser(id=1, name=""))
    now, expires = START, START + RETENTION_S
    facts.last_visit_s = now
    windows = compiled_rules.renewed(facts, frozenset(Facts.__struct_fields__), now * 1000, [], expires)
    for gap in gaps:
        stored = [(key, enter, min(leave, expires)) for key, enter, leave in windows if enter < expires]
        now += gap
        facts.last_visit_s, facts.pages = now, facts.pages + 1
        windows = compiled_rules.renewed(facts, frozenset({"last_visit_s", "pages"}), now * 1000, stored, expires)
        expires = now + RETENTION_S
        every = compiled_rules.windows_of(compiled_rules.segment_ids, facts, now * 1000)
        assert _from(windows, now, expires) == _from(every, now, expires)


def _from(windows: list[tuple[int, int, int]], now: int, expires: int) -> list[tuple[int, int, int]]:
    """What the bid path can see of windows: the first of each segment, from now on."""
    seen: dict[int, tuple[int, int, int]] = {}
    for segment, enter, leave in windows:
        if leave > now and enter < expires:
            seen.setdefault(segment, (segment, max(enter, now), min(leave, expires)))
    return sorted(seen.values())


sets_of_time = st.lists(st.integers(0, 60) | st.just(FOREVER_S), unique=True, max_size=8).map(
    lambda edges: tuple(sorted(edges))[: len(edges) // 2 * 2]
)


@given(left=sets_of_time, right=sets_of_time)
def test_the_algebra_of_spans_is_that_of_sets(left: Spans, right: Spans) -> None:
    for moment in range(62):
        inside_left, inside_right = contains(left, moment), contains(right, moment)
        assert contains(intersect(left, right), moment) == (inside_left and inside_right)
        assert contains(unite(left, right), moment) == (inside_left or inside_right)
        assert contains(complement(left), moment) == (not inside_left)
    assert complement(complement(left)) == left or left == ALWAYS


def test_a_cart_ends_by_age_exactly_when_the_profile_says_so() -> None:
    facts = Facts(cart=[CartLine("x")], cart_since_s=START, cart_changed_s=START, cart_idle_s=START)
    assert compiled(check("has cart", "PLN"))(View(facts, START)) == (0, START + CART_LIFETIME_S)
