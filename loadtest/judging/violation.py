"""A broken rule of an answer."""

from typing import NamedTuple


class Violation(NamedTuple):
    """One broken rule: `kind` is stable and counted, `detail` says what exactly."""

    kind: str
    detail: str
