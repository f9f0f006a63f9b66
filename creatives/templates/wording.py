"""Words and numbers of ads in the shop's language: prices, discounts, badges."""

import functools
import re
from decimal import Decimal
from typing import Final, NamedTuple

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency

from core.money import MICROS_PER_UNIT

RIGHT_TO_LEFT: Final = frozenset({"ar", "fa", "he", "ur", "yi"})
DEFAULT_LANGUAGE: Final = "en"

_GLUED: Final = re.compile(r"^([A-Z]{3})(?=\d)")


class AdWords(NamedTuple):
    """What templates say by themselves; `loyalty` has the price in it."""

    call: str
    delivery: str
    last_pieces: str
    loyalty: str
    advertisement: str


_WORDS: Final = {
    "en": AdWords("Shop now", "Free delivery", "Last pieces", "Members: {price}", "Advertisement"),
    "pl": AdWords("Zobacz", "Darmowa dostawa", "Ostatnie sztuki", "W klubie: {price}", "Reklama"),
    "de": AdWords("Jetzt ansehen", "Gratis Versand", "Letzte Stücke", "Mit Karte: {price}", "Anzeige"),
    "ar": AdWords("تسوق الآن", "توصيل مجاني", "آخر القطع", "للأعضاء: {price}", "إعلان"),
    "he": AdWords("לקנייה", "משלוח חינם", "פריטים אחרונים", "לחברים: {price}", "פרסומת"),
}


@functools.lru_cache(maxsize=64)
def language_of(tag: str) -> str:
    """The language whose forms are used for a creative's `language` (BCP 47); that of English for one nobody knows."""
    primary = tag.replace("_", "-").split("-")[0].lower()
    try:
        Locale.parse(primary or DEFAULT_LANGUAGE)
    except (UnknownLocaleError, ValueError):
        return DEFAULT_LANGUAGE
    return primary or DEFAULT_LANGUAGE


def words_of(language: str) -> AdWords:
    """English words where a language has none."""
    return _WORDS.get(language, _WORDS[DEFAULT_LANGUAGE])


def direction_of(language: str) -> str:
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"


def price_text(micros: int, currency: str, language: str) -> str:
    """A price as people of the language write it; with as many decimals as its currency has."""
    amount = Decimal(micros) / MICROS_PER_UNIT
    if not currency:
        return f"{amount:.2f}"
    return _GLUED.sub("\\1\u00a0", format_currency(amount, currency, locale=language))


def discount_text(micros: int, before_micros: int) -> str:
    """Whole percents, never more than was taken off; '' below one."""
    percent = (before_micros - micros) * 100 // before_micros if before_micros > 0 else 0
    return f"\u2212{percent}%" if percent > 0 else ""
