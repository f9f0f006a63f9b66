"""A connection of the bid port without a network: order, coalescing, backpressure, time limits, the end."""

import asyncio
import gc
import gzip
import weakref
from collections.abc import Callable

import pytest

from bidder.door.connection import BidProtocol
from bidder.door.limits import BidLimits
from bidder.door.port import MaySee, Page, Port
from core.clock import ManualClock
from core.network.proxies import NO_PROXIES, Proxies
from tests.kit.bid_port import Answer, RecordingHandler, parse_answers, post


class Peer(asyncio.Transport):
    """The other side: keeps what was written and what was done to the connection."""

    def __init__(self, address: str = "198.51.100.7") -> None:
        super().__init__({"peername": (address, 40_000)})
        self.writes: list[bytes] = []
        self.reading = True
        self.ended = self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    @property
    def answers(self) -> list[Answer]:
        return parse_answers(b"".join(self.writes))


class Connection:
    """A protocol with its peer and its handler."""

    def __init__(
        self,
        clock: ManualClock,
        limits: BidLimits | None = None,
        pages: dict[str, Page] | None = None,
        private: frozenset[str] = frozenset(),
        may_see: MaySee = lambda _peer, _forwarded: False,
        proxies: Proxies = NO_PROXIES,
        address: str = "198.51.100.7",
    ) -> None:
        self.handler = RecordingHandler()
        self.port = Port(self.handler, clock, pages or {}, limits or BidLimits(), private, may_see, proxies)
        self.address = address
        self.protocol, self.peer = self.connect()

    def connect(self) -> tuple[BidProtocol, Peer]:
        protocol, peer = BidProtocol(self.port), Peer(self.address)
        protocol.connection_made(peer)
        return protocol, peer

    def receive(self, data: bytes) -> None:
        self.protocol.data_received(data)

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.peer.answers]


Connect = Callable[..., Connection]


@pytest.fixture
async def connect(clock: ManualClock) -> Connect:
    return lambda **options: Connection(clock, **options)


async def test_the_handler_gets_the_request_and_its_arrival(connect: Connect, clock: ManualClock) -> None:
    connection = connect()
    clock.advance(5.0)
    whole = post(b"{}", headers=[("Authorization", "Bearer t")])
    connection.receive(whole[:30])
    clock.advance(1.0)
    connection.receive(whole[30:])
    assert connection.handler.requests == [("demo", b"{}", 5.0, b"Bearer t")]
    connection.receive(whole)
    assert connection.handler.requests[1][2] == 6.0


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (NO_PROXIES, "203.0.113.9", "198.51.100.7"),
        (Proxies(["198.51.100.0/24"]), "203.0.113.9", "203.0.113.9"),
        (Proxies(["198.51.100.0/24"]), "203.0.113.9, 198.51.100.8", "203.0.113.9"),
        (Proxies(["192.0.2.0/24"]), "203.0.113.9", "198.51.100.7"),
    ],
)
async def test_the_handler_is_told_who_sends(connect: Connect, proxies: Proxies, forwarded: str, expected: str) -> None:
    connection = connect(proxies=proxies)
    whole = post(b"{}", headers=[("X-Forwarded-For", forwarded), ("X-Key", "s3cret"), ("Cookie", "x-key=no")])
    for _ in range(3):
        connection.receive(whole)
    first, *others = connection.handler.senders
    assert (first.address, first.fields[b"x-key"]) == (expected, b"s3cret")
    assert b"cookie" not in first.fields
    assert all(other is others[0] for other in others), "made once for all requests that repeat a head"


async def test_answers_leave_in_the_order_of_the_requests_and_together(connect: Connect) -> None:
    connection = connect()
    connection.receive(post(b"0") + post(b"1") + post(b"2"))
    for position in (2, 1):
        connection.handler.replies[position](200, b"%d" % position)
    await asyncio.sleep(0)
    assert connection.peer.writes == []
    connection.handler.replies[0](200, b"0")
    await asyncio.sleep(0)
    assert len(connection.peer.writes) == 1
    assert [answer.body for answer in connection.peer.answers] == [b"0", b"1", b"2"]


