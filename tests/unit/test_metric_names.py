"""Metrics as operators meet them: each HELP is a sentence, and what dashboards, alerts and documents name is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.unit.test_source_rules import PACKAGES, modules, tree

FAMILIES = ("counter", "gauge", "histogram")
NAMED = re.compile(r"\bgrosz_[a-z0-9_]+\b")
SUFFIXES = ("", "_bucket", "_sum", "_count")
COOKIES = {"grosz_uid", "grosz_session"}


def declared() -> Iterator[tuple[str, str, str]]:
    """(kind, name, HELP) of every family that some module makes."""
    for path in modules(*PACKAGES):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FAMILIES:
                yield from _named(node.func.attr, node.args)
            elif isinstance(node, ast.Tuple):  # a table of families that are made together
                yield from _named("gauge", node.elts)


def _named(kind: str, parts: list[ast.expr]) -> Iterator[tuple[str, str, str]]:
    literals = [part.value for part in parts[:2] if isinstance(part, ast.Constant)]
    if len(literals) == 2 and all(isinstance(one, str) for one in literals) and str(literals[0]).startswith("grosz_"):
        yield kind, str(literals[0]), str(literals[1])


METRICS = sorted(set(declared()))
EXPOSED = {name + suffix for _, name, _ in METRICS for suffix in SUFFIXES}


def test_metrics_are_found() -> None:
    assert len(METRICS) > 40


@pytest.mark.parametrize(("kind", "name", "text"), METRICS, ids=[name for _, name, _ in METRICS])
def test_help_is_a_sentence(kind: str, name: str, text: str) -> None:
    assert re.fullmatch(r"[A-Z0-9].{15,}[^.]\.", text), f"{kind} {name}: {text!r}"


def test_a_name_is_declared_once() -> None:
    names = [name for _, name, _ in METRICS]
    assert sorted(names) == sorted(set(names))


PAGES = [
    path
    for pattern in ("docs/*.md", "README.md", "deploy/**/*.json", "deploy/**/*.yml", "deploy/**/*.yaml")
    for path in sorted(REPOSITORY.glob(pattern))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_metrics_that_a_page_names_exist(page: Path) -> None:
    assert sorted(set(NAMED.findall(page.read_text(encoding="utf-8"))) - EXPOSED - COOKIES) == []
