"""Taking a customer list in: rows to digests, digests to entries, entries to the devices that hear of it.

An import that ends half way changes nothing of a list that it was to replace; what it added to one stays, and adding
the same file again does no harm.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import Fault, InputError
from core.keys import roster_entries
from segments.audiences.roster_news import News, news_commands
from segments.audiences.roster_rows import Row, RowFault, RowReader
from segments.audiences.rosters import BUCKETS, MAX_ROSTERS, Roster, RosterLock, RosterStore
from segments.facts.facts import DAY_S, ListedTime
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

# Two million persons are a country's; a list beyond that is a mistake, and would take 70 MB.
MAX_ROWS: Final = 2_000_000
# Rows whose entries are written together: some fifty for each command, of which there is one a bucket.
FLUSH_ROWS: Final = 100_000
# Rows of computation (20 ms) between two turns of the loop, which serves others too.
TURN_ROWS: Final = 2_000
# Buckets that are compared together.
COMPARED: Final = 64
GONE: Final = ListedTime(0, 0)


class RosterImport(msgspec.Struct, frozen=True):
    """What became of a file: `rows` are persons, `matched` those with a device that is known."""

    roster: Roster
    rows: int
    matched: int
    devices: int
    gone: int  # devices that the list named before
    faulty: int
    faults: tuple[RowFault, ...]
    ignored: tuple[str, ...]


class RosterImporter:
    """Imports lists, deletes them, and takes persons out of all of them."""

    def __init__(self, store: ProfileStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rosters = RosterStore(store, clock)

    async def load(
        self, advertiser_id: int, name: str, pieces: AsyncIterator[bytes], *, replace: bool, days: int
    ) -> RosterImport:
        """Take a file in, for so many days. Raises InputError, ConflictError, UnavailableError."""
        async with self._rosters.locked(advertiser_id) as lock:
            known = await self._rosters.all(advertiser_id)
            before = known.get(name)
            if before is None and len(known) >= MAX_ROSTERS:
                raise InputError(f"there are {MAX_ROSTERS} customer lists already", hint="delete one of them first")
            fresh = replace or before is None
            number = await self._rosters.new_number(advertiser_id) if fresh or before is None else before.number
            now_s = self._clock.now_ms() // 1000
            listed = ListedTime(now_s, now_s + days * DAY_S)
            taking = _Taking(self._rosters, advertiser_id, number, listed, lock)
            await taking.take(pieces)
            if not taking.rows:
                faults = [Fault(f"/lines/{one.line}", "value", one.message) for one in taking.reader.faults]
                raise InputError("the list names nobody", hint="delete it instead", faults=faults)
            await self._expire(advertiser_id, number, days * DAY_S)
            kept = Roster(name, number) if fresh or before is None else before
            roster = msgspec.structs.replace(
                kept,
                rows=kept.rows + taking.rows,
                matched=kept.matched + taking.matched,
                updated_s=now_s,
                until_s=max(kept.until_s, listed.until_s),
            )
            await self._rosters.save(advertiser_id, roster)
            await self._rosters.settle_number(advertiser_id)
            gone = await self._left(advertiser_id, before, number, taking.named, lock) if before and replace else set()
            await self._tell(advertiser_id, name, gone, GONE)
            await self._tell(advertiser_id, name, taking.named, listed)
            if before and replace:
                await self._rosters.drop_entries(advertiser_id, before.number)
            reader = taking.reader
            return RosterImport(
                roster, taking.rows, taking.matched, len(taking.named), len(gone), reader.faulty,
                tuple(reader.faults), tuple(reader.ignored),
            )  # fmt: skip

    async def drop(self, advertiser_id: int, name: str) -> int:
        """Delete a list; returns how many devices hear of it. Raises NotFoundError and ConflictError."""
        async with self._rosters.locked(advertiser_id) as lock:
            roster = await self._rosters.require(advertiser_id, name)
            gone = await self._left(advertiser_id, roster, None, set(), lock)
            await self._rosters.drop(advertiser_id, roster)
            await self._tell(advertiser_id, name, gone, GONE)
            return len(gone)

    async def forget(self, advertiser_id: int, digests: Sequence[bytes]) -> int:
        """Take a person and their devices out of all lists of an advertiser; returns how many entries that were."""
        found = await self._rosters.forget(advertiser_id, digests)
        devices = {one for devices in await self._rosters.devices(advertiser_id, digests) for one in devices}
        for name in await self._rosters.all(advertiser_id):
            await self._tell(advertiser_id, name, devices, GONE)
        return found

    async def _expire(self, advertiser_id: int, number: int, seconds: int) -> None:
        """Let buckets of entries expire in `seconds`, or when they do already if that is later."""
        keys = [roster_entries(advertiser_id, number, bucket) for bucket in range(BUCKETS)]
        await self._store.commands([("EXPIRE", key, seconds, "NX") for key in keys])
        await self._store.commands([("EXPIRE", key, seconds, "GT") for key in keys])

    async def _left(
        self, advertiser_id: int, before: Roster, number: int | None, named: set[str], lock: RosterLock
    ) -> set[str]:
        """Devices of persons whom the list named and does not name any more (under `number`; None: nobody)."""
        gone: set[str] = set()
        for first in range(0, BUCKETS, COMPARED):
            await lock.keep()
            old = await self._members(advertiser_id, before.number, first)
            new = await self._members(advertiser_id, number, first) if number is not None else set()
            for devices in await self._rosters.devices(advertiser_id, sorted(old - new)):
                gone.update(devices)
        return gone - named

    async def _members(self, advertiser_id: int, number: int, first: int) -> set[bytes]:
        commands: list[Command] = [
            ("HKEYS", roster_entries(advertiser_id, number, bucket)) for bucket in range(first, first + COMPARED)
        ]
        replies = await self._store.commands(commands)
        return {digest for reply in replies if isinstance(reply, list) for digest in reply}

    async def _tell(self, advertiser_id: int, name: str, devices: Iterable[str], listed: ListedTime) -> None:
        news = (News(advertiser_id, name, device, listed) for device in devices)
        await self._store.commands(news_commands(news, self._clock.now_ms()))


class _Taking:
    """One file while it is taken in."""

    def __init__(
        self, rosters: RosterStore, advertiser_id: int, number: int, listed: ListedTime, lock: RosterLock
    ) -> None:
        self._rosters = rosters
        self._advertiser_id = advertiser_id
        self._number = number
        self._listed = listed
        self._lock = lock
        self._waiting: list[Row] = []
        self.reader = RowReader(advertiser_id)
        self.named: set[str] = set()
        self.rows = 0
        self.matched = 0

    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        """Read the whole file, write its entries, and note which devices it names."""
        async for piece in pieces:
            await self._take(self.reader.feed(piece))
        await self._take(self.reader.end())
        await self._flush()

    async def _take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._waiting.append(row)
            self.rows += 1
            if self.rows > MAX_ROWS:
                raise InputError(f"the list has more than {MAX_ROWS} rows", hint="split it into several lists")
            if self.rows % TURN_ROWS == 0:
                await asyncio.sleep(0)
            if len(self._waiting) >= FLUSH_ROWS:
                await self._flush()

    async def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        await self._lock.keep()
        digests = list({digest for row in rows for digest in row})
        await self._rosters.add(self._advertiser_id, self._number, digests, self._listed)
        known = {}
        for digest, devices in zip(digests, await self._rosters.devices(self._advertiser_id, digests), strict=True):
            if devices:
                known[digest] = devices
                self.named.update(devices)
        self.matched += sum(any(digest in known for digest in row) for row in rows)