async def test_answers_given_at_once_to_pipelined_requests_are_one_write(connect: Connect) -> None:
    connection = connect()
    connection.handler.answer = (204, b"")
    connection.receive(post(b"0") * 5)
    assert len(connection.peer.writes) == 1
    assert connection.statuses == [204] * 5


async def test_a_second_reply_is_dropped_and_counted(connect: Connect) -> None:
    connection = connect()
    connection.receive(post(b"0"))
    connection.handler.replies[0](204, b"")
    connection.handler.replies[0](200, b"again")
    assert connection.statuses == [204]
    assert connection.port.counters.replies_repeated == 1


async def test_a_reply_to_a_peer_that_has_gone_is_harmless(connect: Connect) -> None:
    connection = connect()
    connection.receive(post(b"0"))
    connection.protocol.connection_lost(ConnectionResetError())
    connection.handler.replies[0](200, b"late")
    assert connection.peer.writes == []
    assert connection.port.counters.replies_abandoned == 1
    assert connection.port.connections == set()


async def test_a_connection_that_has_ended_is_freed_by_its_last_reference(connect: Connect) -> None:
    """Whatever was open when a catalogue came is left alone by garbage collection for good."""
    connection = connect()
    connection.receive(post(b"{}") + post(b"{}")[:20])
    connection.handler.replies.pop()(204, b"")
    await asyncio.sleep(0)
    gc.disable()
    try:
        connection.protocol.connection_lost(None)
        peer = weakref.ref(connection.peer)
        del connection.protocol, connection.peer
        assert peer() is None
    finally:
        gc.enable()


async def test_a_fault_of_the_handler_is_a_no_bid_and_reported(connect: Connect) -> None:
    class Broken(RecordingHandler):
        def submit(self, *arguments: object) -> None:
            raise ZeroDivisionError

    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    connection = connect()
    connection.port.handler = Broken()
    connection.receive(post(b"0") + post(b"1"))
    assert connection.statuses == [204, 204]
    assert [type(fault) for fault in reported] == [ZeroDivisionError] * 2
    assert connection.port.counters.handler_faults == 2


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(b"{}", path="/nowhere"), 404), (post(b"{}", path="/openrtb2/"), 404),
        (post(b"", method="GET"), 405), (post(b"{}", path="/healthz"), 405), (post(b"", method="DELETE"), 405),
        (post(b"{}", headers=[("Content-Type", "text/plain")]), 415),
        (post(b"{}", headers=[("Content-Encoding", "br")]), 415),
        (post(b"{}", headers=[("Content-Encoding", "gzip")]), 400),
        (post(gzip.compress(bytes(300_000)), headers=[("Content-Encoding", "gzip")]), 413),
        (post(b"{}", headers=[("Host", "again")]), 400),
    ],
)  # fmt: skip
async def test_refusals_that_can_be_framed_leave_the_connection_open(
    connect: Connect, request_bytes: bytes, status: int
) -> None:
    connection = connect(pages={"/healthz": lambda: (200, "text/plain", b"ok")})
    connection.handler.answer = (204, b"")
    connection.receive(request_bytes + post(b"{}"))
    assert connection.statuses == [status, 204]
    assert all(answer.body == b"" for answer in connection.peer.answers)
    assert ("allow" in connection.peer.answers[0].fields) == (status == 405)
    assert connection.handler.bodies == [b"{}"]
    assert connection.port.counters.refusals == {status: 1}
    assert not connection.peer.is_closing()


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"nonsense\r\n\r\n", 400), (b"POST / HTTP/2.0\r\n\r\n", 505), (post(bytes(300_000))[:200], 413)],
)
async def test_refusals_that_cannot_be_framed_close_after_the_answers_that_are_owed(
    connect: Connect, data: bytes, status: int
) -> None:
    connection = connect()
    connection.receive(post(b"first") + data)
    connection.receive(post(b"never read"))
    assert connection.peer.writes == []
    connection.handler.replies[0](200, b"1")
    await asyncio.sleep(0)
    assert connection.statuses == [200, status]
    assert connection.peer.answers[1].fields["connection"] == "close"
    assert connection.peer.ended
    assert connection.handler.bodies == [b"first"]


