from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.cli.replay import app
from core.errors import InputError, UnavailableError
from tests.kit.fake_bidder import NO_BID, json_answer
from tests.kit.served import served


def file_of(tmp_path: Path) -> str:
    (tmp_path / "requests.jsonl").write_text('{"id":"a"}\n{"request":{"id":"b"}}\n')
    return str(tmp_path / "requests.jsonl")


def test_outcomes_and_latency_are_printed(tmp_path: Path) -> None:
    with served(lambda _: NO_BID) as bidder:
        done = CliRunner().invoke(app, [file_of(tmp_path), "--url", bidder.url, "--expect-valid"])
    assert done.exit_code == 0
    assert "no bid" in done.output
    assert "p99.9" in done.output


@pytest.mark.parametrize(("options", "code"), [(["--expect-valid"], 1), ([], 0)])
def test_an_invalid_answer_fails_only_where_validity_is_expected(tmp_path: Path, options: list[str], code: int) -> None:
    with served(lambda _: json_answer(b"", 400)) as bidder:
        done = CliRunner().invoke(app, [file_of(tmp_path), "--url", bidder.url, *options])
    assert done.exit_code == code
    assert "line 1: status 400" in done.output


def test_a_foreign_target_a_missing_file_and_a_silent_target_are_errors_with_hints(
    tmp_path: Path, free_port: int
) -> None:
    for arguments, error in (
        ([file_of(tmp_path), "--url", "http://bid.example/"], InputError),
        ([str(tmp_path / "none")], InputError),
        ([file_of(tmp_path), "--url", f"http://127.0.0.1:{free_port}/"], UnavailableError),
    ):
        assert isinstance(CliRunner().invoke(app, arguments).exception, error)
