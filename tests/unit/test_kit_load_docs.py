from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from loadtest.report.report import AuditReport, Report, make_report, save_report
from loadtest.traffic.scenario import ArrivalPlan, load_scenario
from tests.kit.load_docs import BEGIN, END, describe, figures, write_docs
from tests.unit.loadtest.report.test_report import series_of


def report(name: str, latency_s: float = 0.004, audit: AuditReport | None = None) -> Report:
    plan = msgspec.structs.replace(load_scenario(name), duration_s=20.0, rate=100.0)
    return make_report(plan, series_of(seconds=20, latency_s=latency_s, bids=1), 0, audit=audit)


def test_a_line_says_what_was_missed_and_whether_the_bill_agrees() -> None:
    assert "| not audited |" in describe(report("steady"))
    assert describe(report("smoke", audit=AuditReport([], True, ""))).endswith("| agrees | 20% | ? | held |")
    line = describe(report("steady", 0.02, AuditReport([], False, "1 DIFFER")))
    assert "| DIFFERS |" in line
    assert "p99 missed: 20.00 ms, bill missed: 1 DIFFER |" in line


def test_figures_are_held_or_missed() -> None:
    good = "\n".join(figures(1_000.0, {"steady": report("steady"), "overload": report("overload")}))
    assert "Capacity: 1,000 requests/s" in good
    assert good.count("| held |") == 5
    bad = "\n".join(figures(1_000.0, {"steady": report("steady", 0.2), "overload": report("overload", 0.2)}))
    assert "| missed |" in bad
    assert "not before the end" in bad


def test_the_page_is_refreshed_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "reports"
    out.mkdir()
    for name in ("steady", "overload"):
        save_report(report(name), out / f"{name}.json")
    (out / "capacity.json").write_text("{}")
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    write_docs(1_000.0, out, page)
    write_docs(1_000.0, out, page)
    text = page.read_text()
    assert text.startswith(f"# Before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert text.count("| steady |") == text.count("| overload |") == 1
    for kind in ("latency", "rates"):
        for name in ("steady", "overload"):
            file = tmp_path / f"performance-{name}-{kind}.svg"
            assert f"]({file.name})" in text
            ElementTree.parse(file)  # noqa: S314  # our own file
            assert file.stat().st_size < 20_000


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(ValueError, match="to write between"):
        write_docs(1.0, tmp_path, tmp_path / "page.md")


def test_a_burst_is_part_of_the_plot(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{BEGIN}{END}")
    plan = report("overload")
    assert plan.scenario.arrival == ArrivalPlan(shape="burst", burst_factor=3.3333, burst_start=0.25, burst_length=0.25)
    save_report(plan, tmp_path / "overload.json")
    write_docs(1.0, tmp_path, page)
    assert "#f2e6d8" in (tmp_path / "performance-overload-rates.svg").read_text()
