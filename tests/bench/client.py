"""Load from one core: prebuilt requests over a fixed number of keep-alive connections, one outstanding on each.

Closed loop, so the rate follows the server: good for ratios between two servers, wrong for latency under load. The
client does as little as it can: an answer is recognised by its Content-Length or by 204, and nothing else is parsed.
Chunked answers are not understood and end the run.
"""

import argparse
import asyncio
import collections
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

_LENGTH = b"content-length: "
_END = b"\r\n\r\n"


class LoadResult(msgspec.Struct, frozen=True):
    """What one run saw. `requests` were answered within `seconds`; `statuses` counts them by status."""

    requests: int
    seconds: float
    statuses: dict[str, int]
    bytes_received: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def build_requests(url: str, bodies: Sequence[bytes], headers: Sequence[tuple[str, str]] = ()) -> list[bytes]:
    """Whole HTTP requests as bytes, one a body, with the header fields that exchanges send."""
    target = urlsplit(url)
    fields = [
        ("Host", target.netloc), ("Content-Type", "application/json"), ("Accept", "application/json"),
        ("Connection", "keep-alive"), ("x-openrtb-version", "2.6"), *headers,
    ]  # fmt: skip
    head = f"POST {target.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
    return [head.encode("ascii") + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies]


class _Run:
    """State that all connections of a run share."""

    def __init__(self, requests: Sequence[bytes], *, once: bool = False) -> None:
        self.requests = requests
        self.once = once
        self.finished = asyncio.Event()
        self.next_request = 0
        self.answers = 0
        self.bytes_received = 0
        self.statuses: collections.Counter[bytes] = collections.Counter()
        self.stopping = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Caller(asyncio.Protocol):
    """One connection: write a request, wait for the whole answer, write the next."""

    __slots__ = ("_buffer", "_run", "_transport")

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods, not by inheritance

    def start(self) -> None:
        run = self._run
        position = run.next_request
        if run.once and position == len(run.requests):
            return
        run.next_request = position + 1 if run.once or position + 1 < len(run.requests) else 0
        self._transport.write(run.requests[position])

    def data_received(self, data: bytes) -> None:
        run = self._run
        run.bytes_received += len(data)
        if self._buffer:
            data = self._buffer + data
        end = _answer_end(data)
        if end < 0:
            self._buffer = data
            return
        self._buffer = b""
        if end != len(data):
            self._fail("more bytes came than the answer has")
            return
        run.answers += 1
        run.statuses[data[9:12]] += 1
        if not run.stopping:
            self.start()
        if run.once and run.answers == len(run.requests):
            run.finished.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.stopping:
            self._fail(f"the server closed a connection ({exc})")

    def _fail(self, message: str) -> None:
        if not self._run.failed.done():
            self._run.failed.set_exception(ConnectionError(message))


def _answer_end(data: bytes) -> int:
    """Position after the first answer in `data`, -1 when it is not complete."""
    head_end = data.find(_END)
    if head_end < 0:
        return -1
    if data.startswith(b"HTTP/1.1 204"):
        return head_end + 4
    start = data.find(_LENGTH, 0, head_end)
    if start < 0:
        head = data[:head_end].lower()
        start = head.find(_LENGTH)
        if start < 0:
            raise ConnectionError("the answer has no Content-Length")
    start += len(_LENGTH)
    end = head_end + 4 + int(data[start : data.find(b"\r", start)])
    return end if end <= len(data) else -1


async def run_load(
    url: str, requests: Sequence[bytes], *, connections: int = 32, seconds: float = 2.0, once: bool = False
) -> LoadResult:
    """Send `requests` round and round for `seconds`, or each of them once (within `seconds`).

    Raises ConnectionError when the server breaks a connection.
    """
    target = urlsplit(url)
    loop = asyncio.get_running_loop()
    run = _Run(requests, once=once)
    pairs = [
        await loop.create_connection(lambda: _Caller(run), target.hostname or "", target.port or 80)
        for _ in range(connections)
    ]
    start = time.perf_counter()
    for _, caller in pairs:
        caller.start()
    finished = asyncio.create_task(run.finished.wait())
    await asyncio.wait((run.failed, finished), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finished.cancel()
    if run.failed.done():
        run.failed.result()
    result = LoadResult(
        requests=run.answers,
        seconds=time.perf_counter() - start,
        statuses={status.decode("ascii"): count for status, count in run.statuses.items()},
        bytes_received=run.bytes_received,
    )
    run.stopping = True
    run.failed.cancel()
    for transport, _ in pairs:
        transport.abort()
    await asyncio.sleep(0)
    return result


def read_bodies(path: Path) -> list[bytes]:
    """Bodies from a .jsonl file: each line's `request` member where it has one, otherwise the line as it is."""
    bodies = []
    for line in path.read_bytes().splitlines():
        parsed = json.loads(line)
        inner = parsed.get("request") if isinstance(parsed, dict) else None
        bodies.append(line if inner is None else json.dumps(inner, separators=(",", ":")).encode())
    return bodies


def main() -> None:
    """Print one JSON object: requests, seconds, statuses, bytes_received, rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--bodies", type=Path, required=True, help="a .jsonl file")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    requests = build_requests(arguments.url, read_bodies(arguments.bodies))
    result = uvloop.run(run_load(arguments.url, requests, connections=arguments.connections, seconds=arguments.seconds))
    print(json.dumps(msgspec.to_builtins(result) | {"rate": result.rate}))


if __name__ == "__main__":
    main()
