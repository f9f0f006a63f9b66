"""`grosz explain`: why each line item bids or does not bid on one request."""

import codecs
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin.cli.asking import ask
from admin.cli.object_access import Json
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.plain import plain
from admin.cli.questions import open_questions
from admin.cli.recorded import bid_words, explained
from admin.cli.settings import ConfigFile
from admin.diagnosis.recorded import RecordedExplanation
from admin.visitors.user_ids import checked_user_id
from bidder.diagnosis.explain import Explanation, ImpressionVerdicts, PriceBuildUp, UserFacts, Verdict
from core.errors import InputError
from core.model import Format
from core.money import format_micros

app = typer.Typer()

# So many line items or shares show the parts of their price: enough for one line item. Those of all are in --json.
MOST_BUILD_UPS = 4

UserOption = Annotated[str | None, typer.Option("--user", help="Explain as if this user id of ours had caused it.")]
RecordedOption = Annotated[
    str, typer.Option("--recorded", help="A recorded request (`grosz recorded`) instead of a file, as of its moment.")
]
LineItemOption = Annotated[int | None, typer.Option("--line-item", min=1, help="Only this line item.")]


@app.command()
def explain(
    file: Annotated[
        typer.FileBinaryRead | None,
        typer.Argument(metavar="FILE", help="Bid request; - for standard input.", show_default=False),
    ] = None,
    exchange: Annotated[str, typer.Option(help="Key of the exchange that it is from.")] = "demo",
    line_item: LineItemOption = None,
    user: UserOption = None,
    recorded: RecordedOption = "",
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Say for every line item whether it bids on a request, at which price, and all reasons why not.

    Example: grosz explain request.json --line-item 7
    """
    if recorded:
        told = explained(recorded, line_item, (url, key), data, config)
        if as_json:
            print_json(told)
        else:
            show_recorded(told, Console())
        return
    if file is None:
        raise InputError("there is nothing to explain", hint="give a file with a bid request, or --recorded ID")
    request = read_request(file.read())
    if user is not None:
        checked_user_id(user)

    explanation = ask(
        open_questions(url, key, data, config), lambda questions: questions.explain(request, exchange, line_item, user)
    )
    if as_json:
        print_json(explanation)
    else:
        show(explanation, Console())


def read_request(text: bytes) -> Json:
    """A bid request from a file: as it is, or the member `request` of a recorded line. Raises InputError."""
    try:
        document = msgspec.json.decode(text.removeprefix(codecs.BOM_UTF8), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InputError("the file is not a JSON object", hint=str(error)) from None
    inner = document.get("request")
    return inner if isinstance(inner, dict) and "imp" not in document else document


def show_recorded(told: RecordedExplanation, console: Console) -> None:
    """Print what was decided of a recorded request, and why."""
    one = told.recorded
    console.print(f"request {one.id} on {one.exchange}, decided by catalogue {one.catalogue}", highlight=False)
    for bid in one.bids:
        console.print(bid_words(bid), highlight=False, markup=False)
    if told.catalogue != one.catalogue:
        console.print(f"that catalogue is not kept: {told.catalogue} stands for it", highlight=False)
    if told.note:
        console.print(told.note, highlight=False, markup=False)
    show(told.explanation, console)


def show(explanation: Explanation, console: Console) -> None:
    """Print an explanation for people."""
    if explanation.reason is not None:
        console.print(f"no bid: {explanation.reason.text} ({explanation.reason.hint})", highlight=False)
    if explanation.consent:
        console.print(plain(f"consent: {explanation.consent}"), highlight=False, markup=False)
    for fault in explanation.faults:
        console.print(plain(f"left out: {fault}"), highlight=False, markup=False)
    if explanation.user is not None:
        console.print(_about(explanation.user, explanation.consent), highlight=False)
    for impression in explanation.impressions:
        console.print(plain(_headline(impression)), highlight=False, markup=False)
        if impression.line_items:
            console.print(_table(impression))
        if len(impression.line_items) <= MOST_BUILD_UPS:
            for verdict in impression.line_items:
                console.print(_build_up(verdict), highlight=False, markup=False)


def _about(user: UserFacts, consent: str) -> str:
    if not user.found:
        return "the user is not looked up, or not known for this" if consent else "the user is unknown"
    parts = [f"user {user.user_id}", f"{user.impressions_remembered} impressions remembered"]
    if user.segments:
        parts.append("in segments " + ", ".join(map(str, user.segments)))
    for shop in user.shops:
        advertiser, cart = int(shop["advertiser_id"]), int(shop["cart_micros"])
        worth = f"cart of {format_micros(cart)} idle for {shop['cart_age_s'] / 3600:.1f} h" if cart else "no cart"
        parts.append(f"at advertiser {advertiser}: {worth}, {shop['visits']:.0f} visits")
    return "; ".join(parts)


def _headline(impression: ImpressionVerdicts) -> str:
    shown = "" if impression.format == Format.BANNER else f" as {impression.format}"
    who = "nobody bids" if impression.winner is None else f"line item {impression.winner} bids"
    return f"impression {impression.impression_id}{shown}: {who}"


def _table(impression: ImpressionVerdicts) -> Table:
    """Bidders first, then by the number of reasons: what is nearest to a bid is on top."""
    table = Table("line item", "bid CPM", "floor", "why not")
    for verdict in sorted(impression.line_items, key=lambda one: len(one.reasons)):
        table.add_row(_name(verdict), verdict.price.bid_cpm, verdict.price.floor_cpm, escape(_why(verdict)))
    return table


def _name(verdict: Verdict) -> str:
    return f"{verdict.line_item_id}, share {verdict.share}" if verdict.share else str(verdict.line_item_id)


def _build_up(verdict: Verdict) -> str:
    """How the bid's price came about, on one line."""
    price = verdict.price
    return (
        f"price of {_name(verdict)}: click {price.click_rate:.3%}, conversion {price.conversion_rate:.3%}, "
        f"cart adds {price.cart_value}, an impression is worth {price.expected_value}; "
        f"x pacing {price.pacing_multiplier:.2f} x factor {price.bid_factor:.2f}{_modified(price)}, "
        f"at most {price.maximum_cpm} CPM "
        f"-> {price.bid_cpm} {price.currency}{_sent(price)}"
    )


def _modified(price: PriceBuildUp) -> str:
    if not price.modifiers:
        return ""
    each = "; ".join(f"{one.modifier}: {one.factor:.0%}" for one in price.modifiers)
    return f" x modifiers {price.bid_modifier:.2f} ({escape(each)})"


def _sent(price: PriceBuildUp) -> str:
    return f"; at first price {price.shading:.0%} of it is bid: {price.sent_cpm}" if price.shading < 1.0 else ""


def _why(verdict: Verdict) -> str:
    if verdict.outcome == "bid":
        return f"bids with creative {verdict.creative_id}"
    return "\n".join(
        plain(f"{reason.text} ({reason.detail})") if reason.detail else reason.text for reason in verdict.reasons
    )
