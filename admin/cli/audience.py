"""`grosz audience`: who is in which segment, whether the tags fire, how well cookie sync matches."""

import datetime
from typing import Annotated

import typer

from admin.cli import audience_lists, ready_made
from admin.cli.asking import ask
from admin.cli.audience_access import open_audiences
from admin.cli.opening import DataOption
from admin.cli.options import AdvertiserArgument, JsonOption, KeyOption, UrlOption, print_json, print_table
from admin.cli.settings import ConfigFile
from admin.visitors.documents import MatrixRequest

app = typer.Typer(no_args_is_help=True, help="Segment sizes, overlaps, matrices, tag health and match rates.")
app.add_typer(ready_made.app)
app.add_typer(audience_lists.app)


@app.command("sizes")
def sizes_command(
    advertiser_id: AdvertiserArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Visitors in each active segment now.

    Example: grosz audience sizes 1
    """
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.sizes(advertiser_id))
    if as_json:
        print_json(found.items)
        return
    print_table(
        ["segment", "name", "visitors"], [[str(one.segment), one.name, str(one.visitors)] for one in found.items]
    )


@app.command("overlap")
def overlap_command(
    left: Annotated[int, typer.Argument(metavar="SEGMENT")],
    right: Annotated[int, typer.Argument(metavar="SEGMENT")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Visitors who are in both of two segments of one advertiser now.

    Example: grosz audience overlap 1 2
    """
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.overlap(left, right))
    if as_json:
        print_json(found)
    else:
        typer.echo(str(found.visitors))


@app.command("tags")
def tags_command(
    advertiser_id: AdvertiserArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """When each event last came, and how often today, yesterday, and a day of the last week.

    Example: grosz audience tags 1
    """
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.tags(advertiser_id))
    if as_json:
        print_json(found)
        return
    rows = [
        [one.event, _moment(one.last), str(one.today), str(one.yesterday), f"{one.daily_mean:.1f}"]
        for one in found.events
    ]
    print_table(["event", "last", "today", "yesterday", "daily mean"], rows)
    for note in found.ignored:
        typer.echo(f"ignored: '{note.written}' stands where '{note.meant}' was probably meant, {_moment(note.last)}")
    if found.dropped.unsaid:
        text = "events since yesterday said nothing about consent (docs/events.md)"
        typer.echo(f"dropped: {found.dropped.unsaid} {text}")
    if found.dropped.refused:
        typer.echo(f"dropped: {found.dropped.refused} events since yesterday, since visitors did not consent")


@app.command("matches")
def matches_command(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Its name in URLs.")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Cookie sync by day and browser: how many browsers brought our cookie back.

    Example: grosz audience matches demo
    """
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.matches(exchange))
    if as_json:
        print_json(found.items)
        return
    rows = [
        [
            one.day.isoformat(),
            one.browser,
            *map(str, (one.returning, one.new, one.refused, one.opted_out)),
            f"{one.rate:.0%}",
        ]
        for one in found.items
    ]
    print_table(["day", "browser", "returning", "new", "refused", "opted out", "rate"], rows)


@app.command("hooks")
def hooks_command(
    again: Annotated[bool, typer.Option("--send-again", help="Make the calls again, with all their tries.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Audience hooks that were given up after their last try; they are kept for 30 days.

    Example: grosz audience hooks --send-again
    """
    if again:
        sent = ask(open_audiences(url, key, data, config), lambda audiences: audiences.send_again())
        if as_json:
            print_json(sent)
        else:
            typer.echo(f"{sent.sent_again} calls are made again")
        return
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.given_up())
    if as_json:
        print_json(found.items)
        return
    rows = [[_moment(one.given_up), str(one.webhook), one.delivery, one.reason] for one in found.items]
    print_table(["given up", "webhook", "delivery", "reason"], rows)


@app.command("progress")
def progress_command(
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """How far the background pass is that brings changed rules to existing profiles.

    Example: grosz audience progress
    """
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.progress())
    if as_json:
        print_json(found)
    elif not found.running:
        typer.echo(f"no pass runs; the last one ended {_moment(found.finished)}, {found.rewritten} changed")
    else:
        typer.echo(
            f"{found.share:.1%}: {found.scanned} of about {found.expected} profiles, {found.rewritten} "
            f"changed, for advertisers {', '.join(map(str, found.advertiser_ids))}"
            + (f"; all audiences change at {_moment(found.takes_over)}" if found.takes_over else "")
        )


@app.command("count")
def count_command(
    advertiser_id: AdvertiserArgument,
    rule: Annotated[str, typer.Argument(help="A rule as in docs/segments.md.")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Visitors for whom a rule would hold now.

    Example: grosz audience count 1 'cart.value >= 500 PLN'
    """
    found = ask(open_audiences(url, key, data, config), lambda audiences: audiences.count(advertiser_id, [rule]))
    if as_json:
        print_json({"visitors": found.visitors[0], "share": found.share, "asked": found.asked})
        return
    exact = "" if found.share == 1 else f" (scaled up from {found.asked} profiles, {found.share:.1%} of all)"
    typer.echo(f"{found.visitors[0]}{exact}")


@app.command("matrix")
def matrix_command(
    advertiser_id: AdvertiserArgument,
    rows: Annotated[str, typer.Argument(help="FACT or FACT:BOUND,BOUND: lifetime_value:100,500 or last_visit:7d,30d")],
    columns: Annotated[str, typer.Argument(help="As ROWS.")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
    rules: Annotated[bool, typer.Option("--rules", help="Print the rule of each cell instead.")] = False,
) -> None:
    """Two facts crossed into a grid, with the number of visitors in each cell.

    Example: grosz audience matrix 1 lifetime_value:100,500 last_visit:7d,30d
    """
    wanted = MatrixRequest(rows, columns, counted=not rules)
    grid = ask(open_audiences(url, key, data, config), lambda audiences: audiences.matrix(advertiser_id, wanted))
    if as_json:
        print_json(grid.cells)
        return
    if rules:
        for row in grid.cells:
            for cell in row:
                typer.echo(f"{cell.row} / {cell.column}: {cell.rule}")
        return
    heads = [f"{grid.rows.fact} / {grid.columns.fact}", *(band.label for band in grid.columns.bands)]
    print_table(heads, [[row[0].row, *(str(cell.visitors) for cell in row)] for row in grid.cells])


def _moment(at: datetime.datetime | None) -> str:
    return "never" if at is None else at.isoformat(sep=" ", timespec="seconds")
