"""Each kind of violation is documented, and each is planted and found by a test."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_RAISED = (
    re.compile(r'(?:Violation|violate)\(\s*"([a-z0-9-]+)"'),
    re.compile(r'violations\["([a-z0-9-]+)"\] \+='),
    re.compile(r'kind = "([a-z-]+)" if '),
    re.compile(r'kind = .* else "([a-z-]+)"'),
)


def kinds() -> set[str]:
    sources = "".join(path.read_text() for path in sorted((_ROOT / "loadtest").rglob("*.py")))
    return {kind for pattern in _RAISED for kind in pattern.findall(sources)}


def test_the_documentation_lists_exactly_the_kinds_that_there_are() -> None:
    table = (_ROOT / "docs" / "loadtest.md").read_text().split("## The checks", 1)[1].split("## Scenarios", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {kind for row in rows for kind in re.findall(r"`([a-z0-9-]+)`", row)} == kinds()


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_kind_is_planted_by_a_test(kind: str) -> None:
    tests = (_ROOT / "tests" / "unit" / "loadtest").rglob("test_*.py")
    assert any(f'"{kind}"' in path.read_text() for path in tests)
