"""Ads that are filled when they are shown: `/a/` of one tracker process at 500 a second, for visitors with carts.

Visitors of the demo's shops put products in their carts, bids are asked for them, and what the frames in those bids
load is asked for in turns, open-loop over real HTTP on this machine. Each ad is loaded before, so that its products are
in the process's memory. On a machine that others use as well, read the CPU time an ad, not the clock.
"""

import argparse
import asyncio
import html
import json
import random
import re
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from admin.seed.products import PRODUCTS
from core.ids import new_user_id
from tests.bench.freshness import cpu_s
from tests.kit.agents import PERSON
from tests.kit.processes import RunningGrosz, descendants

NO_ANSWER_S = 60.0  # what a refusal counts as
SHOPS, ITEMS = 7, 3
WARM_RATE, WARM_S = 50, 5
READY_S, PAUSE_S = 120.0, 0.5
AGENT = {"User-Agent": PERSON}


async def with_carts(client: aiohttp.ClientSession, track: str, count: int, draw: random.Random) -> list[str]:
    """Visitors who left something in the cart of a shop each."""
    users: list[str] = [new_user_id() for _ in range(count)]
    for number, user in enumerate(users):
        items = [{"item_id": f"p{draw.randrange(PRODUCTS)}", "price": 100, "quantity": 1} for _ in range(ITEMS)]
        event = {"event": "add_to_cart", "gdpr": 0, "value": 300, "items": items}
        headers = {**AGENT, "Cookie": f"grosz_uid={user}"}
        async with client.post(f"{track}/e/{1 + number % SHOPS}", json=event, headers=headers) as answer:
            answer.raise_for_status()
    return users


async def ad_of(client: aiohttp.ClientSession, bid: str, user: str, number: int) -> str:
    """What the frame in the bid for a visitor loads, where it is an ad with products; "" otherwise."""
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01, "bidfloorcur": "PLN"}
    request = {
        "id": f"{user}-{number}", "at": 2, "tmax": 1000, "cur": ["PLN"], "imp": [imp], "regs": {"gdpr": 0},
        "site": {"domain": "news.example"}, "user": {"buyeruid": user}, "device": {"geo": {"country": "POL"}},
    }  # fmt: skip
    async with client.post(f"{bid}/openrtb2/demo", json=request) as answer:
        body = await answer.read()
    markup = json.loads(body)["seatbid"][0]["bid"][0]["adm"] if body else ""
    found = re.search(r'<iframe src="([^"]*/a/[^"]*)"', markup)
    if found is None:
        return ""
    address = html.unescape(found[1])
    async with client.get(address, headers=AGENT) as shown:
        return address if 'class="product"' in await shown.text() else ""


async def ads(client: aiohttp.ClientSession, urls: dict[str, str], count: int, draw: random.Random) -> list[str]:
    """Addresses of ads with products, of so many visitors."""
    waiting, found, until = (
        await with_carts(client, urls["track"], count, draw),
        list[str](),
        time.monotonic() + READY_S,
    )
    number = 0
    while waiting and time.monotonic() < until:
        number += 1
        rest = []
        for user in waiting:
            address = await ad_of(client, urls["bid"], user, number)
            if address:
                found.append(address)
            else:
                rest.append(user)
        waiting = rest
        await asyncio.sleep(PAUSE_S)
    if not found:
        raise SystemExit(f"no bid carried an ad with products in {READY_S:.0f} s")
    return found


async def load(client: aiohttp.ClientSession, addresses: list[str], rate: int, seconds: int) -> tuple[list[float], int]:
    """Answer times of ads at a rate, from when each was due; how many showed products."""
    times, shown = list[float](), 0

    async def ask(address: str, due: float) -> None:
        nonlocal shown
        async with client.get(address, headers=AGENT) as answer:
            text = await answer.text()
        times.append(time.monotonic() - due if answer.status == 200 else NO_ANSWER_S)
        shown += 'class="product"' in text

    asking: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    for number in range(rate * seconds):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(ask(addresses[number % len(addresses)], due))
        asking.add(task)
        task.add_done_callback(asking.discard)
    await asyncio.gather(*asking)
    return times, shown


async def measure(running: RunningGrosz, rate: int, seconds: int, visitors: int) -> None:
    (tracker,) = (pid for pid, name in descendants(running.process.pid).items() if "tracker" in name)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as client:
        addresses = await ads(client, running.urls, visitors, random.Random(1))
        await load(client, addresses, min(rate, WARM_RATE), WARM_S)
        before = cpu_s(tracker)
        times, shown = await load(client, addresses, rate, seconds)
        used = (cpu_s(tracker) - before) / len(times)
    times.sort()
    p50, p99 = statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3
    print(
        f"{rate} a second, {len(addresses)} visitors, {shown / len(times):.0%} with products: "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms (bar 20), CPU {used * 1e6:.0f} us an ad"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--visitors", type=int, default=100)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningGrosz(Path(folder) / "data", "--seed", "demo", "--workers", "1") as running,
    ):
        asyncio.run(measure(running, options.rate, options.seconds, options.visitors))


if __name__ == "__main__":
    main()
