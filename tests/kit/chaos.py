"""An exchange that behaves as badly as exchanges do, and keeps exact books of what it was told.

It bids for impressions all the time and reports on each won bid by one of a few plans: in order, the other way round,
twice at once, late, contradictory, or not at all. What is not answered 2xx is sent again until it is, as exchanges do.
"""

import asyncio
import itertools
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from core.money import MICROS_PER_UNIT
from loadtest.exchange.markup import links_of
from tests.kit.processes import grosz

EXCHANGES = ("bills", "wins", "pixels")
"""The keys of the exchanges in the catalogue below, named after the notice that they bill on."""

# How the notices of a bid are sent: (weight, steps); each step is a notice and the pause before it in seconds.
_PLANS: tuple[tuple[int, tuple[tuple[str, float], ...]], ...] = (
    (30, (("win", 0.0), ("bill", 0.1))),
    (20, (("bill", 0.0), ("win", 0.1))),
    (15, (("win", 0.0), ("bill", 3.0))),
    (10, (("bill", 0.0), ("loss", 0.05))),
    (6, (("loss", 0.0), ("bill", 0.2))),
    (12, (("loss", 0.0),)),
    (7, ()),
)
_PRICES = ("share", "share", "share", "share", "empty", "macro", "too much")

# The share of notices that are sent several times at once.
_DUPLICATED = 0.3
_RETRY_S = 0.25

# The share of impressions that are clicked, after a time that is long enough for a click to count.
_CLICKED = 0.2
_CLICK_S = 1.5


class Told(msgspec.Struct):
    """One bid that was reported on. Moments are unix milliseconds, 0 for what has not happened."""

    token: str
    billable: str  # URL of the notice that this exchange bills on
    bid_micros: int
    line_item: str
    told_ms: int = 0
    acknowledged_ms: int = 0
    clicked_ms: int = 0

    @property
    def acknowledged(self) -> bool:
        return self.acknowledged_ms > 0


class Fault(msgspec.Struct, frozen=True):
    """A status that is not allowed: when it came, from which URL."""

    at: float
    url: str
    status: int


