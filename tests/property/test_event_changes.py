"""An event names every field it changes: what it does not name, the rules that read it are not evaluated for."""

import copy
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model import Advertiser, Segment
from segments.audiences.ready_made import READY_MADE, ParameterKind, ParameterValue, rule_of
from segments.facts.apply import apply_event
from segments.facts.event import Event, Item, Kind, Source, order_key
from segments.facts.facts import DAY_S, FACT_NAMES, Facts
from segments.facts.layout import Window, expiry_s
from segments.rules.ruleset import CompiledRules

START_S: Final = 1_790_000_000
SHOP: Final = Advertiser(id=1, name="shop")
_EXAMPLES: Final[dict[ParameterKind, ParameterValue]] = {
    ParameterKind.TEXTS: ("shoes", "/promo*", "a*"),
    ParameterKind.STAGE: "form",
}


def _example(key: str) -> str:
    return rule_of(key, "PLN", {p.name: _EXAMPLES[p.kind] for p in READY_MADE[key].parameters if p.default is None})


RULES: Final = CompiledRules(
    [
        Segment(id=at, advertiser_id=1, name="", rule=rule)
        for at, rule in enumerate(
            [
                *map(_example, READY_MADE),
                "not bought",
                "lifecycle = exit",
                "cart.value >= 2 PLN",
                "count(visited in 7d) in 1..2",
                'did "sign_up" in 30d or source = "facebook"',
                "engagement > 20 and score > 5",
                "last_purchase > 120d ago",
            ],
            1,
        )
    ],
    SHOP,
)

items = st.builds(
    Item, st.sampled_from(("a1", "a2", "b", "")), st.sampled_from(("", "shoes", "hats")),
    st.integers(0, 5).map(lambda units: units * 1_000_000), st.integers(0, 3),
)  # fmt: skip
sources = st.none() | st.builds(
    Source, st.sampled_from(("facebook", "google")), st.just("cpc"), st.sampled_from(("", "spring")),
    st.just(""), st.booleans(),
)  # fmt: skip
# Carts and orders more often than the rest, since most of what an event can change belongs to them.
kinds = st.sampled_from([*map(str, Kind), "custom", *2 * [Kind.ADD_TO_CART, Kind.VIEW_CART], *4 * [Kind.PURCHASE]])
events = st.builds(
    Event, kinds.map(str), st.just(1), st.just("u"), st.just(0),
    path=st.sampled_from(("", "/", "/promo/1", "/promo/2")), source=sources,
    items=st.lists(items, max_size=3).map(tuple), value_micros=st.none() | st.integers(0, 9_000_000),
    order=st.sampled_from(("", "A", "B", "C")).map(order_key), phrase=st.sampled_from(("", "abc", "shoes")),
    seconds=st.integers(0, 60), attributes=st.dictionaries(st.sampled_from(("x", "y")), st.none() | st.integers(0, 2)),
    country=st.sampled_from(("", "POL")), offline=st.booleans(),
)  # fmt: skip
# Mostly forward, sometimes late by up to two days; now and then after a long silence.
gaps = st.one_of(st.integers(0, 7_200), st.integers(-2 * DAY_S, 0), st.integers(0, 40 * DAY_S))
histories = st.lists(st.tuples(gaps, events), min_size=1, max_size=12)


@pytest.mark.parametrize("kind", [*map(str, Kind), "custom"])
def test_an_event_names_every_field_that_it_changes(kind: str) -> None:
    """Each kind at the end of a history of buyers, where it finds something to change."""

    @settings(max_examples=80)
    @given(history=histories, last=events, gap=gaps)
    def name(history: list[tuple[int, Event]], last: Event, gap: int) -> None:
        facts, at_s = Facts(), START_S
        for pause, event in [*history, (gap, msgspec.structs.replace(last, kind=kind))]:
            at_s += pause
            before = copy.deepcopy(facts)
            changed = apply_event(facts, msgspec.structs.replace(event, at_ms=at_s * 1000))
            different = {field for field in FACT_NAMES if getattr(facts, field) != getattr(before, field)}
            assert different <= changed

    name()


@settings(max_examples=150)
@given(history=histories)
def test_windows_kept_through_a_history_are_those_of_its_end(history: list[tuple[int, Event]]) -> None:
    facts, at_s = Facts(), START_S
    stored: list[Window] = []
    now_s = expires_s = 0
    for number, (gap, event) in enumerate(history):
        at_s += gap
        now_s = max(now_s, at_s)
        changed = apply_event(facts, msgspec.structs.replace(event, at_ms=at_s * 1000))
        windows = RULES.renewed(facts, changed if number else FACT_NAMES, now_s * 1000, stored, expires_s)
        expires_s = expiry_s(facts, SHOP.profile_retention_days)
        if expires_s <= now_s:
            return  # the profile is over
        stored = _as_stored(windows, now_s, expires_s)
    fresh = RULES.windows_of(RULES.segment_ids, facts, now_s * 1000)
    assert _from_now(stored, now_s) == _from_now(_as_stored(fresh, now_s, expires_s), now_s)


def _as_stored(windows: list[Window], now_s: int, expires_s: int) -> list[Window]:
    """What of windows a profile's field keeps (segments/facts/layout.py)."""
    return [(key, enter, min(leave, expires_s)) for key, enter, leave in windows if leave > now_s and enter < expires_s]


def _from_now(windows: list[Window], now_s: int) -> list[Window]:
    """The first window of each segment, from now on: later ones may have been cut off."""
    first: dict[int, Window] = {}
    for key, enter, leave in windows:
        if leave > now_s:
            first.setdefault(key, (key, max(enter, now_s), leave))
    return list(first.values())
