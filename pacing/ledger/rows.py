"""The ledger: one row for each bill and each correction, append-only, the last word on what was spent.

Rows are born inside the settlement script, in the same moment as the counters change (a stream in the advertiser's
slot). The worker moves them to a store, SQLite or PostgreSQL, which remembers the last stream id together with the
rows: a crash between the two ends repeats a batch, and the store leaves out what it has.
"""

import asyncio
import enum
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from core import keys
from core.clock import Clock, SystemClock
from core.errors import UnavailableError
from core.telemetry.metrics import Merge, Telemetry
from pacing.budgets.transitions import StreamEntry, Transitions, stream_entries

_log = logging.getLogger("grosz.pacing.ledger")

# Rows in one transaction of the store: SQLite commits 1,000 rows in about 10 ms.
BATCH_ROWS = 1_000

# Seconds that a row may wait for its store while the tracker is idle; no reader of the store needs it sooner.
POLL_S = 0.5


NOT_SHADED: Final = 10_000
"""The ratio of a bid that was sent as it was priced, in ten-thousandths."""


class RowKind(enum.StrEnum):
    BILL = "bill"
    CORRECTION = "correction"


class PriceSource(enum.StrEnum):
    """Where the price of a bill came from."""

    REPORTED = "reported"  # the exchange's notice, as it was
    WIN_NOTICE = "win_notice"  # its earlier win notice
    ABOVE_BID = "above_bid"  # reported above the bid: charged at the bid, to be disputed
    HOUSE = "house"  # no notice named it: second price plus one grosz over the bids that we know
    UNREADABLE = "unreadable"  # the text was no price: charged at the bid, to be disputed
    CORRECTION = "correction"


