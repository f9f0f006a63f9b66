"""Languages of the console: texts from catalogues, numbers, dates and money as a language writes them."""

import copy
import datetime
import functools
import zoneinfo
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import babel
from babel.dates import format_date, format_time
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, format_percent, get_decimal_symbol
from babel.units import format_unit

from admin.console.fields import UTC, Writing
from admin.console.sayings import Sayings
from core.languages import preferred_language

LANGUAGES: Final = {"en": "English", "pl": "Polski"}
_QUOTES: Final = {"en": ("“", "”"), "pl": ("„", "”")}
# 11/12/26 is another day for readers of English in Europe than in America.
_DATES: Final = {"en": "medium", "pl": "short"}
_SPANS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_SMALL: Final = Decimal("0.1")
_FOLDER = Path(__file__).with_name("locale")


class Words:
    """One language: `text` translates, the rest writes values."""

    def __init__(self, language: str, texts: Mapping[str, str], zone: str = UTC) -> None:
        """`zone` is the name of a time zone: all moments are told in it, and texts name it where they say {zone}."""
        self.language = language
        self.zone = zone
        self.locale = babel.Locale.parse(language)
        self._texts = texts
        self._sayings = Sayings(texts)

    def text(self, message: str) -> str:
        """The message in this language, also with the parts of a saying filled in; itself where it is not known."""
        return (self._texts.get(message) or self._sayings.said(message)).replace("{zone}", self.zone)

    def in_zone(self, zone: str) -> "Words":
        """The same language with the moments of another time zone."""
        other = copy.copy(self)
        other.zone = zone
        return other

    @property
    def writing(self) -> Writing:
        """How values stand in inputs."""
        return Writing(self.zone, str(get_decimal_symbol(self.locale)))

    def said(self, saying: str, parts: Mapping[str, str | int]) -> str:
        """A saying in this language, with its parts filled in; parts that are texts are translated too."""
        return self._sayings.filled(saying, parts)

    def number(self, value: float | Decimal) -> str:
        return str(format_decimal(value, locale=self.locale))

    def percent(self, share: float) -> str:
        """A share of one, in percent."""
        return str(format_percent(share, format="#,##0.##%", locale=self.locale))

    def step(self, moment_s: int, step: str, zone: str = UTC) -> str:
        """A moment of a chart (unix seconds): an hour with its day, a month, or a day."""
        moment = datetime.datetime.fromtimestamp(moment_s, zoneinfo.ZoneInfo(zone))
        if step == "hour":
            return self._date_and_time(moment)
        if step == "month":
            return str(format_date(moment.date(), "LLLL y", locale=self.locale))
        return str(format_date(moment.date(), "medium", locale=self.locale))

    def clock(self, moment_ms: int) -> str:
        """The time of day of a moment (unix milliseconds) with its seconds."""
        moment = datetime.datetime.fromtimestamp(moment_ms / 1000, zoneinfo.ZoneInfo(self.zone))
        return str(format_time(moment.replace(tzinfo=None), "medium", locale=self.locale))

    def money(self, amount: Mapping[str, str] | None) -> str:
        """An amount of the API ({"amount": "12.50", "currency": "PLN"}); "" for none.

        An impression costs fractions of a grosz: amounts below a tenth have two digits that are not zero.
        """
        if not amount:
            return ""
        value = Decimal(amount["amount"])
        if not 0 < abs(value) < _SMALL:
            return str(format_currency(value, amount["currency"], locale=self.locale))
        pattern = copy.copy(self.locale.currency_formats["standard"])
        pattern.frac_prec = (2, max(2, 1 - value.adjusted()))
        return str(pattern.apply(value, self.locale, currency=amount["currency"], currency_digits=False))

    def moment(self, text: str | None) -> str:
        """A time of the API, with its date; "" for none."""
        if not text:
            return ""
        moment = datetime.datetime.fromisoformat(text).astimezone(zoneinfo.ZoneInfo(self.zone))
        return self._date_and_time(moment)

    def _date_and_time(self, moment: datetime.datetime) -> str:
        date = format_date(moment.date(), _DATES[self.language], locale=self.locale)
        return f"{date}, {format_time(moment.time(), 'short', locale=self.locale)}"

    def duration(self, seconds: int) -> str:
        """A time span in its largest whole unit up to days: `1 hr`, `14 days`."""
        size, unit = next((one for one in _SPANS if seconds and seconds % one[0] == 0), _SPANS[-1])
        return str(format_unit(seconds // size, f"duration-{unit}", length="short", locale=self.locale))

    def quoted(self, text: str) -> str:
        """A text in quotes."""
        begin, end = _QUOTES[self.language]
        return f"{begin}{text}{end}"

    def day(self, text: str | None) -> str:
        """The day of a time or date of the API; "" for none."""
        if not text:
            return ""
        moment = datetime.datetime.fromisoformat(text)
        day = moment.astimezone(zoneinfo.ZoneInfo(self.zone)).date() if moment.tzinfo else moment.date()
        return str(format_date(day, "medium", locale=self.locale))


@functools.cache
def _words_of(language: str) -> Words:
    return Words(language, catalogue(language))


def words_of(language: str, zone: str = UTC) -> Words:
    """The words of one of LANGUAGES, with moments in a time zone."""
    return _words_of(language).in_zone(zone)


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def choose_zone(cookie: str) -> str:
    """The time zone that a browser is set to, by its name; UTC for anything that is no name of one."""
    return cookie if cookie in _zones() else UTC


def catalogue(language: str) -> dict[str, str]:
    """Message -> translation, from `locale/LANGUAGE.po`; messages are written in English."""
    path = _FOLDER / f"{language}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        parsed = read_po(file, locale=language)
    return {str(message.id): str(message.string) for message in parsed if message.id}


def choose_language(cookie: str, accepted: str) -> str:
    """The language that somebody chose, or the first that the browser accepts, or English."""
    return cookie if cookie in LANGUAGES else preferred_language(accepted, LANGUAGES)
