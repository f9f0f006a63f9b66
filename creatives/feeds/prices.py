"""Prices as feeds write them: `15.00 PLN`, `1 299,00 zł`, `PLN 15`. What is not certainly a price is none."""

import re
from functools import lru_cache
from typing import Final

MICROS: Final = 1_000_000
# Ten million units of any currency, as in shop events: a larger number is an id in the price column.
MAX_PRICE_MICROS: Final = 10_000_000 * MICROS

_SYMBOLS: Final = {
    "zł": "PLN", "zl": "PLN", "€": "EUR", "£": "GBP", "kč": "CZK", "kc": "CZK", "ft": "HUF", "lei": "RON", "лв": "BGN",
    "лв.": "BGN", "r$": "BRL", "₹": "INR", "ca$": "CAD", "au$": "AUD",
    "₽": "RUB", "₴": "UAH", "₺": "TRY", "us$": "USD", "c$": "CAD", "a$": "AUD", "₪": "ILS", "₩": "KRW", "₫": "VND",
    "฿": "THB", "₸": "KZT", "₾": "GEL", "₦": "NGN", "₱": "PHP", "euro": "EUR",
    "руб": "RUB", "руб.": "RUB",  # noqa: RUF001
    "грн": "UAH", "грн.": "UAH", "din": "RSD", "din.": "RSD",
}  # fmt: skip
# Signs with a point in them, which would be taken for a decimal one.
_DOTTED_SYMBOLS: Final = {
    "ر.س": "SAR", "د.إ": "AED", "ج.م": "EGP", "د.ك": "KWD", "ر.ق": "QAR", "د.ب": "BHD", "ر.ع": "OMR", "د.ا": "JOD",  # noqa: RUF001
    "د.م": "MAD", "د.ت": "TND",
}  # fmt: skip
_DOTTED: Final = re.compile(rf"({'|'.join(map(re.escape, _DOTTED_SYMBOLS))})(?:\.(?![0-9]))?")
# Digits and separators of Arabic and Persian, digits of full width; marks of direction are nothing to read.
_OTHER_DIGITS: Final = str.maketrans(
    {chr(zero + digit): str(digit) for zero in (0x660, 0x6F0, 0xFF10) for digit in range(10)}
    | {"\u066b": ".", "\u066c": ",", "\u200e": "", "\u200f": "", "\u061c": ""}
)
# Signs of several currencies: they only confirm the feed's default currency.
_SHARED_SYMBOLS: Final = {
    "$": frozenset({"USD", "CAD", "AUD", "NZD", "MXN", "SGD", "HKD"}),
    "kr": frozenset({"SEK", "NOK", "DKK", "ISK"}),
    "kr.": frozenset({"SEK", "NOK", "DKK", "ISK"}),
    "¥": frozenset({"JPY", "CNY"}),
}
# Codes that ISO 4217 has replaced and feeds still write.
RENAMED: Final = {"RUR": "RUB"}
# The currencies of ISO 4217 that goods are sold in; not any three letters are one ("15 net", "15 szt").
_CODES: Final = frozenset({
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF",
    "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC",
    "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS",
    "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "ILS", "INR", "IQD", "IRR", "ISK",
    "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD",
    "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN",
    "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON",
    "RSD", "RUB", "RUR", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN",
    "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU",
    "UZS", "VED", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
})  # fmt: skip
# Currencies whose prices have no decimals, so that a separator before three digits stands between thousands.
_WHOLE: Final = frozenset(
    {"HUF", "JPY", "KRW", "CLP", "VND", "IDR", "ISK", "PYG", "UGX", "XAF", "XOF", "XPF", "COP", "IRR"}
)
# Currencies with three digits of minor units (ISO 4217).
_THREE_DIGITS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})

_PLAIN: Final = re.compile(r"([0-9]{1,8})(?:\.([0-9]{1,2}))? ?([A-Z]{3})?")
_SHAPE: Final = re.compile(r"([^\d+\-.,]*?)\s*([-+]?[\d][\d.,\s'\u2019\xa0\u202f]*?)\s*([^\d.,\s'\u2019][^\d]*)?")
_SPACES: Final = re.compile(r"[\s'\u2019\xa0\u202f]")
_DASHES: Final = re.compile(r"[.,](-{1,2}|\u2013)(?=\s|$)")  # 1299,- Kč
_GROUPED: Final = re.compile(r"[0-9]{1,3}([\s'\u2019\xa0\u202f][0-9]{3})+([.,][0-9]{1,2})?")


