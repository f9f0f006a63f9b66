"""A backup of a shop that goes on bidding: what it has of bills, clicks and orders, once a worker keeps on from it."""

from pathlib import Path

import pytest

from admin.backup.backup import DATABASE_FILE, REDIS_FILE, Installation, back_up, read_manifest
from admin.backup.database_copy import copy_out
from admin.backup.redis_snapshot import place_snapshot, write_snapshot
from admin.reports.agreement import agreement
from admin.roles.journal_keeping import JournalKeeper
from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from core.clock import SystemClock
from core.config import JournalSettings
from core.errors import ConflictError
from core.redis.client import PipelinedRedis
from core.redis.embedded import EmbeddedServer
from core.redis.url import RedisAddress, parse_redis_url
from core.telemetry.metrics import Telemetry
from journal.rows import BILL, CLICK, CONVERSION
from pacing.budgets.transitions import Transitions
from pacing.ledger.rows import LedgerWriter
from tests.integration.journal.conftest import KeptShop, an_impression
from tests.kit.journal_rows import JournalFolder
from tests.kit.money import ADVERTISER, USER


class Life:
    """What goes on while a backup is taken: an impression, a click, an order, and a pass of the worker, each time."""

    def __init__(self, kept: KeptShop) -> None:
        self.kept, self.bids, self.orders = kept, set[int](), 0

    async def goes_on(self) -> None:
        self.bids.add(await an_impression(self.kept, click=True))
        self.orders += 1
        now_s = self.kept.shop.clock.now_ms() // 1000
        await self.kept.orders.record_conversion([USER], ADVERTISER, f"order-{self.orders}", 1_000_000, now_s)
        await self.kept.keep()
        self.bids.add(await an_impression(self.kept, click=True))  # and what the next pass takes


async def kept_on(folder: Path, scratch: Path) -> dict[str, list[tuple[object, ...]]]:
    """The rows of a backup's journal after a pass of a worker that has been given all that is in the backup."""
    place_snapshot(folder / REDIS_FILE, EmbeddedServer(scratch).directory)
    server = EmbeddedServer(scratch)
    server.start()
    clock, journal = SystemClock(), JournalFolder(folder / "journal", SystemClock())
    database = Database.open(f"sqlite+aiosqlite:///{folder / DATABASE_FILE}")
    redis = await PipelinedRedis.open(server.url, clock=clock)
    transitions, ledger = Transitions(redis, clock), SqlLedgerStore(database)
    journal.converter.stop()
    keeper = JournalKeeper(
        JournalSettings(), journal.archive, journal.segments, transitions, ledger, lambda: [ADVERTISER], clock,
        Telemetry(),
    )  # fmt: skip
    try:
        assert keeper.start()
        await LedgerWriter(transitions, ledger, lambda: [ADVERTISER], Telemetry()).drain(ADVERTISER)
        await keeper.keep()
        compared = await agreement(journal.archive, ledger, ADVERTISER)
        assert (compared.faults, compared.newer) == ([], 0)
        return {
            "ledger": sorted((row.stream_id,) for row in await ledger.rows_after(ADVERTISER, "", 1_000)),
            "bills": sorted(journal.rows(BILL, "row_id")),
            "clicks": journal.rows(CLICK, "bid_id"),
            "orders": journal.rows(CONVERSION, "order_id"),
        }
    finally:
        await keeper.close()
        await redis.close()
        await database.close()
        server.stop()
        journal.columnar.close()


async def test_each_bill_click_and_order_is_there_once_whatever_happens_between_the_steps_of_a_backup(
    kept: KeptShop, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(kept)

    async def snapshot_amid_life(address: RedisAddress, target: Path) -> int:
        await life.goes_on()
        size = await write_snapshot(address, target)
        await life.goes_on()
        return size

    async def copied_amid_life(database: Database, target: Path) -> None:
        await life.goes_on()
        await copy_out(database, target)
        await life.goes_on()

    monkeypatch.setattr("admin.backup.backup.write_snapshot", snapshot_amid_life)
    monkeypatch.setattr("admin.backup.backup.copy_out", copied_amid_life)
    await life.goes_on()
    before, orders = set(life.bids), life.orders
    source = Installation(parse_redis_url(valkey), kept.database, kept.folder.archive.folder.parent.parent)
    made = await back_up(source, tmp_path / "backups", SystemClock().now_ms())
    found = await kept_on(made, tmp_path / "elsewhere")
    assert found["bills"] == found["ledger"]
    assert len(found["bills"]) >= len(before)
    clicks = [int(str(bid)) for (bid,) in found["clicks"]]
    assert len(set(clicks)) == len(clicks)
    assert before <= set(clicks) <= life.bids
    assert orders <= len(found["orders"]) == len(set(found["orders"]))


async def test_a_backup_that_is_begun_beside_another_is_refused_and_harms_it_not(
    kept: KeptShop, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Installation(parse_redis_url(valkey), kept.database, kept.folder.archive.folder.parent.parent)
    backups, now_ms = tmp_path / "backups", SystemClock().now_ms()

    async def copied_beside_another(database: Database, target: Path) -> None:
        monkeypatch.undo()
        with pytest.raises(ConflictError, match="another backup"):
            await back_up(source, backups, now_ms + 60_000)
        await copy_out(database, target)

    monkeypatch.setattr("admin.backup.backup.copy_out", copied_beside_another)
    first = await back_up(source, backups, now_ms)
    assert read_manifest(first).files
    second = await back_up(source, backups, now_ms + 60_000)
    assert sorted(backups.iterdir()) == [first, second]