class RowHead(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a row before it is settled, as it travels in the stream. Field order is the encoding."""

    kind: RowKind
    notice: str  # hex of the notice key; of a correction its name
    campaign_id: int
    line_item_id: int
    share: int
    day: int  # since 1970, in the advertiser's time zone: the day of the bid
    exchange_id: int
    creative_id: int
    lease_id: int
    issued_s: int  # when the bid was made
    currency: str  # the advertiser's
    auction_currency: str
    bid_cpm: int
    reserved_micros: int
    price_source: PriceSource
    note: str = ""
    unreadable: bool = False  # this notice's price cannot be read: if no other names one, it is the bid
    shading: int = NOT_SHADED  # the bid as a part of what was worth bidding, in ten-thousandths


class LedgerRow(msgspec.Struct, frozen=True):
    """One settled row. Amounts are micros of `head.currency`; prices CPM micros of `head.auction_currency`."""

    stream_id: str
    head: RowHead
    settled_ms: int
    price_cpm: int
    charge_micros: int
    impressions: int
    late: bool  # its lease was closed: charged from what was free
    over_micros: int  # the part that no budget covered
    price_source: PriceSource


class PoolTotal(NamedTuple):
    """What one pool spent on one day."""

    campaign_id: int
    line_item_id: int
    share: int
    day: int
    charge_micros: int
    impressions: int


BEFORE = 0
"""The day of a PoolTotal that sums up all earlier days."""


class Totals(NamedTuple):
    """Everything that the store has of an advertiser, at one moment."""

    last_stream_id: str  # "" before the first row
    pools: list[PoolTotal]


class DayLine(NamedTuple):
    """One line of an accountant's export."""

    advertiser_id: int
    line_item_id: int
    exchange_id: int
    currency: str
    impressions: int
    charge_micros: int


class LedgerStore(Protocol):
    """Where rows stay for good. tests/kit/ledger_suite.py is the behaviour that every implementation must show."""

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None:
        """Keep the rows (ascending stream ids) and the last id in one transaction; leave out what is there already."""
        ...

    async def last_stream_id(self, advertiser_id: int) -> str:
        """The id of the newest row, "" without one."""
        ...

    async def totals(self, advertiser_id: int, since_day: int = 0) -> Totals:
        """Sums by pool and day, with the stream id that they go up to, from one transaction.

        The days before `since_day` are one sum a pool, with day BEFORE: what is read does not grow with the history.
        """
        ...

    async def check(self, advertiser_id: int) -> list[str]:
        """Where the sums differ from those of the rows, in words; reads all rows."""
        ...

    async def notices_since(self, advertiser_id: int, issued_s: int) -> list[tuple[str, int]]:
        """(notice in hex, issued_s) of every bill of a bid made at or after `issued_s`."""
        ...

    async def days(self) -> list[int]:
        """Days on which anything was booked, ascending."""
        ...

    async def day_lines(self, day: int) -> list[DayLine]:
        """Sums of one day by advertiser, line item, exchange and currency, ordered so."""
        ...


def stream_id_order(stream_id: str) -> tuple[int, int]:
    """Sort key of a stream id; "" comes before all."""
    if not stream_id:
        return (-1, -1)
    milliseconds, _, sequence = stream_id.partition("-")
    return (int(milliseconds), int(sequence))


_decode_head = msgspec.msgpack.Decoder(RowHead).decode
encode_head: Callable[[RowHead], bytes] = msgspec.msgpack.Encoder().encode


def is_row(entry: StreamEntry) -> bool:
    """Whether a stream entry is a row, readable or not, and not the mark that begins an epoch."""
    return b"row" in entry.fields


def decode_entry(entry: StreamEntry) -> LedgerRow | None:
    """The row of a stream entry; None for the mark that begins an epoch."""
    if not is_row(entry):
        return None
    fields = entry.fields
    head = _decode_head(fields[b"row"])
    source = head.price_source
    if fields[b"house"] == b"1":
        source = PriceSource.UNREADABLE if head.unreadable else PriceSource.HOUSE
    elif source is PriceSource.HOUSE:  # the notice had no price, and an earlier one had
        source = PriceSource.WIN_NOTICE
    return LedgerRow(
        stream_id=entry.id,
        head=head,
        settled_ms=int(fields[b"at"]),
        price_cpm=int(fields[b"price"]),
        charge_micros=int(fields[b"charge"]),
        impressions=int(fields[b"impressions"]),
        late=fields[b"late"] == b"1",
        over_micros=int(fields[b"over"]),
        price_source=source,
    )


class LedgerWriter:
    """Moves rows from the streams to the store, exactly once. Several may run; the store decides."""

    def __init__(
        self,
        transitions: Transitions,
        store: LedgerStore,
        advertisers: Callable[[], Iterable[int]],
        telemetry: Telemetry,
        clock: Clock | None = None,
    ) -> None:
        self._transitions = transitions
        self._store = store
        self._advertisers = advertisers
        self._moved_to: dict[int, str] = {}
        rows = telemetry.counter("grosz_ledger_rows_total", "Ledger rows moved to the store.")
        self._rows = rows.labels()
        self._clock = clock or SystemClock()
        self._oldest_ms: dict[int, int] = {}
        self._refusal = ""
        age = telemetry.gauge(
            "grosz_ledger_wait_seconds", "Age of the oldest ledger row that waits for the store.", merge=Merge.MAX
        )
        age.labels().follow(self._wait_s)
        self._failures = telemetry.counter(
            "grosz_ledger_failures_total", "Failed attempts to move ledger rows."
        ).labels()

    async def run(self) -> None:
        """Move rows until cancelled."""
        while True:
            for advertiser_id in tuple(self._advertisers()):
                try:
                    await self.drain(advertiser_id)
                except UnavailableError as error:
                    self._failures.inc()
                    self._refusal = error.message
                    if not self._oldest_ms:
                        _log.warning("ledger rows wait in Redis: %s", error.message)
                    # Where the store does not answer what it has, rows have waited at least since now.
                    self._oldest_ms.setdefault(advertiser_id, self._clock.now_ms())
            await asyncio.sleep(POLL_S)

    def trouble(self) -> str | None:
        """Why rows wait in Redis, and for how long; None where they go to the store."""
        if not self._refusal or not self._oldest_ms:
            return None
        return f"rows wait in Redis for {self._wait_s():.0f} s: {self._refusal}"

    async def drain(self, advertiser_id: int) -> int:
        """Move everything that is in the stream now; how many rows that was."""
        moved = 0
        # Asked of the store once a start and after each failure: hundreds of idle advertisers must not cost queries.
        last = self._moved_to.pop(advertiser_id, None)
        if last is None:
            last = await self._store.last_stream_id(advertiser_id)
        async for entries in self._batches(advertiser_id, last):
            self._oldest_ms[advertiser_id] = stream_id_order(entries[0].id)[0]
            rows = [row for row in map(decode_entry, entries) if row is not None]
            await self._store.append(advertiser_id, rows)
            moved += len(rows)
            self._rows.inc(len(rows))
            # The newest entry stays in the stream: an empty stream is then a lost one, and not an idle one.
            last = entries[-1].id
            await self._transitions.command("XTRIM", keys.money_ledger(advertiser_id), "MINID", last)
        self._moved_to[advertiser_id] = last
        self._oldest_ms.pop(advertiser_id, None)
        return moved

    def _wait_s(self) -> float:
        now_ms = self._clock.now_ms()
        return max(0, now_ms - min(self._oldest_ms.values(), default=now_ms)) / 1000

    async def _batches(self, advertiser_id: int, last: str) -> AsyncIterator[list[StreamEntry]]:
        while True:
            after = f"({last}" if last else "-"
            reply = await self._transitions.command(
                "XRANGE", keys.money_ledger(advertiser_id), after, "+", "COUNT", BATCH_ROWS
            )
            entries = stream_entries(reply)
            if not entries:
                return
            yield entries
            last = entries[-1].id
