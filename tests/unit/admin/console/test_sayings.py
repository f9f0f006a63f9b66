"""What the API says, in the console's languages."""

import pytest

from admin.console.words import words_of


@pytest.mark.parametrize(
    ("english", "polish"),
    [
        ("the bid must be above zero", "stawka musi być większa od zera"),
        ("'landing_url' is missing", "brakuje pola „landing_url”"),
        ("there is no field 'nmae'", "nie ma pola „nmae”"),
        ("'x' is not one of the allowed values", "'x' nie jest jedną z dozwolonych wartości"),
        ("expected `int`, got `str`", "wymagany typ `int`, podano `str`"),
        ("there is no line item 7", "nie ma obiektu: linia 7"),
        ("at this bid about 40% of the daily budget can be spent: pacing does not hold it back",
         "przy tej stawce da się wydać około 40% budżetu dziennego: tempo go nie ogranicza"),
        ("this is not JSON: a\nb", "to nie jest JSON: a\nb"),
        ("a rule ends where a value is expected", "a rule ends where a value is expected"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_text_of_the_api_is_said_in_polish_with_its_parts(english: str, polish: str) -> None:
    assert words_of("pl").text(english) == polish
    assert words_of("en").text(english) == english


def test_a_part_that_is_a_text_itself_is_translated_too() -> None:
    shown = words_of("pl").text("no bid: on 7 of 9 impressions price is below the floor")
    assert shown == "bez oferty: 7 z 9 wyświetleń, powód: cena jest poniżej ceny minimalnej"