@pytest.mark.parametrize("last", [post(b"{}", headers=[("Connection", "close")]), post(b"{}", version="1.0")])
async def test_a_closing_request_is_the_last_one(connect: Connect, last: bytes) -> None:
    connection = connect()
    connection.receive(last + post(b"[]"))
    connection.receive(post(b"[]"))
    connection.handler.replies[0](204, b"")
    assert connection.handler.bodies == [b"{}"]
    assert connection.statuses == [204]
    assert connection.peer.answers[0].fields["connection"] == "close"
    assert connection.peer.ended
    connection.protocol.eof_received()
    assert connection.peer.closed


async def test_pages_answer_get_and_head(connect: Connect) -> None:
    connection = connect(pages={"/healthz": lambda: (200, "text/plain", b"ok")})
    for method in ("GET", "HEAD"):
        connection.receive(post(b"", path="/healthz", method=method))
    assert connection.peer.writes[0].endswith(b"content-length: 2\r\n\r\nok")
    assert connection.peer.writes[1].endswith(b"content-length: 2\r\n\r\n")


async def test_continue_takes_its_turn(connect: Connect) -> None:
    connection = connect()
    whole = post(b"{}", headers=[("Expect", "100-continue")])
    connection.receive(whole[:-2])
    assert connection.statuses == [100]
    connection.receive(whole[-2:] + whole[:-2])
    assert connection.statuses == [100]
    connection.handler.replies[0](204, b"")
    await asyncio.sleep(0)
    assert connection.statuses == [100, 204, 100]


async def test_answers_are_compressed_on_request(connect: Connect) -> None:
    connection = connect()
    connection.handler.answer = (200, b"x" * 5000)
    connection.receive(post(b"{}", headers=[("Accept-Encoding", "gzip")]) + post(b"{}"))
    compressed, plain = connection.peer.answers
    assert gzip.decompress(compressed.body) == plain.body == b"x" * 5000


async def test_a_gzip_request_is_decompressed(connect: Connect) -> None:
    connection = connect()
    connection.receive(post(gzip.compress(b'{"id":"a"}'), headers=[("Content-Encoding", "gzip")]))
    assert connection.handler.bodies == [b'{"id":"a"}']


async def test_a_full_queue_stops_reading_until_answers_are_sent(connect: Connect) -> None:
    connection = connect(limits=BidLimits(pipelined=4))
    body = b"x" * 8000
    connection.receive(post(body) * 20)
    waiting = len(connection.handler.replies)
    assert 4 <= waiting <= 6  # a slice of input may overshoot
    reading = [connection.peer.reading]
    answered = 0
    while answered < 20:
        assert len(connection.handler.replies) - answered <= 6
        connection.handler.replies[answered](204, b"")
        answered += 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [*reading, connection.peer.reading] == [False, True]
    assert connection.statuses == [204] * 20


async def test_a_held_request_keeps_the_time_it_came(connect: Connect, clock: ManualClock) -> None:
    connection = connect(limits=BidLimits(pipelined=1))
    connection.receive(post(b"x" * 20_000) + post(b"y" * 20_000))
    assert len(connection.handler.requests) == 1
    clock.advance(0.05)
    connection.handler.replies[0](204, b"")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [arrival for _, _, arrival, _ in connection.handler.requests] == [0.0, 0.0]


async def test_a_peer_that_does_not_read_is_not_read_from(connect: Connect) -> None:
    connection = connect()
    reading = []
    for change in (connection.protocol.pause_writing, connection.protocol.resume_writing):
        change()
        reading.append(connection.peer.reading)
    assert reading == [False, True]


async def test_a_peer_that_ends_its_side_still_gets_its_answers(connect: Connect) -> None:
    connection = connect()
    connection.receive(post(b"0") + post(b"1")[:20])
    assert connection.protocol.eof_received()
    assert not connection.peer.closed
    connection.handler.replies[0](200, b"0")
    await asyncio.sleep(0)
    assert connection.statuses == [200]
    assert connection.peer.closed


