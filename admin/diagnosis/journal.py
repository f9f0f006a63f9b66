"""The doctor's look at the journal: whether the worker keeps what happens."""

import re
from typing import Final

from admin.diagnosis.findings import Finding, fine, note

_LINE: Final = re.compile(r"^(grosz_journal_lag_seconds|grosz_journal_failures_total) (\S+)$", re.MULTILINE)

# The worker stores every second; reports promise figures that are some seconds old.
LATE_S: Final = 60.0


def check_journal(metrics: str | None) -> list[Finding]:
    """What the worker's metrics say; nothing where they cannot be had."""
    if metrics is None:
        return []
    said = {name: float(number) for name, number in _LINE.findall(metrics)}
    lag_s = said.get("grosz_journal_lag_seconds")
    if lag_s is None:
        return [note("journal", "no journal is kept, so there are no reports", "set journal.directory for all roles")]
    if lag_s > LATE_S:
        failures = said.get("grosz_journal_failures_total", 0.0)
        text = f"what happened in the last {lag_s:.0f} s is not stored yet; {failures:.0f} passes failed"
        return [note("journal", text, "see the worker's log for `the journal is not stored`: is its disk full?")]
    return [fine("journal", f"everything up to {lag_s:.0f} s ago is stored")]
