"""`grosz demo`: everything on this machine for half a minute, with simulated shoppers and a simulated exchange.

It runs the same `grosz up` that a user would, in a data directory that is thrown away, makes one more shop through the
admin API, and ends with the money audit: a demo of a bidder that loses a grosz is a failed demo, and so is one in which
the shop of the API does not bid.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from admin.cli.demo_shop import SHOP, Delivered, DemoShop
from admin.cli.opening import open_store
from admin.store.accounts import AccountStore
from core.clock import SystemClock
from core.config import ENVIRONMENT_PREFIX, OF_COMMANDS
from core.errors import UnavailableError
from core.money import format_micros
from loadtest.measure.series import Series
from loadtest.report.live import live_view
from loadtest.running.demo import DemoResult, demo_scenario, run_demo

app = typer.Typer()

# How long a cart must lie idle before it counts as abandoned; an hour in real life, too long for half a minute.
CART_DELAY_S = 3
# Shops of the seed whose simulated shoppers come along; the shop that is made through the API is the fourth.
SEEDED_SHOPS = (1, 2, 3)
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
# The last notices settle, their rows reach the ledger, and the last counts of bids are written, within this.
SETTLE_S = 6.0

EXIT_FAILED = 1


@app.command()
def demo(
    duration: Annotated[float, typer.Option(help="Seconds of traffic.", min=1, max=3600)] = 30.0,
    data: Annotated[
        Path | None, typer.Option(help="Keep the data here; a temporary directory by default.", show_default=False)
    ] = None,
) -> None:
    """Show it working: bids, wins, money and latency against a simulated exchange, then audit the money.

    It takes no settings: those of the environment are of another installation, whose servers it must not touch.

    Example: grosz demo --duration 60
    """
    _forget_settings()
    if data is not None:
        sys.exit(asyncio.run(_demo(duration, data)))
    with tempfile.TemporaryDirectory(prefix="grosz-demo-") as directory:
        sys.exit(asyncio.run(_demo(duration, Path(directory))))


def _forget_settings() -> None:
    """Remove Grosz's settings from the environment of this process and its children, and say which."""
    names = [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX) and name not in OF_COMMANDS]
    for name in names:
        del os.environ[name]
    if names:
        typer.echo(f"the demo runs by itself, without {', '.join(sorted(names))}", err=True)


async def _demo(duration: float, data: Path) -> int:
    console = Console()
    console.print("Starting Valkey, bidder, tracker, worker and admin, with the demo shops ...")
    log = data / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    running = await _start(data, log)
    try:
        addresses = await _wait_until_ready(running, log)
        # Browsers keep the login's cookie although the host is an address; aiohttp must be told to.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            shop = DemoShop(session, addresses["admin"])
            await shop.open(await _setup_token(data), CART_DELAY_S)
            console.print(f"made '{SHOP}' through the admin API: advertiser {shop.advertiser_id}")
            result = await _show(console, addresses, duration, shop.advertiser_id)
            await asyncio.sleep(SETTLE_S)
            delivered, reported = await shop.delivered(), await shop.reported(SystemClock().now_ms())
        audited = await _audit(data)
    finally:
        await _stop(running)
    console.print(_table(result, delivered))
    console.print(_report(reported))
    console.print(f"money audit: {'every counter agrees with the ledger' if audited == 0 else 'FAILED'}")
    if not delivered.bids:
        console.print(f"'{SHOP}', made through the API, did not bid: FAILED")
    good = audited == 0 and result.bids and delivered.bids and not result.violations
    return 0 if good else EXIT_FAILED


async def _setup_token(data: Path) -> str:
    """A setup token, as `grosz setup-link` makes it; in a kept directory the one that `grosz up` printed is used up."""
    async with open_store(None, data) as store:
        return await AccountStore(store.database, SystemClock()).make_setup_link()


async def _start(data: Path, log: Path) -> asyncio.subprocess.Process:
    environ = {**os.environ, "GROSZ_ADMIN_SEED_CART_DELAY_S": str(CART_DELAY_S), "GROSZ_BID_CHECKED_SHARE": "1"}
    ports = [argument for role in ("bid", "track", "admin") for argument in (f"--{role}-port", "0")]
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "admin.cli", "up", "--data", str(data), "--seed", "demo", *ports),
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env=environ,
        )


async def _wait_until_ready(running: asyncio.subprocess.Process, log: Path) -> dict[str, str]:
    """Addresses by role, from the line that `grosz up` prints."""
    output = running.stdout
    if output is None:
        raise UnavailableError("the output of `grosz up` is not connected")
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while line := (await output.readline()).decode():
                if line.startswith("ready "):
                    return dict(part.split("=", 1) for part in line.split()[1:])
    except TimeoutError:
        pass  # told below, with the log
    raise UnavailableError("`grosz up` did not come up", hint=_end_of(log))


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _show(console: Console, addresses: dict[str, str], duration: float, shop_id: int) -> DemoResult:
    bid_url, track_url = f"{addresses['bid']}/openrtb2/demo", addresses["track"]
    console.print(f"exchange -> {bid_url}   shops -> {track_url}   admin API -> {addresses['admin']}/docs")
    advertisers = (*SEEDED_SHOPS, shop_id)
    scenario = demo_scenario(bid_url, track_url, duration, advertisers)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    with Live(console=console, refresh_per_second=4) as live:

        def show(series: Series) -> None:
            live.update(live_view(scenario, series))

        return await run_demo(bid_url, track_url, duration, show, advertisers=advertisers, stop=stop)


async def _audit(data: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "admin.cli", "audit", "--data", str(data)), stdout=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def _stop(running: asyncio.subprocess.Process) -> None:
    if running.returncode is not None:
        return
    running.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await running.wait()
    except TimeoutError:
        running.kill()
        await running.wait()


def _table(result: DemoResult, delivered: Delivered) -> Table:
    table = Table(title="What happened", show_header=False)
    rows = {
        "bid requests": f"{result.requests:,} ({result.answered:,} answered)",
        "bids": f"{result.bids:,}",
        "won": f"{result.won:,}",
        "billed": f"{result.billed:,}",
        "paid": f"{format_micros(result.paid_micros)} {result.currency}",
        "latency": f"p50 {_milliseconds(result.p50_ms)}, p99 {_milliseconds(result.p99_ms)}",
        "inside tmax": f"{result.in_time_share:.2%}",
        "shopper visits": f"{result.shopper_visits:,}",
        "carts, purchases": f"{result.carts:,}, {result.purchases:,}",
        "impressions, clicks": f"{result.impressions_shown:,}, {result.clicks:,}",
        f"{SHOP} (by the API)": (
            f"{delivered.bids:,} bids, {delivered.impressions:,} impressions, {delivered.spend} spent"
        ),
        "broken rules in answers": ", ".join(f"{kind}: {n}" for kind, n in result.violations.items()) or "none",
    }
    for label, text in rows.items():
        table.add_row(label, text)
    return table


def _report(rows: Sequence[tuple[str, ...]]) -> Table:
    """What an order cost each shop, as `grosz report` and POST /v1/reports/query say it."""
    table = Table(title="What an order cost")
    for at, name in enumerate(("shop", "spend", "orders", "credited", "cost of an order", "CPA", "ROAS")):
        table.add_column(name, justify="right" if at else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"
