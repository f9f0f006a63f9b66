"""The doctor's look at the journal: whether the worker keeps what happens."""

import re
from collections.abc import Mapping
from typing import Final

from admin.diagnosis.findings import Finding
from admin.diagnosis.told import found

_LINE: Final = re.compile(
    r"^(grosz_journal_(?:mirror_)?lag_seconds|grosz_journal_(?:mirror_)?failures_total) (\S+)$", re.MULTILINE
)

# The worker stores every second; reports promise figures that are some seconds old.
LATE_S: Final = 60.0

# The mirror follows each ten minutes at the least (journal.mirror_every_s).
MIRROR_LATE_S: Final = 1_800.0


def check_journal(metrics: str | None) -> list[Finding]:
    """What the worker's metrics say; nothing where they cannot be had."""
    if metrics is None:
        return []
    said = {name: float(number) for name, number in _LINE.findall(metrics)}
    lag_s = said.get("grosz_journal_lag_seconds")
    if lag_s is None:
        return [found("journal.none")]
    return [_kept(said, lag_s), *_mirrored(said)]


def _kept(said: Mapping[str, float], lag_s: float) -> Finding:
    if lag_s > LATE_S:
        failures = said.get("grosz_journal_failures_total", 0.0)
        return found("journal.late", count=round(lag_s), more=round(failures))
    return found("journal.stored", count=round(lag_s))


def _mirrored(said: Mapping[str, float]) -> list[Finding]:
    lag_s, failures = said.get("grosz_journal_mirror_lag_seconds"), said.get("grosz_journal_mirror_failures_total", 0.0)
    if lag_s is None:
        return []
    if lag_s > MIRROR_LATE_S:
        return [found("journal.mirror_late", seconds=round(lag_s), count=round(failures))]
    return [found("journal.mirrored", seconds=round(lag_s))]
