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


def test_the_page_says_when_and_by_which_version_it_was_made() -> None:
    page = render(make_report(scenario(), series_of(), 1_790_000_000_000, version="1.2.3"))
    assert "2026-09-21 14:13:20 UTC, by Grosz 1.2.3, against http://" in page


def test_a_last_second_that_is_cut_short_is_no_outage() -> None:
    """Answers and notices after the end belong to no rate; what adds up goes on."""
    series = series_of(seconds=5, won_micros=2_000_000)
    plan = msgspec.structs.replace(scenario(), duration_s=3.5)
    data = json.loads(json.dumps(chart_data(make_report(plan, series, 0))))
    assert [len(column) for name in ("rates", "latency", "generator") for column in data[name]] == [3] * 10
    assert len(data["spend"][1]) == 5


def test_charts_have_units_and_a_line_of_tmax() -> None:
    plan = scenario()
    plan = msgspec.structs.replace(
        plan,
        duration_s=4.0,
        traffic=msgspec.structs.replace(plan.traffic, tmax_ms=120, currency="EUR"),
        faults=msgspec.structs.replace(plan.faults, tmax_cut_at=0.5, tmax_cut_ms=30),
    )
    data = chart_data(make_report(plan, series_of(seconds=4), 0))
    assert (data["currency"], data["tmax"]) == ("EUR", [120, 120, 30, 30])
    recorded = msgspec.structs.replace(plan, traffic=msgspec.structs.replace(plan.traffic, recorded="requests.jsonl"))
    assert chart_data(make_report(recorded, series_of(seconds=4), 0))["tmax"] == [None] * 4
