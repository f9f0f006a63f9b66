"""`grosz audience import`, `lists`, `drop-list` and `forget-customer`: audiences from a file of customers."""

import asyncio
import contextlib
import os
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
import typer

from admin.cli.asking import ask
from admin.cli.object_access import ApiAccess, Json
from admin.cli.opening import DataOption
from admin.cli.options import AdvertiserArgument, JsonOption, KeyOption, UrlOption, print_json, print_table
from admin.cli.profiles import open_profiles
from admin.cli.ready_made import objects_of
from admin.cli.settings import ConfigFile
from admin.visitors.rosters import (
    DEFAULT_DAYS,
    MAX_DAYS,
    CustomerForgotten,
    CustomerLists,
    ForgetCustomer,
    ListDropped,
    ListImport,
    RosterDesk,
    checked_name,
)
from core.clock import SystemClock
from core.errors import InputError, NotFoundError
from segments.audiences.roster_rows import RowFault, hashed_rows

app = typer.Typer()

PIECE_BYTES = 1024 * 1024
SHOWN_FAULTS = 20

ListOption = Annotated[str, typer.Option("--list", help="Its name, as rules have it: has list.NAME.")]


class CustomerListsAccess(Protocol):
    """What the commands ask. Failures are GroszErrors with hints."""

    async def all(self, advertiser_id: int) -> CustomerLists: ...

    async def load(self, advertiser_id: int, name: str, file: Path, *, replace: bool, days: int) -> ListImport: ...

    async def drop(self, advertiser_id: int, name: str) -> ListDropped: ...

    async def forget(self, advertiser_id: int, person: ForgetCustomer) -> CustomerForgotten: ...


class HttpCustomerLists(ApiAccess):
    """Over the API of a running admin role."""

    async def all(self, advertiser_id: int) -> CustomerLists:
        return self._call("GET", _path(advertiser_id), CustomerLists, long=True)

    async def load(self, advertiser_id: int, name: str, file: Path, *, replace: bool, days: int) -> ListImport:
        path = f"{_path(advertiser_id, name)}?days={days}"
        return self._call("PUT" if replace else "POST", path, ListImport, file=file)

    async def drop(self, advertiser_id: int, name: str) -> ListDropped:
        return self._call("DELETE", _path(advertiser_id, name), ListDropped, long=True)

    async def forget(self, advertiser_id: int, person: ForgetCustomer) -> CustomerForgotten:
        return self._call("POST", f"/advertisers/{advertiser_id}/forget-customer", CustomerForgotten, person, long=True)


def _path(advertiser_id: int, name: str = "") -> str:
    return f"/advertisers/{advertiser_id}/customer-lists" + (f"/{urllib.parse.quote(name, safe='')}" if name else "")


class LocalCustomerLists:
    """On Redis itself, with all rights."""

    def __init__(self, desk: RosterDesk, advertisers: frozenset[int]) -> None:
        self._desk = desk
        self._advertisers = advertisers

    async def all(self, advertiser_id: int) -> CustomerLists:
        return await self._desk.all(self._known(advertiser_id))

    async def load(self, advertiser_id: int, name: str, file: Path, *, replace: bool, days: int) -> ListImport:
        return await self._desk.load(self._known(advertiser_id), name, _pieces(file), replace=replace, days=days)

    async def drop(self, advertiser_id: int, name: str) -> ListDropped:
        return await self._desk.drop(self._known(advertiser_id), name)

    async def forget(self, advertiser_id: int, person: ForgetCustomer) -> CustomerForgotten:
        return await self._desk.forget(self._known(advertiser_id), person)

    def _known(self, advertiser_id: int) -> int:
        if advertiser_id not in self._advertisers:
            raise NotFoundError(f"there is no advertiser {advertiser_id}", hint="see `grosz advertiser list`")
        return advertiser_id


