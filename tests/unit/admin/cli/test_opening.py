import errno
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from admin import cli
from admin.cli import app
from admin.cli.opening import installed_settings
from admin.cli.settings import ConfigFile
from admin.roles.local_state import write_in_force
from admin.store.migrate import newest, versions
from core.config import ConsentSettings, DataSettings, Settings, TrackSettings
from core.errors import CatalogueError, ConflictError, NotFoundError

READING = (
    "advertiser list", "line-item show 1", "campaign pause 1", "segment create --set name=x",
    "key create --set name=x", "audience sizes 1", "audience switch-on 1 product_viewers",
    "user show AAAAAAAAAAAAAAAAAAAAAA", "doctor --line-item 1", "funnel 1", "audit", "ledger export",
    "catalogue export -", "setup-link", "events import {file} --advertiser 1", "explain {file}",
    "recorded", "explain --recorded 1a", "forecast {file}", "what-if 7 --set bid.amount=3.00", "report",
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
    assert caught.value.message == "there is no Grosz in ./data; give --data DIR or --config FILE"
    assert list(folder.iterdir()) == []


def test_a_restore_without_a_backup_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ("restore nowhere", "restore nowhere --data here"):
        with pytest.raises(NotFoundError, match="no complete backup"):
            CliRunner().invoke(app, words.split(), catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


OF_NOBODY = '{"format": "grosz-catalogue/1", "campaigns": [{"id": 1, "name": "Autumn", "advertiser_id": 7}]}'


@pytest.mark.parametrize(
    "content", ["no JSON", "[]", '{"line_itms": []}', '{"line_items": 3}', '{"fx_rates": {"EUR": "x"}}', OF_NOBODY]
)
def test_an_import_of_a_faulty_file_makes_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "catalogue.json").write_text(content)
    with pytest.raises(CatalogueError):
        invoke(f"catalogue import {tmp_path}/catalogue.json --data {tmp_path}/data")
    assert [path.name for path in tmp_path.iterdir()] == ["catalogue.json"]


def invoke(words: str) -> str:
    return CliRunner().invoke(app, words.split(), catch_exceptions=False).stdout


@pytest.mark.parametrize("words", ["setup-link", "catalogue export -", "catalogue import {file}", "ledger export"])
def test_a_command_leaves_the_schema_of_a_release_before_alone(words: str, tmp_path: Path) -> None:
    before = versions()[-2]
    invoke(f"migrate --data {tmp_path}")
    invoke(f"migrate {before} --data {tmp_path}")
    with pytest.raises(ConflictError, match=f"schema {before}") as caught:
        invoke(f"{words.format(file='-')} --data {tmp_path}")
    assert "grosz migrate" in caught.value.hint
    assert f"{before} -> {newest()}" in invoke(f"migrate --data {tmp_path}")  # it was still the one before


def test_a_setup_link_leads_to_where_the_admin_of_the_directory_listens(tmp_path: Path) -> None:
    invoke(f"migrate --data {tmp_path}")
    (tmp_path / "endpoints.json").write_text('{"admin": "http://127.0.0.1:6082"}')
    assert invoke(f"setup-link --data {tmp_path}").startswith("http://127.0.0.1:6082/setup?token=")


def test_settings_of_a_data_directory_are_those_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Settings(data=DataSettings(directory=str(tmp_path)), consent=ConsentSettings(vendor_id=755))
    monkeypatch.setenv("GROSZ_CONSENT_VENDOR_ID", "12")
    assert installed_settings(None, tmp_path).consent.vendor_id == 12  # nothing has run there
    write_in_force(ran)
    assert installed_settings(None, tmp_path).consent == ran.consent
    monkeypatch.setenv("GROSZ_REDIS_URL", "redis://elsewhere")
    assert installed_settings(None, tmp_path).consent.vendor_id == 12


def test_a_settings_file_that_is_typed_outweighs_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that is exported for every command. The address of the tracker is the run's unless the file names one."""
    ran = TrackSettings(public_url="http://127.0.0.1:6081")
    write_in_force(
        Settings(data=DataSettings(directory=str(tmp_path)), consent=ConsentSettings(vendor_id=755), track=ran)
    )
    plain, address = tmp_path / "plain.toml", tmp_path / "address.toml"
    plain.write_text("[consent]\nvendor_id = 12\n")
    address.write_text('[track]\npublic_url = "https://track.example"\n')
    found: list[Settings] = []
    command = typer.Typer()

    @command.command()
    def show(config: ConfigFile = None) -> None:
        found.append(installed_settings(config, tmp_path))

    for words in (["--config", str(plain)], ["--config", str(address)]):
        assert CliRunner().invoke(command, words).exit_code == 0
    monkeypatch.setenv("GROSZ_CONFIG", str(plain))
    for words in ([], ["--config", str(plain)]):
        assert CliRunner().invoke(command, words).exit_code == 0
    assert [(one.consent.vendor_id, one.track.public_url) for one in found] == [
        (12, ran.public_url), (0, "https://track.example"), (755, ran.public_url), (12, ran.public_url)
    ]  # fmt: skip


def test_a_file_of_another_user_is_named_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(prog_name: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "data/grosz.sqlite")

    monkeypatch.setattr(cli, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.EXIT_USER_ERROR
    assert capsys.readouterr().err.startswith("grosz: this user has no access to data/grosz.sqlite\n  hint: ")
