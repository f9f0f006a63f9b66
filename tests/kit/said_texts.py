"""Texts that code says to people: strings of a module that read like language, with what is put into them left open."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.kit.fixtures import REPOSITORY

# A number: parts of sayings that are numbers match it, and so do all others.
FILLED: Final = "7"

_SENTENCE: Final = re.compile(r"""[A-Za-z]["')}]?[,:;.]? ["'(`{=<>]*[a-z]""")
# Filled in later, as rules of ready-made segments are.
_TEMPLATE: Final = re.compile(r"\{\w+\}")
# Calls whose texts are for the operator, or for a program.
_ELSEWHERE: Final = frozenset(
    {"Counter", "Gauge", "GaugeMetricFamily", "Meta", "TypeError", "RuntimeError", "compile", "fine", "warning", "info"}
)  # fmt: skip


class Said(NamedTuple):
    """One text: where it is, how it is written, and as it is said with FILLED in place of each part."""

    place: str
    text: str


def said_in(path: str) -> Iterator[Said]:
    """The texts of a module, each once."""
    tree = ast.parse((REPOSITORY / path).read_text())
    hidden = _hidden(tree)
    told: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        text = _text(node)
        if text and text not in told and _SENTENCE.search(text):
            told.add(text)
            yield Said(f"{path}:{getattr(node, 'lineno', 0)}", text)


def modules(*folders: str) -> list[str]:
    """The modules of folders, and single modules."""
    paths: list[Path] = []
    for folder in folders:
        where = REPOSITORY / folder
        paths += [where] if where.is_file() else sorted(where.glob("*.py"))
    return [str(path.relative_to(REPOSITORY)) for path in paths]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "" if _TEMPLATE.search(node.value) else node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else FILLED for part in node.values)
    return ""


def _hidden(tree: ast.AST) -> set[int]:
    """What is no text of its own: docstrings, pieces of f-strings, what is for operators."""
    found: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            found |= {
                id(one.value) for one in body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
            }
        if isinstance(node, ast.JoinedStr):
            found |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            specs = [part.format_spec for part in node.values if isinstance(part, ast.FormattedValue)]
            found |= {id(inner) for spec in specs if spec is not None for inner in ast.walk(spec)}
        if isinstance(node, ast.Call) and _name(node.func) in _ELSEWHERE:
            found |= {id(inner) for inner in ast.walk(node)}
    return found


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