class BadExchange:
    """Sends requests over `clients` connections until `stop`; `told` are its reported bids, `faults` bad answers."""

    def __init__(self, bid_url: str, seed: int, clients: int = 6) -> None:
        self._bid_url = bid_url
        self._chance = random.Random(seed)
        self._clients = clients
        self._numbers = itertools.count(1)
        self._session: aiohttp.ClientSession
        self._stop = asyncio.Event()
        self._notices: set[asyncio.Task[None]] = set()
        self.told: list[Told] = []
        self.unavailable: list[float] = []  # monotonic times of answers 503 of the tracker
        self.faults: list[Fault] = []
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Bid until stopped, then go on until every notice that was planned is answered."""
        # Connections are not kept: a new one goes to any of the processes that share the port.
        connector = aiohttp.TCPConnector(limit=200, force_close=True)
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            await asyncio.gather(*(self._bid_for_ever() for _ in range(self._clients)))
            while self._notices:
                await asyncio.gather(*self._notices)

    def stop(self) -> None:
        self._stop.set()

    @property
    def waiting(self) -> int:
        """Bids on which something is still to be reported."""
        return len(self._notices)

    async def _bid_for_ever(self) -> None:
        while not self._stop.is_set():
            exchange = self._chance.choice(EXCHANGES)
            await self._auction(exchange, f"{exchange}-{next(self._numbers)}")
            await asyncio.sleep(0.01)

    async def _auction(self, exchange: str, number: str) -> None:
        request = {
            "id": number, "at": 2, "tmax": 300, "cur": ["PLN"], "site": {"page": "https://news.example/"},
            "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1.0, "bidfloorcur": "PLN"}],
        }  # fmt: skip
        url = f"{self._bid_url}/openrtb2/{exchange}"
        try:
            async with self._session.post(url, json=request) as response:
                body = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            self.counts["bidder away"] += 1
            await asyncio.sleep(0.05)
            return
        self.counts[f"bid {status}"] += 1
        if status not in (200, 204):
            self.faults.append(Fault(time.monotonic(), url, status))
        elif status == 200:
            for seat in msgspec.json.decode(body)["seatbid"]:
                for bid in seat["bid"]:
                    self._report(exchange, bid)

    def _report(self, exchange: str, bid: dict[str, Any]) -> None:
        chance = self._chance
        price = self._price(bid["price"])

        def filled(url: str) -> str:
            return url.replace("${AUCTION_PRICE}", price).replace("${AUCTION_CURRENCY}", "PLN")

        urls = {"win": filled(bid["nurl"]), "loss": bid["lurl"].replace("${AUCTION_LOSS}", "102")}
        urls["bill"] = filled(bid["burl"]) if exchange == "bills" else urls["win"]
        if exchange == "pixels":
            urls["bill"] = links_of(bid["adm"], lambda url: "/t/imp/" in url).pixels[0]
        token = urls["loss"].split("/n/loss/")[1].split("?")[0]
        told = Told(token, urls["bill"], round(bid["price"] * MICROS_PER_UNIT) // 1000, bid["cid"])
        weights = [weight for weight, _ in _PLANS]
        (plan,) = chance.choices([steps for _, steps in _PLANS], weights)
        if any(step == "bill" for step, _ in plan):
            self.told.append(told)
        self._begin(self._tell(told, [(urls[step], pause) for step, pause in plan]))
        if any(step == "bill" for step, _ in plan) and chance.random() < _CLICKED:
            self._begin(self._click(told, links_of(bid["adm"], lambda url: "/t/" in url).click))

    def _begin(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _click(self, told: Told, url: str) -> None:
        """Follow the ad's link twice. A click that fails is not repeated until it counts: a browser would not do so."""
        await asyncio.sleep(_CLICK_S)
        told.clicked_ms = _now_ms()
        for _ in range(2):
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    self.counts[f"click {response.status}"] += 1
                    if response.status not in (302, 503):
                        self.faults.append(Fault(time.monotonic(), url, response.status))
            except (aiohttp.ClientError, TimeoutError):
                self.counts["tracker away"] += 1

    def _price(self, bid: float) -> str:
        kind = self._chance.choice(_PRICES)
        share = 1.0 + self._chance.random() * (bid - 1.0)
        return {"share": f"{share:.4f}", "empty": "", "macro": "${AUCTION_PRICE}", "too much": f"{2 * bid:.2f}"}[kind]

    async def _tell(self, told: Told, steps: list[tuple[str, float]]) -> None:
        for url, pause in steps:
            await asyncio.sleep(pause)
            copies = 3 if self._chance.random() < _DUPLICATED else 1
            if url == told.billable:
                told.told_ms = told.told_ms or _now_ms()
            await asyncio.gather(*(self._until_acknowledged(url) for _ in range(copies)))
            if url == told.billable:
                told.acknowledged_ms = told.acknowledged_ms or _now_ms()

    async def _until_acknowledged(self, url: str) -> None:
        while True:
            try:
                async with self._session.get(url) as response:
                    status = response.status
            except (aiohttp.ClientError, TimeoutError):
                self.counts["tracker away"] += 1
                status = 0
            else:
                self.counts[f"notice {status}"] += 1
            if status in (200, 204):
                return
            if status == 503:
                self.unavailable.append(time.monotonic())
            elif status:
                self.faults.append(Fault(time.monotonic(), url, status))
                return
            await asyncio.sleep(_RETRY_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def small_budgets(times: float = 1.0) -> dict[str, Any]:
    """A catalogue for `grosz catalogue import`, with budgets of every kind that are spent within a minute of bidding.

    `times`: how many minutes they last.
    """

    def spend(amount: float) -> dict[str, object]:
        return {"spend": {"amount": f"{amount * times:.2f}"}}

    budgets: list[dict[str, object]] = [
        {"daily_budget": spend(0.9)},
        {"total_budget": spend(0.7)},
        {"daily_budget": {"impressions": round(250 * times)}, "total_budget": spend(5.0)},
        {"daily_budget": spend(5.0)},  # limited by its campaign
    ]
    line_items = [
        {
            "id": number, "advertiser_id": shop, "campaign_id": 10 * shop + (place == 3), "name": f"line {number}",
            "goal": "cpm", "bid": {"amount": f"{4 + place}.00"}, "max_cpm": {"amount": "9.00"},
            "creative_ids": [shop], "pacing": "asap", **budget,
        }
        for shop in (1, 2)
        for place, budget in enumerate(budgets)
        for number in [10 * shop + place]
    ]  # fmt: skip
    return {
        "format": "grosz-catalogue/1",
        "advertisers": [
            {"id": 1, "name": "rich", "domain": "shop1.example"},
            {"id": 2, "name": "poor", "domain": "shop2.example", "balance": spend(1.5)["spend"]},
        ],
        "campaigns": [
            {"id": 10 * shop + number, "advertiser_id": shop, "name": f"campaign {number}", "total_budget": budget}
            for shop in (1, 2)
            for number, budget in ((0, {}), (1, spend(0.6)))
        ],
        "line_items": line_items,
        "creatives": [
            {
                "id": shop, "advertiser_id": shop, "name": "ad", "width": 300, "height": 250,
                "html": '<a href="${CLICK_URL}">ad</a>', "landing_url": f"https://shop{shop}.example/",
                "advertiser_domain": f"shop{shop}.example",
            }
            for shop in (1, 2)
        ],
        "exchanges": [
            {"id": 1, "key": "bills", "default_currency": "PLN", "billing_event": "bill"},
            {"id": 2, "key": "wins", "default_currency": "PLN", "billing_event": "win"},
            {"id": 3, "key": "pixels", "default_currency": "PLN", "billing_event": "impression", "clearing": "house"},
        ],
    }  # fmt: skip


async def kills(
    family: Callable[[], dict[int, str]], chance: random.Random, seconds: float, every_s: float
) -> AsyncIterator[tuple[int, str]]:
    """Victims (process id, role) at random moments for `seconds`, by role in turn.

    Admin dies least: it takes longest to start, and no other process answers for reports meanwhile.
    """
    ends = time.monotonic() + seconds
    order = [*("bidder", "tracker", "worker", "server", "server") * 3, "admin"]
    chance.shuffle(order)
    for role in itertools.cycle(order):
        await asyncio.sleep(every_s * (0.5 + chance.random()))
        if time.monotonic() > ends:
            return
        found = [pid for pid, line in family().items() if line.endswith(f" {role}") or f"-{role} " in line]
        if found:
            yield chance.choice(found), role


async def audited(data: Path) -> subprocess.CompletedProcess[str]:
    """The audit beside a running Grosz, as soon as its server is back: the last kill may have been just now."""
    for _ in range(300):
        result = await asyncio.to_thread(grosz, "audit", "--data", str(data))
        if "does not answer" not in result.stderr:
            return result
        await asyncio.sleep(0.2)
    raise TimeoutError("the server does not come back")
