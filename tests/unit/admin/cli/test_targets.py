from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.cli import loadtest, replay
from admin.cli.targets import Target, local_target
from core.errors import InputError
from tests.kit.fake_bidder import NO_BID
from tests.kit.served import served


def note(data: Path, bidder: str) -> None:
    data.mkdir()
    (data / "endpoints.json").write_text(f'{{"bidder": "{bidder}", "tracker": "http://127.0.0.1:7"}}')


def test_the_ports_of_this_directory_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_target(None) is None
    note(tmp_path / "data", "http://127.0.0.1:9999")
    assert local_target(None) == Target(
        "http://127.0.0.1:9999/openrtb2/demo", "http://127.0.0.1:7", "http://127.0.0.1:9999"
    )
    assert local_target(tmp_path / "other") is None


def test_a_replay_goes_where_this_directory_listens(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"id":"a"}\n')
    with served(lambda _: NO_BID) as bidder:
        note(tmp_path / "data", bidder.url.rsplit("/", 2)[0] if bidder.url.count("/") > 3 else bidder.url.rstrip("/"))
        done = CliRunner().invoke(replay.app, [str(file), "--data", str(tmp_path / "data"), "--json"])
    assert done.exit_code == 0, done.output
    assert '"sent": 1' in done.stdout
    assert "/openrtb2/demo" in done.stdout


def test_a_load_test_goes_where_this_directory_listens_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(tmp_path / "data", "http://bidder.example:1")  # refused, since it is not this machine
    here = ["run", "smoke", "--data", str(tmp_path / "data")]
    with pytest.raises(InputError, match=r"bidder\.example"):
        CliRunner().invoke(loadtest.app, here, catch_exceptions=False)
    with pytest.raises(InputError, match=r"elsewhere\.example"):
        CliRunner().invoke(loadtest.app, [*here, "--url", "http://elsewhere.example/"], catch_exceptions=False)
