"""One visitor as the rules of one event see it: the facts, the moment, and what several rules would compute alike."""

from segments.facts.facts import FOREVER_S, Facts
from segments.rules.happenings import HappeningSource
from segments.rules.patterns import SEPARATOR
from segments.rules.spans import Spans
from segments.rules.vocabulary import Fact, Value

Piece = tuple[int, int, Value]
"""From (included) and to (not included) in unix seconds, and the fact's value between them."""

Column = dict[str, list[int]]
"""Casefolded text -> unix seconds of the events that were about it."""


class View:
    """Facts at a moment. Spans that are computed from it are exact from `now_s` on, and arbitrary before."""

    __slots__ = ("_columns", "_pieces", "_texts", "facts", "known", "now_s")

    def __init__(self, facts: Facts, now_s: int) -> None:
        """`now_s` in unix seconds."""
        self.facts = facts
        self.now_s = now_s
        self._columns: dict[int, Column] = {}
        self._texts: dict[int, str] = {}
        self._pieces: dict[str, list[Piece]] = {}
        self.known: dict[int, Spans] = {}
        """Spans of conditions that several rules share, by their number."""

    def pieces(self, fact: Fact) -> list[Piece]:
        """The values that a fact takes from now on by the passing of time alone, without spans in which it has none."""
        known = self._pieces.get(fact.name)
        if known is not None:
            return known
        pieces: list[Piece] = []
        at_s = self.now_s
        changes = fact.changes(self.facts) if fact.changes is not None else ()
        start = 0  # a set that holds now begins at 0 everywhere
        for end in (*sorted([moment for moment in changes if at_s < moment < FOREVER_S]), FOREVER_S):
            if end > start:
                value = fact.value(self.facts, at_s)
                if value is not None:
                    pieces.append((start, end, value))
                at_s = start = end
        self._pieces[fact.name] = pieces
        return pieces

    def texts(self, source: HappeningSource) -> str:
        """What the source's events were about, folded, each behind a separator; made once however many rules ask."""
        known = self._texts.get(id(source))
        if known is None:
            known = "".join([SEPARATOR + text for text, _ in source.rows(self.facts)]).casefold()
            self._texts[id(source)] = known
        return known

    def column(self, source: HappeningSource) -> Column:
        """The source's events by what they were about; built once however many rules ask."""
        known = self._columns.get(id(source))  # sources live as long as the program
        if known is not None:
            return known
        column: Column = {}
        for text, moment in source.rows(self.facts):
            folded = text.casefold()
            moments = column.get(folded)
            if moments is None:
                column[folded] = [moment]
            else:
                moments.append(moment)
        self._columns[id(source)] = column
        return column
