"""Rules about the source that no linter has: sizes, pure stages, one test file for one module, lone imports."""

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY

PACKAGES = ("core", "bidder", "segments", "pacing", "creatives", "journal", "admin", "loadtest")

# Beyond this a module does more than one thing; the files that everybody apologises for are longer.
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 60

# Written by alembic for one migration each and never changed afterwards.
GENERATED = Path("admin/store/migrations/versions")

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def modules(*folders: str) -> list[Path]:
    found = (path.relative_to(REPOSITORY) for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))
    return sorted(path for path in found if "__pycache__" not in path.parts and GENERATED not in path.parents)


@functools.cache  # several rules look at a module
def tree(path: Path) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Length without the docstring: explaining more must not cost a refactoring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_no_module_is_too_long() -> None:
    lengths = {path: len((REPOSITORY / path).read_text().splitlines()) for path in modules(*PACKAGES, "tests")}
    assert {str(path): lines for path, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


# One test for each: to parse all modules at once could take 30 s on a busy machine.
PARTS = (*PACKAGES, "scripts", *(f"tests/{path.name}" for path in sorted((REPOSITORY / "tests").iterdir())))


@pytest.mark.parametrize("part", [part for part in PARTS if not part.endswith("__pycache__")])
def test_no_function_is_too_long(part: str) -> None:
    too_long = {
        f"{path}:{node.lineno} {node.name}": function_lines(node)
        for path in ([Path(part)] if part.endswith(".py") else modules(part))
        for node in ast.walk(tree(path))
        if isinstance(node, FUNCTIONS) and function_lines(node) > MAX_FUNCTION_LINES
    }
    assert too_long == {}


def impurities(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
            yield f"{path}:{node.lineno} waits"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (
                f"{path}:{node.lineno} imports {name}" for name in names if name in ("logging", "core.telemetry.logs")
            )


def test_stages_neither_wait_nor_log() -> None:
    # The pipeline holds the one await of the bid path (docs/decisions/0005).
    rooms = modules("bidder/request", "bidder/targeting", "bidder/decision")
    assert [fault for path in rooms if path.stem != "pipeline" for fault in impurities(path)] == []


def test_every_module_says_why_it_exists() -> None:
    silent = [
        str(path)
        for path in modules(*PACKAGES)
        if not ast.get_docstring(tree(path)) and (REPOSITORY / path).stat().st_size > 0
    ]
    assert silent == []


def mirrored(test_file: Path) -> list[Path]:
    """Where the module of tests/unit/PACKAGE/.../test_NAME.py may be: PACKAGE/.../NAME.py, or a package NAME."""
    inside = test_file.relative_to("tests/unit")
    name = inside.name.removeprefix("test_").removesuffix(".py")
    return [inside.parent / f"{name}.py", inside.parent / name / "__init__.py"]


def test_every_unit_test_file_mirrors_one_module() -> None:
    orphans = [
        str(path)
        for path in modules("tests/unit")
        if path.name.startswith("test_")
        and path.parent != Path("tests/unit")
        and not any((REPOSITORY / candidate).is_file() for candidate in mirrored(path))
    ]
    assert orphans == []


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


# Imports every module of a package, each in a process of its own, which shows a module that works only because another
# one was imported before. Forked from one interpreter: a new one for each module would take minutes.
IMPORT_ALONE = """
# Other people's packages, once: what a child then imports is our own module, alone, in a fraction of the time.
import aiohttp.web, alembic.command, cryptography.hazmat.primitives.ciphers.algorithms, httptools, msgspec, numpy
import prometheus_client, redis.asyncio, rich.live, rich.table, sqlalchemy.ext.asyncio, typer, ua_parser, uvloop
import orjson, zstandard
import importlib, os, sys, traceback
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        print(name, file=sys.stdout)
"""


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.timeout(180)  # admin's 300 modules are 300 processes: 29.7 s on a busy machine
def test_every_module_of_a_package_imports_alone_and_without_warnings(package: str) -> None:
    names = [dotted(path) for path in modules(package) if path.name != "env.py"]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALONE, *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert result.stdout.split() == [], result.stderr
