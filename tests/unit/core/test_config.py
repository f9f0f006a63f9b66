import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from core.config import BidSettings, MoneySettings, RedisSettings, Settings, load_settings, redacted, to_environment
from core.errors import ConfigError
from tests.kit.fixtures import REPOSITORY

KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "grosz.toml"


def test_nothing_set_gives_the_defaults() -> None:
    assert load_settings(None, {"PATH": "/bin", "HOME": "/root"}) == Settings()


def test_file_changes_the_defaults_and_the_environment_changes_the_file(toml: Path) -> None:
    toml.write_text('[bid]\nport = 9000\nworkers = 3\n[track]\npublic_url = "https://t.shop.example"\n')
    settings = load_settings(toml, {"GROSZ_BID_PORT": "9001", "GROSZ_REDIS_URL": "redis://cache:6379/0"})
    assert settings.bid == BidSettings(port=9001, workers=3)
    assert settings.track.public_url == "https://t.shop.example"
    assert settings.redis.url == "redis://cache:6379/0"


def test_every_fault_is_reported_at_once_with_its_place(toml: Path) -> None:
    toml.write_text('[bid]\nport = "80"\nworkesr = 2\n[bidd]\nport = 1\n[track]\nport = 70000\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(toml, {"GROSZ_ADMIN_PORT": "many", "GROSZ_NONSENSE": "1", "GROSZ_REDIS_ULR": "x"})
    assert {fault.pointer: fault.code for fault in caught.value.faults} == {
        "bidd": "unknown",
        "GROSZ_NONSENSE": "unknown",
        "GROSZ_REDIS_ULR": "unknown",
        "bid.port": "value",
        "bid.workesr": "unknown",
        "track.port": "value",
        "GROSZ_ADMIN_PORT": "value",
    }


def test_misspelt_setting_is_told_the_right_name(toml: Path) -> None:
    toml.write_text("[bid]\nworkesr = 2\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(toml, {})
    assert caught.value.faults[0].hint == "did you mean workers?"


@pytest.mark.parametrize("text", ["[bid", "bid = 1\n[bid]", "\x00"])
def test_file_that_is_not_toml_is_refused_by_name(toml: Path, text: str) -> None:
    toml.write_text(text)
    with pytest.raises(ConfigError, match=r"grosz\.toml"):
        load_settings(toml, {})


def test_component_that_is_not_a_table_is_a_fault(toml: Path) -> None:
    toml.write_text("bid = 1\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(toml, {})
    assert caught.value.faults[0].hint == "write [bid] and its fields below it"


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.toml", {})


def test_token_keys_come_from_the_environment_as_json() -> None:
    settings = load_settings(None, {"GROSZ_MONEY_TOKEN_KEYS": f'{{"7": "{KEY}"}}'})
    assert settings.money.keys() == {7: bytes.fromhex(KEY)}


@pytest.mark.parametrize(
    "keys", [{"256": KEY}, {"1": "short"}, {"1": KEY[:-1]}, {"1": KEY + "\n"}, {"1\n": KEY}, {"one": KEY}]
)
def test_unusable_token_key_is_a_fault(keys: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"GROSZ_MONEY_TOKEN_KEYS": msgspec.json.encode(keys).decode()})
    assert caught.value.faults[0].pointer == "GROSZ_MONEY_TOKEN_KEYS"


@pytest.mark.parametrize("setting", ["GROSZ_TRACK_PUBLIC_URL", "GROSZ_ADMIN_PUBLIC_URL"])
def test_an_address_that_ends_in_a_line_end_is_a_fault(setting: str) -> None:
    for url in ("https://shop.example\n", "\n"):
        with pytest.raises(ConfigError):
            load_settings(None, {setting: url})


@pytest.mark.parametrize(
    "url", ["t.shop.example", "ftp://t.shop.example", "https://t.shop.example/", "https://t.shop.example\n"]
)
def test_public_url_that_would_break_markup_is_a_fault(url: str) -> None:
    with pytest.raises(ConfigError):
        load_settings(None, {"GROSZ_TRACK_PUBLIC_URL": url})


def test_variables_of_the_tests_are_not_settings() -> None:
    variables = {"GROSZ_CORPUS": "/data", "GROSZ_DATA": "/data", "GROSZ_CONFIG": "x", "GROSZ_TEST_SEED": "1"}
    assert load_settings(None, variables) == Settings()


def test_secrets_are_masked_wherever_they_stand() -> None:
    settings = load_settings(
        None,
        {
            "GROSZ_REDIS_URL": "rediss://app:hunter2@cache.example:6380/0",
            "GROSZ_REDIS_PASSWORD": "hunter2",
            "GROSZ_ADMIN_DATABASE_URL": "postgresql+asyncpg://grosz:hunter2@db/grosz",
            "GROSZ_MONEY_TOKEN_KEYS": f'{{"1": "{KEY}"}}',
        },
    )
    shown = msgspec.json.encode(redacted(settings)).decode()
    assert "hunter2" not in shown
    assert KEY not in shown
    assert redacted(settings)["redis"]["url"] == "rediss://app:***@cache.example:6380/0"
    assert redacted(settings)["admin"]["database_url"] == "postgresql+asyncpg://grosz:***@db/grosz"
    assert redacted(settings)["money"]["token_keys"] == {"1": "***"}
    assert redacted(settings)["redis"]["password"] == "***"


def test_what_is_not_secret_is_shown_as_it_is() -> None:
    shown = redacted(Settings())
    assert shown["bid"]["port"] == BidSettings().port
    assert shown["redis"]["password"] == ""
    assert shown["track"]["public_url"] == "http://127.0.0.1:8081"


def test_environment_for_children_gives_the_same_settings_again() -> None:
    settings = Settings(
        redis=RedisSettings(url="unix:///tmp/server.sock", cluster=False, call_timeout_ms=5),
        bid=BidSettings(port=0, workers=2),
        money=MoneySettings(token_keys={"1": KEY}, token_key_id=1),
    )
    variables = to_environment(settings)
    assert variables["GROSZ_BID_WORKERS"] == "2"
    assert "GROSZ_TRACK_PORT" not in variables
    assert load_settings(None, variables) == settings


def test_the_page_of_settings_is_what_the_structs_say() -> None:
    printed = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make-configuration", "--print"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    document = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert document == printed, "run scripts/make-configuration"


def test_the_page_of_settings_names_each_with_its_variable() -> None:
    document = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    for component, fields in redacted(Settings()).items():
        assert f"## [{component}]" in document
        for field in fields:
            assert f"| `{field}`<br>`GROSZ_{component.upper()}_{field.upper()}` |" in document
    assert not [line for line in document.splitlines() if line.endswith("|  |")], "each setting has a meaning"


def test_variables_that_only_commands_read_are_no_settings() -> None:
    """A user exports them once, and everything is started from the same shell."""
    environ = {"GROSZ_ADMIN_URL": "http://127.0.0.1:8082", "GROSZ_API_KEY": "grosz_x", "GROSZ_CONFIG": "x.toml"}
    assert load_settings(None, environ) == Settings()
