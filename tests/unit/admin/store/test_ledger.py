"""The ledger in SQL behaves like the one by hand, over both engines."""

from collections.abc import AsyncIterator

import pytest

from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import migrate
from pacing.ledger import RowKind
from tests.kit.ledger_rows import a_row
from tests.kit.ledger_store import MemoryLedgerStore


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[SqlLedgerStore]:
    database = Database.open(any_database_url)
    await migrate(database)
    yield SqlLedgerStore(database)
    await database.close()


async def test_rows_come_back_as_they_were(store: SqlLedgerStore) -> None:
    rows = [a_row("5-0"), a_row("5-1", late=True, over_micros=7, note="odd; text"), a_row("1790000000000-12")]
    await store.append(3, rows)
    assert await store.rows_after(3, "", 10) == rows
    assert await store.rows_after(3, "5-0", 1) == rows[1:2]
    assert await store.rows_after(4, "", 10) == []
    assert await store.last_stream_id(3) == "1790000000000-12"
    assert await store.last_stream_id(4) == ""


async def test_a_repeated_batch_is_left_out(store: SqlLedgerStore) -> None:
    await store.append(3, [a_row("5-0"), a_row("6-0")])
    await store.append(3, [a_row("5-0"), a_row("6-0"), a_row("7-0")])
    assert [row.stream_id for row in await store.rows_after(3, "", 10)] == ["5-0", "6-0", "7-0"]


async def test_sums_agree_with_the_store_by_hand(store: SqlLedgerStore) -> None:
    by_hand = MemoryLedgerStore()
    rows = [
        a_row(
            f"{number}-0", line_item_id=100 + number % 3, share=number % 2, day=20_000 + number % 2,
            charge_micros=number, notice=f"{number:018x}", issued_s=1_790_000_000 + number,
        )
        for number in range(1, 30)
    ]  # fmt: skip
    rows.append(a_row("30-0", kind=RowKind.CORRECTION, charge_micros=-5, impressions=0))
    for target in (store, by_hand):
        await target.append(3, rows)
        await target.append(4, rows[:3])
    totals, expected = await store.totals(3), await by_hand.totals(3)
    assert (totals.last_stream_id, sorted(totals.pools)) == (expected.last_stream_id, sorted(expected.pools))
    assert await store.notices_since(3, 1_790_000_020) == await by_hand.notices_since(3, 1_790_000_020)
    for day in (20_000, 20_001, 20_717):
        assert await store.day_lines(day) == await by_hand.day_lines(day)