async def test_connections_above_the_cap_are_turned_away(connect: Connect) -> None:
    connection = connect(limits=BidLimits(connections=1))
    protocol, peer = connection.connect()
    assert [answer.status for answer in peer.answers] == [503]
    assert peer.closed
    protocol.data_received(post(b"{}"))
    assert connection.handler.requests == []
    assert connection.port.counters.connections_refused == 1
    connection.protocol.connection_lost(None)
    connection.connect()
    assert connection.port.counters.connections_refused == 1


async def test_time_limits(connect: Connect, clock: ManualClock) -> None:
    limits = BidLimits(idle_timeout_s=60, receive_timeout_s=5, send_timeout_s=10, answer_timeout_s=5, linger_s=1)
    connection = connect(limits=limits)
    idle, slow, unread, unanswered, lingering = (connection.connect() for _ in range(5))
    slow[0].data_received(post(b"{}")[:-1])
    unread[0].pause_writing()
    unanswered[0].data_received(post(b"{}"))
    lingering[0].data_received(b"nonsense\r\n\r\n")

    def pass_time(seconds: float) -> None:
        clock.advance(seconds)
        for protocol in connection.port.connections:
            protocol.check_time_limits(clock.monotonic())

    pass_time(0.9)
    assert not any(peer.is_closing() for _, peer in (idle, slow, unread, unanswered, lingering))
    pass_time(0.2)
    assert lingering[1].aborted
    pass_time(4.0)
    assert [answer.status for answer in slow[1].answers] == [408]
    assert slow[1].ended
    assert unanswered[1].aborted
    assert not unread[1].is_closing()
    pass_time(5.0)
    assert unread[1].aborted
    assert not idle[1].is_closing()
    pass_time(50.0)
    assert idle[1].closed
    assert {"idle", "receive", "send", "answer"} == set(connection.port.counters.timeouts)


async def test_dripping_blank_lines_is_idling(connect: Connect, clock: ManualClock) -> None:
    connection = connect(limits=BidLimits(idle_timeout_s=10))
    for _ in range(6):
        clock.advance(2.0)
        connection.receive(b"\r\n")
    connection.protocol.check_time_limits(clock.monotonic())
    assert connection.peer.closed


async def test_on_the_way_down_the_last_answer_closes(connect: Connect) -> None:
    connection = connect()
    connection.receive(post(b"0") + post(b"1"))
    connection.port.draining = True
    for reply in connection.handler.replies:
        reply(204, b"")
    await asyncio.sleep(0)
    assert [answer.fields.get("connection") for answer in connection.peer.answers] == [None, "close"]
    assert connection.peer.ended


async def test_on_the_way_down_nothing_is_read_after_the_answer_that_closes(connect: Connect) -> None:
    connection = connect()
    connection.handler.answer = (204, b"")
    connection.port.draining = True
    connection.receive(post(b"0") + post(b"1"))
    assert connection.handler.bodies == [b"0"]
    assert connection.statuses == [204]


async def test_only_idle_connections_are_closed_on_the_way_down(connect: Connect) -> None:
    connection = connect()
    busy_in, busy_out = connection.connect(), connection.connect()
    busy_in[0].data_received(post(b"{}")[:-1])
    busy_out[0].data_received(post(b"{}"))
    for protocol in tuple(connection.port.connections):
        protocol.close_if_idle()
    assert connection.peer.closed
    assert not busy_in[1].is_closing()
    assert not busy_out[1].is_closing()


async def test_a_private_page_is_shown_to_our_own_network_and_to_nobody_behind_a_proxy(connect: Connect) -> None:
    connection = connect(
        pages={"/metrics": lambda: (200, "text/plain", b"figures")},
        private=frozenset({"/metrics"}),
        may_see=lambda _peer, forwarded: not forwarded,
    )
    connection.receive(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.receive(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
    await asyncio.sleep(0)
    assert connection.statuses == [200, 403]
