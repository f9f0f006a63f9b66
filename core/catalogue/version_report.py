"""What each bidder process says of the catalogue that it runs, in the hash `keys.CATALOGUE_EFFECTIVE`.

A text: version, unix ms, and while a later version cannot be installed that version and why.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Bidders report twice a second; a process that was silent for this long is gone.
GONE_MS = 15_000

# The admin role removes reports older than this: a process that was killed cannot remove its own.
FORGOTTEN_MS = 3_600_000

MAX_REASON_CHARS = 500


class VersionReport(NamedTuple):
    """What a process serves. `refused` is the version that it cannot install (0: none), `reason` says why."""

    version: int
    seen_ms: int
    refused: int = 0
    reason: str = ""


def forgotten(reports: Mapping[Any, Any], now_ms: int) -> list[Any]:
    """The processes whose last report is older than FORGOTTEN_MS, or cannot be read."""
    gone = []
    for process, text in reports.items():
        try:
            seen_ms = decode_report(text).seen_ms
        except ValueError:
            seen_ms = 0
        if seen_ms < now_ms - FORGOTTEN_MS:
            gone.append(process)
    return gone


def encode_report(report: VersionReport) -> str:
    """The text of a report."""
    text = f"{report.version} {report.seen_ms}"
    return f"{text} {report.refused} {report.reason[:MAX_REASON_CHARS]}" if report.refused else text


def decode_report(text: bytes) -> VersionReport:
    """The inverse; what an older bidder has written has no refusal."""
    version, seen_ms, refused, reason = [*text.decode("utf-8", "replace").split(" ", 3), "", "", ""][:4]
    return VersionReport(int(version), int(seen_ms or 0), int(refused or 0), reason)
