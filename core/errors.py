"""The error tree. Every error says what is wrong, where, and what to do next (`hint`).

GroszError
├── ConfigError          a setting is missing or out of range (also ValueError)
├── CatalogueError       catalogue data that cannot be imported or compiled (also ValueError)
├── InputError           a request, event, rule or file that is not valid (also ValueError)
├── NotFoundError        no such object, or not one the caller may see (also LookupError)
├── ConflictError        somebody changed it first, or it exists already
├── AccessError          not logged in, or not allowed
└── UnavailableError     Redis, the store or a role does not answer in time (also ConnectionError)

A no-bid is not an error: it is a value with a reason (core.reasons).
"""

from collections.abc import Sequence

import msgspec

# A line of text shows no more allowed values than these; the JSON form has all of them.
MAX_ALLOWED_SHOWN = 12


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault of an input: `pointer` is a JSON pointer (or a setting's dotted name), `code` a stable short word.

    `parts` are what a program needs of the message: its parameters, by their names.
    """

    pointer: str
    code: str
    message: str
    hint: str = ""
    allowed: tuple[str, ...] = ()
    parts: dict[str, str] = {}

    def __str__(self) -> str:
        choice = f"one of {', '.join(self.allowed)}" if 0 < len(self.allowed) <= MAX_ALLOWED_SHOWN else ""
        advice = self.hint or choice
        return f"{self.pointer}: {self.message}" + (f" ({advice})" if advice else "")


class GroszError(Exception):
    """Root of all errors that Grosz raises on purpose."""

    def __init__(self, message: str, *, hint: str = "", faults: Sequence[Fault] = (), code: str = "") -> None:
        """`code`: a stable short word where a program does something about this error, whatever it says."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.faults = tuple(faults)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {fault}" for fault in self.faults)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ConfigError(GroszError, ValueError):
    """A setting is missing or out of range."""


class CatalogueError(GroszError, ValueError):
    """Catalogue data that cannot be imported or compiled."""


class InputError(GroszError, ValueError):
    """A request, event, rule or file that is not valid."""


class NotFoundError(GroszError, LookupError):
    """No such object, or not one the caller may see."""


class ConflictError(GroszError):
    """The object was changed by another request meanwhile, or it exists already."""


class AccessError(GroszError):
    """Not logged in, or not allowed."""


class UnavailableError(GroszError, ConnectionError):
    """Redis, the store or a role does not answer in time."""
