"""`grosz report save, list, run, schedule, share, ...`: reports that are kept, sent and shown to others."""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
import typer
from rich.console import Console

from admin.cli.asking import ask
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json, print_table
from admin.cli.report import app, show
from admin.cli.report_questions import (
    BY,
    MEASURES,
    ByOption,
    CurrencyOption,
    LimitOption,
    MeasureOption,
    OnlyOption,
    PivotOption,
    SinceOption,
    SortOption,
    UntilOption,
    ZoneOption,
    request_of,
)
from admin.cli.saved_report_access import SavedReportAccess, open_saved
from admin.cli.settings import ConfigFile
from admin.reports.documents import ReportForm
from admin.reports.saved import (
    MAX_LINK_DAYS,
    LinkRequest,
    RecipientRequest,
    ReportDraft,
    ReportSchedule,
    SavedReport,
)
from core.errors import InputError

Document = TypeVar("Document", bound=msgspec.Struct)

ReportId = Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the saved report.")]
AdvertiserOption = Annotated[
    int | None, typer.Option("--advertiser", min=1, help="Of one advertiser; of all without.", show_default=False)
]
FormOption = Annotated[ReportForm, typer.Option("--form", help="Of the file that is sent; mails take json as xlsx.")]
EveryOption = Annotated[Literal["day", "week", "month"] | None, typer.Option("--every", help="How often it is sent.")]
MailOption = Annotated[
    list[str], typer.Option("--mail", metavar="ADDRESS", help="Send it there; repeatable.", show_default=False)
]
WebhookOption = Annotated[str, typer.Option("--webhook", metavar="URL", help="Call this address with it.")]
FileOption = Annotated[bool, typer.Option("--file", help="Write it beside the journal.")]
HourOption = Annotated[int, typer.Option("--hour", min=0, max=23, help="When, in the question's time zone.")]


@app.command("save")
def save_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    by: ByOption = list(BY),  # noqa: B006 - typer's way to declare a default
    measure: MeasureOption = list(MEASURES),  # noqa: B006 - likewise
    only: OnlyOption = [],  # noqa: B006 - likewise
    since: SinceOption = "",
    until: UntilOption = "",
    timezone: ZoneOption = "UTC",
    currency: CurrencyOption = "",
    pivot: PivotOption = "",
    sort: SortOption = "",
    limit: LimitOption = 1_000,
    form: FormOption = "json",
    advertiser: AdvertiserOption = None,
    replace: Annotated[
        int | None, typer.Option("--replace", metavar="ID", min=1, help="Change this one.", show_default=False)
    ] = None,
    every: EveryOption = None,
    mail: MailOption = [],  # noqa: B006 - likewise
    webhook: WebhookOption = "",
    file: FileOption = False,
    hour: HourOption = 7,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Keep a question under a name; with --every it is also sent.

    Example: grosz report save "The week" --advertiser 1 --by day --measure spend --every week --mail ann@shop.example
    """
    request = request_of(by, measure, only, (since, until), timezone, currency, pivot, sort, limit, form)
    schedule = _schedule(every, mail, webhook, hour, file=file)
    draft = _checked(ReportDraft(name, request, advertiser, schedule), ReportDraft)
    saved = ask(open_saved(url, key, data, config), lambda access: access.save(draft, replace))
    _tell(saved, as_json=as_json)


@app.command("list")
def list_command(
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """List saved reports, and when each is sent next.

    Example: grosz report list
    """
    page = ask(open_saved(url, key, data, config), lambda access: access.listed())
    if as_json:
        print_json(page)
        return
    rows = [
        (str(one.id), one.name, str(one.advertiser_id or "all"), ", ".join(one.request.dimensions),
         ", ".join(one.request.measures), _words(one.schedule), one.next_at or "")
        for one in page.items
    ]  # fmt: skip
    print_table(("id", "name", "advertiser", "by", "measures", "sent", "next"), rows)


@app.command("run")
def run_command(
    number: ReportId,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Answer a saved report with the figures of now.

    Example: grosz report run 3
    """
    answer = ask(open_saved(url, key, data, config), lambda access: access.run(number))
    if as_json:
        print_json(answer)
    else:
        show(answer, Console())


