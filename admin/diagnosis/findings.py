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
    """One thing that was looked at. `advice` says what to do, "" when there is nothing to do."""

    area: str
    severity: Severity
    text: str
    advice: str = ""
    line_item_id: int | None = None
    name: str = ""  # of the line item
    is_waiting: bool = False
    """Nothing is broken: it delivers again by itself once somebody is in its audience."""

    @property
    def where(self) -> str:
        """What it is about, for people: the line item by number and name, and the area."""
        if self.line_item_id is None:
            return self.area
        name = f" '{self.name}'" if self.name else ""
        return f"line item {self.line_item_id}{name}, {self.area}"


# How an advice begins that is about what a change sets in motion, which takes a second.
SETTLING: Final = "wait a second; if it stays, "


def is_settling(finding: Finding) -> bool:
    """Whether the finding may be gone in a moment, without anybody doing anything."""
    return finding.advice.startswith(SETTLING)


class Report(msgspec.Struct, frozen=True):
    """Everything found, from the processes down to the line items."""

    delivers: bool
    findings: list[Finding]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> "Report":
        """`delivers` is False when anything stops delivery."""
        listed = list(findings)
        return cls(all(finding.severity is not Severity.STOP for finding in listed), listed)


def fine(area: str, text: str, line_item_id: int | None = None) -> Finding:
    return Finding(area, Severity.OK, text, "", line_item_id)


def note(area: str, text: str, advice: str = "", line_item_id: int | None = None) -> Finding:
    return Finding(area, Severity.NOTE, text, advice, line_item_id)


def stop(area: str, text: str, advice: str, line_item_id: int | None = None) -> Finding:
    return Finding(area, Severity.STOP, text, advice, line_item_id)
