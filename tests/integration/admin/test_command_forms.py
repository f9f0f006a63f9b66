"""What every command has: a description, an example, and a form for machines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer._click.core import Command, Context
from typer.core import TyperCommand, TyperGroup

from admin.cli import COMMANDS, load_command
from admin.cli.completion import fields_of, ids_of, scenarios
from admin.store import kinds
from admin.validation.documents import LineItemDocument
from tests.kit.processes import grosz


def _leaves(command: Command, path: str) -> Iterator[tuple[str, Command]]:
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _leaves(inner, f"{path} {name}")
    else:
        yield path, command


LEAVES = [leaf for name in COMMANDS for leaf in _leaves(load_command(name), name)]
# They run until a signal, or write a file of their own form.
WITHOUT_JSON = {
    "up", "bidder", "tracker", "worker", "admin", "demo", "catalogue export", "loadtest catalogue",
    "loadtest review",
}  # fmt: skip
# They are the machine's own: its processes, files and database, or need nobody to ask.
WITHOUT_URL = {
    "up", "bidder", "tracker", "worker", "admin", "demo", "backup", "restore", "migrate", "config",
    "feed check", "ledger archive", "audience ready-made", "loadtest list", "loadtest compare", "loadtest peers",
    "loadtest catalogue", "loadtest review", "template list", "template show", "template lint", "template preview",
    # Their table lies in Redis alone, which they reach by the settings from any machine.
    "supply import", "supply crawl", "supply show", "supply check",
}  # fmt: skip


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_command_is_described_with_an_example_and_prints_json(path: str, command: Command) -> None:
    assert command.help
    assert f"Example: grosz {path}" in f"{command.help} {command.epilog}" or path in ("up", *WITHOUT_JSON)
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) is (path not in WITHOUT_JSON)
    assert ("--url" in options) is (path not in WITHOUT_URL)


@pytest.mark.parametrize("name", ["line-item", "audience", "loadtest", "events"])
def test_help_fits_eighty_columns(name: str) -> None:
    shown = grosz(name, "--help", environ={"COLUMNS": "80", "NO_COLOR": "1"}).stdout
    assert shown
    assert max(map(len, shown.splitlines())) <= 80


def test_ids_are_completed_with_their_names(tmp_path: Path) -> None:
    made = grosz("advertiser", "create", "--set", "name=Szpilka", "--data", str(tmp_path))
    assert made.returncode == 0, made.stderr
    complete = ids_of(kinds.ADVERTISERS)
    context = Context(TyperCommand("show"))
    context.params["data"] = tmp_path
    assert complete(context, "") == [("1", "Szpilka")]
    assert complete(context, "2") == []
    context.params["data"] = tmp_path / "elsewhere"
    assert complete(context, "") == []


def test_ids_of_every_kind_can_be_completed(tmp_path: Path) -> None:
    assert grosz("migrate", "--data", str(tmp_path)).returncode == 0
    context = Context(TyperCommand("show"))
    context.params["data"] = tmp_path
    for kind in (*kinds.KINDS, *kinds.ACCOUNT_KINDS):
        assert ids_of(kind)(context, "") == []
        assert {"id", "status"} <= set(kind.table.c.keys())


def test_fields_and_scenarios_are_completed() -> None:
    complete = fields_of(LineItemDocument)
    assert ("bid.amount=", "") in complete("bid")
    assert [word for word, _ in complete("targeting.count")] == ["targeting.countries="]
    assert dict(complete("goal"))["goal="] == "cpm | cpc | cpa"
    assert "steady" in scenarios("st")
