"""How a rule's author hears what is wrong: where, what, and what to write instead.

A rule is typed into a console field by a marketer, so a fault that says only "syntax error" is a support call. Every
fault of the language is one exception that carries its place in the text and draws it.
"""

import difflib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from core.errors import Fault, InputError

FaultCode = Literal["rule_syntax", "rule_name", "rule_type", "rule_limit"]

# A console shows about this many characters beside the field; a longer line is cut around the caret.
EXCERPT_CHARS = 76

# Below this similarity a suggestion confuses more than it helps ("cart" for "card" is 0.75; "page" for "age" 0.86).
SUGGESTION_CUTOFF = 0.7


class Span(NamedTuple):
    """A place in a rule's text: offsets in characters, `end` not included."""

    start: int
    end: int


class RuleError(InputError):
    """A rule that cannot be understood. `line` and `column` count from 1, in characters."""

    def __init__(self, text: str, span: Span, problem: str, *, code: FaultCode = "rule_syntax", hint: str = "") -> None:
        self.problem = problem
        self.span = span
        self.line = text.count("\n", 0, span.start) + 1
        self.column = span.start - (text.rfind("\n", 0, span.start) + 1) + 1
        self.excerpt = excerpt(text, span)
        super().__init__(f"line {self.line}, column {self.column}: {problem}\n{self.excerpt}", hint=hint, code=code)

    def fault(self, pointer: str = "/rule") -> Fault:
        """This error as one fault of a larger input, e.g. of an API request; `pointer` is the rule's JSON pointer."""
        message = f"line {self.line}, column {self.column}: {self.problem}"
        return Fault(pointer=pointer, code=self.code, message=message, hint=self.hint)


def excerpt(text: str, span: Span) -> str:
    """The line of `text` where `span` starts, and below it carets under the span; at most EXCERPT_CHARS wide."""
    begin = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", begin)
    line = text[begin : end if end >= 0 else len(text)].replace("\t", " ").rstrip("\r")
    column = span.start - begin
    width = max(1, min(span.end, begin + len(line)) - span.start)
    cut = max(0, min(column - EXCERPT_CHARS // 2, len(line) - EXCERPT_CHARS))
    shown = line[cut : cut + EXCERPT_CHARS]
    before, after = ("..." if cut else ""), ("..." if cut + EXCERPT_CHARS < len(line) else "")
    carets = "^" * min(width, max(1, len(shown) - (column - cut)))
    return f"  {before}{shown}{after}\n  {' ' * (len(before) + column - cut)}{carets}"


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """A hint naming the known word nearest to `written`, or '' if none is near."""
    near = difflib.get_close_matches(written, list(known), n=2, cutoff=SUGGESTION_CUTOFF)
    return "did you mean " + " or ".join(f'"{word}"' for word in near) + "?" if near else ""
