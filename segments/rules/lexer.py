"""Text to tokens. One regular expression without backtracking alternatives, so a hostile rule costs linear time."""

import enum
import re
from typing import NamedTuple

from core.money import MoneyError, parse_decimal
from segments.rules.errors import RuleError, Span

# The longest ready-made rule is about 150 characters; 4,000 leaves room for long lists and still fits an API log line.
MAX_RULE_CHARS = 4_000

# Page paths and search phrases in profiles are cut to fewer characters, so a longer pattern cannot match anything.
MAX_STRING_CHARS = 200

# Facts live as long as a profile is kept (at most two years); ten years is far beyond every sensible age, and a sum of
# a time and a duration stays below 2^32 until 2096.
MAX_DURATION_S = 3_650 * 86_400

# Counts of visits, points and pieces are far smaller. Beyond 10^12 a float no longer holds every micro-unit of money.
MAX_NUMBER = 10**12

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class TokenKind(enum.StrEnum):
    """What a token is; the values are the words used in error messages."""

    NAME = "a name"
    KEYWORD = "a keyword"
    STRING = "a text"
    NUMBER = "a number"
    MONEY = "an amount of money"
    DURATION = "a duration"
    SYMBOL = "a symbol"
    END = "the end of the rule"


KEYWORDS = frozenset(
    {
        "ago", "ahead", "and", "brand", "category", "contains", "count", "everyone", "false", "has", "in", "label",
        "like", "margin", "nobody", "not", "on_sale", "or", "page", "price", "product", "since", "total", "true",
    }
)  # fmt: skip


class Token(NamedTuple):
    """A token: `text` as written (names and keywords in lower case), `number` in its kind's unit.

    `number` is seconds of a duration, micros of money, the value of a number. `currency` is set for money only.
    """

    kind: TokenKind
    text: str
    span: Span
    number: int | float = 0
    currency: str = ""


_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<word>[^\W\d]\w*(?:\.\w+)*)
  | (?P<quantity>[0-9][0-9_]*(?:\.[0-9]+)?(?P<unit>[^\W_]*))
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<symbol>\.\.|<=|>=|!=|<>|==|=|<|>|\(|\)|,|-)
    """,
    re.VERBOSE,
)
_CURRENCY = re.compile(r"[ \t]*([A-Z]{3})\b")
_DURATION = re.compile(r"([0-9]+)([smhdw])")
_ESCAPE = re.compile(r"\\(.)")

# What people type from habit in other languages, and what to write here.
_FOREIGN = {
    "&": 'write "and"',
    "|": 'write "or"',
    "!": 'write "not"',
    ";": "one rule is one expression, without a semicolon",
    "“": 'use straight quotes: "..."',
    "”": 'use straight quotes: "..."',
    "„": 'use straight quotes: "..."',
    "\u2019": 'use straight quotes: "..."',
    "*": 'put patterns in quotes: "/promo/*"',
    "/": 'put page paths in quotes: "/promo/*"',
    "[": "lists are written in round brackets: (1, 2)",
    "{": "lists are written in round brackets: (1, 2)",
    "…": 'write two full stops: "1h..14d"',
    "≥": 'write ">="',
    "≤": 'write "<="',
    "≠": 'write "!="',
    "%": "numbers have no percent sign",
}


def tokens_of(text: str) -> list[Token]:
    """The tokens of a rule, ending with one of kind END. Raises RuleError at what is no token or beyond a limit."""
    if len(text) > MAX_RULE_CHARS:
        raise RuleError(
            text,
            Span(MAX_RULE_CHARS, MAX_RULE_CHARS + 1),
            f"the rule is longer than {MAX_RULE_CHARS:,} characters",
            code="rule_limit",
            hint="split it into several segments",
        )
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _no_token(text, position)
        if match.lastgroup != "space":
            tokens.append(_token(text, match))
            position = tokens[-1].span.end
        else:
            position = match.end()
    tokens.append(Token(TokenKind.END, "", Span(len(text), len(text))))
    return tokens


def _token(text: str, match: re.Match[str]) -> Token:
    span = Span(*match.span())
    if match["word"]:
        word = match["word"].lower()
        return Token(TokenKind.KEYWORD if word in KEYWORDS else TokenKind.NAME, word, span)
    if match["string"]:
        return _string(text, match["string"], span)
    if match["quantity"]:
        return _quantity(text, match, span)
    symbol = {"<>": "!=", "==": "="}.get(match["symbol"], match["symbol"])
    return Token(TokenKind.SYMBOL, symbol, span)


def _string(text: str, quoted: str, span: Span) -> Token:
    value = _ESCAPE.sub(r"\1", quoted[1:-1])
    if len(value) > MAX_STRING_CHARS:
        problem = f"the text is longer than {MAX_STRING_CHARS} characters"
        raise RuleError(text, span, problem, code="rule_limit", hint="a shorter pattern with * matches the same")
    return Token(TokenKind.STRING, value, span)


def _quantity(text: str, match: re.Match[str], span: Span) -> Token:
    unit = match["unit"]
    digits = match["quantity"].removesuffix(unit).replace("_", "")
    if unit and unit.lower()[0] in UNIT_SECONDS and not _is_currency(unit):
        return _duration(text, match["quantity"], span)
    if _is_currency(unit):
        return _money(text, digits, unit, span)
    if unit:
        hint = "durations end in s, m, h, d or w (12h, 7d, 1d12h); amounts in a currency (500 PLN)"
        raise RuleError(text, span, f'"{unit}" is not a unit', hint=hint)
    after = _CURRENCY.match(text, span.end)
    if after and after[1].lower() not in KEYWORDS:  # "lines > 5 AND ..." is not money
        return _money(text, digits, after[1], Span(span.start, after.end()))
    value = float(digits) if "." in digits else int(digits)
    if value > MAX_NUMBER:
        raise RuleError(text, span, "the number is too large", code="rule_limit", hint="the largest is 1000000000000")
    return Token(TokenKind.NUMBER, digits, span, value)


def _is_currency(unit: str) -> bool:
    return len(unit) == 3 and unit.isascii() and unit.isupper()


def _money(text: str, digits: str, currency: str, span: Span) -> Token:
    try:
        micros = parse_decimal(digits)
    except MoneyError as error:
        raise RuleError(text, span, str(error)) from None
    return Token(TokenKind.MONEY, text[span.start : span.end], span, micros, currency)


def _duration(text: str, quantity: str, span: Span) -> Token:
    written = quantity.lower().replace("_", "")
    parts = _DURATION.findall(written)
    units = [unit for _, unit in parts]
    if "".join(number + unit for number, unit in parts) != written or len(set(units)) != len(units):
        hint = "write whole numbers with s, m, h, d or w: 90m, 12h, 7d, 1d12h"
        raise RuleError(text, span, f'"{quantity}" is not a duration', hint=hint)
    seconds = sum(int(number) * UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > MAX_DURATION_S:
        raise RuleError(text, span, "the duration is too long", code="rule_limit", hint="the longest is 3650d")
    return Token(TokenKind.DURATION, quantity, span, seconds)


def _no_token(text: str, position: int) -> RuleError:
    character = text[position]
    if character in "\"'":
        end = text.find("\n", position)
        span = Span(position, end if end >= 0 else len(text))
        return RuleError(text, span, "the text has no closing quote", hint=f"end it with {character} on the same line")
    problem = f'"{character}" does not belong in a rule' if character.isprintable() else "unprintable character"
    return RuleError(text, Span(position, position + 1), problem, hint=_FOREIGN.get(character, ""))
