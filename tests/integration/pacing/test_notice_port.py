"""The short way for notices answers what it may, and everything else is answered as without it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from core.clock import ManualClock
from core.network.gate import Caps, Gate
from core.network.proxies import Proxies
from pacing.budgets.leases import LeaseBook
from pacing.notices.short_way import IDLE_TIMEOUT_S, MAX_PIPELINED, NoticePort
from pacing.notices.web import PIXEL, routes
from tests.kit.money import Shop

HOST = "Host: track.example\r\n"


class Tracker:
    """A notice port before an aiohttp application, and the same application alone."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.port = NoticePort(shop.desk, shop.clock)
        self.refused: list[str] = []
        self.gate = Gate(Caps(64, 32), Proxies(), shop.clock, self.refused.append)
        self.handed_over = 0
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        app = web.Application()
        app.add_routes([*routes(self.shop.desk), web.get("/other", self._other)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None

        def full() -> asyncio.Protocol:
            self.handed_over += 1
            return self.gate.watch(server(), admitted=True)

        loop = asyncio.get_running_loop()
        for factory in (lambda: self.port.connection(self.gate, full), server):
            self._servers.append(await loop.create_server(factory, "127.0.0.1", 0))

    @staticmethod
    async def _other(_request: web.Request) -> web.Response:
        return web.Response(text="other")

    async def connect(self, *, alone: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self._servers[alone].sockets[0].getsockname()[1]
        return await asyncio.open_connection("127.0.0.1", port)

    async def ask(self, *parts: str, answers: int = 1, alone: bool = False) -> list[tuple[int, bytes]]:
        """Status and body of each answer to what is sent in `parts`."""
        reader, writer = await self.connect(alone=alone)
        for part in parts:
            writer.write(part.encode())
            for _ in range(20 if len(parts) > 1 else 1):  # turns of the loop: until the other side has read this part
                await asyncio.sleep(0.001 if len(parts) > 1 else 0)
        found = [await answer(reader) for _ in range(answers)]
        writer.close()
        return found

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await self.port.drain()
        await self._runner.cleanup()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line[16:]) for line in head.split("\r\n") if line.startswith("content-length: ")), 0)
    return int(head[9:12]), await reader.readexactly(length)


@pytest.fixture
async def tracker(valkey: str, clock: ManualClock) -> AsyncIterator[Tracker]:
    shop = await Shop.open(valkey, clock)
    tracker = Tracker(shop)
    await tracker.start()
    yield tracker
    await tracker.close()
    await shop.close()


@pytest.fixture
async def book(tracker: Tracker) -> LeaseBook:
    book, _client = await tracker.shop.bidder()
    return book


def token(tracker: Tracker, book: LeaseBook) -> str:
    return tracker.shop.token(book.reserve(0, 10, tracker.shop.clock.now_ms()), 10)


def bill(token: str, query: str = "?p=0.005&c=PLN") -> str:
    return f"GET /n/bill/{token}{query} HTTP/1.1\r\n{HOST}\r\n"


async def test_a_plain_bill_is_settled_here(tracker: Tracker, book: LeaseBook) -> None:
    assert await tracker.ask(bill(token(tracker, book))) == [(204, b"")]
    assert tracker.handed_over == 0
    assert tracker.shop.counted("grosz_notices_total", "bill", "billed") == 1
    assert tracker.shop.counted("grosz_notice_prices_total", "demo", "number") == 1


async def test_a_percent_encoded_price_is_read(tracker: Tracker, book: LeaseBook) -> None:
    assert await tracker.ask(bill(token(tracker, book), "?c=PLN&p=0%2E005&p=9")) == [(204, b"")]
    assert tracker.shop.counted("grosz_notice_prices_total", "demo", "number") == 1


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(
    ("price", "charge"),
    [
        ("1.2E+1", 12_000),
        ("1.2E%2B1", 12_000),
        ("+3.00", 0),
        ("1200E-2", 12_000),
        ("1.2e1", 12_000),
        ("12.00", 12_000),
    ],
)
async def test_a_plus_in_a_price_means_itself(
    tracker: Tracker, valkey: str, price: str, charge: int, *, alone: bool
) -> None:
    """The query of a notice is no form, where it would be a space."""
    shop = tracker.shop
    sent = shop.token(1, 20_000, floor_cpm=1_000_000)  # no such lease: a late bill is charged all the same
    assert await tracker.ask(bill(sent, f"?p={price}&c=PLN"), alone=alone) == [(204, b"")]
    await shop.writer.drain(1)
    (row,) = shop.store.rows[1]
    if charge:
        assert (row.charge_micros, row.price_source) == (charge, "reported")
    else:
        assert (row.charge_micros, row.price_source) == (20_000, "unreadable")


async def test_the_pixel_is_an_image(tracker: Tracker, book: LeaseBook) -> None:
    request = f"GET /t/imp/{token(tracker, book)} HTTP/1.1\r\n{HOST}\r\n"
    assert await tracker.ask(request) == [(200, PIXEL)]
    assert tracker.handed_over == 0


async def test_answers_come_in_the_order_of_the_requests(tracker: Tracker, book: LeaseBook) -> None:
    one = token(tracker, book)
    requests = bill(one) + bill("forged") + bill(one) + f"GET /other HTTP/1.1\r\n{HOST}\r\n" + bill(one)
    answers = await tracker.ask(requests, answers=5)
    assert [status for status, _ in answers] == [204, 400, 204, 200, 204]
    assert answers[3][1] == b"other"
    assert tracker.shop.counted("grosz_notices_total", "bill", "duplicate_bill") == 2
    assert tracker.handed_over == 1


