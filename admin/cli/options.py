"""Options that many commands share, and the form in which they print for machines."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from typer._click.core import ParameterSource

from admin.cli.plain import plain
from core.errors import InputError


def unless_data_is_named(context: typer.Context, url: str) -> str:
    """The address of the API; "" where only the environment has it and the command line names a data directory.

    What is typed outranks what was exported for other commands: `--data staging` must not change what runs elsewhere.
    """
    is_exported = context.get_parameter_source("url") is ParameterSource.ENVIRONMENT
    return "" if is_exported and context.get_parameter_source("data") is ParameterSource.COMMANDLINE else url


UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="GROSZ_ADMIN_URL",
        help="Admin API, such as http://127.0.0.1:8082.",
        callback=unless_data_is_named,
    ),
]
KeyOption = Annotated[str, typer.Option("--key", envvar="GROSZ_API_KEY", help="API key for --url.", show_envvar=True)]
AdvertiserArgument = Annotated[int, typer.Argument(metavar="ADVERTISER", help="Its number.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def check_folder_of(path: Path | None, option: str) -> None:
    """Raises InputError for a file that cannot be written, before the work and not after it; None: none is wanted."""
    if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir()):
        raise InputError(f"'{path}' cannot be written", hint=f"make its folder, or give another {option}")


def print_json(value: object) -> None:
    """Print a value of plain types and structs as indented JSON."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their heads, in columns as wide as they need, without what a terminal would obey in a cell."""
    lines = [[plain(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
