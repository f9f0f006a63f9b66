"""One generator process: `python -m loadtest.exchange.worker`. Orders come in on stdin, counts go out on stdout, a
JSON line each.

A process of its own per core, because one event loop is one core; lines rather than shared memory, because what is
counted in half a second is a few kilobytes. It stops when told to, or when stdin ends because its parent is gone.
"""

import asyncio
import signal
import sys

import msgspec
import uvloop

from loadtest.exchange.exchange import ExchangeProcess
from loadtest.measure.tally import Delta
from loadtest.traffic.scenario import Scenario, ScenarioError

# The longest line of input: an order carries a whole scenario, which may list thousands of deals.
LINE_LIMIT = 16 * 1024 * 1024


class Order(msgspec.Struct):
    """The first line of input: the scenario, and which of its processes this one is."""

    scenario: Scenario
    index: int


class Ready(msgspec.Struct, tag=True):
    """Templates are made and connections are open."""


class Failed(msgspec.Struct, tag=True):
    """The process cannot take part; it ends."""

    message: str


Message = Ready | Failed | Delta


def _say(message: Message) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _wait_for_stop(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.readline()  # a line or the end: both mean stop
    stop.set()


async def serve() -> None:
    """Take an order, connect, wait for the start time, run."""
    reader = await _stdin()
    order = msgspec.json.decode(await reader.readline(), type=Order)
    try:
        process = ExchangeProcess(order.scenario, order.index, _say)
        await process.connect()
    except OSError as error:
        places = f"{order.scenario.url} and the tracker at {order.scenario.track_url}"
        _say(Failed(f"nothing answers at {places} ({error}): start it with `grosz up --seed demo`"))
        return
    except (ScenarioError, ValueError) as error:
        _say(Failed(str(error)))
        return
    _say(Ready())
    line = await reader.readline()
    if not line:
        return
    stop = asyncio.Event()
    watch = asyncio.create_task(_wait_for_stop(reader, stop))
    try:
        await process.run(float(line), stop)
    finally:
        watch.cancel()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which asks for the report so far
    uvloop.run(serve())
