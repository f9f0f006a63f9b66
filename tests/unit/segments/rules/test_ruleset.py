import msgspec
import pytest

from core.model import Advertiser, Segment, Status
from segments.facts.facts import DAY_S, FACT_NAMES, FOREVER_S, CartLine, Entry, Facts
from segments.rules.errors import RuleError
from segments.rules.ruleset import MAX_WINDOWS_PER_SEGMENT, CompiledRules, compile_rule

NOW = 1_790_000_000
SHOP = Advertiser(id=1, name="shop")


def rules(*texts: str, advertiser: Advertiser = SHOP) -> CompiledRules:
    segments = [Segment(id=at, advertiser_id=1, name="", rule=text) for at, text in enumerate(texts, 1)]
    return CompiledRules(segments, advertiser)


def test_only_rules_that_read_a_changed_fact_are_affected() -> None:
    compiled = rules("score > 1", 'viewed category "a"', "score > 5 and pages.count > 2", "everyone")
    assert compiled.affected(frozenset({"score"})) == {1, 3, 4}
    assert compiled.affected(frozenset({"products", "pages"})) == {2, 3, 4}
    assert compiled.affected(frozenset()) == {4}


def test_rules_of_others_and_paused_segments_are_left_out() -> None:
    segments = [
        Segment(id=1, advertiser_id=1, name="", rule="everyone"),
        Segment(id=2, advertiser_id=2, name="", rule="everyone"),
        Segment(id=3, advertiser_id=1, name="", rule="everyone", status=Status.PAUSED),
    ]
    assert CompiledRules(segments, SHOP).segment_ids == {1}


def test_a_broken_rule_does_not_stop_the_others() -> None:
    compiled = rules("score >", "everyone", "cart.value > 5 EUR")
    assert compiled.segment_ids == {2}
    assert sorted(compiled.broken) == [1, 3]
    assert "amounts are in PLN" in str(compiled.broken[3])


def test_windows_that_have_ended_are_not_listed() -> None:
    facts = Facts(last_visit_s=NOW)
    compiled = rules("last_visit in 1h")
    every = frozenset({"last_visit_s"})
    assert compiled.windows(facts, every, (NOW + 3_600) * 1000) == [(1, NOW, NOW + 3_601)]
    assert compiled.windows(facts, every, (NOW + 3_601) * 1000) == []


def test_an_unaffected_rule_keeps_its_windows_to_the_end_of_the_new_retention() -> None:
    compiled = rules("everyone", "likes.count > 1", "last_visit in 1h")
    stored = [(2, NOW - 9, NOW + 50), (3, NOW - 9, NOW + 3_600)]
    facts = Facts(likes=0, last_visit_s=NOW)
    renewed = compiled.renewed(facts, frozenset({"last_visit_s"}), NOW * 1000, stored, NOW + 50)
    assert renewed == [(1, NOW, FOREVER_S), (2, NOW - 9, FOREVER_S), (3, NOW - 9, NOW + 3_601)]


def test_a_membership_that_goes_on_keeps_its_beginning() -> None:
    compiled = rules("score > 1")
    renewed = compiled.renewed(Facts(score=5), frozenset({"score"}), NOW * 1000, [(1, NOW - 500, FOREVER_S)], 0)
    assert renewed == [(1, NOW - 500, FOREVER_S)]


def test_a_new_membership_begins_now() -> None:
    assert rules("score > 1").renewed(Facts(score=5), frozenset({"score"}), NOW * 1000, [], 0) == [(1, NOW, FOREVER_S)]


def test_windows_of_a_segment_that_is_gone_are_dropped() -> None:
    assert rules("score > 9").renewed(Facts(), frozenset(), NOW * 1000, [(7, 0, FOREVER_S)], 0) == []


def test_a_rule_that_looks_beyond_the_retention_is_evaluated_at_every_event() -> None:
    short = msgspec.structs.replace(SHOP, profile_retention_days=20)
    compiled = rules("last_purchase > 30d ago", "last_purchase > 10d ago", advertiser=short)
    assert compiled.affected(frozenset({"pages"})) == {1}


def test_more_windows_than_fit_are_found_when_one_has_ended() -> None:
    ages = [NOW + index * 3 * DAY_S for index in range(6)]
    facts = Facts(entries=[Entry(at) for at in ages])
    compiled = rules("count(visited in 1d) = 1", "score > 1")
    stored = compiled.renewed(facts, FACT_NAMES, NOW * 1000, [], 0)
    assert [enter for _, enter, _ in stored] == ages[:MAX_WINDOWS_PER_SEGMENT]
    later = ages[2] - DAY_S
    again = compiled.renewed(facts, frozenset({"score"}), later * 1000, stored, 0)
    assert [enter for _, enter, _ in again] == ages[2:]


def test_the_version_tells_other_rules_apart() -> None:
    version = rules("score > 1", "score > 2").version
    assert rules("score > 1", "score > 2").version == version
    assert rules("score > 1", "score > 3").version != version
    assert rules("score > 1").version != version


def test_a_cart_enters_its_segment_later_without_another_event() -> None:
    facts = Facts(cart=[CartLine("x")], cart_since_s=NOW, cart_changed_s=NOW, cart_idle_s=NOW)
    windows = rules("cart.age in 1h..14d").renewed(facts, FACT_NAMES, NOW * 1000, [], 0)
    assert windows == [(1, NOW + 3_600, NOW + 14 * DAY_S)]


def test_one_rule_can_be_compiled_alone() -> None:
    assert compile_rule(7, "likes.count > 1", "PLN", 90 * DAY_S).reads == {"likes"}
    with pytest.raises(RuleError):
        compile_rule(7, "scoer > 1", "PLN", 90 * DAY_S)
