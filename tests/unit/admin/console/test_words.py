"""Languages of the console."""

import re

import pytest

from admin.console.words import LANGUAGES, catalogue, choose_language, choose_zone, words_of
from tests.kit.console_texts import messages


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    texts = messages()
    assert len(texts) > 300
    for language in LANGUAGES.keys() - {"en"}:
        translated = catalogue(language)
        assert sorted(texts - translated.keys()) == []
        assert sorted(translated.keys() - texts) == []
        assert [text for text, shown in translated.items() if not shown.strip()] == []


def test_translations_keep_what_is_code() -> None:
    code = r"`[^`]+`|\$\{\w+\}|\{\w+\}"
    for text, shown in catalogue("pl").items():
        assert sorted(re.findall(code, text)) == sorted(re.findall(code, shown)), text


def test_one_word_is_written_in_one_way() -> None:
    assert [shown for shown in catalogue("pl").values() if re.search(r"\bbider", shown, re.IGNORECASE)] == []


def test_numbers_money_and_times_are_written_as_the_language_does() -> None:
    english, polish = words_of("en"), words_of("pl")
    amount = {"amount": "1234.50", "currency": "PLN"}
    assert english.money(amount).replace("\xa0", " ") == "PLN1,234.50"
    assert polish.money(amount).replace("\xa0", " ") == "1 234,50 zł"
    assert polish.money({"amount": "12345.50", "currency": "EUR"}).replace("\xa0", " ") == "12 345,50 €"
    tiny = [
        ("0.00258", "0.0026", "0,0026"), ("0.0129", "0.013", "0,013"), ("0.05", "0.05", "0,05"), ("0", "0.00", "0,00"),
        ("0.000001", "0.000001", "0,000001"), ("-0.004", "-0.004", "-0,004"), ("0.1", "0.10", "0,10"),
    ]  # fmt: skip
    for text, in_english, in_polish in tiny:
        assert english.money({"amount": text, "currency": "PLN"}).replace("PLN", "").replace("\xa0", "") == in_english
        assert polish.money({"amount": text, "currency": "PLN"}).replace("\xa0zł", "") == in_polish
    assert polish.number(1234567).replace("\xa0", " ") == "1 234 567"
    assert polish.moment("2026-11-29T21:05:00.000Z").startswith("29.11.2026")
    assert english.moment("2026-12-11T21:05:00.000Z").replace("\u202f", " ") == "Dec 11, 2026, 9:05 PM"
    assert english.money(None) == english.moment(None) == english.day(None) == ""


def test_moments_are_told_in_one_time_zone_that_texts_name() -> None:
    words = words_of("pl", "Europe/Warsaw")
    assert words.moment("2026-11-30T23:30:00Z") == "1.12.2026, 00:30"
    assert words.day("2026-11-30T23:30:00Z") == "1 gru 2026"
    assert words.day("2026-11-30") == "30 lis 2026", "a day is no moment"
    assert words.clock(1_796_036_400_000) == "12:00:00"
    assert words.text("Start ({zone})") == "Początek (Europe/Warsaw)"
    assert words_of("pl").text("Start ({zone})") == "Początek (UTC)"
    assert words.writing == ("Europe/Warsaw", ",")


@pytest.mark.parametrize(
    ("cookie", "zone"),
    [
        ("Europe/Warsaw", "Europe/Warsaw"),
        ("", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("<script>", "UTC"),
        ("Mars", "UTC"),
    ],
)
def test_a_browser_names_a_time_zone_that_there_is(cookie: str, zone: str) -> None:
    assert choose_zone(cookie) == zone


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("pl", "en", "pl"),
        ("xx", "pl-PL,pl;q=0.9,en;q=0.8", "pl"),
        ("", "de-DE,de;q=0.9,pl;q=0.3", "pl"),
        ("", "en;q=0.2, pl;q=0.1", "en"),
        ("", "pl;q=0, de", "en"),
        ("", "pl;q=abc, en;q=0.5", "en"),
        ("../../etc", ",;q=,;;", "en"),
    ],
)
def test_language_of_a_browser(cookie: str, accepted: str, language: str) -> None:
    assert choose_language(cookie, accepted) == language
