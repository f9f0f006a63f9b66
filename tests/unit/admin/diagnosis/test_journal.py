from admin.diagnosis.findings import Severity
from admin.diagnosis.journal import check_journal


def said(lag: float, failures: float = 0) -> str:
    return f"grosz_journal_lag_seconds {lag}\ngrosz_journal_failures_total {failures}\n"


def test_a_worker_that_cannot_be_asked_says_nothing() -> None:
    assert check_journal(None) == []


def test_no_journal_is_told() -> None:
    (found,) = check_journal("grosz_other 1\n")
    assert found.severity is Severity.NOTE
    assert "no reports" in found.text


def test_a_journal_that_keeps_up_is_fine() -> None:
    (found,) = check_journal(said(1.4))
    assert found.severity is Severity.OK


def test_a_journal_that_is_late_is_told_with_its_failures() -> None:
    (found,) = check_journal(said(300, 12))
    assert found.severity is Severity.NOTE
    assert "300 s" in found.text
    assert "12 passes failed" in found.text


def test_a_mirror_that_follows_is_fine() -> None:
    _kept, found = check_journal(said(1) + "grosz_journal_mirror_lag_seconds 61\n")
    assert (found.severity, found.text) == (Severity.OK, "its mirror has everything up to 61 s ago")


def test_a_mirror_that_is_behind_is_told_with_its_failures() -> None:
    behind = "grosz_journal_mirror_lag_seconds 7200\ngrosz_journal_mirror_failures_total 40\n"
    kept, found = check_journal(said(1) + behind)
    assert (kept.severity, found.severity) == (Severity.OK, Severity.NOTE)
    assert "7200 s behind" in found.text
    assert "40 attempts failed" in found.text
