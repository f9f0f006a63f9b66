"""How much of a title fits: titles of shops have up to 150 characters, and no ad shows half a line of letters.

Nobody knows the fonts of a browser beforehand, so letters count as wide as in DejaVu Sans, which is wider than what
Windows, macOS, Android and iOS use for `sans-serif`.
"""

import functools
import math
import unicodedata
from typing import Final

# Prices from "1 zł" to "9 999 999,99 zł": base.css has a rule for each number between.
LEAST_HALVES: Final = 6
MOST_HALVES: Final = 24
ELLIPSIS: Final = "…"

_NARROW: Final = frozenset("ijlI.,:;'|!()[]/\\- ")
_MIDDLE: Final = frozenset('frt"*°')
_UNSEEN: Final = frozenset("\u200c\u200d\u200e\u200f\ufe0e\ufe0f")
_FIRST_EMOJI: Final = "\U0001f000"
_WIDE: Final = frozenset("mwMW@%&—…")


@functools.lru_cache(maxsize=4_096)
def _em(letter: str) -> float:
    if letter in _NARROW:
        return 0.39
    if letter in _MIDDLE:
        return 0.46
    if letter in _WIDE:
        return 1.0
    if letter in _UNSEEN:
        return 0.0
    if letter >= _FIRST_EMOJI:
        return 1.4
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.74 if letter.isupper() else 0.645


def width_of(text: str, font_px: float) -> float:
    """Pixels that a line needs at most."""
    return sum(map(_em, text)) * font_px


def bold_em(text: str) -> float:
    """Width of a line in bold letters, in heights of its font; at least 1."""
    return max(1.0, 1.1 * width_of(text, 1.0))


def price_class(text: str) -> str:
    """The class whose rule in base.css says how wide a price is, in halves of the height of its font."""
    return f"e{min(MOST_HALVES, max(LEAST_HALVES, math.ceil(2 * bold_em(text))))}"


def shortened(text: str, width_px: float, font_px: float, lines: int) -> str:
    """As many words as fit into so many lines of a width, with an ellipsis where some are left out."""
    words = text.split()
    if _lines(words, width_px, font_px) <= lines:
        return " ".join(words)
    kept: list[str] = []
    for word in words:
        if _lines([*kept, word + ELLIPSIS], width_px, font_px) > lines:
            break
        kept.append(word)
    if not kept:  # one long word
        return _letters(words[0], width_px * lines - font_px * lines, font_px)
    return " ".join(kept) + ELLIPSIS


def _lines(words: list[str], width_px: float, font_px: float) -> int:
    """Lines that words take; one that is wider than a line is broken."""
    lines, used = 1, 0.0
    space = width_of(" ", font_px)
    for word in words:
        width = width_of(word, font_px)
        if used and used + space + width > width_px:
            lines, used = lines + 1, 0.0
        used += width + (space if used else 0.0)
        while used > width_px:  # a letter that does not fit goes to the next line whole
            lines, used = lines + 1, used - (width_px - font_px)
    return lines


def _letters(word: str, width_px: float, font_px: float) -> str:
    kept = ""
    for letter in word:
        if width_of(kept + letter + ELLIPSIS, font_px) > width_px:
            break
        kept += letter
    return kept + ELLIPSIS
