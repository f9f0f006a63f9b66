import json
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.redis.program import (
    NOTE,
    ServerProgram,
    Writer,
    choose_program,
    find_programs,
    identify,
    note_program,
    writer_of,
)


def write_program(path: Path, prints: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def environ(programs: Path) -> dict[str, str]:
    return {"PATH": str(programs)}


def snapshot(name: str, version: str, magic: bytes = b"REDIS0011") -> bytes:
    """The first bytes of a snapshot."""
    field, value = f"{name}-ver".encode(), version.encode()
    return magic + b"\xfa" + bytes([len(field)]) + field + bytes([len(value)]) + value + b"\xfa\x0aredis-bits\xc0@"


def data_of(directory: Path, header: bytes, number: int = 1) -> Path:
    files = directory / "appendonlydir"
    files.mkdir(parents=True, exist_ok=True)
    base = files / f"appendonly.aof.{number}.base.rdb"
    base.write_bytes(header)
    (files / f"appendonly.aof.{number}.incr.aof").write_bytes(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n")
    return base


def test_a_program_is_what_it_says_and_not_what_it_is_called(programs: Path) -> None:
    path = write_program(programs / "redis-server", "Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0")
    assert identify(path) == ServerProgram(path, "valkey", (8, 1, 3))
    assert identify(write_program(programs / "silent", "")) is None
    assert identify(programs / "missing") is None


def test_a_program_that_was_replaced_is_asked_again(programs: Path) -> None:
    path = write_program(programs / "redis-server", "Redis server v=7.0.15")
    assert identify(path) == ServerProgram(path, "redis", (7, 0, 15))
    write_program(path, "Redis server v=7.2.4 sha=1")
    assert identify(path) == ServerProgram(path, "redis", (7, 2, 4))


def test_an_empty_directory_takes_what_is_found_first(programs: Path, tmp_path: Path) -> None:
    redis = write_program(programs / "redis-server", "Redis server v=7.0.15")
    assert choose_program(tmp_path / "redis", environ=environ(programs)).path == redis
    assert len(find_programs(environ(programs))) == 2, "the packaged one, too"


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (snapshot("valkey", "9.1.2", b"VALKEY080"), Writer(("valkey",), (9, 1, 2))),
        (snapshot("redis", "7.0.15", b"REDIS0010"), Writer(("redis",), (7, 0, 15))),
        (snapshot("redis", "7.2.4"), Writer(("redis", "valkey"), (7, 2, 4))),
    ],
)
def test_data_without_a_note_tells_its_writer_by_its_header(tmp_path: Path, header: bytes, named: Writer) -> None:
    data_of(tmp_path, header)
    assert writer_of(tmp_path) == named


def test_the_newest_snapshot_counts(tmp_path: Path) -> None:
    data_of(tmp_path, snapshot("redis", "7.0.1"), number=2)
    data_of(tmp_path, snapshot("redis", "7.0.15"), number=10)
    assert writer_of(tmp_path) == Writer(("redis",), (7, 0, 15))


