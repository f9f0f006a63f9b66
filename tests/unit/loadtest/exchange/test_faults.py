import asyncio
from contextlib import suppress

import pytest

from loadtest.exchange.faults import Gremlins, TcpProxy
from loadtest.measure.tally import Tally
from loadtest.traffic.scenario import FaultPlan
from loadtest.wire.client import parse_target
from tests.kit.fake_bidder import NO_BID, FakeBidder, json_answer, until


def gremlins(bidder: FakeBidder, tally: Tally, **rates: float) -> Gremlins:
    return Gremlins(FaultPlan(**rates), parse_target(bidder.url + "/bid"), lambda: b'{"id":"1"}', tally, 1)  # type: ignore[arg-type]


async def ended(run: asyncio.Task[None]) -> None:
    """Cancel a run and let its connections close before the loop does."""
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_malformed_request_wants_a_4xx() -> None:
    tally = Tally()
    async with FakeBidder(lambda body: NO_BID if body == b'{"id":"1"}' else json_answer(b"why", 400)) as bidder:
        await gremlins(bidder, tally).malformed()
        assert tally.violations == {}
        assert (tally.counts["fault.malformed.400"], tally.counts["fault.after-malformed.204"]) == (1, 1)
        assert len(bidder.transports) == 1
        bidder.reply = lambda _: NO_BID
        await gremlins(bidder, tally).malformed()
    assert tally.violations == {"malformed-accepted": 1}


async def test_a_connection_that_does_not_outlive_a_malformed_request_is_a_violation() -> None:
    tally = Tally()
    async with FakeBidder() as bidder:

        def refuse_and_close(_: bytes) -> bytes:
            asyncio.get_running_loop().call_soon(bidder.transports[-1].close)
            return json_answer(b"", 400)

        bidder.reply = refuse_and_close
        await gremlins(bidder, tally).malformed()
        assert tally.violations == {"fault-unanswered": 1}
        bidder.reply = lambda _: b"HTTP/1.1 400 Bad Request\r\nContent-Length: x\r\n\r\n"
        await gremlins(bidder, tally).malformed()
        bidder.reply = lambda _: json_answer(b"", 400)
        await gremlins(bidder, tally).malformed()
    assert tally.violations == {"fault-unanswered": 2, "refused-request": 1}


async def test_a_half_closed_connection_that_gets_no_answer_is_a_violation() -> None:
    tally = Tally()
    async with FakeBidder() as bidder:

        def hang_up(_: bytes) -> bytes:
            bidder.transports[-1].abort()
            return b""

        bidder.reply = hang_up
        await gremlins(bidder, tally).half_close()
    assert tally.violations == {"fault-unanswered": 1}


async def test_a_server_error_is_a_violation_whatever_the_fault() -> None:
    tally = Tally()
    async with FakeBidder(lambda _: json_answer(b"", 500)) as bidder:
        await gremlins(bidder, tally).half_close()
    assert tally.violations["fault-5xx"] == 1


async def test_slow_senders_get_their_answer() -> None:
    tally = Tally()
    async with FakeBidder() as bidder:
        await gremlins(bidder, tally).slow_sender()
        assert len(bidder.heads) == 1
    assert tally.counts["fault.slow.204"] == 1


async def test_a_reset_leaves_half_a_request_behind() -> None:
    async with FakeBidder() as bidder:
        await gremlins(bidder, Tally()).reset()
        await until(lambda: bool(bidder.transports) and bidder.transports[0].is_closing())
        assert bidder.heads == []


async def test_faults_come_at_their_rates_until_cancelled() -> None:
    tally = Tally()
    async with FakeBidder(lambda _: json_answer(b"", 400)) as bidder:
        run = asyncio.create_task(gremlins(bidder, tally, malformed_rate=500.0, reset_rate=500.0).run(1.0))
        await until(lambda: tally.counts["fault.malformed"] > 5 and tally.counts["fault.reset"] > 5)
        await ended(run)
    assert tally.counts["fault.slow"] == 0


async def test_a_peer_that_is_gone_is_counted() -> None:
    tally = Tally()
    async with FakeBidder() as bidder:
        run_against = gremlins(bidder, tally, malformed_rate=1000.0)
    run = asyncio.create_task(run_against.run(1.0))
    await until(lambda: tally.counts["fault.malformed.disconnected"] > 0)
    await ended(run)


async def test_the_proxy_forwards_until_it_is_cut_and_again_once_it_is_healed() -> None:
    async with FakeBidder() as upstream:
        proxy = TcpProxy(f"127.0.0.1:{upstream.port}")
        port = await proxy.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(len(NO_BID)) == NO_BID
        proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        proxy.heal()
        proxy.delay_s = 0.01
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(len(NO_BID)) == NO_BID
        writer.close()
        await proxy.close()
