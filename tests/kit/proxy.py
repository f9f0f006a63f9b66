"""A TCP proxy that misbehaves on demand, between a client under test and a real server.

`delay_s` holds every byte back, `cut()` resets what is open, `half_open()` keeps connections but forwards nothing (a
peer that vanished without a FIN), `refuse()` closes every new connection at once.
"""

import asyncio
from types import TracebackType

_READ_BYTES = 65_536


class FaultProxy:
    """Listens on `127.0.0.1:port` or on a Unix socket and forwards to the target until told to misbehave."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, unix_socket: str | None = None) -> None:
        self._target_host, self._target_port, self._target_socket = host, port, unix_socket
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self.delay_s = 0.0
        self.connections_seen = 0
        self.port = 0

    async def __aenter__(self) -> "FaultProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every open connection, both ways."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def half_open(self) -> None:
        """Keep connections open, forward nothing more in either direction, until `heal()`."""
        self._flowing.clear()

    def refuse(self) -> None:
        """Close every new connection at once, until `heal()`."""
        self._refusing = True

    def heal(self) -> None:
        """Behave again."""
        self._refusing = False
        self.delay_s = 0.0
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_seen += 1
        if self._refusing:
            writer.transport.abort()
            return
        try:
            if self._target_socket is not None:
                upstream = await asyncio.open_unix_connection(self._target_socket)
            else:
                upstream = await asyncio.open_connection(self._target_host, self._target_port)
        except OSError:  # the target is away, so the proxy refuses too
            writer.transport.abort()
            return
        both = {writer, upstream[1]}
        self._writers |= both
        try:
            await asyncio.gather(self._pump(reader, upstream[1]), self._pump(upstream[0], writer))
        finally:
            self._writers -= both
            for each in both:
                each.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_READ_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
        except ConnectionError:  # one side was cut: cut the other
            sink.transport.abort()
