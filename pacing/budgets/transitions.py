"""The money transitions as Python calls: one Lua script each, on the one hash slot of an advertiser.

This module knows keys, argument order and replies; what the scripts mean is in docs/money.md. Times are the server's
own (`now_ms=0`), the only clock that all processes share; tests own the time by passing `time_ms`.
"""

import contextlib
import enum
import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from typing import NamedTuple, Protocol

import hiredis

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from pacing.budgets.leases import Sealed
from pacing.budgets.levels import Lease, Level, decode_leases, decode_levels
from pacing.budgets.pools import Limit, PoolKey
from pacing.budgets.settling import SettleArguments, named
from pacing.budgets.timing import Timing, lease_day

Argument = bytes | str | int
Command = tuple[Argument, ...]

# Every script answers in well under a millisecond; a server that needs longer is stuck or gone.
CALL_TIMEOUT_S = 2.0

# Budgets in one call of the sync script: less than 2 ms, in which settlements and the bid path's look-ups wait.
SYNC_PART = 200

# A stream id above all others: a snapshot of the rows after it contains none.
NO_LEDGER_ROWS = f"{2**64 - 1}-0"

_SCRIPT_NAMES = (
    "sync", "forget", "grant", "seal", "settle", "close", "takeover", "correct", "rebuild", "witness", "snapshot",
    "record", "click", "convert", "signal", "see", "lost",
)  # fmt: skip


class RedisBatch(Protocol):
    """What the transitions need of a connection to Redis (core.redis.client.PipelinedRedis has it)."""

    async def batch(self, commands: Sequence[tuple[Argument, ...]], deadline: float) -> list[object]:
        """Replies in order, error replies among them; raises UnavailableError when the server does not answer."""
        ...


class PoolLimits(NamedTuple):
    """A pool that may lease, with the limits of its two daily levels."""

    key: PoolKey
    campaign_id: int
    daily: Limit
    share_daily: Limit


class Calendar(NamedTuple):
    """Today and tomorrow in the advertiser's time zone: days since 1970, and the unix ms at which each ends."""

    day: int
    ends_ms: int
    next_day: int
    next_ends_ms: int
    keep_from_day: int


class Want(NamedTuple):
    """A request for a lease: `lease_id` 0 asks for a new one, another for more on that one.

    `micros` and `impressions` are what the present demand needs, 0 where there is none. `least_*` is the smallest
    amount that is of use (-1: all that is asked for), `ahead_*` what the process would hold before there is demand.
    """

    key: PoolKey
    lease_id: int
    micros: int
    impressions: int
    least_micros: int = -1
    least_impressions: int = -1
    ahead_micros: int = 0
    ahead_impressions: int = 0

    def arguments(self) -> tuple[int, ...]:
        least = self.micros if self.least_micros < 0 else self.least_micros
        fewest = self.impressions if self.least_impressions < 0 else self.least_impressions
        return (
            *self.key, self.lease_id, self.micros, self.impressions, least, fewest, self.ahead_micros,
            self.ahead_impressions,
        )  # fmt: skip


class Granted(NamedTuple):
    lease_id: int  # 0: a budget is used up, or the pool may not lease
    micros: int
    impressions: int

    @property
    def waits_for_demand(self) -> bool:
        """Whether nothing was given only because the budget is too small to be held ahead of demand."""
        return self.impressions < 0


class GrantReply(NamedTuple):
    epoch: str  # "" while the counters are lost; if it is another than the caller's, nothing was granted
    now_ms: int
    recall: int
    day_ends_ms: int
    leases: list[Granted]
    hungry: tuple[str, ...] = ()
    """Levels under which a process was refused within the last seconds while others hold leases."""


class NoticeKind(enum.StrEnum):
    """What a notice does to a bid's money, as settle.lua calls it."""

    WIN = "w"  # keeps the reservation for the bill
    BILL = "b"
    LOSS = "l"


