"""Gives the batches of an outbox to a sink and says each name; to be killed. Arguments: folder, {"kafka": [...]}."""

import asyncio
import json
import sys
from pathlib import Path

from core.telemetry.metrics import Telemetry
from journal.sinks.clickhouse import ClickHouseSink
from journal.sinks.kafka import KafkaSink
from journal.sinks.outbox import SinkOutbox
from journal.sinks.sink import EventSink


async def give(folder: Path, told: dict[str, list[str]]) -> None:
    outbox = SinkOutbox(folder, Telemetry(), max_bytes=2**30)
    sink: EventSink
    if "kafka" in told:
        sink = KafkaSink(told["kafka"][0], prefix=told["kafka"][1], kept_days=1_000_000, replication=1)
    else:
        sink = ClickHouseSink(told["clickhouse"][0], kept_days=3_650)
    for path in outbox.waiting():
        await sink.put(outbox.read(path))
        outbox.forget(path)
        sys.stdout.write(f"{path.name}\n")
        sys.stdout.flush()
    await sink.close()


if __name__ == "__main__":
    asyncio.run(give(Path(sys.argv[1]), json.loads(sys.argv[2])))
