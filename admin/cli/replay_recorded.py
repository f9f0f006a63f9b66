"""`grosz replay --recorded`: recorded requests decided again on this machine, and what differs, with the reasons."""

import base64
import contextlib
import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from admin.cli.options import check_folder_of, print_json
from admin.cli.recorded import open_recorded
from admin.diagnosis.recorded import Replayed, ReplayRequest, name_of
from bidder.diagnosis.replaying import BidDecision, RecordedRequest, recorded_decision
from core.clock import SystemClock
from core.errors import InputError

EXIT_DIFFERENT = 1
MOST_SHOWN = 50


class ReplayChoice(NamedTuple):
    """Which requests to decide again, and by what."""

    hours: float
    limit: int
    catalogue: int
    model: Path | None
    save: Path | None
    against: Path | None


class _Saved(msgspec.Struct):
    """A line of a file of decisions."""

    id: str
    decision: str  # BidDecision.packed(), base64


def decide_again(again: ReplayChoice, data: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Decide, compare and print; exits with 1 where anything differs."""
    check_folder_of(again.save, "--save")
    now_ms = SystemClock().now_ms()
    asked = ReplayRequest(since_ms=int(now_ms - again.hours * 3_600_000), until_ms=now_ms, catalogue=again.catalogue)
    known = None if again.against is None else read_decisions(again.against)

    def before(request: RecordedRequest) -> BidDecision | None:
        return recorded_decision(request) if known is None else known.get(name_of(request))

    desk, console = open_recorded(data, config), Console(stderr=as_json)
    columns = (TextColumn("deciding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(*columns, console=console, transient=True))
        out = stack.enter_context(again.save.open("wb")) if again.save is not None else None
        task = progress.add_task("", total=None)

        def told(request: RecordedRequest, decision: BidDecision) -> None:
            if out is not None:
                line = _Saved(name_of(request), base64.b64encode(decision.packed()).decode())
                out.write(msgspec.json.encode(line) + b"\n")

        found = desk.replay_now(
            asked, model=again.model, limit=again.limit, told=told, before=before,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        show(found, console)
    if found.changes:
        raise typer.Exit(EXIT_DIFFERENT)


def read_decisions(path: Path) -> dict[str, BidDecision]:
    """Decisions by the name of their request. Raises InputError."""
    found: dict[str, BidDecision] = {}
    try:
        for line in path.read_bytes().splitlines():
            saved = msgspec.json.decode(line, type=_Saved)
            found[saved.id] = msgspec.msgpack.decode(base64.b64decode(saved.decision), type=BidDecision)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} has no decisions: {error}", hint="`grosz replay --recorded --save` writes them"
        ) from None
    return found


def show(found: Replayed, console: Console) -> None:
    """Print what came of it for people."""
    share = f" ({found.same / found.requests:.2%})" if found.requests else ""
    console.print(f"{found.requests} recorded requests, {found.same} decided as before{share}", highlight=False)
    if found.taken:
        console.print(f"{found.taken} of them taken as recorded: what refused them is not kept", highlight=False)
    if found.other_catalogue:
        console.print(
            f"{found.other_catalogue} by another catalogue than their own, which is not kept", highlight=False
        )
    if not found.changes:
        return
    table = Table("when (UTC)", "line item", "bid before", "bid now", "why")
    for change in found.changes[:MOST_SHOWN]:
        when = datetime.datetime.fromtimestamp(change.at_ms / 1000, datetime.UTC).strftime("%m-%d %H:%M:%S")
        name = f"{change.line_item_id}, share {change.share}" if change.share else str(change.line_item_id)
        table.add_row(when, name, change.before_cpm or "none", change.after_cpm or "none", change.why)
    console.print(table)
    if len(found.changes) > MOST_SHOWN:
        console.print(f"and {len(found.changes) - MOST_SHOWN} more", highlight=False)
