"""The command line. Each family of commands is a module here that is imported only when it is used.

`grosz --help` must answer at once, so the table below says what each command does without importing it, and this
module imports nothing of Grosz but its errors. A new family is a module with a `typer.Typer` and a line in the table.
"""

import difflib
import importlib
import sys
from typing import Annotated

import typer

# The command classes that typer brings along have no public name; the version of typer is pinned.
from typer._click.core import Command, Context
from typer.core import TyperCommand, TyperGroup

from core.errors import GroszError
from core.version import VERSION

COMMANDS: dict[str, tuple[str, str]] = {
    # command: ("module:typer app", what --help says)
    "up": ("admin.cli.up:app", "Run everything on this machine until a signal."),
    "bidder": ("admin.cli.roles:bidder", "Run the bidder role, which answers bid requests."),
    "tracker": ("admin.cli.roles:tracker", "Run the tracker role: notices, clicks, shop events."),
    "worker": ("admin.cli.roles:worker", "Run the worker role: the background loops."),
    "admin": ("admin.cli.roles:admin", "Run the admin role: the private API."),
    "health": ("admin.cli.health:app", "Ask the roles on this machine whether they can serve."),
    "demo": ("admin.cli.demo:app", "Show it working for half a minute: shoppers, an exchange, the money audit."),
    "catalogue": ("admin.cli.catalogue:app", "Import or export the catalogue as a file."),
    "audit": ("admin.cli.audit:app", "Recompute every money counter from the ledger."),
    "backup": ("admin.cli.backup:backup", "Copy everything of a running installation into a folder."),
    "restore": ("admin.cli.backup:restored", "Bring a backup back into a new data directory."),
    "ledger": ("admin.cli.ledger:app", "Export, correct or archive the ledger of settled notices."),
    "loadtest": ("admin.cli.loadtest:app", "Put a bidder under an exchange's load and judge its answers."),
    "certify": ("admin.cli.certify:app", "Put a bidder through an exchange's acceptance test."),
    "replay": ("admin.cli.replay:app", "Decide recorded bid requests again, or send them to a bidder."),
    "events": ("admin.cli.events:app", "Import events from files, such as purchases at tills."),
    "doctor": ("admin.cli.doctor:app", "Say what stops delivery, and what to do."),
    "explain": ("admin.cli.explain:app", "Say why each line item bids or does not bid on a request."),
    "tail": ("admin.cli.tail:app", "Show auctions as they happen."),
    "forecast": ("admin.cli.forecast:forecast_app", "Forecast a new line item from recorded traffic."),
    "what-if": ("admin.cli.forecast:what_if_app", "Say what a changed line item would have done."),
    "recorded": ("admin.cli.recorded:app", "List recorded bid requests."),
    "report": (
        "admin.cli.saved_reports:app",
        "Report what was bid, shown, clicked, bought and paid; save, send and share reports.",
    ),
    "funnel": ("admin.cli.funnel:app", "Show a line item's way from requests to spend."),
    "target": ("admin.cli.target:app", "Show how a line item fares with its target; resume a stopped one."),
    "audience": ("admin.cli.audience:app", "Count segments, overlaps and matrices; tag health, match rates."),
    "tag": ("admin.cli.tag:app", "Open a page and say which events its tag sends, and what is wrong with them."),
    "user": ("admin.cli.user:app", "Show or erase what is stored of one user."),
    "advertiser": ("admin.cli.objects:advertiser", "List, create and change advertisers."),
    "campaign": ("admin.cli.objects:campaign", "List, create and change campaigns."),
    "line-item": ("admin.cli.objects:line_item", "List, create and change line items."),
    "creative": ("admin.cli.creatives:app", "List, create, change and show creatives; what exchanges say of them."),
    "media": ("admin.cli.media:app", "Keep pictures, videos and sounds of ads."),
    "segment": ("admin.cli.objects:segment", "List, create and change segments."),
    "feed": ("admin.cli.feed:app", "List, create, check and load product feeds."),
    "products": ("admin.cli.products:app", "Search products; compare their ids with those of events."),
    "recommend": ("admin.cli.recommend:app", "Say which products an ad would show to a user, and why."),
    "mailing": ("admin.cli.mailing:app", "Say what to send to whom, and when."),
    "exchange": ("admin.cli.objects:exchange", "List, create and change exchanges."),
    "deal": ("admin.cli.objects:deal", "List, create and change deals."),
    "list": ("admin.cli.objects:inventory_list", "List, create and change reusable lists of sites, apps and words."),
    "template": ("admin.cli.templates:app", "List, explain, check and preview templates of dynamic ads."),
    "supply": ("admin.cli.supply:app", "Read ads.txt, app-ads.txt and sellers.json files; show what is known."),
    "webhook": ("admin.cli.objects:webhook", "List, create and change webhooks of audiences."),
    "conversion": ("admin.cli.objects:conversion", "List, create and change what counts as success."),
    "people": ("admin.cli.objects:people", "List, create and change the people who may log in."),
    "fx": ("admin.cli.fx:app", "Show, set and refresh exchange rates."),
    "key": ("admin.cli.objects:key", "List, create and end API keys."),
    "setup-link": ("admin.cli.setup_link:app", "Make a one-time link for an administrator."),
    "migrate": ("admin.cli.migrate:app", "Bring the database's schema up, or down."),
    "config": ("admin.cli.config:app", "Show the settings in force, secrets masked."),
}