def test_another_program_is_refused_before_it_touches_a_file(programs: Path, tmp_path: Path) -> None:
    write_program(programs / "valkey-server", "Valkey server v=9.0.0")
    redis = write_program(programs / "redis-server", "Redis server v=7.0.15")
    base = data_of(tmp_path, snapshot("valkey", "99.1.0", b"VALKEY080"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for given in (None, redis):
        with pytest.raises(ConfigError, match=r"written by valkey 99\.1\.0") as caught:
            choose_program(tmp_path, given=given, environ=environ(programs))
        assert "redis 7.0.15" in caught.value.message
        assert "GROSZ_REDIS_PROGRAM" in caught.value.hint
        assert "valkey-server >= 99.1.0" in caught.value.hint
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert base.exists()


def test_the_writer_is_preferred_to_what_stands_first_on_path(programs: Path, tmp_path: Path) -> None:
    write_program(programs / "valkey-server", "Valkey server v=8.0.0")
    redis = write_program(programs / "redis-server", "Redis server v=7.0.15")
    data_of(tmp_path, snapshot("redis", "7.0.15", b"REDIS0010"))
    assert choose_program(tmp_path, environ=environ(programs)).path == redis


def test_a_newer_version_of_the_same_program_is_accepted_and_then_the_older_one_is_not(
    programs: Path, tmp_path: Path
) -> None:
    path = write_program(programs / "redis-server", "Redis server v=7.0.15")
    data_of(tmp_path, snapshot("redis", "7.0.15", b"REDIS0010"))
    write_program(path, "Redis server v=7.4.1 newer")
    newer = choose_program(tmp_path, environ=environ(programs))
    assert newer.version == (7, 4, 1)
    note_program(tmp_path, newer)
    write_program(path, "Redis server v=7.0.15 again")
    with pytest.raises(ConfigError, match=r"written by redis 7\.4\.1"):
        choose_program(tmp_path, environ=environ(programs))


def test_of_two_that_fit_the_noted_one_is_taken(programs: Path, tmp_path: Path) -> None:
    write_program(programs / "valkey-server", "Valkey server v=9.0.0")
    other = write_program(tmp_path / "own" / "my-valkey", "Valkey server v=9.0.0")
    data_of(tmp_path, snapshot("valkey", "9.0.0", b"VALKEY080"))
    chosen = choose_program(tmp_path, given=other)
    note_program(tmp_path, chosen)
    write_program(programs / "redis-server", "Valkey server v=9.0.1")
    note = json.loads((tmp_path / NOTE).read_text())
    assert note == {"format": 1, "program": "valkey", "version": "9.0.0", "path": str(other)}
    (tmp_path / NOTE).write_text(json.dumps(note | {"path": str(programs / "redis-server")}))
    assert choose_program(tmp_path, environ=environ(programs)).path == programs / "redis-server"


@pytest.mark.parametrize("note", ["", "{", '{"format": 1}', '{"format": 1, "program": "", "version": "x"}'])
def test_a_damaged_note_is_made_good_by_the_header(tmp_path: Path, note: str) -> None:
    (tmp_path / NOTE).write_text(note)
    data_of(tmp_path, snapshot("redis", "7.0.15", b"REDIS0010"))
    assert writer_of(tmp_path) == Writer(("redis",), (7, 0, 15))


def test_files_that_were_put_there_by_hand_outweigh_the_note(programs: Path, tmp_path: Path) -> None:
    note_program(tmp_path, ServerProgram(programs / "valkey-server", "valkey", (9, 0, 0)))
    data_of(tmp_path, snapshot("redis", "7.0.15", b"REDIS0010"))
    assert writer_of(tmp_path) == Writer(("redis",), (7, 0, 15))


@pytest.mark.parametrize("header", [b"", b"*2\r\n$6\r\n", b"REDIS0011", b"REDIS0011\xfa\x40x", b"VALKEY080\xfe\x00"])
def test_data_of_which_nobody_can_tell_is_touched_only_by_a_program_that_somebody_named(
    programs: Path, tmp_path: Path, header: bytes
) -> None:
    redis = write_program(programs / "redis-server", "Redis server v=7.0.15")
    data_of(tmp_path, header)
    with pytest.raises(ConfigError, match="cannot tell which program wrote") as caught:
        choose_program(tmp_path, environ=environ(programs))
    assert "GROSZ_REDIS_PROGRAM" in caught.value.hint
    assert choose_program(tmp_path, given=redis).path == redis


def test_a_named_program_that_is_none_is_refused(programs: Path, tmp_path: Path) -> None:
    for prints in ("hello", "Redis server v=6.2.7"):
        with pytest.raises(ConfigError, match=r"is no Redis or Valkey server >= 7\.0"):
            choose_program(tmp_path, given=write_program(programs / "other", prints))
