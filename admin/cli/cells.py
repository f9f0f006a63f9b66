"""Cells of a spreadsheet as events have them: numbers of countries with a decimal comma, truth in Polish, ids as text.

Excel writes CSV in the manner of the country that it is set up for. Where only one reading is possible it is taken;
where two are, the cell is refused with both.
"""

import re
from typing import Final

# Thousands are grouped by a space in Polish, French and Czech files: a plain one, a no-break or a narrow no-break one.
_SPACES: Final = " \u00a0\u202f\u2009"
_GROUPED: Final = re.compile(rf"[+-]?[0-9]{{1,3}}([{_SPACES}][0-9]{{3}})+([.,][0-9]+)?")
_PLAIN: Final = re.compile(r"[+-]?([0-9]+([.,][0-9]+)?|[.,][0-9]+)([eE][+-]?[0-9]{1,3})?")
_DOTS_THEN_COMMA: Final = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+")
_COMMAS_THEN_DOT: Final = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+")
_SEVERAL_GROUPS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:(\.[0-9]{3}){2,}|(,[0-9]{3}){2,})")
# One group of three digits: thousands in one country, three decimals in another.
_TWO_READINGS: Final = re.compile(r"[+-]?([1-9][0-9]{0,2})([.,])([0-9]{3})")
# What a formula that found nothing leaves in a cell: `#N/A`, `#REF!`; in Polish `#N/D!`, `#ARG!`, `#NAZWA?`.
_ERROR: Final = re.compile(r"#(N/[AD]|[\w/]{2,12}[!?])")
_ROUNDED: Final = re.compile(r"[0-9][.,][0-9]+[eE]\+[0-9]{1,2}")

_TRUTH: Final = {
    "true": "true", "prawda": "true", "yes": "true", "tak": "true", "1": "true",
    "false": "false", "fałsz": "false", "falsz": "false", "no": "false", "nie": "false", "0": "false",
}  # fmt: skip


class CellError(ValueError):
    """A cell that cannot be read for certain; the message says why, and what to write instead."""


def number(text: str, *, comma_country: bool) -> str:
    """A number with a decimal point. `comma_country`: the file comes from a country where a point groups thousands.

    Raises CellError.
    """
    doubtful = _TWO_READINGS.fullmatch(text)
    if doubtful is not None and (doubtful[2] == "," or comma_country):
        raise CellError(
            f"'{text}' is {doubtful[1]}{doubtful[3]} in one country and {doubtful[1]}.{doubtful[3]} in another: "
            "write it without a separator of thousands, with two decimals"
        )
    if _PLAIN.fullmatch(text):
        return _whole(text.replace(",", "."))
    if _GROUPED.fullmatch(text):
        return _whole(re.sub(f"[{_SPACES}]", "", text).replace(",", "."))
    if _DOTS_THEN_COMMA.fullmatch(text):
        return _whole(text.replace(".", "").replace(",", "."))
    if _COMMAS_THEN_DOT.fullmatch(text):
        return _whole(text.replace(",", ""))
    if _SEVERAL_GROUPS.fullmatch(text):
        return _whole(re.sub(r"[.,]", "", text))
    raise CellError(
        f"'{text}' is not a number: write digits and a decimal point alone, the currency has its own column"
    )


def _whole(text: str) -> str:
    """A number without decimals that are all zero: a spreadsheet writes two pieces as `2,00`."""
    whole, point, decimals = text.removeprefix("+").partition(".")
    return whole if decimals and not decimals.strip("0") else f"{whole or '0'}{point}{decimals}"


def truth(text: str) -> str:
    """`true` or `false`. Raises CellError."""
    found = _TRUTH.get(text.casefold())
    if found is None:
        raise CellError(f"'{text}' is neither true nor false")
    return found


def identifier(text: str) -> str:
    """An id as it is. Raises CellError for one that a spreadsheet has rounded or not found: `1,23457E+11`, `#N/A`."""
    if _ERROR.fullmatch(text):
        raise CellError(f"'{text}' is an error of the spreadsheet: all lines that have it would be one and the same")
    if _ROUNDED.fullmatch(text):
        raise CellError(f"'{text}' was rounded by the spreadsheet: format the column as text and fill it again")
    return text
