"""What people install: the wheel, alone in an empty environment, runs everything that the checkout runs."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY, find_free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # it builds, makes an environment from the package index, and starts all roles
]

LOCK = REPOSITORY / "requirements.lock"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (made,) = target.glob("grosz-*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An environment with the wheel and what requirements.lock names, in which nothing of the checkout is found."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "check"], check=True)
    yield folder
    shutil.rmtree(folder)


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(name))


def test_metadata_names_ranges_and_says_where_to_read_on(wheel: Path) -> None:
    told = metadata(wheel)
    required = told.get_all("Requires-Dist") or []
    assert [line for line in required if "==" in line.split(";")[0]] == []
    assert told.get_all("Project-URL")
    assert set(told.get_all("Provides-Extra") or []) >= {"embedded", "postgres"}


def test_every_package_is_typed_and_has_its_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for package in packages["packages"]:
        assert f"{package}/py.typed" in inside
        tracked = subprocess.run(
            ["git", "ls-files", package], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.split()
        assert set(tracked) <= inside


def test_the_wheel_runs_all_roles_and_the_load_test(environment: Path, tmp_path: Path) -> None:
    grosz = str(environment / "bin" / "grosz")
    ports = {name: find_free_port() for name in ("bid", "track", "admin")}
    arguments = [f"--{name}-port={port}" for name, port in ports.items()]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GROSZ_", "PYTHON"))}
    up = subprocess.Popen(
        [grosz, "up", "--data", str(tmp_path / "data"), "--seed", "demo", *arguments],
        cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert up.stdout is not None
        assert any(line.startswith("ready ") for line in up.stdout)
        pages = ((ports["admin"], "/docs"), (ports["track"], "/tag.js"), (ports["bid"], "/readyz"))
        for port, path in pages:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                assert answer.status == 200
                assert answer.read()
        target = f"http://127.0.0.1:{ports['bid']}/openrtb2/demo"
        tracker = f"http://127.0.0.1:{ports['track']}"
        load = [
            grosz,
            "loadtest",
            "run",
            "smoke",
            "--duration",
            "5",
            "--out",
            "load",
            "--url",
            target,
            "--track-url",
            tracker,
        ]
        # How fast a busy machine is does not matter here: goals may be missed, rules may not.
        subprocess.run(load, cwd=tmp_path, env=clean, check=False, timeout=120)
        report = json.loads((tmp_path / "load.json").read_text())
        assert report["counts"]["answered"] > 0
        assert report["violations"] == {}
    finally:
        up.terminate()
        up.wait(timeout=30)
        if up.stdout is not None:
            up.stdout.close()
