"""A broken rule, as the judges of our answers tell of it."""

from typing import NamedTuple


class Violation(NamedTuple):
    """One rule that a bid broke: `kind` is a metric label."""

    kind: str
    detail: str
