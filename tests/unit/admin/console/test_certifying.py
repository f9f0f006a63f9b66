"""The checks of a certification in the visitor's language."""

import pytest

from admin.console.certifying import detail_of
from admin.console.words import words_of


@pytest.mark.parametrize(
    ("english", "polish"),
    [
        ("status 204 after 12 ms", "status 204 po 12 ms"),
        ("status missing: no answer after 5.0 s", "brak statusu: żadnej odpowiedzi po 5.0 s"),
        ("3 in 3 samples", "oferty: 3, próbki: 3"),
        ("blocked: shop.example", "zablokowano: shop.example"),
        (
            "the currency EUR is not one of PLN; asset 2 is smaller than 300x150; the domain on.example is blocked",
            "waluta EUR nie jest jedną z: PLN; element 2 jest mniejszy niż 300x150; domena on.example jest zablokowana",
        ),
        (
            "ended after 60 s, while it waited for: the connection stays open; status 404",
            "zakończono po 60 s, w oczekiwaniu na: Połączenie pozostaje otwarte; status 404",
        ),
        (
            "the answer has another form: Expected `array`, got `int` - at `$.seatbid`",
            "odpowiedź ma inną postać: wymagany typ `array`, podano `int`, miejsce: `$.seatbid`",
        ),
        ("", ""),
    ],
)
def test_what_came_of_a_check_is_said_in_each_language(english: str, polish: str) -> None:
    assert detail_of(english, words_of("pl").text) == polish
    words = words_of("en")
    assert detail_of(english, words.text).split("; ")[-1] == english.split("; ")[-1]
