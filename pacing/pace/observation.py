"""What the pacer reads from Redis, turned into arrays: settled levels, notice delays, what bidders report."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from core import keys
from pacing.budgets.pools import Numbered
from pacing.budgets.transitions import Argument, pairs, stream_entries
from pacing.ledger.rows import decode_entry
from pacing.pace.board import Bids, Spent
from pacing.pace.day_curve import Floats
from pacing.pace.local_time import Integers
from pacing.pace.messages import Demand, decode_demand, pool_numbers
from pacing.pace.plan import PacingPlan
from pacing.pace.rows import IMPRESSIONS, MICROS

# An HMGET of this many levels takes Redis a quarter of a millisecond, which others wait for.
FIELDS_PER_CALL: Final = 500

# Newest ledger rows that are read by advertiser and tick, to see how long notices take; the average smooths the rest.
ROWS_PER_LOOK: Final = 10
NEWEST_DELAY: Final = 0.05

# Until the first bill: display ads are rendered within seconds. Bounds: a tick is 1 s, a reservation lives 300 s.
FIRST_DELAY_S: Final = 5.0
LEAST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 300.0

# A bidder reports each second; a report this old is of a dead process, and is removed.
REPORT_LIFE_MS: Final = 60_000

# A level has ten int64 (pacing/budgets/levels.py): spent is the second of five, micros first.
_NUMBERS: Final = 10
_EMPTY_LEVEL: Final = bytes(8 * _NUMBERS)
_SPENT: Final = (1, 6)


class LevelReader:
    """Reads the levels that a plan needs, and makes `Spent` of the answers."""

    def __init__(self, plan: PacingPlan) -> None:
        self._plan = plan
        self._days: Integers | None = None
        self._commands: list[tuple[Argument, ...]] = []
        self._order: Integers = np.zeros(0, np.int64)

    def commands(self, days: Integers) -> list[tuple[Argument, ...]]:
        """The commands that read the rows' levels of these days."""
        if self._days is None or not np.array_equal(days, self._days):
            self._days = days
            self._compile(days)
        return self._commands

    def _compile(self, days: Integers) -> None:
        plan = self._plan
        pools = zip(plan.pools.line_item.tolist(), plan.pools.share.tolist(), strict=True)
        names: npt.NDArray[np.object_] = np.empty(len(plan.rows) + len(plan.pools), np.object_)
        names[:] = [*plan.level_names(days), *(f"p{line_item}.{share}" for line_item, share in pools)]
        owners = np.concatenate([plan.rows.data["advertiser"], plan.pools.advertiser])
        self._order = owners.argsort(kind="stable")
        advertisers, counts = np.unique(owners, return_counts=True)
        ends = counts.cumsum()
        self._commands = [
            ("HMGET", keys.money_levels(advertiser), *names[self._order[start : min(start + FIELDS_PER_CALL, end)]])
            for advertiser, first, end in zip(
                *(each.tolist() for each in (advertisers, ends - counts, ends)), strict=True
            )
            for start in range(first, end, FIELDS_PER_CALL)
        ]

    def spent(self, replies: Sequence[object]) -> Spent:
        """`Spent` from the replies to `commands`; a level that does not exist has spent nothing."""
        fields = [field for reply in replies if isinstance(reply, list) for field in reply]
        joined = b"".join(field or _EMPTY_LEVEL for field in fields)
        numbers = np.frombuffer(joined, "<i8").reshape(-1, _NUMBERS)[:, _SPENT].astype(np.float64)
        table = np.empty_like(numbers)
        table[self._order] = numbers
        rows = len(self._plan.rows)
        of_row = np.where(self._plan.unit == IMPRESSIONS, table[:rows, IMPRESSIONS], table[:rows, MICROS])
        return Spent(of_row, np.ascontiguousarray(table[rows:].T))


