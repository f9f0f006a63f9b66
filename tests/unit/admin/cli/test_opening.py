from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.cli import app
from core.errors import NotFoundError

READING = (
    "advertiser list", "line-item show 1", "campaign pause 1", "segment create --set name=x",
    "key create --set name=x", "audience sizes 1", "audience switch-on 1 product_viewers",
    "user show AAAAAAAAAAAAAAAAAAAAAA", "doctor --line-item 1", "funnel 1", "audit", "ledger export",
    "catalogue export -", "setup-link", "events import {file} --advertiser 1", "explain {file}",
)  # fmt: skip


@pytest.mark.parametrize("words", READING)
def test_a_command_in_a_wrong_directory_makes_nothing(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "request.json"
    file.write_text("{}")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(NotFoundError) as caught:
        CliRunner().invoke(app, words.format(file=file).split(), catch_exceptions=False)
    assert caught.value.message == "there is no Grosz in ./data; give --data DIR"
    assert list(folder.iterdir()) == []