class Settlement(NamedTuple):
    """What settle.lua needs to know of a notice. A price is CPM micros, its charge micros; -1: none."""

    advertiser_id: int
    kind: NoticeKind
    notice: bytes
    bucket: int
    lease_id: int
    key: PoolKey
    campaign_id: int
    reserved_micros: int
    price_cpm: int
    charge_micros: int
    house_cpm: int
    house_micros: int
    remember_s: int
    row: bytes


class Witness(NamedTuple):
    epoch: str  # "" when the counters are lost
    same_server: bool  # False after a restart or a failover


class StreamEntry(NamedTuple):
    id: str
    fields: dict[bytes, bytes]


class CounterSnapshot(NamedTuple):
    levels: dict[str, Level]
    leases: dict[str, Lease]
    entries: list[StreamEntry]
    keep_from_day: int  # daily levels of earlier days may have been dropped


class SettleReply(NamedTuple):
    outcome: str
    charge_micros: int
    late: bool
    over_micros: int
    house: bool


class _Script:
    __slots__ = ("digest", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        # Redis names scripts by SHA-1; nothing is secured by it.
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _load_scripts() -> dict[str, _Script]:
    folder = resources.files("pacing.budgets").joinpath("scripts")
    shared = "".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in ("_levels", "_tombstone"))
    sources = {name: folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in _SCRIPT_NAMES}
    sources["settle"] = named(sources["settle"])
    return {name: _Script(_squeeze(shared + source)) for name, source in sources.items()}


def _squeeze(source: str) -> str:
    """Without comment lines: the source travels to each server once a start."""
    return re.sub(r"(?m)^\s*--.*\n", "", source)


