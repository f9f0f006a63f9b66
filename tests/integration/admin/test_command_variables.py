from collections.abc import Iterator

import pytest
from typer._click.core import Command
from typer.core import TyperGroup

from admin.cli import COMMANDS, load_command
from core.config import load_settings


def _parameters(command: Command) -> Iterator[tuple[str, str]]:
    """(command, variable) of everything below a command that is read from the environment."""
    for parameter in command.params:
        if isinstance(parameter.envvar, str):
            yield command.name or "", parameter.envvar
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from _parameters(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_variable_of_a_command_keeps_another_from_starting(name: str) -> None:
    for _, variable in _parameters(load_command(name)):
        load_settings(None, {variable: "http://127.0.0.1:1"})
