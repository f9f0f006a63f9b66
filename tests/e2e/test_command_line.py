import json
from pathlib import Path

import pytest

from admin.cli import COMMANDS, load_command
from core.version import VERSION
from tests.kit.processes import grosz


def test_help_lists_every_command_without_importing_it() -> None:
    result = grosz("--help", environ={"PYTHONVERBOSE": "1"})
    assert result.returncode == 0
    listed = {line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ") and line.split()}
    assert set(COMMANDS) <= listed
    heavy = ("aiohttp", "numpy", "sqlalchemy", "uvloop", "redis", "admin.roles.supervisor")
    assert [name for name in heavy if f"import '{name}' " in result.stderr] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_can_be_loaded_and_says_what_it_does(name: str) -> None:
    command = load_command(name)
    assert command.name == name
    assert COMMANDS[name][1].endswith(".")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("grosz line", {"line-item"}),
        ("grosz line-item ", {"list", "show", "create", "update", "copy", "pause", "resume", "archive"}),
        ("grosz deal list --js", {"--json"}),
    ],
)
def test_the_shell_completes_commands_and_options(words: str, completed: set[str]) -> None:
    position = str(len(words.split(" ")) - 1)
    asked = {"_GROSZ_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
    assert set(grosz(environ=asked).stdout.split()) == completed


def test_version_is_shown() -> None:
    assert grosz("--version").stdout == f"grosz {VERSION}\n"


def test_unknown_command_is_told_apart_from_a_fault() -> None:
    result = grosz("bider")
    assert result.returncode == 2
    assert "No such command 'bider'" in result.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lineitem", "line-item"),
        ("line_item", "line-item"),
        ("adverts", "advertiser"),
        ("serve", "up"),
        ("docter", "doctor"),
    ],
)
def test_a_wrong_word_is_answered_with_the_command_that_was_meant(typed: str, meant: str) -> None:
    result = grosz(typed)
    assert result.returncode == 2
    assert f"Did you mean '{meant}'?" in result.stderr


@pytest.mark.parametrize("command", [("advertiser", "list"), ("audit",), ("doctor",), ("funnel", "1"), ("fx", "show")])
def test_a_data_directory_that_is_typed_outranks_an_exported_address(command: tuple[str, ...], tmp_path: Path) -> None:
    exported = {"GROSZ_ADMIN_URL": "http://127.0.0.1:1", "GROSZ_API_KEY": "grosz_x"}
    result = grosz(*command, "--data", str(tmp_path / "none"), environ=exported)
    told = result.stdout + result.stderr
    assert "there is no Grosz in" in told
    assert "does not answer" not in told


def test_an_unknown_schema_version_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    result = grosz("migrate", "9999", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("grosz: '9999' is no schema version")
    assert list(tmp_path.iterdir()) == []


def test_role_without_redis_says_what_to_do_and_shows_no_traceback() -> None:
    result = grosz("tracker")
    assert result.returncode == 2
    assert "GROSZ_REDIS_URL" in result.stderr
    assert "Traceback" not in result.stderr


def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "grosz.toml"
    file.write_text('[redis]\npassword = "hunter2"\n[bid]\nport = 9000\n')
    result = grosz("config", "--config", str(file), environ={"GROSZ_BID_WORKERS": "3"})
    shown = json.loads(result.stdout)
    assert shown["bid"]["port"] == 9000
    assert shown["bid"]["workers"] == 3
    assert "hunter2" not in result.stdout


def test_all_faults_of_the_settings_are_shown_at_once() -> None:
    result = grosz("config", environ={"GROSZ_BID_PORT": "x", "GROSZ_TRACK_PORT": "-1"})
    assert result.returncode == 2
    assert "GROSZ_BID_PORT" in result.stderr
    assert "GROSZ_TRACK_PORT" in result.stderr


def test_health_fails_where_no_role_answers(free_port: int) -> None:
    ports = {f"GROSZ_{name}_PORT": str(free_port) for name in ("BID", "TRACK", "WORKER", "ADMIN")}
    result = grosz("health", environ=ports)
    assert result.returncode == 1
    assert result.stdout == "no role answers on this machine\n"
