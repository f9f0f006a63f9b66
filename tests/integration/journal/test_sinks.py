"""One behaviour for all sinks: what is put is there, exactly, once, in its order, and who is erased is not.

The servers are real: Apache Kafka from its jars, ClickHouse as the library chDB behind its HTTP interface.
"""

import asyncio
import base64
import importlib.util
import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from journal.bid_batches import MAX_ID_CHARS
from journal.columnar import files_sql
from journal.rows import BID, KINDS, NOTICE, REQUEST, JournalKind
from journal.segment import SegmentFrame
from journal.sinks.clickhouse import ClickHouseSink
from journal.sinks.files import FileSink
from journal.sinks.kafka import PARTITIONS, KafkaSink, message
from journal.sinks.outbox import SinkOutbox
from journal.sinks.sink import EventSink, RowBatch
from tests.kit.fixtures import REPOSITORY, find_free_port, skip_or_fail
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row
from tests.kit.kafka_server import KafkaServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PERSON, ANOTHER = 2**64 - 1, 77
NOW_DAYS = 1_000_000  # rows of the tests are of a day that is long over


class SinkPlace(Protocol):
    """Where a sink's rows can be seen."""

    def open(self) -> EventSink:
        """A sink, as a worker that has just started opens it."""

    async def seen(self, kind: JournalKind) -> list[dict[str, Any]]:
        """The rows that a reader sees, in the order in which it sees them."""


class FilePlace:
    """The worker's own files."""

    def __init__(self, folder: Path) -> None:
        self.journal = JournalFolder(folder)

    def open(self) -> EventSink:
        return FileSink(self.journal.converter, self.journal.columnar)

    async def seen(self, kind: JournalKind) -> list[dict[str, Any]]:
        files = self.journal.archive.files(kind.name, self.journal.archive.hours(kind.name))
        if not files:
            return []
        names, rows = self.journal.columnar.ask_named(f"SELECT * FROM {files_sql(files)}")
        return [dict(zip(names, row, strict=True)) for row in rows]


