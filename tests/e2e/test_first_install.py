"""The first command in a checkout at a terminal: the person sees what is made, and how far it is."""

import os
import pty
import re
import shutil
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def _lock_of_one_package() -> str:
    """The entry of a small package of the real lock, with its hashes."""
    lock = (REPOSITORY / "requirements-dev.lock").read_text(encoding="utf-8")
    found = re.search(r"^iniconfig==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert found
    return "\n".join(line for line in found[0].splitlines() if "# via" not in line and not line.strip().startswith("#"))


def _at_a_terminal(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and what a command writes to a terminal of its own."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvp(command[0], command)  # noqa: S606 - a program that the test names
    written = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux's end of a terminal whose program has ended
            break
        if not part:
            break
        written += part
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), written.decode()


def test_making_the_environment_is_told_step_by_step(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts" / "environment.sh", tmp_path / "scripts")
    (tmp_path / "requirements.lock").write_text(_lock_of_one_package(), encoding="utf-8")
    program = "set -euo pipefail; . scripts/environment.sh; need_environment requirements.lock"
    status, shown = _at_a_terminal(["bash", "-c", program], tmp_path)
    assert status == 0, shown
    steps = ["making .venv with Python", "installing requirements.lock", "package 1 of 1", "unpacking 1 packages"]
    places = [shown.find(step) for step in steps]
    assert -1 not in places, shown
    assert places == sorted(places), shown
    status, again = _at_a_terminal(["bash", "-c", program], tmp_path)
    assert (status, again) == (0, "")
