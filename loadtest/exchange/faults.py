"""Bad manners of peers and networks: what a bidder meets on the open net, produced on demand.

`Gremlins` open connections of their own and misuse them while the real load goes on; `TcpProxy` stands before Redis and
delays or cuts it. What a fault is answered with is counted; only a 5xx, or no answer where one is due, is a violation.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

from loadtest.measure.tally import Tally
from loadtest.traffic.scenario import FaultPlan
from loadtest.wire.client import Target, header_value, request_head

# Seconds after which an answer counts as missing.
_PATIENCE_S = 5.0

# Seconds after which a fault that hangs is ended; also the time that a bidder has to get rid of a bad peer.
_FAULT_S = 15.0

# How often a malformed request that was answered 204 is sent again: no bidder sheds one connection for so long.
_SHED_TRIES = 5
_SHED_PAUSE_S = 0.1

_READ_BYTES = 65_536

_CONTENT = (("Content-Type", "application/json"),)

MALFORMED_BODIES = (
    b"", b"{", b"[]", b"null", b'{"id":"x"}', b'{"id":"x","imp":[]}', b'{"id":"","imp":[{"id":"1"}]}', b"\xff\xfe{}",
    b'{"id":"x","imp":[{"id":"1"},{"id":"1"}]}', b'{"id":"x","imp":{}}', b"[" * 5000, b'{"id":' + b"9" * 4000 + b"}",
)  # fmt: skip


class Gremlins:
    """Misbehaving peers of one target."""

    def __init__(self, plan: FaultPlan, target: Target, body: Callable[[], bytes], tally: Tally, seed: int) -> None:
        self._target = target
        self._body = body
        self._tally = tally
        self._chance = random.Random(seed)
        self._faults: tuple[tuple[str, float, Callable[[], Awaitable[None]]], ...] = (
            ("malformed", plan.malformed_rate, self.malformed),
            ("slow", plan.slow_rate, self.slow_sender),
            ("slow-read", plan.slow_read_rate, self.slow_reader),
            ("half-close", plan.half_close_rate, self.half_close),
            ("reset", plan.reset_rate, self.reset),
        )

    async def run(self, share: float) -> None:
        """Commit faults at the plan's rates times `share` until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, rate, fault in self._faults:
                if rate > 0:
                    group.create_task(self._repeat(group, name, rate * share, fault))

    async def _repeat(
        self, group: asyncio.TaskGroup, name: str, rate: float, fault: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(rate))
            group.create_task(self._commit(name, fault))

    async def _commit(self, name: str, fault: Callable[[], Awaitable[None]]) -> None:
        self._tally.counts[f"fault.{name}"] += 1
        try:
            async with asyncio.timeout(_FAULT_S):
                await fault()
        except TimeoutError:
            self._tally.counts[f"fault.{name}.timeout"] += 1
        except OSError:
            self._tally.counts[f"fault.{name}.disconnected"] += 1

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context() if self._target.tls else None
        return await asyncio.open_connection(self._target.host, self._target.port, ssl=context)

    def _request(self, body: bytes) -> bytes:
        return request_head(self._target, "POST", _CONTENT, len(body)) + body

    async def _answer(self, name: str, reader: asyncio.StreamReader) -> str:
        """Count an answer by its status ("none" without one); a 5xx, and an answer that never comes, is a violation."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                line = await reader.readline()
        except (TimeoutError, ConnectionError):
            line = b""
        status = line[9:12].decode("ascii", "replace") or "none"
        self._tally.counts[f"fault.{name}.{status}"] += 1
        if status.startswith("5"):
            self._tally.violate("fault-5xx", f"{name} was answered {status}", "", line.decode("latin-1"))
        if status == "none":
            self._tally.violate("fault-unanswered", f"{name}: no answer, where one is due", "", "")
        return status

    async def malformed(self) -> None:
        """A body that is no bid request is answered 4xx, and the connection lives on for a good one."""
        reader, writer = await self._open()
        try:
            body = self._chance.choice(MALFORMED_BODIES)
            writer.write(self._request(body))
            status = await self._answer("malformed", reader)
            for _ in range(_SHED_TRIES):
                # A bidder that sheds answers 204 before it has read the body; one that accepts it says so each time.
                if status != "204":
                    break
                while (await reader.readline()).strip():
                    pass  # the rest of its head; a 204 has no body
                await asyncio.sleep(_SHED_PAUSE_S)
                writer.write(self._request(body))
                status = await self._answer("malformed", reader)
            if status[0] not in "45n":
                self._tally.violate("malformed-accepted", f"answered {status}", body[:200].decode("latin-1"), "")
            if status.startswith("4") and await self._skip_answer("malformed", reader):
                writer.write(self._request(self._body()))
                after = await self._answer("after-malformed", reader)
                if after.startswith("4"):
                    self._tally.violate("refused-request", f"a valid request after a malformed one: {after}", "", "")
        finally:
            writer.close()

    async def _skip_answer(self, name: str, reader: asyncio.StreamReader) -> bool:
        """Read the rest of an answer whose first line has been read. False if it was not whole."""
        try:
            head = b"\r\n" + await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(header_value(head, b"content-length") or 0))
        except (EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self._tally.violate("fault-unanswered", f"{name}: the answer is broken ({error})", "", "")
            return False
        return True

    async def slow_sender(self) -> None:
        """A request that trickles in: 20 pieces over two seconds."""
        reader, writer = await self._open()
        try:
            data = self._request(self._body())
            step = len(data) // 20 + 1
            for start in range(0, len(data), step):
                writer.write(data[start : start + step])
                await asyncio.sleep(0.1)
            await self._answer("slow", reader)
        finally:
            writer.close()

    async def slow_reader(self) -> None:
        """Many requests whose answers nobody reads: the bidder may not queue them without end."""
        _, writer = await self._open()
        try:
            for _ in range(50):
                writer.write(self._request(self._body()))
                await asyncio.sleep(0.05)
            await asyncio.sleep(1.0)
        finally:
            writer.transport.abort()

    async def half_close(self) -> None:
        """A request, then the sending side is closed: the answer is still due."""
        reader, writer = await self._open()
        try:
            writer.write(self._request(self._body()))
            if writer.can_write_eof():
                writer.write_eof()
            await self._answer("half-close", reader)
        finally:
            writer.close()

    async def reset(self) -> None:
        """A connection that dies in the middle of a request."""
        _, writer = await self._open()
        try:
            data = self._request(self._body())
            writer.write(data[: self._chance.randrange(1, len(data))])
            await asyncio.sleep(0.01)
        finally:
            writer.transport.abort()


class TcpProxy:
    """Forwards connections to a server (host:port, or the path of a unix socket), and can delay or cut them."""

    def __init__(self, upstream: str, port: int = 0) -> None:
        self._upstream = upstream
        self._wanted_port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        self._is_cut = False

    async def start(self) -> int:
        """Listen on loopback; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted_port)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Reset all connections and refuse new ones until `heal`."""
        self._is_cut = True
        for writer in tuple(self._writers):
            writer.transport.abort()

    def heal(self) -> None:
        """Forward again, without delay."""
        self._is_cut = False
        self.delay_s = 0.0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            other_reader, other_writer = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, other_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pipe(reader, other_writer))
                group.create_task(self._pipe(other_reader, writer))
        finally:
            self._writers -= {writer, other_writer}

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "/" in self._upstream:
            return await asyncio.open_unix_connection(self._upstream.removeprefix("unix://").partition("?")[0])
        host, _, port = self._upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # either side may close the connection; the other is closed below
            while data := await reader.read(_READ_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
