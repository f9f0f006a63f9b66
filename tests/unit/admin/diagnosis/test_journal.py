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
