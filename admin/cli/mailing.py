"""`grosz mailing`: what to send to whom, and when, as `POST /v1/recommendations` says it, for a file of people."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.product_access import open_products
from admin.cli.settings import ConfigFile
from admin.products.mailing import MAX_PEOPLE, MailAdvice, MailPerson, MailRequest
from core.errors import InputError
from core.model import ProductStrategy

app = typer.Typer(rich_markup_mode=None)

HASH_CHARS = 64


@app.command()
def mailing(
    advertiser_id: Annotated[int, typer.Argument(metavar="ADVERTISER", min=1, help="Its number.")],
    file: Annotated[Path, typer.Argument(help="User ids or SHA-256 of e-mails, one a line; - is standard input.")],
    strategies: Annotated[
        list[ProductStrategy] | None,
        typer.Option("--strategy", help="In this order, for everybody. Repeatable.", case_sensitive=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=20, help="Products a message.")] = 4,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Advise on messages: products, reason, and the hour at which each person usually comes.

    Example: grosz mailing 1 people.txt
    """
    people = [person_of(line.strip()) for line in read_lines(file) if line.strip()]
    if not people:
        raise InputError(f"{file} names nobody", hint="one user id or SHA-256 of an e-mail a line")

    async def ask() -> list[MailAdvice]:
        found: list[MailAdvice] = []
        async with open_products(url, key, data, config) as questions:
            for start in range(0, len(people), MAX_PEOPLE):
                part = people[start : start + MAX_PEOPLE]
                found += (await questions.mail(MailRequest(advertiser_id, part, strategies or [], count))).items
        return found

    told = asyncio.run(ask())
    if as_json:
        print_json(told)
        return
    show(told, Console())


def read_lines(file: Path) -> list[str]:
    """The lines of a file, or of standard input for `-`. Raises InputError for a file that cannot be read."""
    try:
        return (sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None


def person_of(text: str) -> MailPerson:
    """The person whom a line names: by the SHA-256 of the e-mail, or by our user id."""
    return MailPerson(email_sha256=text) if len(text) == HASH_CHARS else MailPerson(user_id=text)


def show(told: list[MailAdvice], console: Console) -> None:
    """Print advice for people."""
    table = Table("person", "known", "reason", "send at (UTC)", "usual hour", "next purchase", "products")
    for one in told:
        hour = (
            ""
            if one.usual_hour is None
            else f"{one.usual_hour.hour}:{one.usual_hour.minute:02} ({one.usual_hour.confidence:.0%})"
        )
        due = "" if one.next_purchase is None else f"{one.next_purchase:%Y-%m-%d}"
        products = Text(", ".join(row.product.id for row in one.products))
        known = "yes" if one.found else "no"
        table.add_row(one.person[:22], known, one.reason, f"{one.send_at:%Y-%m-%d %H:%M}", hour, due, products)
    console.print(table, markup=False)
