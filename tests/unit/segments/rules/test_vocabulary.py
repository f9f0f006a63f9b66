import pytest

from segments.facts.facts import (
    FACT_NAMES,
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
from segments.rules.happenings import SOURCES
from segments.rules.lexer import KEYWORDS, tokens_of
from segments.rules.parser import VERBS
from segments.rules.vocabulary import FACTS, Fact, Type, fact_named, names
from tests.kit.fixtures import REPOSITORY

TRAITS = Traits("high", "b", ("l",), True, 1, 9)


class Spy:
    """Facts that note which fields are read."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.facts = Facts(
            last_visit_s=5, visits=2, pages=3, visit_start_s=2, first_purchase_s=1, last_purchase_s=3, purchases=2,
            purchases_micros=5, lifecycle=2, cart_changed_s=4, cart_since_s=3, cart_idle_s=4,
            entries=[Entry(1, "a", "b", "c", "d", "e")], products=[Product("p", "c", 1, 5, liked=True, traits=TRAITS)],
            searches=[Search("s", 1)], paths=[PathVisit("/", 1)],
            cart=[CartLine("p", "c", 5, traits=TRAITS)], orders=[Order(1, 1, 1)],
            bought=[Bought("p", "c", 1, price_micros=5, traits=TRAITS)],
            cooldowns=[Cooldown("x", 9)], attributes={"tier": "gold"}, events={"e": 1},
        )  # fmt: skip

    def __getattr__(self, name: str) -> object:
        if name in FACT_NAMES:
            self.seen.add(name)
            return getattr(self.facts, name)
        found = getattr(type(self.facts), name)  # a property: let it read through this spy
        return found.fget(self)


@pytest.mark.parametrize("name", [*FACTS, "attribute.tier"])
def test_a_fact_reads_no_field_that_it_does_not_name(name: str) -> None:
    fact = fact_named(name)
    assert fact is not None
    spy = Spy()
    fact.value(spy, 10)  # type: ignore[arg-type]  # has every attribute of Facts
    if fact.changes is not None:
        fact.changes(spy)  # type: ignore[arg-type]  # has every attribute of Facts
    assert spy.seen <= fact.reads


@pytest.mark.parametrize("key", SOURCES, ids=" ".join)
def test_an_event_reads_no_field_that_it_does_not_name(key: tuple[str, str]) -> None:
    source = SOURCES[key]
    spy = Spy()
    assert source.rows(spy)  # type: ignore[arg-type]  # has every attribute of Facts
    if source.ends is not None:
        source.ends(spy)  # type: ignore[arg-type]  # has every attribute of Facts
    if source.amounts is not None:
        source.amounts(spy)  # type: ignore[arg-type]  # has every attribute of Facts
    assert spy.seen <= source.reads


@pytest.mark.parametrize("fact", FACTS.values(), ids=lambda fact: fact.name)
def test_what_a_fact_reads_exists(fact: Fact) -> None:
    assert fact.reads <= FACT_NAMES
    assert fact.summary


def test_every_name_can_be_written() -> None:
    for name in names():
        assert [token.text for token in tokens_of(name)] == [name, ""]
    assert not set(names()) & (VERBS | KEYWORDS)


def test_facts_that_are_always_there_are_there_in_an_empty_profile() -> None:
    for fact in FACTS.values():
        assert (fact.value(Facts(), 0) is not None) == fact.always, fact.name


def test_every_moment_has_an_age() -> None:
    for fact in FACTS.values():
        if fact.type is Type.MOMENT:
            age = fact_named(f"{fact.name}.age")
            assert age is not None
            assert age.type is Type.AGE


DOCUMENTATION = (REPOSITORY / "docs/segments.md").read_text()


@pytest.mark.parametrize("fact", FACTS.values(), ids=lambda fact: fact.name)
def test_the_documentation_lists_every_fact_with_its_type(fact: Fact) -> None:
    words = ": " + ", ".join(f"`{word}`" for word in fact.words[1:]) if fact.words else ""
    assert f"| `{fact.name}` | {fact.type.value} | {fact.summary}{words} |" in DOCUMENTATION


@pytest.mark.parametrize("key", SOURCES, ids=" ".join)
def test_the_documentation_lists_every_event_with_its_limit(key: tuple[str, str]) -> None:
    source = SOURCES[key]
    assert f" | {source.summary} | {source.limit} | {'yes' if source.timed else 'no'} |" in DOCUMENTATION