class DelayMeter:
    """Seconds from a bid to its bill by advertiser, an average over the newest rows of its ledger."""

    def __init__(self) -> None:
        self._delays: dict[int, float] = {}
        self._last: dict[int, str] = {}

    @staticmethod
    def command(advertiser_id: int) -> tuple[Argument, ...]:
        return ("XREVRANGE", keys.money_ledger(advertiser_id), "+", "-", "COUNT", ROWS_PER_LOOK)

    def observe(self, advertiser_id: int, reply: object) -> None:
        """Take in the rows that are new since the last look. A row that cannot be read is skipped."""
        entries = stream_entries(reply)
        last = self._last.get(advertiser_id, "")
        for entry in entries:
            if entry.id == last:
                break
            try:
                row = decode_entry(entry)
            except (msgspec.DecodeError, KeyError, ValueError):
                continue  # of another version, which the ledger writer reports
            if row is not None and row.head.issued_s:
                # Bids are stamped with whole seconds, on average half a second before their time.
                delay_s = row.settled_ms / 1000 - row.head.issued_s - 0.5
                self._take(advertiser_id, min(max(delay_s, LEAST_DELAY_S), LONGEST_DELAY_S))
        if entries:
            self._last[advertiser_id] = entries[0].id

    def _take(self, advertiser_id: int, delay_s: float) -> None:
        known = self._delays.get(advertiser_id, FIRST_DELAY_S)
        self._delays[advertiser_id] = known + NEWEST_DELAY * (delay_s - known)

    def delays(self, advertisers: Sequence[int]) -> Floats:
        return np.array([self._delays.get(number, FIRST_DELAY_S) for number in advertisers], np.float64)


class DemandMeter:
    """Turns the processes' totals into what happened since the last tick."""

    def __init__(self) -> None:
        self._last: dict[bytes, Demand] = {}
        self._started = False

    def observe(self, reply: object, plan: PacingPlan, now_ms: int) -> tuple[Bids, list[bytes]]:
        """What was bid since the last reply, and the processes that are dead.

        The first reply only gives totals to compare with: over which time they grew is not known.
        """
        bids = Bids(0.0, np.zeros(len(plan.pools)), np.zeros((2, len(plan.pools))))
        auctions, dead = 0, []
        reports = {process: decode_demand(packed) for process, packed in _reports(reply).items()}
        for process, report in reports.items():
            if report is None or now_ms - report.made_ms > REPORT_LIFE_MS:
                dead.append(process)
                continue
            last = self._last.get(process)
            if last is not None or self._started:
                auctions += max(report.auctions - (last.auctions if last else 0), 0)
                _add(bids, plan, report, last)
            self._last[process] = report
        for process in [known for known in self._last if reports.get(known) is None or known in dead]:
            del self._last[process]
        self._started = True
        return bids._replace(auctions=float(auctions)), dead


def _reports(reply: object) -> Mapping[bytes, bytes]:
    return pairs(reply) if isinstance(reply, list | dict) else {}


def _add(bids: Bids, plan: PacingPlan, report: Demand, last: Demand | None) -> None:
    """Add the growth of one process's totals; a total that shrank has begun anew with its pool."""
    numbers = pool_numbers(report.records)
    columns = ("scored", "reserved", "reserved_impressions")
    now = np.stack([report.records[name].astype(np.float64) for name in columns])
    grown = now
    if last is not None and len(last.records) and len(numbers):
        at = Numbered(pool_numbers(last.records)).find(numbers)
        before = np.stack([last.records[name][at].astype(np.float64) for name in columns])
        grown = np.where((at >= 0) & (now >= before).all(axis=0), now - before, now)
    positions = plan.pools.find(numbers)
    here = positions >= 0
    np.add.at(bids.scored, positions[here], grown[0, here])
    np.add.at(bids.reserved[MICROS], positions[here], grown[1, here])
    np.add.at(bids.reserved[IMPRESSIONS], positions[here], grown[2, here])
