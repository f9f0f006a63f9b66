"""Takes single rules out of the running code: every statement that gives a reason, or one condition of a function.

The code of a module is compiled again with the rule missing, and put into the functions that exist, so that everybody
who imported them runs without it. What cannot be cut out of the text (a field is a row of a table, a dimension a class)
is taken out by `tests/golden/test_bidding.py` in other ways.
"""

import ast
import inspect
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.reasons import NoBid

Mutate = Callable[[ast.Module], ast.Module]


def take_out(patch: pytest.MonkeyPatch, module: types.ModuleType, mutate: Mutate) -> int:
    """Run `module` without what `mutate` removes from its syntax tree; returns how many functions have changed."""
    source = Path(inspect.getfile(module)).read_text(encoding="utf-8")
    tree = ast.fix_missing_locations(mutate(ast.parse(source)))
    codes = dict(_codes(compile(tree, inspect.getfile(module), "exec")))
    changed = 0
    for function in _functions(module):
        code = codes.get(function.__code__.co_qualname)
        if code is not None and _is_other(code, function.__code__):
            patch.setattr(function, "__code__", code)
            changed += 1
    return changed


def _codes(code: types.CodeType) -> Iterator[tuple[str, types.CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant.co_qualname, constant
            yield from _codes(constant)


def _functions(module: types.ModuleType) -> Iterator[types.FunctionType]:
    for owner in (module, *(each for each in vars(module).values() if isinstance(each, type))):
        for value in vars(owner).values():
            function = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
            if isinstance(function, types.FunctionType) and function.__module__ == module.__name__:
                yield function


def _is_other(one: types.CodeType, two: types.CodeType) -> bool:
    return one.co_code != two.co_code or one.co_consts != two.co_consts


def names(node: ast.AST, reason: NoBid) -> bool:
    """Whether a piece of code names a reason."""
    return any(
        isinstance(each, ast.Attribute)
        and each.attr == reason.name
        and isinstance(each.value, ast.Name)
        and each.value.id == "NoBid"
        for each in ast.walk(node)
    )


class WithoutReason(ast.NodeTransformer):
    """Cuts out what leads to a reason: the branch that gives it, the entry of a list, the statement that marks it."""

    def __init__(self, reason: NoBid) -> None:
        self._reason = reason

    def __call__(self, tree: ast.Module) -> ast.Module:
        changed: ast.Module = self.visit(tree)
        return changed

    def _names(self, *nodes: ast.AST) -> bool:
        return any(names(node, self._reason) for node in nodes)

    def visit_If(self, node: ast.If) -> ast.AST:
        if self._gives(node.body):
            node.test = ast.Constant(value=False)
        elif self._gives(node.orelse):
            node.test = ast.Constant(value=True)
        else:
            self.generic_visit(node)
        return node

    def _gives(self, branch: list[ast.stmt]) -> bool:
        """Whether a branch gives the reason itself, and not in a condition inside it."""
        inner = (each for statement in branch for each in ast.walk(statement) if isinstance(each, ast.If))
        return self._names(*branch) and not any(self._names(each) for each in inner)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if self._names(node.body):
            return node.orelse
        return node.body if self._names(node.orelse) else node

    def visit_List(self, node: ast.List) -> ast.AST:
        node.elts = [element for element in node.elts if not self._names(element)]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_marked = isinstance(node.value, ast.Call) and self._names(*node.value.args) and not _makes(node.value)
        return ast.Pass() if is_marked else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Makes `np.where(affordable, ELIGIBLE, NoBid.NO_LEASE.index)` eligible either way."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "where" and self._names(node.args[-1]):
            node.args[-1] = node.args[-2]
        return node


def _makes(call: ast.Call) -> bool:
    """Whether a call makes an object that carries the reason."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"


class WithoutCondition(ast.NodeTransformer):
    """Replaces one `if` of a function by one that never holds; `number` is its place in the text."""

    def __init__(self, function: str, number: int) -> None:
        self._function = function
        self._left = number
        self._inside = False

    def __call__(self, tree: ast.Module) -> ast.Module:
        changed: ast.Module = self.visit(tree)
        return changed

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if node.name == self._function:
            self._inside = True
            self.generic_visit(node)
            self._inside = False
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        if self._inside:
            if self._left == 0:
                node.test = ast.Constant(value=False)
            self._left -= 1
        self.generic_visit(node)
        return node


def conditions(module: types.ModuleType, function: str) -> int:
    """How many conditions a function has."""
    tree = ast.parse(Path(inspect.getfile(module)).read_text(encoding="utf-8"))
    (found,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    return sum(isinstance(node, ast.If) for node in ast.walk(found))
