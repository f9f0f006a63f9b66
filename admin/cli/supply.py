"""`grosz supply`: the table of ads.txt, app-ads.txt and sellers.json files: imported, fetched, shown, asked."""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, cast

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from admin.cli.opening import DataOption, require_installation
from admin.cli.options import JsonOption, print_json
from admin.cli.profiles import server_url
from admin.cli.settings import ConfigFile, settings_for
from admin.supply.crawling import Crawler, Declared, Found, declared_in
from admin.supply.desk import SupplyDesk, outcomes
from admin.supply.reading import FileKind, read_file
from core.clock import SystemClock
from core.config import Settings
from core.errors import InputError, NotFoundError, UnavailableError
from core.redis.client import control_cluster, control_redis
from core.supply import SupplyFile, SupplyTable, seller_name

app = typer.Typer(no_args_is_help=True, help="Read ads.txt, app-ads.txt and sellers.json files; show what is known.")

DomainArgument = Annotated[str, typer.Argument(help="Domain that the file belongs to.")]
KindArgument = Annotated[FileKind, typer.Argument(help="Which of the three files.")]


@app.command("import")
def import_command(
    kind: KindArgument,
    domain: DomainArgument,
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="The file; - for standard input.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Take a file that is here already.

    Example: grosz supply import ads.txt buty.example ads.txt
    """
    clock = SystemClock()
    content = file.read(kind.max_bytes + 1)
    (declared,) = declared_in([f"{kind} {domain}"])
    read = read_file(kind, content, clock.now_ms())

    async def take(desk: SupplyDesk) -> None:
        await desk.take([Found(declared, read)])

    asyncio.run(_with_desk(take, data, config))
    if as_json:
        print_json(_told(declared, read, ""))
        return
    typer.echo(f"{kind} of {declared.domain}: {read.count} sellers")


@app.command("crawl")
def crawl_command(
    domains: Annotated[
        typer.FileText,
        typer.Argument(help="A domain a line, or `app-ads.txt DOMAIN`, `sellers.json DOMAIN`."),
    ],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Fetch the files of these domains, and no others.

    Example: grosz supply crawl domains.txt
    """
    wanted = declared_in(domains)
    crawler = Crawler(private=settings_for(config).supply.private)
    found: list[Found] = []

    async def crawl(desk: SupplyDesk) -> None:
        found.extend(await desk.crawl(crawler, wanted))

    asyncio.run(_with_desk(crawl, data, config))
    if as_json:
        print_json([_told(each.declared, each.file, each.problem) for each in found])
        return
    for each in found:
        if each.problem:
            typer.echo(f"{each.declared.kind} of {each.declared.domain}: {each.problem}", err=True)
    counts = outcomes(found)
    typer.echo(f"{counts['read']} files read, {counts['gone']} gone, {counts['failed']} failed")


@app.command("show")
def show_command(as_json: JsonOption = False, data: DataOption = None, config: ConfigFile = None) -> None:
    """Show the files that are known, how many sellers each names, and how old it is.

    Example: grosz supply show --json
    """
    found = _files(asyncio.run(_table(data, config)))
    if as_json:
        print_json([_told(declared, file, "") for declared, file in found])
        return
    table = Table("file", "domain", "names", "read", box=None)
    for declared, file in found:
        table.add_row(declared.kind, declared.domain, str(file.count), _moment(file.read_ms))
    Console().print(table)


@app.command("check")
def check_command(
    kind: KindArgument,
    domain: DomainArgument,
    seller: Annotated[str, typer.Argument(help="ssp.example/4711; of a sellers.json the id alone.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Say whether a file names a seller.

    Example: grosz supply check ads.txt buty.example ssp.example/4711
    """
    files: dict[str, SupplyFile] = getattr(asyncio.run(_table(data, config)), kind.member)
    file = files.get(domain.lower())
    if file is None:
        raise NotFoundError(f"no {kind} of {domain} is known", hint="grosz supply crawl or import")
    system, slash, account = seller.partition("/")
    if kind is not FileKind.SELLERS_JSON and not slash:
        raise InputError(f"'{seller}' is no seller", hint="a system and an account: ssp.example/4711")
    named = file.names(seller_name(system, account) if slash else seller)
    if as_json:
        print_json({"file": str(kind), "domain": domain.lower(), "seller": seller, "named": named})
    else:
        typer.echo("named" if named else "not named")
    if not named:
        raise typer.Exit(1)


Work = Callable[[SupplyDesk], Awaitable[None]]


def _files(table: SupplyTable) -> list[tuple[Declared, SupplyFile]]:
    return [
        (Declared(kind, domain), file)
        for kind in FileKind
        for domain, file in sorted(cast(dict[str, SupplyFile], getattr(table, kind.member)).items())
    ]


def _told(declared: Declared, file: SupplyFile | None, problem: str) -> dict[str, object]:
    told: dict[str, object] = {"file": str(declared.kind), "domain": declared.domain}
    if file is not None:
        told |= {"names": file.count, "read_at": _moment(file.read_ms)}
    return told | ({"problem": problem} if problem else {})


def _moment(milliseconds: int) -> str:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _table(data: Path | None, config: Path | None) -> SupplyTable:
    async with _desk(data, config) as desk:
        return await desk.table()


async def _with_desk(work: Work, data: Path | None, config: Path | None) -> None:
    async with _desk(data, config) as desk:
        await work(desk)


@contextlib.asynccontextmanager
async def _desk(data: Path | None, config: Path | None) -> AsyncIterator[SupplyDesk]:
    settings = settings_for(config)
    require_installation(settings, data)
    redis = _redis(settings, server_url(settings, data))
    try:
        yield SupplyDesk(redis, SystemClock())
    except RedisError as error:
        hint = "start `grosz up`, or set GROSZ_REDIS_URL to the deployment's Redis"
        raise UnavailableError(f"Redis does not answer: {error}", hint=hint) from None
    finally:
        await redis.aclose()


def _redis(settings: Settings, url: str) -> Redis:
    username, password = settings.redis.username, settings.redis.password
    if settings.redis.cluster:
        return cast(Redis, control_cluster(url, username=username, password=password))  # no common base class
    return control_redis(url, username=username, password=password)
