"""What holds reports against the truth while processes are killed finds what is not true."""

import pytest

from tests.kit.report_watch import ReportFigures, TrueBill, WatchedAnswer, untrue

BILLS = [TrueBill(7, 20, told_ms=100, acknowledged_ms=150, clicked_ms=0), TrueBill(7, 30, 200, 260, clicked_ms=300)]


def answer(
    at_ms: int, fresh_ms: int, impressions: int, micros: int, clicks: int = 0, line_item: int = 7
) -> WatchedAnswer:
    return WatchedAnswer(at_ms, fresh_ms, {line_item: ReportFigures(impressions, micros, clicks)})


def test_answers_between_what_is_fresh_and_what_was_told_are_true() -> None:
    assert untrue([answer(120, 90, 0, 0), answer(160, 155, 1, 20), answer(320, 301, 2, 50, 1)], BILLS) == []


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([answer(120, 90, 2, 50)], "not from"),
        ([answer(160, 155, 0, 0)], "not from"),
        ([WatchedAnswer(160, 155, {})], "not from"),
        ([answer(320, 301, 2, 51)], "not from"),
        ([answer(320, 301, 2, 50), answer(330, 300, 2, 50)], "fresh until 300 after 301"),
        ([answer(290, 270, 2, 50, 1)], "has 1 of 0 clicks"),
        ([answer(160, 90, 1, 20, line_item=8)], "line item 8"),
    ],
)
def test_what_is_not_true_is_found(answers: list[WatchedAnswer], fault: str) -> None:
    (found,) = untrue(answers, BILLS)
    assert fault in found