class KafkaPlace:
    """A broker; each place has topics of its own."""

    def __init__(self, server: KafkaServer, prefix: str) -> None:
        self.server, self.prefix = server, prefix

    def open(self) -> EventSink:
        return KafkaSink(self.server.address, prefix=self.prefix, kept_days=NOW_DAYS, replication=1)

    async def seen(self, kind: JournalKind, topic: str = "") -> list[dict[str, Any]]:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        whole = f"{self.prefix}.{topic or kind.name}"
        consumer = AIOKafkaConsumer(bootstrap_servers=self.server.address, isolation_level="read_committed")
        await consumer.start()
        rows = []
        try:
            places = [TopicPartition(whole, part) for part in range(1 if topic else PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            for place in places:
                while await consumer.position(place) < ends[place]:
                    found = await consumer.getmany(place, timeout_ms=500)
                    rows += [json.loads(record.value) for record in found.get(place, ())]
        finally:
            await consumer.stop()
        return rows


class ClickHousePlace:
    """A database of its own."""

    def __init__(self, url: str, database: str) -> None:
        self.url, self.database = url, database

    def open(self) -> EventSink:
        return ClickHouseSink(f"{self.url}/{self.database}", kept_days=3_650)

    async def seen(self, kind: JournalKind) -> list[dict[str, Any]]:
        order = "bid_id" if "bid_id" in kind.names else kind.hour_of
        texts = [f"base64Encode({each.name}) AS {each.name}" for each in kind.columns if each.sql == "BLOB"]
        chosen = f"* REPLACE ({', '.join(texts)})" if texts else "*"
        statement = f"SELECT {chosen} FROM {self.database}.{kind.name} ORDER BY {order}"
        return await asyncio.to_thread(rows_of, self.url, statement)


def rows_of(url: str, statement: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{url}/?query={urllib.parse.quote(statement)}", method="POST", headers={"X-ClickHouse-Format": "JSONEachRow"}
    )
    with urllib.request.urlopen(request) as answer:
        return [json.loads(line) for line in answer.read().splitlines() if line.strip()]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    yield server
    server.stop()


class ClickHouseProcess:
    """The face, as a process that can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = find_free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.kit.clickhouse_face", str(self.port), str(self._folder)]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    if importlib.util.find_spec("chdb") is None:
        skip_or_fail("needs chDB, which is in requirements-dev.lock")
    process = ClickHouseProcess(tmp_path_factory.mktemp("clickhouse"))
    yield process
    process.stop()


@pytest.fixture(params=["files", "kafka", "clickhouse"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> SinkPlace:
    name = f"t{abs(hash(tmp_path.name)) % 10**9}_{request.param}"
    if request.param == "files":
        return FilePlace(tmp_path)
    if request.param == "kafka":
        return KafkaPlace(request.getfixturevalue("kafka"), name)
    return ClickHousePlace(request.getfixturevalue("clickhouse").url, name)


@pytest.fixture
async def sink(place: SinkPlace) -> AsyncIterator[EventSink]:
    made = place.open()
    yield made
    await made.close()


def notices(source: str, *numbers: int, person: int = PERSON) -> RowBatch:
    return RowBatch(
        source, {NOTICE: [a_row(NOTICE, bid_id=number, advertiser_id=1, person=person) for number in numbers]}
    )


async def numbers(place: SinkPlace) -> list[int]:
    return [row["bid_id"] for row in await place.seen(NOTICE)]


async def test_every_value_of_every_kind_arrives_as_it_was(place: SinkPlace, sink: EventSink) -> None:
    odd = {
        BID: a_row(BID, bid_id=2**64 - 1, segments=b"\x05\0\0\0\xff\xff\xff\xff", city="Łódź\n'\"\\",
                   request_id="x" * MAX_ID_CHARS, cart_micros=None, p_click=0.25, known=True, person=PERSON),
        NOTICE: a_row(NOTICE, price_cpm=None, minimum_to_win_cpm=-5, loss_code="\t"),
        REQUEST: a_row(REQUEST, request=bytes(range(256)), profile=b"", line_items=b"\x07\0\0\0"),
    }  # fmt: skip
    rows = {kind: [odd.get(kind, a_row(kind))] for kind in KINDS.values()}
    await sink.put(RowBatch("s-1", rows))
    for kind in KINDS.values():
        (seen,) = await place.seen(kind)
        wanted = json.loads(message(kind, rows[kind][0]))
        assert plain(kind, seen) == plain(kind, wanted), kind.name


def plain(kind: JournalKind, row: dict[str, Any]) -> dict[str, Any]:
    """A row whose bytes and lists can be compared, whatever form they came in. Empty lists and none are one."""
    said: dict[str, Any] = {}
    for column in kind.columns:
        value = row[column.name]
        if column.sql == "BLOB" and column.name in row:
            text = value if isinstance(value, str) else base64.b64encode(bytes(value or b"")).decode()
            said[column.name] = text
        else:
            said[column.name] = (value or None) if column.sql.endswith("[]") else value
    return said


async def test_batches_arrive_once_and_in_their_order_whatever_is_repeated(place: SinkPlace) -> None:
    first = place.open()
    for number in range(3):
        await first.put(notices(f"s-{number}", 2 * number, 2 * number + 1))
    await first.close()
    again = place.open()  # a worker that was killed before it noted that the last batch had arrived
    await again.put(notices("s-2", 4, 5))
    await again.put(notices("s-3", 6))
    await again.put(notices("s-3", 6))
    await again.close()
    assert await numbers(place) == [0, 1, 2, 3, 4, 5, 6]


async def test_who_is_erased_is_told_to_readers_or_is_gone(place: SinkPlace, sink: EventSink) -> None:
    requests = [a_row(REQUEST, record_id=number, person=person) for number, person in ((1, PERSON), (2, ANOTHER))]
    await sink.put(RowBatch("s-1", {REQUEST: requests, NOTICE: notices("", 1).rows[NOTICE]}))
    await sink.put(notices("s-2", 2, person=ANOTHER))
    await sink.erase([PERSON])
    await sink.erase([])
    if isinstance(place, KafkaPlace):
        assert await place.seen(NOTICE, "erasures") == [{"person": PERSON}]
        return
    assert [row["person"] for row in await place.seen(NOTICE)] == [0, ANOTHER]
    assert [row["record_id"] for row in await place.seen(REQUEST)] == [2]


@pytest.mark.parametrize("place", ["kafka", "clickhouse"], indirect=True)
async def test_what_a_killed_process_had_queued_arrives_exactly(place: SinkPlace, tmp_path: Path) -> None:
    """Processes die in the middle of giving batches away; the next one goes on with the same outbox.

    Segments become files without an outbox: test_money_chaos kills that worker.
    """
    outbox = SinkOutbox(tmp_path / "out", Telemetry(), max_bytes=2**30)
    total = 40
    for number in range(total):
        outbox.add_streams(number + 1, "test", [frame(number)], NOW_MS)
    told = json.dumps(
        {"kafka": [place.server.address, place.prefix]}
        if isinstance(place, KafkaPlace)
        else {"clickhouse": [f"{place.url}/{place.database}"]}  # type: ignore[attr-defined]
    )
    await asyncio.to_thread(give_with_kills, outbox, tmp_path / "out", told)
    assert await numbers(place) == list(range(total))


def give_with_kills(outbox: SinkOutbox, folder: Path, told: str) -> None:
    left = len(outbox.waiting())
    while left:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.sink_process", str(folder), told],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(13):  # batches that it says it has given away, and then one that it is giving
            if not process.stdout.readline():
                break
        process.kill()
        process.wait()
        process.stdout.close()
        before, left = left, len(outbox.waiting())
        assert left < before, "no batch was given away"


def frame(*numbers: int) -> SegmentFrame:
    rows = [list(a_row(NOTICE, bid_id=number, advertiser_id=1)) for number in numbers]
    return SegmentFrame(NOTICE.name, NOTICE.names, rows)


async def test_a_server_that_is_away_is_an_error_and_not_a_loss(
    kafka: KafkaServer, clickhouse: ClickHouseProcess
) -> None:
    """Of Kafka only an address that nobody listens on: its clients wait long for a broker that they have met."""
    nobody = KafkaSink(f"127.0.0.1:{find_free_port()}", prefix="away", kept_days=1, replication=1)
    with pytest.raises(UnavailableError, match="Kafka"):
        await nobody.put(notices("s-1", 1))
    place = ClickHousePlace(clickhouse.url, "away")
    sink = place.open()
    await sink.put(notices("s-1", 1))
    clickhouse.stop()
    with pytest.raises(UnavailableError, match="ClickHouse"):
        await sink.put(notices("s-2", 2))
    clickhouse.start()
    await sink.put(notices("s-2", 2))
    await sink.close()
    assert await numbers(place) == [1, 2]