async def test_who_pipelines_a_lot_is_answered_all_the_same(tracker: Tracker, book: LeaseBook) -> None:
    many = 3 * MAX_PIPELINED
    answers = await tracker.ask(bill(token(tracker, book)) * many, answers=many)
    assert {status for status, _ in answers} == {204}
    assert tracker.shop.counted("grosz_notices_total", "bill", "billed") == 1


async def test_redis_away_is_503_with_a_time_to_come_back(tracker: Tracker, book: LeaseBook) -> None:
    sent = token(tracker, book)
    await tracker.shop.redis.close()
    reader, writer = await tracker.connect()
    writer.write(bill(sent).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n")


TOKEN = "A" * 148

# Requests that the port must not judge by itself, or judges as the full server does.
REQUESTS = (
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}\r\n",
    f"GET /n/bill/short HTTP/1.1\r\n{HOST}\r\n",
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}Connection: keep-alive\r\n\r\n",
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n",
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc",
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    f"GET /n/bill/{TOKEN} HTTP/1.0\r\n{HOST}\r\n",
    f"GET /n/bill/{TOKEN}/more HTTP/1.1\r\n{HOST}\r\n",
    f"GET /n/bill/ HTTP/1.1\r\n{HOST}\r\n",
    f"GET /n/bill/%41%41 HTTP/1.1\r\n{HOST}\r\n",
    f"GET /n/win/{TOKEN}?p=%zz HTTP/1.1\r\n{HOST}\r\n",
    f"HEAD /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}\r\n",
    f"POST /n/loss/{TOKEN}?r=102 HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n",
    f"DELETE /n/loss/{TOKEN} HTTP/1.1\r\n{HOST}\r\n",
    f"GET /t/imp/{TOKEN} HTTP/1.1\r\n{HOST}\r\n",
    f"GET /t/click/{TOKEN}?to=https%3A%2F%2Fx.example%2F HTTP/1.1\r\n{HOST}\r\n",
    f"GET /other HTTP/1.1\r\n{HOST}\r\n",
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}X-Odd: \u00e9t\u00e9\r\n\r\n",
    f"GET /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}Bad Name: x\r\n\r\n",
    f"GET  /n/bill/{TOKEN} HTTP/1.1\r\n{HOST}\r\n",
    "nonsense\r\n\r\n",
)


@pytest.mark.parametrize("request_text", REQUESTS, ids=range(len(REQUESTS)))
async def test_a_request_has_the_same_answer_with_and_without_the_port(tracker: Tracker, request_text: str) -> None:
    if request_text.startswith("HEAD"):  # its answer's length says nothing about what follows
        request_text = request_text.replace("HEAD", "OPTIONS")
    short, full = await tracker.ask(request_text), await tracker.ask(request_text, alone=True)
    assert short[0][0] == full[0][0]


@pytest.mark.parametrize("cut", [1, 10, 60, 170, 190])
async def test_a_request_in_two_parts_is_answered_by_the_full_server(
    tracker: Tracker, book: LeaseBook, cut: int
) -> None:
    request = bill(token(tracker, book))
    assert await tracker.ask(request[:cut], request[cut:]) == [(204, b"")]
    assert tracker.handed_over == 1
    assert tracker.shop.counted("grosz_notices_total", "bill", "billed") == 1


async def test_idle_connections_are_closed_and_others_are_not(
    tracker: Tracker, book: LeaseBook, clock: ManualClock
) -> None:
    reader, writer = await tracker.connect()
    writer.write(bill(token(tracker, book)).encode())
    await answer(reader)
    (connection,) = tracker.port.connections
    clock.advance(IDLE_TIMEOUT_S - 1)
    connection.close_if_idle(clock.monotonic() - IDLE_TIMEOUT_S)
    assert tracker.port.connections
    clock.advance(2)
    connection.close_if_idle(clock.monotonic() - IDLE_TIMEOUT_S)
    assert await reader.read() == b""
    writer.close()


async def test_a_drain_answers_what_it_owes(tracker: Tracker, book: LeaseBook) -> None:
    reader, writer = await tracker.connect()
    writer.write(bill(token(tracker, book)).encode())
    while not tracker.port.connections:  # noqa: ASYNC110 - the kernel has the connection before we do
        await asyncio.sleep(0)
    (connection,) = tracker.port.connections
    while not connection.owes:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    await tracker.port.drain()
    assert await answer(reader) == (204, b"")
    assert await reader.read() == b""
    writer.close()


async def test_connections_are_counted_on_both_ways_and_capped(tracker: Tracker, book: LeaseBook) -> None:
    connections = [await tracker.connect() for _ in range(32)]
    reader, writer = connections[0]
    writer.write(f"GET /other HTTP/1.1\r\n{HOST}\r\n".encode())
    assert (await answer(reader))[0] == 200
    assert tracker.handed_over == 1
    turned_away, extra = await tracker.connect()
    assert await turned_away.read() == b""
    assert tracker.refused == ["address"]
    for _, each in [*connections, (turned_away, extra)]:
        each.close()
    while tracker.gate.connections:  # noqa: ASYNC110 - the test's timeout is the bound
        await asyncio.sleep(0.01)
    assert await tracker.ask(bill(token(tracker, book))) == [(204, b"")]
