import pytest

from core.clock import ManualClock
from loadtest.wire.client import STATUS_NO_ANSWER, Pool, Target, header_value, parse_target, request_head
from tests.kit.fake_bidder import NO_BID, FakeBidder, json_answer, until

Answers = list[tuple[str, int, bytes]]


def pool_of(bidder: FakeBidder, answers: Answers, clock: ManualClock, *, size: int = 1, churn: int = 0) -> Pool[str]:
    return Pool(
        parse_target(bidder.url + "/bid"),
        size,
        lambda tag, status, _, body: answers.append((tag, status, body)),
        clock.monotonic,
        patience_s=5.0,
        requests_per_connection=churn,
    )


def request(bidder: FakeBidder, body: bytes = b"{}") -> bytes:
    return (
        request_head(parse_target(bidder.url + "/bid"), "POST", (("Content-Type", "application/json"),), len(body))
        + body
    )


async def test_answers_come_back_with_their_request_and_the_connection_is_kept(clock: ManualClock) -> None:
    answers: Answers = []
    async with FakeBidder(json_answer) as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        pool.submit("a", request(bidder, b'{"n":1}'))
        pool.submit("b", request(bidder, b'{"n":2}'))
        assert pool.waiting == 1
        await until(lambda: len(answers) == 2)
        await pool.close()
        assert len(bidder.transports) == 1
    assert answers == [("a", 200, b'{"n":1}'), ("b", 200, b'{"n":2}')]


async def test_nothing_is_pipelined(clock: ManualClock) -> None:
    answers: Answers = []
    open_requests: list[int] = []

    def reply(body: bytes) -> bytes:
        open_requests.append(len(bidder.heads) - len(answers))
        return NO_BID

    async with FakeBidder(reply) as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        for number in range(20):
            pool.submit(str(number), request(bidder))
        await until(lambda: len(answers) == 20)
        await pool.close()
    assert open_requests == [1] * 20


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length:3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", b""),
    ],
)
async def test_an_answer_is_read_however_it_is_framed_and_cut(clock: ManualClock, raw: bytes, body: bytes) -> None:
    answers: Answers = []
    async with FakeBidder(lambda _: b"") as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        pool.submit("whole", request(bidder))
        await until(lambda: len(bidder.heads) == 1)
        bidder.transports[0].write(raw)
        await until(lambda: len(answers) == 1)
        pool.submit("pieces", request(bidder))
        await until(lambda: len(bidder.heads) == 2)
        for position in range(len(raw)):
            bidder.transports[0].write(raw[position : position + 1])
            for _ in range(3):
                await until(lambda: True)
        await until(lambda: len(answers) == 2)
        await pool.close()
    assert answers == [("whole", 200, body), ("pieces", 200, body)]


@pytest.mark.parametrize(
    "raw", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 2x0\r\n\r\n"]
)
async def test_an_answer_that_is_no_http_counts_as_none_and_the_connection_is_replaced(
    clock: ManualClock, raw: bytes
) -> None:
    answers: Answers = []
    async with FakeBidder(lambda _: raw) as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        pool.submit("a", request(bidder))
        await until(lambda: len(answers) == 1)
        bidder.reply = lambda _: NO_BID
        pool.submit("b", request(bidder))
        await until(lambda: len(answers) == 2)
        await pool.close()
    assert [(tag, status) for tag, status, _ in answers] == [("a", STATUS_NO_ANSWER), ("b", 204)]
    assert pool.reconnects == 1


async def test_a_request_beyond_the_patience_is_given_up(clock: ManualClock) -> None:
    answers: Answers = []
    async with FakeBidder(lambda _: b"") as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        pool.submit("a", request(bidder))
        clock.advance(4.9)
        pool.sweep()
        await until(lambda: len(bidder.heads) == 1)
        assert answers == []
        clock.advance(0.2)
        pool.sweep()
        await until(lambda: len(answers) == 1)
        await pool.close()
    assert answers == [("a", STATUS_NO_ANSWER, b"")]


async def test_what_is_open_at_the_end_is_reported_once_each(clock: ManualClock) -> None:
    answers: Answers = []
    async with FakeBidder(lambda _: b"") as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        for tag in ("sent", "waiting", "waiting too"):
            pool.submit(tag, request(bidder))
        assert (pool.outstanding, pool.waiting, pool.idle) == (3, 2, False)
        await pool.close()
    assert sorted(tag for tag, _, _ in answers) == ["sent", "waiting", "waiting too"]


async def test_connections_are_replaced_after_their_number_of_requests(clock: ManualClock) -> None:
    answers: Answers = []
    async with FakeBidder() as bidder:
        pool = pool_of(bidder, answers, clock, churn=2)
        await pool.open()
        for number in range(6):
            pool.submit(str(number), request(bidder))
        await until(lambda: len(answers) == 6)
        await until(lambda: len(bidder.transports) == 4)
        await pool.close()
    assert {status for _, status, _ in answers} == {204}


async def test_a_server_that_closes_after_its_answer_loses_nothing(clock: ManualClock) -> None:
    answers: Answers = []
    async with FakeBidder(lambda _: b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n") as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        for number in range(3):
            pool.submit(str(number), request(bidder))
        await until(lambda: len(answers) == 3)
        await pool.close()
    assert [status for _, status, _ in answers] == [204] * 3


async def test_an_answer_that_nobody_asked_for_is_counted(clock: ManualClock) -> None:
    answers: Answers = []
    async with FakeBidder(lambda _: NO_BID + NO_BID) as bidder:
        pool = pool_of(bidder, answers, clock)
        await pool.open()
        pool.submit("a", request(bidder))
        await until(lambda: len(answers) == 1)
        await pool.close()
    assert pool.unsolicited == 1


def test_targets_and_headers_are_read() -> None:
    assert parse_target("https://bid.example/a?b=1") == Target("bid.example", 443, "/a?b=1", True)
    assert parse_target("http://[::1]:80").authority == "[::1]:80"
    with pytest.raises(ValueError, match="not an http URL"):
        parse_target("ftp://bid.example")
    assert header_value(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX: y", b"set-cookie") == b"a=b"
    assert header_value(b"HTTP/1.1 200 OK\r\nX: y", b"x") == b"y"
    assert header_value(b"HTTP/1.1 200 OK", b"x") is None
