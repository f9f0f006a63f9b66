"""Kafka as a sink: a topic a kind, a message a row, a transaction a batch.

The transaction also writes which batch it was to the topic PREFIX.batches. What a worker that was killed had begun is
aborted by its successor, which has the same transactional id, and whether the first batch after a start is there
already is what that topic says. So who reads committed messages reads each row once, and those of a batch together.
"""

import base64
import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec

from core.errors import ConfigError, UnavailableError
from journal.rows import KINDS, JournalKind
from journal.sinks.sink import RowBatch

# An advertiser's batches lie in one partition, in their order; several partitions let readers share the work.
PARTITIONS: Final = 4
_LAST: Final = b"last"
_REQUEST_MS: Final = 20_000
# A transaction ends in a message of its own, so the newest note of a batch is among the last messages.
_LOOK_BACK: Final = 50
_DAY_MS: Final = 86_400_000

_Producer = Any
"""An AIOKafkaProducer, which has no types."""

_to_json = msgspec.json.Encoder().encode


class KafkaSink:
    """Sends to the brokers `host:port,host:port`; topics are `prefix.kind`."""

    def __init__(self, brokers: str, *, prefix: str, kept_days: int, replication: int = -1) -> None:
        try:
            import aiokafka  # noqa: F401 - the extra `kafka`, which other sinks do without
        except ImportError as error:
            raise ConfigError("journal.sink is kafka, and aiokafka is not installed", hint="grosz[kafka]") from error
        if not brokers:
            raise ConfigError("journal.sink_url names no broker", hint="host:9092,host:9092")
        self._brokers, self._prefix = brokers, prefix
        self._kept_days, self._replication = kept_days, replication
        self._producer: _Producer | None = None
        self._last = ""

    async def put(self, batch: RowBatch) -> None:
        """See `EventSink`."""
        producer = await self._open()
        if batch.source == self._last:
            return
        await self._sent(producer, batch)
        self._last = batch.source

    async def erase(self, people: Collection[int]) -> None:
        """See `EventSink`. Sent messages cannot be changed: readers are told whom to erase, and old messages expire."""
        if not people:
            return
        producer = await self._open()
        with _translated("tell of erasures"):
            try:
                async with producer.transaction():
                    for person in people:
                        await producer.send(
                            f"{self._prefix}.erasures", _to_json({"person": person}), key=str(person).encode("ascii")
                        )
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """See `EventSink`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):  # the next producer aborts what this one had begun
                await producer.stop()

    async def _sent(self, producer: _Producer, batch: RowBatch) -> None:
        with _translated(f"take {batch.source}"):
            try:
                async with producer.transaction():
                    for kind, rows in batch.rows.items():
                        topic = f"{self._prefix}.{kind.name}"
                        for row in rows:
                            await producer.send(topic, message(kind, row), key=_key(kind, row))
                    await producer.send(f"{self._prefix}.batches", batch.source.encode("ascii"), key=_LAST, partition=0)
            except BaseException:
                # Whether it was committed, a new producer will read from the topic; it fences this one off.
                await self.close()
                raise

    async def _open(self) -> _Producer:
        if self._producer is not None:
            return self._producer
        from aiokafka import AIOKafkaProducer

        with _translated("be reached"):
            await self._make_topics()
            producer = AIOKafkaProducer(
                bootstrap_servers=self._brokers, transactional_id=f"{self._prefix}.worker", acks="all", linger_ms=5,
                compression_type="gzip", request_timeout_ms=_REQUEST_MS, max_request_size=8 * 1024 * 1024,
            )  # fmt: skip
            try:
                await producer.start()
                self._last = await self._last_batch()
            except BaseException:
                await producer.stop()
                raise
        self._producer = producer
        return producer

    async def _make_topics(self) -> None:
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic

        admin = AIOKafkaAdminClient(bootstrap_servers=self._brokers, request_timeout_ms=_REQUEST_MS)
        try:
            await admin.start()
            present = set(await admin.list_topics())
            kept = {"retention.ms": str(self._kept_days * _DAY_MS), "max.message.bytes": str(8 * 1024 * 1024)}
            wanted = {f"{self._prefix}.{kind.name}": (PARTITIONS, kept) for kind in KINDS.values()}
            wanted[f"{self._prefix}.batches"] = (1, {"cleanup.policy": "compact"})
            wanted[f"{self._prefix}.erasures"] = (1, {"retention.ms": str(2 * self._kept_days * _DAY_MS)})
            missing = [
                NewTopic(name, partitions, self._replication, topic_configs=configs)
                for name, (partitions, configs) in wanted.items()
                if name not in present
            ]
            if missing:
                await admin.create_topics(missing)
        finally:
            await admin.close()

    async def _last_batch(self) -> str:
        """The source of the newest committed batch; "" where there is none."""
        from aiokafka import AIOKafkaConsumer, TopicPartition

        place = TopicPartition(f"{self._prefix}.batches", 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers, isolation_level="read_committed", enable_auto_commit=False,
            request_timeout_ms=_REQUEST_MS,
        )  # fmt: skip
        last = ""
        await consumer.start()
        try:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            consumer.seek(place, max(0, end - _LOOK_BACK))
            while await consumer.position(place) < end:
                found = await consumer.getmany(place, timeout_ms=1_000)
                for record in found.get(place, ()):
                    last = (record.value or b"").decode("ascii")
        finally:
            await consumer.stop()
        return last


def message(kind: JournalKind, row: Sequence[object]) -> bytes:
    """A row as JSON, by name of column; bytes are base64, lists of numbers are lists."""
    return _to_json({column.name: _value(column.sql, value) for column, value in zip(kind.columns, row, strict=True)})


def _value(sql: str, value: object) -> object:
    if sql == "UINTEGER[]" and isinstance(value, bytes):
        return memoryview(value).cast("I").tolist()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes | bytearray) else value


def _key(kind: JournalKind, row: Sequence[object]) -> bytes:
    """The key that keeps rows in their order: the advertiser, or for rows without one the exchange."""
    name = "advertiser_id" if "advertiser_id" in kind.names else "exchange_id"
    return str(row[kind.names.index(name)]).encode("ascii")


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    from aiokafka.errors import KafkaError

    try:
        yield
    except (KafkaError, OSError, TimeoutError, AssertionError) as error:
        raise UnavailableError(f"Kafka cannot {what}: {error!s:.200} ({type(error).__name__})") from error
