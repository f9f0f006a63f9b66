"""Languages of the console: texts from catalogues, numbers, dates and money as a language writes them."""

import datetime
import functools
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import babel
from babel.dates import format_date, format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal

LANGUAGES: Final = {"en": "English", "pl": "Polski"}
_FOLDER = Path(__file__).with_name("locale")


class Words:
    """One language: `text` translates, the rest writes values."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self.locale = babel.Locale.parse(language)
        self._texts = texts

    def text(self, message: str) -> str:
        """The message in this language; itself where the catalogue does not have it."""
        return self._texts.get(message) or message

    def number(self, value: float | Decimal) -> str:
        return str(format_decimal(value, locale=self.locale))

    def money(self, amount: Mapping[str, str] | None) -> str:
        """An amount of the API ({"amount": "12.50", "currency": "PLN"}); "" for none."""
        if not amount:
            return ""
        return str(format_currency(Decimal(amount["amount"]), amount["currency"], locale=self.locale))

    def moment(self, text: str | None) -> str:
        """A time of the API, with its date, in UTC; "" for none."""
        if not text:
            return ""
        moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
        return str(format_datetime(moment, "short", locale=self.locale))

    def day(self, text: str | None) -> str:
        """The day of a time of the API; "" for none."""
        if not text:
            return ""
        return str(format_date(datetime.datetime.fromisoformat(text).date(), "medium", locale=self.locale))


@functools.cache
def words_of(language: str) -> Words:
    """The words of one of LANGUAGES."""
    return Words(language, catalogue(language))


def catalogue(language: str) -> dict[str, str]:
    """Message -> translation, from `locale/LANGUAGE.po`; messages are written in English."""
    path = _FOLDER / f"{language}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        parsed = read_po(file, locale=language)
    return {str(message.id): str(message.string) for message in parsed if message.id}


def choose_language(cookie: str, accepted: str) -> str:
    """The language that somebody chose, or the first that the browser accepts (RFC 9110 section 12.5.4), or English."""
    if cookie in LANGUAGES:
        return cookie
    offers = []
    for part in accepted[:500].split(","):
        tag, _, text = part.strip().partition(";q=")
        offers.append((_quality(text), tag.lower().split("-")[0]))
    for quality, tag in sorted(offers, key=lambda offer: -offer[0]):
        if tag in LANGUAGES and quality > 0:
            return tag
    return "en"


def _quality(text: str) -> float:
    if not text:
        return 1.0
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
