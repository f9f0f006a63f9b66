"""An installation without the extra `reports`: everything runs, and nothing is kept for reports."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from admin.cli.opening import journal_of
from admin.roles.journal import archive_of
from admin.roles.local_state import complete
from core.config import DataSettings, JournalSettings, Settings
from core.errors import ConfigError
from tests.kit.fixtures import REPOSITORY


@pytest.fixture
def without_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name == "duckdb" else find(name, package)
    )


@pytest.mark.usefixtures("without_duckdb")
def test_a_machine_of_its_own_keeps_no_journal(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(Settings(), data=DataSettings(directory=str(tmp_path)))
    assert complete(settings, "redis://").journal.directory == ""
    assert journal_of(settings, tmp_path) is None


@pytest.mark.usefixtures("without_duckdb")
def test_a_journal_that_was_asked_for_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError) as refusal:
        archive_of(JournalSettings(directory="journal"))
    assert "DuckDB" in refusal.value.message
    assert "grosz[reports]" in refusal.value.hint


def test_no_role_and_no_command_needs_duckdb_to_start() -> None:
    names = "admin.roles.admin, admin.roles.worker, admin.roles.tracker, admin.roles.bidder, admin.cli.__main__"
    program = f"import sys; sys.modules['duckdb'] = None; import {names}"
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