class Transitions:
    """Runs the scripts. Every method raises UnavailableError when Redis does not confirm; the transition may or may not
    have been done then, so callers repeat only what is idempotent (docs/money.md says which)."""

    def __init__(
        self,
        redis: RedisBatch,
        clock: Clock,
        *,
        timing: Timing | None = None,
        time_ms: Callable[[], int] = lambda: 0,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self.redis = redis
        self.timing = timing or Timing()
        self._clock = clock
        self._time_ms = time_ms
        self._timeout_s = timeout_s
        self._scripts = _load_scripts()
        self._sources: dict[Argument, str] = {script.digest: script.source for script in self._scripts.values()}
        self._settled_keys: dict[int, tuple[bytes, ...]] = {}

    def _call(
        self, name: str, key_list: Sequence[Argument], arguments: Sequence[Argument], *, timed: bool = True
    ) -> Command:
        digest, count = self._scripts[name].digest, len(key_list)
        if timed:
            return ("EVALSHA", digest, count, *key_list, self._time_ms(), *arguments)
        return ("EVALSHA", digest, count, *key_list, *arguments)

    async def command(self, *command: Argument) -> object:
        """The reply to one plain command."""
        return (await self.commands([command]))[0]

    async def commands(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        """The replies to plain commands, in one round trip; raises UnavailableError at the first error reply."""
        replies = await self.redis.batch(commands, self._clock.monotonic() + self._timeout_s)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise UnavailableError(f"Redis refused a command: {reply}") from reply
        return replies

    async def run_many(self, commands: Sequence[Command]) -> list[object]:
        """Replies of independent commands in one round trip, error replies among them.

        A script that the server has not seen since its start is sent to it.
        """
        deadline = self._clock.monotonic() + self._timeout_s
        replies = await self.redis.batch(commands, deadline)
        unknown = [
            at
            for at, reply in enumerate(replies)
            if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT")
        ]
        if unknown:
            again = [("EVAL", self._sources[commands[at][1]], *commands[at][2:]) for at in unknown]
            for at, reply in zip(unknown, await self.redis.batch(again, deadline), strict=True):
                replies[at] = reply
        return replies

    async def _run(
        self, name: str, key_list: Sequence[Argument], arguments: Sequence[Argument], *, timed: bool = True
    ) -> object:
        (reply,) = await self.run_many([self._call(name, key_list, arguments, timed=timed)])
        if isinstance(reply, hiredis.ReplyError):
            raise UnavailableError(
                f"Redis refused the {name} transition: {reply}", hint="is it loading, read-only or out of memory?"
            ) from reply
        return reply

    async def sync(
        self,
        advertiser_id: int,
        epoch: str,
        calendar: Calendar,
        levels: Sequence[tuple[str, Limit]],
        pools: Sequence[PoolLimits],
        removed: Sequence[PoolKey] = (),
    ) -> bool:
        """Write budgets and leasable pools, and end pools; False when the epoch has changed. Idempotent.

        It is done in parts: pools end first, and a pool comes after every level that limits it.
        """
        parts: list[tuple[Sequence[tuple[str, Limit]], Sequence[PoolLimits], Sequence[PoolKey]]] = [
            *(((), (), removed[at : at + SYNC_PART]) for at in range(0, len(removed), SYNC_PART)),
            *((levels[at : at + SYNC_PART], (), ()) for at in range(0, len(levels), SYNC_PART)),
            *(((), pools[at : at + SYNC_PART], ()) for at in range(0, len(pools), SYNC_PART)),
        ]
        key_list = [keys.money_levels(advertiser_id), keys.money_meta(advertiser_id), keys.money_pools(advertiser_id)]
        for some_levels, some_pools, some_removed in parts or [((), (), ())]:
            arguments: list[Argument] = [epoch, *calendar, len(some_levels), len(some_pools), len(some_removed)]
            for name, limit in some_levels:
                arguments += (name, *limit)
            for pool in some_pools:
                arguments += (*pool.key, pool.campaign_id, *pool.daily, *pool.share_daily)
            for key in some_removed:
                arguments += key
            if not await self._run("sync", key_list, arguments):
                return False
        return True

    async def known_pools(self, advertiser_id: int) -> set[PoolKey]:
        """The pools that may lease."""
        fields = await self.command("HKEYS", keys.money_pools(advertiser_id))
        with _decoded("pools"):
            parts = [field.decode().split(".") for field in fields] if isinstance(fields, list) else []
            return {PoolKey(int(line_item), int(share)) for line_item, share in parts}

    async def forget(self, advertiser_id: int, names: Sequence[str]) -> None:
        """Drop these levels, except where a lease or a hold still stands on one. Idempotent."""
        for at in range(0, len(names), SYNC_PART):
            await self._run("forget", [keys.money_levels(advertiser_id)], names[at : at + SYNC_PART])

    async def grant(self, advertiser_id: int, epoch: str, process: str, wants: Sequence[Want]) -> GrantReply:
        """Heartbeat and ask for leases. Not idempotent: after a failure look for leases that no process knows of."""
        arguments: list[Argument] = [epoch, process]
        for want in wants:
            arguments += want.arguments()
        key_list = [
            keys.money_levels(advertiser_id),
            keys.money_meta(advertiser_id),
            keys.money_pools(advertiser_id),
            keys.money_leases(advertiser_id),
            keys.money_processes(advertiser_id),
            keys.money_hungry(advertiser_id),
        ]
        with _decoded("grant"):
            epoch_now, now_ms, recall, ends_ms, hungry, *leases = _texts(await self._run("grant", key_list, arguments))
            numbers = [int(number) for number in leases]
            granted = [Granted(*numbers[at : at + 3]) for at in range(0, len(numbers), 3)]
            names = tuple(hungry.split())
            return GrantReply(epoch_now, int(now_ms), int(recall), int(ends_ms), granted, names)

    async def seal(self, advertiser_id: int, epoch: str, leases: Sequence[Sealed]) -> bool:
        """Return what is not reserved; False when the epoch has changed. Idempotent."""
        arguments: list[Argument] = [epoch, self.timing.reservation_ms]
        for lease in leases:
            arguments += (lease.lease_id, lease.reserved_micros, lease.reserved_impressions)
        key_list = [
            keys.money_levels(advertiser_id),
            keys.money_meta(advertiser_id),
            keys.money_leases(advertiser_id),
            keys.money_closing(advertiser_id),
        ]
        return bool(await self._run("seal", key_list, arguments))

    async def settle(self, notice: Settlement) -> SettleReply:
        """Settle one notice. Idempotent: a repetition is answered as a duplicate."""
        (reply,) = await self.run_many([self.settle_command(notice)])
        if isinstance(reply, hiredis.ReplyError):
            raise UnavailableError(f"Redis refused to settle: {reply}") from reply
        return settle_reply(reply)

    def settle_command(self, notice: Settlement) -> Command:
        """What `settle` sends, for callers that send many at once; `settle_reply` reads the reply."""
        arguments = SettleArguments(
            notice.kind.value, notice.notice, notice.lease_id, *notice.key, notice.campaign_id,
            lease_day(notice.lease_id), notice.reserved_micros, notice.price_cpm, notice.charge_micros,
            notice.house_cpm, notice.house_micros, self.timing.win_hold_ms, notice.remember_s, notice.row,
        )  # fmt: skip
        advertiser_id = notice.advertiser_id
        fixed = self._settled_keys.get(advertiser_id)
        if fixed is None:
            families = (
                keys.money_levels, keys.money_meta, keys.money_pools, keys.money_leases, keys.money_closing,
                keys.money_ledger,
            )  # fmt: skip
            fixed = self._settled_keys[advertiser_id] = tuple(family(advertiser_id).encode() for family in families)
        return self._call("settle", (*fixed, keys.money_notices(advertiser_id, notice.bucket)), arguments)

    async def close(self, advertiser_id: int, limit: int) -> int:
        """Close at most `limit` leases whose time has come; how many it were. Idempotent."""
        key_list = [
            keys.money_levels(advertiser_id), keys.money_leases(advertiser_id), keys.money_closing(advertiser_id)
        ]  # fmt: skip
        return _integer(await self._run("close", key_list, [limit]))

    async def take_over(self, advertiser_id: int, new_epoch: str = "") -> list[str]:
        """Quarantine the leases of dead processes, with a new epoch those of all. Returns their names. Idempotent."""
        key_list = [
            keys.money_levels(advertiser_id),
            keys.money_meta(advertiser_id),
            keys.money_leases(advertiser_id),
            keys.money_closing(advertiser_id),
            keys.money_processes(advertiser_id),
        ]
        timing = self.timing
        return _texts(await self._run("takeover", key_list, [timing.dead_after_ms, timing.quarantine_ms, new_epoch]))

    async def correct(
        self, advertiser_id: int, correction: str, key: PoolKey, campaign_id: int, day: int,
        micros: int, impressions: int, row: bytes, before: Iterable[tuple[str, int, int]] = (),
    ) -> str:  # fmt: skip
        """Book a correction once by its key: 'corrected', 'duplicate' or 'unready'. `before`: see correct.lua."""
        key_list = [
            keys.money_levels(advertiser_id),
            keys.money_meta(advertiser_id),
            keys.money_pools(advertiser_id),
            keys.money_ledger(advertiser_id),
            keys.money_corrections(advertiser_id),
        ]
        head: list[Argument] = [correction, *key, campaign_id, day, micros, impressions, row]
        return _texts(await self._run("correct", key_list, [*head, *(part for level in before for part in level)]))[0]

    async def rebuild(
        self,
        advertiser_id: int,
        epoch: str,
        first_lease: int,
        last_ledger_id: str,
        spent: Iterable[tuple[str, int, int]],
        keep_from_day: int = 0,
    ) -> bool:
        """Begin an announced epoch from what the ledger says was spent (level, micros, impressions).

        False unless field `rebuilding` of the meta hash announces this very epoch.
        """
        arguments: list[Argument] = [epoch, first_lease, last_ledger_id, keep_from_day]
        for name, micros, impressions in spent:
            arguments += (name, micros, impressions)
        key_list = [
            keys.money_levels(advertiser_id),
            keys.money_meta(advertiser_id),
            keys.money_pools(advertiser_id),
            keys.money_leases(advertiser_id),
            keys.money_closing(advertiser_id),
            keys.money_processes(advertiser_id),
            keys.money_ledger(advertiser_id),
        ]
        return bool(await self._run("rebuild", key_list, arguments))

    async def snapshot(self, advertiser_id: int, last_ledger_id: str) -> CounterSnapshot:
        """The counters, and the ledger rows that the store does not have yet, at one moment."""
        key_list = [
            keys.money_levels(advertiser_id), keys.money_leases(advertiser_id), keys.money_ledger(advertiser_id),
            keys.money_meta(advertiser_id),
        ]  # fmt: skip
        reply = await self._run("snapshot", key_list, [last_ledger_id])
        if not isinstance(reply, list) or len(reply) != 4:
            raise UnavailableError("Redis answered a snapshot with something else than three lists and a day")
        levels, leases, entries, keep = reply
        with _decoded("snapshot"):
            counters = decode_levels(pairs(levels)), decode_leases(pairs(leases))
            return CounterSnapshot(*counters, stream_entries(entries), int(keep))

    def record_command(self, key_list: Sequence[str], arguments: Sequence[Argument], script: str = "record") -> Command:
        """The call of a script that notes something: `record`, `signal` or `see`; pacing/notices explains them."""
        return self._call(script, key_list, arguments, timed=False)

    def click_command(self, advertiser_id: int, bucket: int, days: tuple[int, int], arguments: Command) -> Command:
        """The call of the click script, by the days of bid and click: a word, or 0 for a repetition. Idempotent."""
        key_list = (
            keys.money_notices(advertiser_id, bucket), keys.delivery(advertiser_id, days[0]),
            keys.money_journal(advertiser_id), keys.clicks_of_browsers(advertiser_id, days[1]),
        )  # fmt: skip
        return self._call("click", key_list, arguments, timed=False)

    async def convert(self, key_list: Sequence[str], arguments: Sequence[Argument]) -> bool:
        """The convert script (pacing/notices/conversions.py). False for an order that was counted before.
        Idempotent."""
        return bool(await self._run("convert", key_list, arguments))

    async def witness(self, advertiser_id: int) -> Witness:
        """Which epoch the counters are in, and whether the server is the one that it began on."""
        with _decoded("witness"):
            epoch, known, server = _texts(await self._run("witness", [keys.money_meta(advertiser_id)], []))
            return Witness(epoch, known == server)


@contextlib.contextmanager
def _decoded(name: str) -> Iterator[None]:
    """Turns an unreadable reply into UnavailableError: whether the transition was done is not known."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, struct.error) as error:
        raise UnavailableError(f"Redis answered the {name} transition with something that cannot be read") from error


def settle_reply(reply: object) -> SettleReply:
    """What settle.lua answered. Raises UnavailableError for anything else."""
    with _decoded("settle"):
        outcome, charge, late, over, house = _texts(reply)
        return SettleReply(outcome, int(charge), late == "1", int(over), house == "1")


def _texts(reply: object) -> list[str]:
    if not isinstance(reply, list):
        raise UnavailableError("Redis answered a money transition with something else than a list")
    return [item.decode() if isinstance(item, bytes) else str(item) for item in reply]


def pairs(reply: object) -> dict[bytes, bytes]:
    """A hash as HGETALL answers it: a flat list, or a mapping where the connection speaks RESP3."""
    if isinstance(reply, dict):
        return reply
    flat = reply if isinstance(reply, list) else []
    return dict(zip(flat[::2], flat[1::2], strict=True))


def stream_entries(reply: object) -> list[StreamEntry]:
    """The entries of an XRANGE."""
    rows: list[tuple[bytes, object]] = reply if isinstance(reply, list) else []
    return [StreamEntry(entry.decode(), pairs(fields)) for entry, fields in rows]


def _integer(reply: object) -> int:
    if not isinstance(reply, int):
        raise UnavailableError("Redis answered a money transition with something else than a number")
    return reply
