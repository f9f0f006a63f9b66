"""The contact card in words."""

import pytest

from admin.console.card import Card, card_of
from admin.console.words import words_of
from segments.facts.facts import FOREVER_S
from segments.rules.vocabulary import FACTS

NOW_S = 1_796_036_400
DAY_S = 86_400


def card(language: str, **shop: object) -> Card:
    whole = {"known": {}, "facts": {}, "windows": [], **shop}
    return card_of(whole, "PLN", {7: "abandoned carts"}, NOW_S, words_of(language))


@pytest.mark.parametrize(
    ("name", "value", "english", "polish"),
    [
        ("visits.count", 1200, "1,200", "1 200"),
        ("cart.value", 349_990_000, "PLN349.99", "349,99 zł"),
        ("last_visit", NOW_S, "Nov 30, 2026, 11:00 AM (UTC)", "30.11.2026, 11:00 (UTC)"),
        ("cart.age", NOW_S - 7_300, "2 hr", "2 godz."),
        ("time_on_site", 754, "12 min", "12 min"),
        ("time_on_site", 59, "59 sec", "59 sek."),
        ("purchases.cycle", 30 * DAY_S + 5, "30 days", "30 dni"),
        ("cart.stage", "payment", "payment", "płatność"),
        ("lifecycle", "exit", "stays away", "dłuższa nieobecność"),
        ("source", "google", "google", "google"),
        ("entries.source", ["google", "direct"], "google, direct", "google, direct"),
        ("score", 33.254, "33.25", "33,25"),
    ],
)
def test_a_fact_is_told_in_the_words_of_rules_with_its_value(
    name: str, value: object, english: str, polish: str
) -> None:
    for language, written in (("en", english), ("pl", polish)):
        ((summary, shown),) = card(language, known={name: value}).facts
        assert summary == FACTS[name].summary
        assert shown.replace("\xa0", " ").replace("\u202f", " ") == written


def test_every_word_of_a_fact_is_told() -> None:
    for fact in FACTS.values():
        for word in fact.words:
            assert card("pl", known={fact.name: word}).facts[0][1]


def test_rows_come_newest_first_with_what_is_not_known_left_empty() -> None:
    line = {"id": "p1", "category": "shoes", "quantity": 2, "price_micros": 0, "since_s": 0, "traits": None}
    shown = card("en", facts={"cart": [line, {**line, "id": "p2", "price_micros": 5_000_000}], "searches": []})
    assert [(one.title, one.rows) for one in shown.tables] == [
        ("Products in the cart", [["p2", "shoes", "2", "PLN5.00", ""], ["p1", "shoes", "2", "", ""]])
    ]


def test_attributes_and_lists_are_rows_by_name() -> None:
    facts = {
        "attributes": {"loyalty_tier": "gold", "adult": True, "points": 12.5},
        "lists": {"vip": {"since_s": NOW_S, "until_s": FOREVER_S}},
    }
    tables = {one.title: one.rows for one in card("en", facts=facts).tables}
    assert tables["What the shop sent"] == [["loyalty_tier", "gold"], ["adult", "yes"], ["points", "12.5"]]
    ((name, since, until),) = tables["Customer lists"]
    assert (name, bool(since), until) == ("vip", True, "")


def test_segments_of_now_and_of_later_have_names() -> None:
    windows = [(7, NOW_S - 9, NOW_S), (7, NOW_S - 9, FOREVER_S), (8, NOW_S + DAY_S, NOW_S + 2 * DAY_S)]
    (table,) = card("en", windows=windows).tables
    assert [(name, until != "") for name, _, until in table.rows] == [("abandoned carts", False), ("8", True)]


def test_a_profile_that_is_damaged_has_an_empty_card() -> None:
    assert card("en", facts={"damaged": True}) == Card([], [], [])
