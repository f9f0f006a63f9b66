"""Tests of texts. All take a *folded* text (`str.casefold`), so that a text is folded once for any number of rules.

Texts are compared without regard to case everywhere: the source "Facebook" and the phrase "SZPILKI" mean one thing to
the people who write rules.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from core.stars import with_stars

Matcher = Callable[[str], bool]

SEPARATOR = "\n"
"""Stands between joined texts. A text that has one itself only costs a look in vain."""


def one_of(wanted: Collection[str]) -> Matcher:
    allowed = frozenset(text.casefold() for text in wanted)
    return lambda text: text in allowed


def contains(wanted: Collection[str]) -> Matcher:
    """A text that has one of several parts."""
    parts = [text.casefold() for text in wanted]
    if len(parts) == 1:
        (only,) = parts
        return lambda text: only in text
    return lambda text: any(part in text for part in parts)


def like(pattern: str) -> Matcher:
    """A text that a pattern covers, where * stands for any text; an empty text is never covered."""
    folded = pattern.casefold()
    if "*" not in folded:
        return lambda text: text == folded and bool(text)
    return with_stars(folded) if folded.strip("*") else bool


class Selecting(Protocol):
    """Says which events count, by their texts: `TextPatterns`, `AnyPartPatterns` and `AmountRange` do."""

    @property
    def key(self) -> object:
        """Equal keys mean that two select the same."""
        ...

    def may_cover(self, joined: str) -> bool:
        """False if none of many texts can be covered; `joined` has each folded text behind a SEPARATOR."""
        ...

    def select(self, column: Mapping[str, Sequence[int]]) -> list[int]:
        """The moments of all folded texts that are covered; `column` has the moments of each text."""
        ...


class TextPatterns:
    """Several patterns of which one must cover a text; without any, every text is covered, also an empty one.

    Sorted by their shape, since "shoes*" and "*sale*" are what people write and C code can answer those for all
    patterns at once: 0.1 us a text, where asking one function a pattern takes 0.3.
    """

    __slots__ = ("_exact", "_none", "_others", "_part", "_prefixes", "_telling", "key")

    def __init__(self, patterns: Collection[str]) -> None:
        self.key = frozenset(pattern.casefold() for pattern in patterns)
        """Equal for patterns that cover the same texts."""
        self._none = not patterns
        exact: set[str] = set()
        prefixes: list[str] = []
        parts: list[str] = []
        others: list[Matcher] = []
        for pattern in patterns:
            folded = pattern.casefold()
            inner = folded.strip("*")
            if "*" in inner:
                others.append(like(folded))
            elif inner == folded:
                exact.add(folded)
            elif folded == f"{inner}*":
                prefixes.append(inner)
            elif folded.startswith("*") and folded.endswith("*"):
                parts.append(inner)
            else:
                others.append(like(folded))
        self._exact = frozenset(exact)
        self._prefixes = tuple(prefixes)
        # An alternation of plain texts: nothing in it can backtrack.
        self._part = re.compile("|".join(map(re.escape, parts))).search if parts else None
        self._others = others
        starts = [f"{SEPARATOR}{text}" for text in (*exact, *prefixes)]
        self._telling = None if self._none or others else (*starts, *parts)

    def may_cover(self, joined: str) -> bool:
        """False if none of many texts can be covered; `joined` has each folded text behind a SEPARATOR.

        Most rules about pages are about pages that this visitor never saw: a few searches in one text settle that.
        """
        return self._telling is None or any(part in joined for part in self._telling)

    def covers(self, text: str) -> bool:
        """Whether one pattern covers a folded text."""
        if self._none:
            return True
        if not text:
            return False
        if text in self._exact or text.startswith(self._prefixes):
            return True
        return (self._part is not None and self._part(text) is not None) or any(other(text) for other in self._others)

    def select(self, column: Mapping[str, Sequence[int]]) -> list[int]:
        """The moments of all folded texts that are covered; `column` has the moments of each text."""
        if self._none:
            return [moment for moments in column.values() for moment in moments]
        if self._others:
            return [moment for text, moments in column.items() if self.covers(text) for moment in moments]
        exact, prefixes, part = self._exact, self._prefixes, self._part
        if part is None and not prefixes:
            return [moment for text in exact if text in column for moment in column[text]]
        if part is None:
            return [
                moment
                for text, moments in column.items()
                if text and (text.startswith(prefixes) or text in exact)
                for moment in moments
            ]
        return [
            moment
            for text, moments in column.items()
            if text and (part(text) or text in exact or text.startswith(prefixes))
            for moment in moments
        ]


class AnyPartPatterns(TextPatterns):
    """As `TextPatterns`, of texts that have several parts with a SEPARATOR between them: one must be covered."""

    __slots__ = ()

    def select(self, column: Mapping[str, Sequence[int]]) -> list[int]:
        return [
            moment
            for text, moments in column.items()
            if any(map(self.covers, text.split(SEPARATOR)))
            for moment in moments
        ]


class AmountRange:
    """Texts that are whole numbers from `least` to `most`, both included; None is no bound."""

    __slots__ = ("_least", "_most", "key")

    def __init__(self, least: int, most: int | None) -> None:
        self._least = least
        self._most = most
        self.key = (least, most)

    def may_cover(self, joined: str) -> bool:
        return bool(joined)

    def select(self, column: Mapping[str, Sequence[int]]) -> list[int]:
        least, most = self._least, self._most
        return [
            moment
            for text, moments in column.items()
            if least <= int(text) and (most is None or int(text) <= most)
            for moment in moments
        ]
