"""What the doctor says: one finding a thing looked at, and whether anything stops delivery."""

import enum
from collections.abc import Iterable
from typing import Final

import msgspec


class Severity(enum.StrEnum):
    """What a finding means for delivery."""

    OK = "ok"
    NOTE = "note"  # worth knowing; delivery goes on
    STOP = "stop"  # nothing, or nothing of this line item, is delivered because of it


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    `code` is stable, whatever the words are; `parts` are the parameters of its text and advice. `advice` says what to
    do, "" when there is nothing to do; `advice_code` is `code`, `reason.NAME` for the hint of a reason without a bid,
    `warning.CODE` for that of a line item's warning, or the code of the finding that this one repeats.
    """

    code: str
    area: str
    severity: Severity
    text: str
    advice: str
    advice_code: str
    parts: dict[str, str | int]
    line_item_id: int | None = None
    name: str = ""
    """Of the line item."""
    more: int = 0
    """How many further findings stop the line item that this one stands for."""
    is_waiting: bool = False
    """Nothing is broken: it delivers again by itself once somebody is in its audience."""

    @property
    def where(self) -> str:
        """What it is about, for people: the line item by number and name, and the area."""
        if self.line_item_id is None:
            return self.area
        name = f" '{self.name}'" if self.name else ""
        return f"line item {self.line_item_id}{name}, {self.area}"

    def advised(self, code: str) -> "Finding":
        """The same finding, whose advice is that of another code."""
        return msgspec.structs.replace(self, advice_code=code)


# What is so for a moment after a change: its advice begins with waiting a second.
SETTLING: Final = frozenset({"catalogue.unpublished", "bidders.behind", "budget.not_entered"})


def is_settling(finding: Finding) -> bool:
    """Whether the finding may be gone in a moment, without anybody doing anything."""
    return finding.code in SETTLING


class Report(msgspec.Struct, frozen=True):
    """Everything found, from the processes down to the line items."""

    delivers: bool
    findings: list[Finding]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> "Report":
        """`delivers` is False when anything stops delivery."""
        listed = list(findings)
        return cls(all(finding.severity is not Severity.STOP for finding in listed), listed)
