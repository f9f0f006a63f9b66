"""Globs over paths of pages: `*` is any text, `?` one character, `[ab]` and `[!ab]` one of some, as in a shell.

No regular expressions: those of a library that remembers 256 patterns are made anew for each page where line items
name more, and a part of many `?` takes the square of a long path. Each test here is linear in the path.
"""

import fnmatch
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from core.stars import with_stars

Glob = Callable[[str], bool]

# As many as one line item may name, times 16; compiling one again takes 3 us.
_REMEMBERED: Final = 16_000

_SPECIAL: Final = re.compile(r"[*?\[]")


@functools.lru_cache(_REMEMBERED)
def compiled(pattern: str) -> Glob:
    """The test whether a text, as a whole and in the case it is written in, fits the pattern."""
    if _SPECIAL.search(pattern) is None:
        return pattern.__eq__
    signs = list(_signs(pattern))
    if all(sign == "*" or (len(sign) == 1 and sign != "?") for sign in signs):
        return with_stars(pattern)
    return _with_wildcards(signs)


def _signs(pattern: str) -> Iterator[str]:
    """The pattern's characters, each `[...]` as one; a bracket that is never closed means itself, written `[[]`."""
    at = 0
    while at < len(pattern):
        sign, length = pattern[at], 1
        if sign == "[":
            opened = at + 1 + pattern.startswith("!", at + 1)
            closed = pattern.find("]", opened + 1)
            sign, length = ("[[]", 1) if closed < 0 else (pattern[at : closed + 1], closed + 1 - at)
        yield sign
        at += length


def _with_wildcards(signs: list[str]) -> Glob:
    """The test for any pattern.

    Most paths lack one of its plain parts, which a search settles. In others all places of the pattern are tried at
    once, as bits of one number: bit n says that the text so far fits the first n signs. A character moves each place
    that accepts it one further, and a star keeps its place.
    """
    literal, anything, stays, some = _places(signs)
    whole = 1 << sum(sign != "*" for sign in signs)
    has_parts = with_stars("".join(sign if len(sign) == 1 and sign != "?" else "*" for sign in signs))

    def accepted_by(character: str) -> int:
        moves = literal.get(character, 0) | anything
        for place, takes in some:
            if takes(character):
                moves |= place
        return moves

    def fits(text: str) -> bool:
        if not has_parts(text):
            return False
        accepted: dict[str, int] = {}  # a long path has few different characters
        places = 1
        for character in text:
            moves = accepted.get(character)
            if moves is None:
                moves = accepted[character] = accepted_by(character)
            places = (places & moves) << 1 | places & stays
            if not places:
                return False
        return places & whole != 0

    return fits


def _places(signs: Iterable[str]) -> tuple[dict[str, int], int, int, list[tuple[int, Callable[[str], object]]]]:
    """Places by the plain character that they accept, those that accept any, those of stars, and each `[...]`."""
    literal: dict[str, int] = {}
    anything = stays = 0
    some: list[tuple[int, Callable[[str], object]]] = []
    place = 1
    for sign in signs:
        if sign == "*":
            stays |= place
            continue
        if sign == "?":
            anything |= place
        elif len(sign) == 1:
            literal[sign] = literal.get(sign, 0) | place
        else:  # of one character, so nothing in it can backtrack
            some.append((place, re.compile(fnmatch.translate(sign)).match))
        place <<= 1
    return literal, anything, stays, some
