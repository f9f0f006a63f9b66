"""Ready-made audiences in words."""

import re

import pytest

from admin.console.telling import told
from admin.console.words import words_of
from segments.audiences.ready_made import READY_MADE, ParameterKind, ParameterValue

VALUES: dict[ParameterKind, ParameterValue] = {
    ParameterKind.MONEY: 500_000_000,
    ParameterKind.DURATION: 7_200,
    ParameterKind.COUNT: 3,
    ParameterKind.TEXTS: ("buty*", "torby"),
    ParameterKind.STAGE: "payment",
}
SHOWN = {
    "en": {"money": "PLN500.00", "duration": "2 hr", "count": "3", "texts": "\u201cbuty*\u201d, \u201ctorby\u201d",
           "stage": "payment"},
    "pl": {"money": "500,00 zł", "duration": "2 godz.", "count": "3", "texts": "„buty*”, „torby”", "stage": "płatność"},
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "pl"])
@pytest.mark.parametrize("key", list(READY_MADE))
def test_every_audience_is_told_with_all_of_its_values(key: str, language: str) -> None:
    parameters = READY_MADE[key].parameters
    text = told(key, {one.name: VALUES[one.kind] for one in parameters}, "PLN", words_of(language)).replace("\xa0", " ")
    assert text.endswith(".")
    assert not re.search(r"[{}]|\d\d\d\d", text)
    for kind in {one.kind for one in parameters}:
        count = sum(one.kind is kind for one in parameters)
        assert text.count(SHOWN[language][kind]) >= count, text


@pytest.mark.parametrize("key", list(READY_MADE))
def test_each_language_has_words_of_its_own(key: str) -> None:
    values = {one.name: VALUES[one.kind] for one in READY_MADE[key].parameters}
    assert told(key, values, "PLN", words_of("pl")) != told(key, values, "PLN", words_of("en"))


def test_bounds_that_bound_nothing_are_not_told() -> None:
    words = words_of("pl")
    assert told("cart_abandoners", {}, "PLN", words) == (
        "Zostawili koszyk i od tej pory nic nie kupili. Czas od zostawienia koszyka: 1 godz. \u2013 14 dni."
    )
    some = told("cart_abandoners", {"at_least": 500_000_000}, "PLN", words).replace("\xa0", " ")
    assert some.endswith("Wartość koszyka: co najmniej 500,00 zł.")
