"""`grosz target`: how a line item fares with its target, and going on after it was stopped."""

import asyncio
from typing import Annotated

import typer

from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.questions import open_questions
from admin.cli.settings import ConfigFile
from admin.diagnosis.paced import TargetReport

app = typer.Typer(rich_markup_mode=None)


@app.command()
def target(
    line_item: Annotated[int, typer.Argument(metavar="LINE_ITEM", min=1)],
    resume: Annotated[bool, typer.Option("--resume", help="Go on after its target stopped it.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Show how a line item fares with its target cost or return; resume one that was stopped.

    Example: grosz target 7 --resume
    """

    async def ask() -> TargetReport:
        async with open_questions(url, key, data, config) as questions:
            if resume:
                await questions.resume_target(line_item)
            return await questions.target(line_item)

    found = asyncio.run(ask())
    if as_json:
        print_json(found)
        return
    if resume:
        print(f"line item {line_item} goes on within a second")
        return
    for line in lines_of(found):
        print(line)


def lines_of(found: TargetReport) -> list[str]:
    """A report for people."""
    cost, limit = found.cost_without_conversion, found.stops_at
    most = f"of {limit.amount} {limit.currency}" if limit else "no limit yet: nobody knows what a conversion may cost"
    lines = [
        f"line item {found.line_item_id}: {found.conversions:g} conversions in a fortnight",
        f"since the last one {cost.amount} {cost.currency} {most}",
        f"the target allows {found.highest_multiplier:.2f} of the bid",
    ]
    if found.stopped_at is not None:
        lines.append(
            f"STOPPED since {found.stopped_at:%Y-%m-%d %H:%M} UTC: a late conversion lets it go on, or --resume"
        )
    return lines
