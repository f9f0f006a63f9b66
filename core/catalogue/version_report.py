"""What each bidder process says of the catalogue that it runs, in the hash `keys.CATALOGUE_EFFECTIVE`.

A text: version, unix ms, and while a later version cannot be installed that version and why.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Bidders report twice a second; one that was silent for so long is gone.
GONE_MS = 15_000

# What was said so long ago is removed by the admin role: a process that was killed cannot remove it itself.
FORGOTTEN_MS = 3_600_000

MAX_REASON_CHARS = 500


class VersionReport(NamedTuple):
    """`refused` is the version that cannot be installed, 0 when there is none; `reason` says why."""

    version: int
    seen_ms: int
    refused: int = 0
    reason: str = ""


def forgotten(reports: Mapping[Any, Any], now_ms: int) -> list[Any]:
    """The processes that nobody will hear of again, and whatever cannot be read."""
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
