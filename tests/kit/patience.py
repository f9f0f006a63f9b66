"""How long a test may take: 30 s (pyproject.toml), unless it, or the kind of tests that it belongs to, says why.

These are bounds for what hangs. A test that ends within a few seconds alone has been seen to need ten times that beside
others, under coverage, on two processors that something else uses too.
"""

from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY

# Folder -> (seconds, why more than 30).
BY_FOLDER = {
    "tests/unit": (120, "some start processes, some read the whole source, and all are measured by coverage"),
    "tests/integration": (300, "real servers are started, stopped and waited for, on a machine that may be busy"),
    "tests/property": (300, "hundreds of random cases, each against a slow and obvious evaluation"),
    "tests/adversity": (400, "processes are killed and come back, disks fill, clocks go wrong"),
    "tests/e2e": (360, "the whole product is started, as its users start it"),
    "tests/golden": (240, "the code is compiled anew for each rule that is taken out of it"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the timeout of its folder; a marker of the test's own counts where it allows more."""
    for item in items:
        folder = "/".join(Path(item.path).relative_to(REPOSITORY).parts[:2])
        seconds = BY_FOLDER[folder][0] if folder in BY_FOLDER else 0
        own = item.get_closest_marker("timeout")
        if seconds and (own is None or own.args[0] < seconds):
            item.add_marker(pytest.mark.timeout(seconds), append=False)
