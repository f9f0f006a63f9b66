"""A ledger store in memory, with the one property that matters: rows and the last id change together."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from pacing.ledger.rows import BEFORE, DayLine, LedgerRow, PoolTotal, RowKind, Totals, stream_id_order


class MemoryLedgerStore:
    """pacing.ledger.rows.LedgerStore in memory."""

    def __init__(self) -> None:
        self.rows: defaultdict[int, list[LedgerRow]] = defaultdict(list)

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None:
        kept = self.rows[advertiser_id]
        last = stream_id_order(kept[-1].stream_id if kept else "")
        kept += [row for row in rows if stream_id_order(row.stream_id) > last]

    async def last_stream_id(self, advertiser_id: int) -> str:
        kept = self.rows[advertiser_id]
        return kept[-1].stream_id if kept else ""

    async def totals(self, advertiser_id: int, since_day: int = 0) -> Totals:
        charges: Counter[tuple[int, int, int, int]] = Counter()
        impressions: Counter[tuple[int, int, int, int]] = Counter()
        for row in self.rows[advertiser_id]:
            day = row.head.day if row.head.day >= since_day else BEFORE
            pool = (row.head.campaign_id, row.head.line_item_id, row.head.share, day)
            charges[pool] += row.charge_micros
            impressions[pool] += row.impressions
        pools = [PoolTotal(*pool, charges[pool], impressions[pool]) for pool in sorted(charges)]
        return Totals(await self.last_stream_id(advertiser_id), pools)

    async def check(self, advertiser_id: int) -> list[str]:
        return []  # there are no sums beside the rows

    async def notices_since(self, advertiser_id: int, issued_s: int) -> list[tuple[str, int]]:
        return [
            (row.head.notice, row.head.issued_s)
            for row in self.rows[advertiser_id]
            if row.head.kind is RowKind.BILL and row.head.issued_s >= issued_s
        ]

    async def days(self) -> list[int]:
        return sorted({row.head.day for rows in self.rows.values() for row in rows})

    async def day_lines(self, day: int) -> list[DayLine]:
        sums: defaultdict[tuple[int, int, int, str], list[int]] = defaultdict(lambda: [0, 0])
        for advertiser_id, rows in self.rows.items():
            for row in rows:
                if row.head.day == day:
                    key = (advertiser_id, row.head.line_item_id, row.head.exchange_id, row.head.currency)
                    sums[key][0] += row.impressions
                    sums[key][1] += row.charge_micros
        return [DayLine(*key, *sums[key]) for key in sorted(sums)]
