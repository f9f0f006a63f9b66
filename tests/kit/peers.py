"""Programs from npm that read what Grosz writes; each has a folder in tests/peers with its lock."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY, skip_or_fail

PEERS = REPOSITORY / "tests" / "peers"


def packages_of(name: str) -> Path:
    """Where a peer's packages are. Skips the test where they are missing."""
    folder = PEERS / name / "node_modules"
    if not folder.is_dir():
        skip_or_fail(f"the npm packages of a peer are not installed: run 'npm ci' in tests/peers/{name}")
    return folder


def ask_peer(name: str, script: str, question: object, *, timeout_s: float = 90) -> object:
    """What a script of a peer answers in JSON to a JSON question. Skips the test where its packages are missing."""
    folder = PEERS / name
    if shutil.which("node") is None:
        skip_or_fail("needs a program that is not installed: node")
    packages_of(name)
    asked = subprocess.run(
        ["node", script],
        cwd=folder,
        env={**os.environ, "CHROMIUM": shutil.which("chromium") or "chromium"},
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if asked.returncode != 0 or not asked.stdout:
        pytest.fail(f"{name}/{script} ended with {asked.returncode}: {asked.stderr[-2_000:]}")
    return json.loads(asked.stdout)
