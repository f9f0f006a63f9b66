import ast
import gc
from pathlib import Path

import pytest

from core.collector import building_what_lives_long, exempt_what_exists
from tests.kit.fixtures import REPOSITORY

PACKAGES = ("core", "bidder", "segments", "pacing", "creatives", "admin")


def imports_gc(path: Path) -> bool:
    imports = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Import))
    return any(alias.name == "gc" for each in imports for alias in each.names)


def test_nobody_else_tells_the_collector_what_to_do() -> None:
    found = [
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
        if imports_gc(path)
    ]
    assert found == ["core/collector.py"]


@pytest.fixture
def thawed() -> object:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_what_is_built_is_exempted_and_collection_goes_on() -> None:
    before = gc.get_freeze_count()
    with building_what_lives_long():
        assert not gc.isenabled()
        made: list[list[int]] = [[] for _ in range(1_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


@pytest.mark.usefixtures("thawed")
def test_a_build_that_fails_leaves_the_collector_on() -> None:
    with pytest.raises(ZeroDivisionError), building_what_lives_long():
        _ = 1 / 0
    assert gc.isenabled()


@pytest.mark.usefixtures("thawed")
def test_what_exists_is_exempted() -> None:
    made: list[list[int]] = [[] for _ in range(1_000)]
    exempt_what_exists()
    assert gc.get_freeze_count() >= len(made)