class NotAPrice(ValueError):
    """A text that is no price; `code` is a key of creatives.feeds.faults.KINDS and says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@lru_cache(maxsize=16_384)  # shops have far fewer prices than products, and prefer those that end in 9
def parse_price(text: str, default_currency: str = "") -> tuple[int, str, bool]:
    """Micros, ISO 4217 code, and whether the code is the default's. Raises NotAPrice."""
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        whole, cents, currency = plain.groups("")
        if currency and currency not in _CODES:
            raise NotAPrice("not_a_price")
        micros = int(whole) * MICROS + int(cents.ljust(2, "0")) * 10_000
    else:
        shape = _SHAPE.fullmatch(_DASHES.sub("", _in_latin(text).strip()))
        if shape is None:
            raise NotAPrice("not_a_price")
        currency = _currency_around(shape[1], shape[3] or "", default_currency)
        micros = _number(shape[2], currency or default_currency)
    if micros <= 0:
        raise NotAPrice("price_not_positive")
    if micros > MAX_PRICE_MICROS:
        raise NotAPrice("not_a_price")
    if not currency and not default_currency:
        raise NotAPrice("no_currency")
    return micros, RENAMED.get(currency, currency) or default_currency, not currency


def _in_latin(text: str) -> str:
    """Digits, separators and signs of other scripts as the ones that prices are read in."""
    if text.isascii():
        return text
    return _DOTTED.sub(lambda sign: f" {_DOTTED_SYMBOLS[sign[1]]} ", text.translate(_OTHER_DIGITS))


def _currency_around(before: str, after: str, default: str) -> str:
    """The ISO code of what stands before a number, after it, or around it: `£12.00 GBP`. Both have to mean the same."""
    if not (before and after):
        return currency_of(before or after, default)
    code, sign = (after, before) if after.strip().upper() in _CODES else (before, after)
    currency = currency_of(code, default)
    if currency_of(sign, currency) != currency:
        raise NotAPrice("not_a_price")
    return currency


def currency_of(text: str, default: str) -> str:
    """The ISO code of a code or sign; '' for none. A sign of several currencies stands for the default, or for none.

    Raises NotAPrice for what is neither.
    """
    text = text.strip()
    if not text:
        return ""
    sign = text.lower()
    if sign in _SYMBOLS:
        return _SYMBOLS[sign]
    if text.upper() in _CODES:
        return text.upper()
    if sign in _SHARED_SYMBOLS:
        if default in _SHARED_SYMBOLS[sign]:
            return default
        raise NotAPrice("no_currency")
    raise NotAPrice("not_a_price")


def _number(text: str, currency: str) -> int:
    """Micros of a decimal number with any of the usual separators."""
    if _SPACES.search(text):
        if _GROUPED.fullmatch(text) is None:
            raise NotAPrice("not_a_price")
        text = _SPACES.sub("", text)
    if text.startswith("-"):
        raise NotAPrice("price_not_positive")
    whole, fraction = _split(text.lstrip("+"), currency)
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 12 or not text.isascii():
        raise NotAPrice("not_a_price")
    digits = fraction[:7].ljust(7, "0")  # generators print floats: 362.00800000000004
    micros = int(whole) * MICROS + (int(digits) + 5) // 10
    smallest = 1_000 if currency in _THREE_DIGITS else 10_000
    return (micros + smallest // 2) // smallest * smallest


def _split(text: str, currency: str) -> tuple[str, str]:
    """Whole part and fraction. Of two kinds of separator the last is the decimal one; a repeated one groups."""
    points, commas = text.count("."), text.count(",")
    if not points and not commas:
        return text, ""
    if points and commas:
        decimal = "." if text.rfind(".") > text.rfind(",") else ","
        if text.count(decimal) > 1:
            raise NotAPrice("not_a_price")
        whole, _, fraction = text.rpartition(decimal)
        return _ungroup(whole, "," if decimal == "." else "."), fraction or "0"
    separator = "." if points else ","
    if points + commas > 1:
        return _ungroup(text, separator), ""
    whole, _, fraction = text.partition(separator)
    if len(fraction) == 3 and 1 <= len(whole) <= 3 and whole != "0" and currency not in _THREE_DIGITS:
        # 1,299 is English for 1299. 1.299 is German for it, and in other feeds a float of three decimals.
        if separator == "." and currency not in _WHOLE:
            raise NotAPrice("ambiguous_price")
        return whole + fraction, ""
    return whole or "0", fraction or "0"


def _ungroup(text: str, separator: str) -> str:
    """Digits without separators of thousands, or of lakhs, as in India: `1,23,456`."""
    first, *groups = text.split(separator)
    thousands = all(len(group) == 3 for group in groups)
    lakhs = separator == "," and len(first) <= 2 and [len(group) for group in groups] == [2] * (len(groups) - 1) + [3]
    if not 1 <= len(first) <= 3 or not (thousands or lakhs):
        raise NotAPrice("not_a_price")
    return first + "".join(groups)
