from hypothesis import given
from hypothesis import strategies as st

from segments.facts.event import event_key
from segments.facts.facts import Facts
from segments.facts.repeats import MAX_RECENT, is_repeated, remember_event, united_events


def test_the_newest_events_are_remembered_and_no_more() -> None:
    facts = Facts()
    keys = [event_key(f"e{number}") for number in range(100)]
    for key in keys:
        assert not is_repeated(facts, key)
        remember_event(facts, key)
    assert [is_repeated(facts, key) for key in keys] == [False] * (100 - MAX_RECENT) + [True] * MAX_RECENT
    assert len(facts.recent_events) == 4 * MAX_RECENT


def test_an_event_without_an_id_is_never_a_repeated_one() -> None:
    facts = Facts()
    remember_event(facts, 0)
    assert facts.recent_events == b""
    assert not is_repeated(facts, 0)
    assert event_key("") == 0


packed = st.lists(st.integers(1, 50), max_size=60).map(lambda keys: b"".join(k.to_bytes(4, "little") for k in keys))


@given(packed, packed)
def test_united_digests_are_the_same_from_either_side_and_bounded(left: bytes, right: bytes) -> None:
    both = united_events(left, right)
    assert both == united_events(right, left)
    assert len(both) <= max(4 * MAX_RECENT, len(left), len(right))
