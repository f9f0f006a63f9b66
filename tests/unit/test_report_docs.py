"""docs/reports.md names all that reports can be asked for, and nothing else."""

import re
from pathlib import Path

from journal.figures import DIMENSIONS, MEASURES

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"


def named(section: str) -> set[str]:
    """What the first column of a section's table names."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_dimension_is_explained() -> None:
    assert named("Dimensions") == set(DIMENSIONS)


def test_every_measure_is_explained() -> None:
    assert named("Measures") == set(MEASURES)
