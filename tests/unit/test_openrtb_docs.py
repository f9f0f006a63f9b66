"""The checklist of OpenRTB: every row that is done names a test that there is, every other one a reason."""

import subprocess
import sys
import tomllib
from typing import Any

import pytest

from tests.kit.fixtures import REPOSITORY

ROWS: list[dict[str, Any]] = tomllib.loads((REPOSITORY / "docs" / "openrtb.toml").read_text(encoding="utf-8"))["row"]

# A reason is a sentence, not "later".
LEAST_CHARS = 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['section']} {row['rule'][:30]}")
def test_a_row_names_its_test_or_its_reason(row: dict[str, Any]) -> None:
    assert ("test" in row) != ("why" in row)
    if "why" in row:
        assert len(row["why"]) >= LEAST_CHARS
        return
    path, _, name = row["test"].partition("::")
    assert f"def {name}(" in (REPOSITORY / path).read_text(encoding="utf-8")


def test_the_page_shows_the_table() -> None:
    printed = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make-openrtb", "--print"], check=True, capture_output=True, text=True
    ).stdout
    assert (REPOSITORY / "docs" / "openrtb.md").read_text(encoding="utf-8") == printed, "run scripts/make-openrtb"
