import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from admin.cli.loadtest import app
from core.errors import InputError
from loadtest.report.report import make_report, save_report
from loadtest.running.search import TRIES
from tests.kit.fake_bidder import NO_BID, json_answer
from tests.kit.served import served
from tests.unit.loadtest.report.test_report import scenario, series_of


def invoke(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


def own_scenario(tmp_path: Path) -> str:
    file = tmp_path / "own.toml"
    file.write_text(
        'name = "own"\nrate = 100\nduration_s = 1\nconnections = 4\n[traffic]\ntemplates = 4\n[notices]\nsend = false\n'
    )
    return str(file)


def test_the_scenarios_are_listed() -> None:
    listed = invoke("list")
    assert listed.exit_code == 0
    assert "notice-storm" in listed.output


def test_a_run_prints_its_result_and_writes_its_reports(tmp_path: Path) -> None:
    with served(lambda _: NO_BID) as bidder:
        done = invoke(
            "run", own_scenario(tmp_path), "--url", bidder.url, "--rate", "50", "--seed", "3", "--users", "10",
            "--out", str(tmp_path / "report"),
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "own: passed" in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["scenario"]["rate"], report["scenario"]["seed"]) == (50, 3)
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_a_missed_goal_is_the_exit_code(tmp_path: Path) -> None:
    with served(lambda _: json_answer(b"", 500)) as bidder:
        done = invoke("run", own_scenario(tmp_path), "--url", bidder.url)
    assert done.exit_code == 1
    assert "server-error" in done.output


def test_a_ledger_that_does_not_agree_is_a_missed_goal(tmp_path: Path) -> None:
    rows = json.dumps([{"line_item_id": 1, "currency": "PLN", "impressions": 1, "charge_micros": 1}])
    flag = tmp_path / "second"
    command = f"if [ -e {flag} ]; then echo '{rows}'; else touch {flag}; echo '[]'; fi"
    with served(lambda _: NO_BID) as bidder:
        done = invoke("run", own_scenario(tmp_path), "--url", bidder.url, "--ledger-command", command)
    assert done.exit_code == 1
    assert "1 DIFFER" in done.output


def test_a_ledger_that_fails_after_the_run_costs_the_audit_and_not_the_report(tmp_path: Path) -> None:
    flag = tmp_path / "second"
    command = f"if [ -e {flag} ]; then exit 5; else touch {flag}; echo '[]'; fi"
    with served(lambda _: NO_BID) as bidder:
        done = invoke(
            "run", own_scenario(tmp_path), "--url", bidder.url, "--ledger-command", command,
            "--out", str(tmp_path / "a.b"),
        )  # fmt: skip
    assert done.exit_code == 1
    assert "not possible: the ledger command ended with 5" in done.output
    assert (tmp_path / "a.b.json").exists()
    assert (tmp_path / "a.b.html").exists()


def test_a_search_says_what_it_tried_and_found() -> None:
    with served(lambda _: NO_BID) as bidder:
        done = invoke(
            "search", "--p99", "0.001ms", "--url", bidder.url, "--rate", "1", "--duration", "1", "--connections", "2"
        )
    assert done.exit_code == 0, done.output
    assert "highest rate with p99 <= 0.001ms: 0/s" in done.output
    assert done.output.count("inside tmax") == TRIES


def test_two_reports_are_compared(tmp_path: Path) -> None:
    for name, latency_s in (("a", 0.004), ("b", 0.008)):
        save_report(make_report(scenario(), series_of(seconds=22, latency_s=latency_s), 0), tmp_path / f"{name}.json")
    done = invoke("compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert done.exit_code == 0, done.output
    assert "p99.9" in done.output
    assert "differs" in done.output


def test_a_catalogue_is_written(tmp_path: Path) -> None:
    assert invoke("catalogue", "20", str(tmp_path / "big.json")).exit_code == 0
    assert len(json.loads((tmp_path / "big.json").read_text())["line_items"]) == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "nothing"),
        ("run", "smoke", "--url", "http://bid.example/"),
        ("run", "smoke", "--track-url", "http://track.example/"),
        ("run", "smoke", "--out", "nowhere/at/all"),
        ("run", "smoke", "--ledger-before", "ledger.csv"),
        ("search", "--p99", "fast"),
        ("search", "--p99", "-1ms"),
        ("compare", "none.json", "none.json"),
        ("peers", "http://127.0.0.1:1/"),
        ("peers", "http://127.0.0.1:1/", "http://127.0.0.1:2/", "--duration", "30", "--turns", "15"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: Sequence[str]) -> None:
    assert isinstance(invoke(*arguments).exception, InputError)
