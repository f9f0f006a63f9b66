from pathlib import Path

import msgspec

from admin.roles.local_state import (
    ENDPOINTS,
    IN_FORCE,
    complete,
    read_endpoints,
    read_in_force,
    read_metrics,
    run_directory,
    token_key,
    write_endpoints,
    write_in_force,
)
from core.config import AdminSettings, AdsSettings, BidSettings, ConsentSettings, DataSettings, MoneySettings, Settings

KEY = "00112233445566778899aabbccddeeff"


def test_machine_of_its_own_decides_what_nobody_chose(tmp_path: Path) -> None:
    settings = complete(Settings(data=DataSettings(directory=str(tmp_path / "data"))), "unix:///tmp/server.sock")
    assert settings.redis.url == "unix:///tmp/server.sock"
    assert settings.admin.database_url == f"sqlite+aiosqlite:///{tmp_path}/data/grosz.sqlite"
    assert len(settings.money.keys()[1]) == 32
    assert Path(settings.telemetry.run_directory).is_dir()


def test_what_was_chosen_stays(tmp_path: Path) -> None:
    chosen = Settings(
        data=DataSettings(directory=str(tmp_path)),
        admin=AdminSettings(database_url="postgresql+asyncpg://db/grosz"),
        money=MoneySettings(token_keys={"4": KEY}),
    )
    settings = complete(chosen, "redis://cache")
    assert settings.admin == chosen.admin
    assert settings.money == chosen.money
    assert not (tmp_path / "token.key").exists()


def test_token_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = token_key(tmp_path)
    assert token_key(tmp_path) == key
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(key)) == 32


def test_run_directory_is_empty_at_each_start(tmp_path: Path) -> None:
    (run_directory(tmp_path) / "bidder.remainder").write_bytes(msgspec.msgpack.encode([]))
    assert list(run_directory(tmp_path).iterdir()) == []


def test_a_run_leaves_a_note_of_where_its_roles_are(tmp_path: Path) -> None:
    settings = Settings(data=DataSettings(directory=str(tmp_path)), bid=BidSettings(host="0.0.0.0", port=9000))
    assert read_endpoints(tmp_path) == {}
    write_endpoints(settings, ("bidder", "tracker"))
    assert read_endpoints(tmp_path) == {"bidder": "http://127.0.0.1:9000", "tracker": "http://127.0.0.1:8081"}
    assert read_metrics(tmp_path) == {"bidder": "http://127.0.0.1:9080", "tracker": "http://127.0.0.1:9081"}


def test_a_note_of_an_earlier_release_says_that_metrics_are_at_the_roles_ports(tmp_path: Path) -> None:
    (tmp_path / ENDPOINTS).write_text('{"bidder": "http://127.0.0.1:9000"}')
    assert read_metrics(tmp_path) == read_endpoints(tmp_path) == {"bidder": "http://127.0.0.1:9000"}


def test_a_run_leaves_a_note_of_what_it_decides_by(tmp_path: Path) -> None:
    assert read_in_force(tmp_path) is None
    consent = ConsentSettings(vendor_id=755)
    write_in_force(
        Settings(data=DataSettings(directory=str(tmp_path)), consent=consent, ads=AdsSettings(templates="own"))
    )
    noted = read_in_force(tmp_path)
    assert noted is not None
    assert noted.consent == consent
    assert noted.ads.templates == str(Path("own").absolute())


def test_a_note_of_a_release_with_other_settings_is_none(tmp_path: Path) -> None:
    (tmp_path / IN_FORCE).write_text('{"consent": {"vendor": 755}}')
    assert read_in_force(tmp_path) is None


def test_notes_of_a_run_are_replaced_whole(tmp_path: Path) -> None:
    """Who reads one while the next run writes it has the one before, never half of one."""
    settings = Settings(data=DataSettings(directory=str(tmp_path)))
    for name in (IN_FORCE, ENDPOINTS):
        (tmp_path / name).write_bytes(b"before")
        with (tmp_path / name).open("rb") as reading:
            write_in_force(settings)
            write_endpoints(settings, ())
            assert reading.read() == b"before"
        assert (tmp_path / name).read_bytes().startswith(b"{")
        assert [path.name for path in tmp_path.glob(f"{name}*")] == [name]
