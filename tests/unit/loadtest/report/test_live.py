import html
import io

import msgspec
from rich.console import Console, RenderableType

from loadtest.measure.series import Series
from loadtest.report.live import live_view, summary
from loadtest.report.page import render
from loadtest.report.report import NO_NOTICES, make_report
from loadtest.traffic.scenario import NoticePlan
from tests.unit.loadtest.report.test_report import scenario, series_of


def shown(view: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_live_view_has_rates_percentiles_and_spend() -> None:
    text = shown(live_view(scenario(), series_of(bid_answers=50, won_micros=1_000_000)))
    for expected in ("100/s", "bid rate", "50.0%", "p99.9", "4.00 ms", "spend", "1.0000/s", "timeouts"):
        assert expected in text


def test_a_run_that_has_not_begun_can_be_shown() -> None:
    assert "p99" in shown(live_view(scenario(), Series()))


def test_the_summary_names_what_was_missed() -> None:
    series = series_of(latency_s=0.02)
    series.total.violate("size", "", "", "")
    text = shown(summary(make_report(scenario(p99_ms=10.0), series, 0)))
    for expected in ("FAILED", "violation: size", "p99 at most 10 ms: missed", "generator"):
        assert expected in text


def test_a_summary_of_a_run_without_notices_says_why_nothing_was_billed() -> None:
    quiet = msgspec.structs.replace(scenario(), notices=NoticePlan(send=False))
    series = series_of()
    series.total.counts["won"] = 38
    report = make_report(quiet, series, 0)
    assert NO_NOTICES in shown(summary(report)).replace("\n", " ")
    assert html.escape(NO_NOTICES) in render(report)
    assert NO_NOTICES not in shown(summary(make_report(scenario(), series, 0))).replace("\n", " ")
