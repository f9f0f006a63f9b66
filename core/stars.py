"""Patterns of text in which `*` stands for any text, an empty one too.

No regular expressions: the parts between stars are searched from left to right, which is linear in the text for any
pattern that somebody may send.
"""

from collections.abc import Callable


def with_stars(pattern: str) -> Callable[[str], bool]:
    """The test whether a text, as a whole and in the case it is written in, fits a pattern of at least one star."""
    first, *middle, last = pattern.split("*")
    parts = [part for part in middle if part]
    if not parts and not last:
        return lambda text: text.startswith(first)
    shortest = len(first) + len(last)

    def fits(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for part in parts:
            position = text.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True

    return fits