@app.command("schedule")
def schedule_command(
    number: ReportId,
    every: EveryOption = None,
    mail: MailOption = [],  # noqa: B006 - typer's way to declare a default
    webhook: WebhookOption = "",
    file: FileOption = False,
    hour: HourOption = 7,
    off: Annotated[bool, typer.Option("--off", help="Send it no more.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Have a saved report sent every day, week or month, or no more.

    Example: grosz report schedule 3 --every month --mail ann@shop.example --hour 8
    """
    if off == (every is not None):
        raise InputError("say how often, or that it is sent no more", hint="--every day, week or month, or --off")
    schedule = _schedule(every, mail, webhook, hour, file=file)

    async def change(access: SavedReportAccess) -> SavedReport:
        kept = await access.get(number)
        return await access.save(ReportDraft(kept.name, kept.request, kept.advertiser_id, schedule), number)

    _tell(ask(open_saved(url, key, data, config), change), as_json=as_json)


@app.command("forget")
def forget_command(
    number: ReportId,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Forget a saved report; its links lead nowhere then.

    Example: grosz report forget 3
    """
    ask(open_saved(url, key, data, config), lambda access: access.delete(number))
    if as_json:
        print_json({"id": number, "forgotten": True})
    else:
        typer.echo(f"report {number} is forgotten")


@app.command("share")
def share_command(
    number: ReportId,
    days: Annotated[int, typer.Option(min=1, max=MAX_LINK_DAYS, help="For so long.")] = 30,
    advertiser: AdvertiserOption = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Make a link by which whoever has it sees one report of one advertiser. It is shown this once.

    Example: grosz report share 3 --days 14
    """

    async def share(access: SavedReportAccess) -> tuple[Any, str]:
        link = await access.share(number, LinkRequest(days, advertiser))
        return link, access.address(link.path)

    link, address = ask(open_saved(url, key, data, config), share)
    if as_json:
        print_json(msgspec.to_builtins(link) | {"url": address})
    else:
        typer.echo(f"link {link.id}, until {link.expires_at}: {address}")


@app.command("links")
def links_command(
    number: ReportId,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """List the links to a saved report; where they lead was shown when they were made.

    Example: grosz report links 3
    """
    page = ask(open_saved(url, key, data, config), lambda access: access.links(number))
    if as_json:
        print_json(page)
        return
    rows = [(str(one.id), str(one.advertiser_id), one.expires_at, one.revoked_at or "") for one in page.items]
    print_table(("link", "advertiser", "until", "revoked"), rows)


@app.command("revoke")
def revoke_command(
    number: ReportId,
    link: Annotated[int, typer.Argument(metavar="LINK", min=1, help="Number of the link.")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """End a link at once.

    Example: grosz report revoke 3 7
    """
    ask(open_saved(url, key, data, config), lambda access: access.revoke(number, link))
    if as_json:
        print_json({"id": number, "link": link, "revoked": True})
    else:
        typer.echo(f"link {link} of report {number} leads nowhere now")


@app.command("recipients")
def recipients_command(
    invite: Annotated[str, typer.Option("--invite", metavar="ADDRESS", help="Ask this address, or add a URL.")] = "",
    forget: Annotated[str, typer.Option("--forget", metavar="ADDRESS", help="Write to it no more.")] = "",
    advertiser: AdvertiserOption = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """List who may be written to, ask somebody, or write to somebody no more.

    Example: grosz report recipients --invite ann@shop.example --advertiser 1
    """

    async def work(access: SavedReportAccess) -> Any:  # noqa: ANN401 - a page
        for address, change in ((invite, access.invite), (forget, access.forget_recipient)):
            if address:
                await change(_checked(RecipientRequest(address, advertiser), RecipientRequest))
        return await access.recipients()

    page = ask(open_saved(url, key, data, config), work)
    if as_json:
        print_json(page)
        return
    rows = [(one.address, str(one.advertiser_id or "all"), one.confirmed_at or "not yet") for one in page.items]
    print_table(("address", "advertiser", "agreed"), rows)


@app.command("deliveries")
def deliveries_command(
    state: Annotated[Literal["waiting", "sent", "dead"] | None, typer.Option(help="Only in this state.")] = None,
    send_again: Annotated[
        int | None, typer.Option("--send-again", metavar="ID", min=1, help="Send this one, which was set aside, again.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """List what was sent, waits, or was set aside because it kept failing.

    Example: grosz report deliveries --state dead
    """

    async def work(access: SavedReportAccess) -> Any:  # noqa: ANN401 - a page
        if send_again is not None:
            await access.send_again(send_again)
        return await access.deliveries(state or "")

    page = ask(open_saved(url, key, data, config), work)
    if as_json:
        print_json(page)
        return
    rows = [
        (str(one.id), str(one.advertiser_id or "all"), one.channel, one.target, one.subject, one.state,
         str(one.attempts), one.error)
        for one in page.items
    ]  # fmt: skip
    print_table(("id", "advertiser", "by", "to", "subject", "state", "attempts", "error"), rows)


def _schedule(every: Any, mail: list[str], webhook: str, hour: int, *, file: bool) -> ReportSchedule | None:  # noqa: ANN401 - EveryOption
    """The schedule of the options, None without `every`.

    Raises InputError unless exactly one way of sending is named, or none without `every`.
    """
    ways = [by for by, named in (("mail", mail), ("webhook", webhook), ("file", file)) if named]
    if every is None:
        if ways:
            raise InputError("say how often it is sent", hint="--every day, week or month")
        return None
    if len(ways) != 1:
        raise InputError("say one way by which it is sent", hint="--mail ADDRESS, --webhook URL or --file")
    to = tuple(mail) or ((webhook,) if webhook else ())
    return ReportSchedule(every, ways[0], to, hour)  # type: ignore[arg-type]  # one of the three words


def _checked(value: Document, wanted: type[Document]) -> Document:
    """The value itself, after checking the bounds of its type as the API does. Raises InputError."""
    try:
        return msgspec.convert(msgspec.to_builtins(value), wanted)
    except msgspec.ValidationError as error:
        raise InputError(f"the input is not valid: {error}") from None


def _tell(saved: SavedReport, *, as_json: bool) -> None:
    if as_json:
        print_json(saved)
        return
    typer.echo(f"report {saved.id}, {saved.name}: {_words(saved.schedule)}")
    if saved.next_at:
        typer.echo(f"sent next at {saved.next_at}")


def _words(schedule: ReportSchedule | None) -> str:
    if schedule is None:
        return "not sent"
    to = f" to {', '.join(schedule.to)}" if schedule.to else ""
    return f"every {schedule.every} at {schedule.hour}:00 by {schedule.by}{to}"
