"""Templates of ads: texts with names in them, and nothing else of Jinja's language than `if`.

A template is somebody's file, and what it is filled with are titles and addresses of shops. So there is nothing to
reach: no attribute, index, call, filter, loop, or import compiles; every name is a plain text or number that is handed
over; and all of them are escaped.
"""

import keyword
from collections.abc import Mapping
from typing import Final

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.errors import InputError

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.Not, nodes.And, nodes.Or,
    nodes.Compare, nodes.Operand, nodes.Const,
)  # fmt: skip

Value = str | int | bool


class TemplateError(InputError):
    """A template that cannot be used, and why."""


class Escaped(str):
    """Markup: text that is not escaped again."""

    __slots__ = ()

    def __html__(self) -> str:
        """What Jinja takes for it."""
        return str(self)


_environment: Final = ImmutableSandboxedEnvironment(
    autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


MAX_DEPTH: Final = 40
"""Levels of `if` and of what they ask; ours have fewer than ten. Python compiles no more than a hundred."""

_TOO_DEEP: Final = f"its `if` lie more than {MAX_DEPTH} deep in each other"


def can_be_named(name: str) -> bool:
    """Whether `{{ name }}` is the value of that name: no word of the language, as `true` and `if`, and no `a-b`."""
    if not name.isascii() or not name.isidentifier() or keyword.iskeyword(name) or name in _environment.globals:
        return False
    try:
        (output,) = _environment.parse(f"{{{{ {name} }}}}").body
    except TemplateSyntaxError:
        return False
    return isinstance(output, nodes.Output) and isinstance(output.nodes[0], nodes.Name)


class TemplateText:
    """One compiled file of a template."""

    __slots__ = ("_render", "names")

    def __init__(self, text: str, where: str, known: frozenset[str]) -> None:
        """Raises TemplateError, with the line, for what is not allowed and for names that are not among `known`."""
        try:
            tree = _environment.parse(text)
        except TemplateSyntaxError as error:
            raise TemplateError(f"{where}, line {error.lineno}: {error.message}") from None
        except RecursionError:
            raise TemplateError(f"{where}: {_TOO_DEEP}") from None
        for node in _walk(tree):
            if not isinstance(node, _ALLOWED):
                what = type(node).__name__.lower()
                raise TemplateError(f"{where}, line {node.lineno}: a template has names and `if` only, no {what}")
        if _depth(tree) > MAX_DEPTH:
            raise TemplateError(f"{where}: {_TOO_DEEP}")
        self.names = frozenset(node.name for node in tree.find_all(nodes.Name))
        unknown = sorted(self.names - known)
        if unknown:
            hint = f"known are {', '.join(sorted(known))}"
            raise TemplateError(f"{where}: nothing is called {', '.join(unknown)}", hint=hint)
        self._render = _environment.from_string(tree).render

    def fill(self, values: Mapping[str, Value]) -> str:
        """The text with the values of its names."""
        return self._render(values)


def _walk(node: nodes.Node) -> list[nodes.Node]:
    """It and all below it."""
    found = [node]
    for each in found:  # those that are added, too
        found += each.iter_child_nodes()
    return found


def _depth(node: nodes.Node) -> int:
    """Levels of nodes, without recursion."""
    levels, level = 0, [node]
    while level:
        levels, level = levels + 1, [child for each in level for child in each.iter_child_nodes()]
    return levels