# What people also call them; a close word is answered with the command's own name.
_OTHER_WORDS = {
    "lineitem": "line-item", "line_item": "line-item", "lineitems": "line-item", "line-items": "line-item",
    "run": "up", "start": "up", "serve": "up", "server": "up", "catalog": "catalogue", "load-test": "loadtest",
    "settings": "config", "rates": "fx", "currency": "fx", "shop": "advertiser", "status": "health", "api-key": "key",
    "setup": "setup-link", "hook": "webhook", "person": "people", "account": "people",
}  # fmt: skip

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """Lists commands from the table and imports one only to run it."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - overrides
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - overrides
        """A stand-in that knows its name and help text, for listings."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args and args[0] not in COMMANDS and args[0][:1] != "-":
            ctx.fail(_unknown(args[0]))
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load_command(name), rest


def _unknown(word: str) -> str:
    close = difflib.get_close_matches(word, [*COMMANDS, *_OTHER_WORDS], n=1)
    advice = f"Did you mean '{_OTHER_WORDS.get(close[0], close[0])}'?" if close else "`grosz --help` lists them all."
    return f"No such command '{word}'. {advice}"


def load_command(name: str) -> Command:
    """The command itself, out of its module."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    family: typer.Typer = getattr(importlib.import_module(module), attribute)
    family._add_completion = False  # said once, by `grosz --help`
    command = typer.main.get_command(family)
    command.name = name
    return command


app = typer.Typer(
    name="grosz",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,  # formatting with rich costs 0.25 s of imports at each --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grosz {VERSION}")
        raise typer.Exit


@app.callback()
def grosz(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Grosz: a self-hosted bidder for e-commerce retargeting."""


def main() -> None:
    """The console script: errors of Grosz are shown with their hint and no traceback."""
    try:
        app(prog_name="grosz")  # also as `python -m admin.cli`: shell completion goes by this name
    except GroszError as error:
        sys.stderr.write(f"grosz: {error}\n")
        sys.exit(EXIT_USER_ERROR)
    except PermissionError as error:
        if error.filename is None:
            raise
        hint = "run it as the user that runs Grosz, or give a directory of this user with --data"
        sys.stderr.write(f"grosz: this user has no access to {error.filename}\n  hint: {hint}\n")
        sys.exit(EXIT_USER_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
