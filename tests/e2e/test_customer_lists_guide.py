"""docs/customer-lists.md does what it says: every command on it, in order."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.ids import new_user_id
from tests.kit.guides import GROSZ, blocks
from tests.kit.processes import RunningGrosz, clean_environment, grosz


@pytest.mark.needs_package("curl")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_guide_leads_from_a_file_to_an_audience_and_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with RunningGrosz(data) as running:
        made = grosz("advertiser", "create", "--set", "name=Szpilka", "--set", "domain=127.0.0.1", "--data", str(data))
        assert made.returncode == 0, made.stderr
        environ = clean_environment() | {
            "TRACK": running.urls["track"], "SHOP": "1", "VISITOR": new_user_id(), "PYTHON": sys.executable,
            "GROSZ_DATA_DIRECTORY": str(data),
        }  # fmt: skip
        printed = []
        for block in blocks("customer-lists.md"):
            done = subprocess.run(
                ["bash", "-c", f"{GROSZ}\n{block}"], cwd=tmp_path, env=environ, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            printed.append(done.stdout)
    first, known, again, gone = printed
    assert first.startswith("3 persons, 0 of them known here (0.0%): 0 devices")
    assert "as segment 1" in first
    assert known.splitlines()[0] == "1"
    assert "VIP customers  1" in known
    assert again.startswith("3 persons, 1 of them known here (33.3%): 1 devices")
    assert "has list.vip" in again
    assert gone.startswith("1 entries of lists named the person")
