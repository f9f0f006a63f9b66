import gc
import subprocess
import sys
import types
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from admin.cli import roles
from tests.kit.fixtures import REPOSITORY


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
@pytest.mark.parametrize("role", ["bidder", "tracker", "worker", "admin"])
def test_nothing_is_collected_while_a_role_is_imported(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, bool]] = []

    def imported(module: str) -> types.SimpleNamespace:
        begun.append((module, gc.isenabled()))
        return types.SimpleNamespace(build=None)

    def run(name: str, *_more: object) -> int:
        begun.append((name, gc.isenabled()))
        return 0

    monkeypatch.setattr("admin.cli.roles.importlib", types.SimpleNamespace(import_module=imported))
    monkeypatch.setattr("admin.roles.lifecycle.run", run)
    monkeypatch.setenv("GROSZ_REDIS_URL", "redis://cache")
    assert CliRunner().invoke(getattr(roles, role)).exit_code == 0
    assert begun == [(f"admin.roles.{role}", False), (role, True)]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("admin.cli.up", {"redis", "numpy", "sqlalchemy", "aiohttp", "jinja2"}),
        ("admin.roles.worker", {"scipy", "duckdb"}),
        ("admin.roles.tracker", {"scipy", "sqlalchemy", "duckdb"}),
        ("admin.roles.bidder", {"scipy", "sqlalchemy", "duckdb"}),
    ],
)
def test_what_a_start_does_not_need_is_not_imported(module: str, heavy: set[str]) -> None:
    """Everything starts at once on few processors, so each import makes all of it later."""
    program = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "[]\n"
