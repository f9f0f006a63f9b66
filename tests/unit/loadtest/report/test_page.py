import json
import re
from pathlib import Path

import msgspec

from loadtest.report.page import chart_data, render, save_page
from loadtest.report.report import AuditLine, AuditReport, make_report
from tests.unit.loadtest.report.test_report import scenario, series_of


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    save_page(make_report(scenario(p99_ms=5.0), series_of(won=1, won_micros=2_000), 0), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "uPlot" in page
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page)
    assert "{body}" not in page


def test_charts_have_one_value_for_each_second() -> None:
    report = make_report(scenario(), series_of(seconds=5, latency_s=0.02, won_micros=2_000_000), 0)
    data = json.loads(json.dumps(chart_data(report)))
    names = ("rates", "latency", "spend", "pacing", "generator")
    assert [len(column) for name in names for column in data[name]] == [5] * 16
    assert data["pacing"][1:] == [[20, 40, 60, 80, 100]] * 2
    assert data["generator"][1] == [20] * 5
    assert data["spend"][1] == [2, 4, 6, 8, 10]
    assert data["histogram"][1] == [500]
    assert 19 < data["latency"][1][0] < 21 > data["histogram"][0][0] > 15


def test_violations_are_shown_escaped_and_the_data_cannot_end_the_script() -> None:
    series = series_of()
    series.total.violate("insecure", "<b>", "<script>alert(1)</script>", "</script>")
    page = render(make_report(scenario(), series, 0))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("</script>") == 2
    assert "FAILED" in page


def test_the_bill_is_shown_line_by_line() -> None:
    line = AuditLine("70", "PLN", 3, 3, 4_520, 4_520, 4_521, agrees=False)
    page = render(make_report(scenario(), series_of(), 0, audit=AuditReport([line], False, "1 DIFFER")))
    assert "4,521" in page
    assert "DIFFERS" in page


def test_sampled_checks_are_stated() -> None:
    plan = msgspec.structs.replace(scenario(), checks=msgspec.structs.replace(scenario().checks, share=0.25))
    assert "Only 25%" in render(make_report(plan, series_of(), 0))