@app.command("import")
def import_command(
    advertiser_id: AdvertiserArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header: email, phone, customer_id, ...")],
    name: ListOption,
    add: Annotated[bool, typer.Option("--add", help="Add to the list instead of replacing it.")] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=MAX_DAYS, help="When an entry ends.")] = DEFAULT_DAYS,
    segment: Annotated[str, typer.Option("--segment", help="Make a segment of this name of the list, too.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """An audience from a file of customers; addresses and numbers are hashed on this machine.

    Example: grosz audience import 1 customers.csv --list vip --segment "VIP customers"
    """
    checked_name(name)
    faults: list[RowFault] = []

    async def run() -> tuple[ListImport, Any]:
        made = await _segment(advertiser_id, name, segment, url, key, data, config) if segment else None
        with _hashed(file, faults.append) as hashed:
            async with _open(url, key, data, config) as lists:
                return await lists.load(advertiser_id, name, hashed, replace=not add, days=days), made

    found, made = asyncio.run(run())
    if as_json:
        told = msgspec.to_builtins(found)
        told["faults"] = msgspec.to_builtins(faults[:100])
        print_json({**told, "segment": made["id"] if made else None})
        return
    typer.echo(
        f"{found.rows} persons, {found.matched} of them known here ({found.match_rate:.1%}): {found.devices} devices; "
        f"{found.gone} devices are not named any more; {found.faulty} lines name nobody"
    )
    for fault in faults[:SHOWN_FAULTS]:
        typer.echo(f"line {fault.line}: {fault.column} {fault.message}")
    if len(faults) > SHOWN_FAULTS:
        typer.echo(f"... and {len(faults) - SHOWN_FAULTS} more faults")
    rule = f"as segment {made['id']}" if made else f"by the rule `{found.stored.rule}`"
    typer.echo(f"usable within a minute {rule}, until {found.stored.until:%Y-%m-%d}")


@app.command("lists")
def lists_command(
    advertiser_id: AdvertiserArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """The customer lists of an advertiser, and how many of their persons are known.

    Example: grosz audience lists 1
    """
    found = ask(_open(url, key, data, config), lambda lists: lists.all(advertiser_id))
    if as_json:
        print_json(found.items)
        return
    rows = [
        [one.name, str(one.rows), str(one.matched), f"{one.match_rate:.1%}", f"{one.until:%Y-%m-%d}", one.rule]
        for one in found.items
    ]
    print_table(["list", "persons", "known", "rate", "until", "rule"], rows)


@app.command("drop-list")
def drop_command(
    advertiser_id: AdvertiserArgument,
    name: ListOption,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Delete a customer list; whoever it named is not named any more.

    Example: grosz audience drop-list 1 --list vip
    """
    found = ask(_open(url, key, data, config), lambda lists: lists.drop(advertiser_id, name))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"list {name} is deleted; {found.gone} devices are not named any more")


@app.command("forget-customer")
def forget_command(
    advertiser_id: AdvertiserArgument,
    email: Annotated[str, typer.Option("--email", help="An address; it is hashed on this machine.")] = "",
    phone: Annotated[str, typer.Option("--phone", help="A number with its country code.")] = "",
    customer_id: Annotated[str, typer.Option("--customer-id", help="The shop's own id.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Take a person out of all customer lists of an advertiser.

    Example: grosz audience forget-customer 1 --email jan@example.pl
    """
    header, row = "email,phone,customer_id\n", [email, phone, customer_id]
    if not any(row):
        raise InputError("nobody is named", hint="give --email, --phone or --customer-id")
    wrong: list[RowFault] = []
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in row)
    lines = list(hashed_rows([f"{header}{quoted}\n".encode()], wrong.append))
    if wrong:
        raise InputError(f"the {wrong[0].column} {wrong[0].message}")
    email_sha256, phone_sha256, _ = lines[1].split(",", 2)
    person = ForgetCustomer(email_sha256=email_sha256, phone_sha256=phone_sha256, customer_id=customer_id)
    found = ask(_open(url, key, data, config), lambda lists: lists.forget(advertiser_id, person))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{found.entries} entries of lists named the person; nobody is named any more")


async def _segment(
    advertiser_id: int, name: str, title: str, url: str, key: str, data: Path | None, config: Path | None
) -> Json:
    """The segment of the list, found or made before the import, so that its persons become members at once."""
    rule = f"has list.{name}"
    async with objects_of(("segments",), url, key, data, config) as (segments,):
        page = await segments.page([("advertiser_id", str(advertiser_id)), ("status", "active"), ("limit", "500")])
        known: Json | None = next((one for one in page["items"] if one["rule"] == rule), None)
        return known or await segments.create(
            {"advertiser_id": advertiser_id, "name": title, "rule": rule}, dry_run=False
        )


@contextlib.contextmanager
def _hashed(file: Path, note: Callable[[RowFault], None]) -> Iterator[Path]:
    """A temporary copy of the file with hashes instead of addresses and numbers. Raises InputError."""
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    handle, name = tempfile.mkstemp(prefix="grosz-list-", suffix=".csv")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as hashed, file.open("rb") as plain:
            hashed.writelines(hashed_rows(iter(lambda: plain.read(PIECE_BYTES), b""), note))
        yield Path(name)
    finally:
        os.unlink(name)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
            yield piece


@contextlib.asynccontextmanager
async def _open(url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[CustomerListsAccess]:
    """Over HTTP when there is a URL, otherwise on this machine."""
    if url:
        yield HttpCustomerLists(url, key)
        return
    async with open_profiles(config, data) as profiles:
        catalogue = await profiles.catalogue()
        known = frozenset(one.id for one in catalogue.advertisers)
        yield LocalCustomerLists(RosterDesk(profiles.store, SystemClock()), known)
