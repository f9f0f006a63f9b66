"""Audience hooks: when a user enters a segment, the advertiser's own system hears of it (e-mail, SMS, push, pop-up).

A membership that begins now or later is noted in the partition's due set before the profile is committed. When it is
due, the profile is asked again, since an event in between may have cancelled it, and a delivery with an id made from
(segment, user, moment) is queued; the same id is queued once. A delivery is tried until it is answered with 2xx or
given up into the dead-letter stream: at least once, with an id for the receiver to recognise repeats by.

A hook without a URL is told by mail (admin/reports/audience_mails.py): its deliveries are counted, one mail an hour.

The advertiser learns a pseudonym of the user that is its own: another shop's pseudonym of the same browser differs.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import UnavailableError
from core.keys import WEBHOOK_BODIES, WEBHOOK_DEAD, WEBHOOK_MAILED, WEBHOOK_QUEUE, due_entries, webhook_mail
from segments.audiences.callout import Caller
from segments.audiences.due import delivery_name, parse_due, pseudonym
from segments.facts.layout import LayoutError, unpack_cold, unpack_windows
from segments.profiles.directory import Directory
from segments.profiles.metrics import WorkerMetrics
from segments.profiles.partitions import PartitionLeases
from segments.profiles.reading import Command
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore, StoredUser

log = logging.getLogger(__name__)

DUE_BATCH: Final = 200
SEND_BATCH: Final = 20
IDLE_S: Final = 0.2
# A delivery whose sender died is tried again after this; longer than a call may take.
CLAIM_MS: Final = 30_000
# 5 s, 10 s, ... up to an hour: twelve tries cover a receiver's outage of about five hours.
FIRST_RETRY_MS: Final = 5_000
LAST_RETRY_MS: Final = 3_600_000
MAX_ATTEMPTS: Final = 12
MAX_DEAD: Final = 10_000

# KEYS: queue, bodies. ARGV: id, body, due ms.
_ENQUEUE: Final = Script(
    """
    if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 1 then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
    return 1
    """
)
# KEYS: queue, bodies. ARGV: now ms, claimed until ms, count.
_CLAIM: Final = Script(
    """
    local found = {}
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
      local body = redis.call('HGET', KEYS[2], id)
      if body then
        redis.call('ZADD', KEYS[1], ARGV[2], id)
        found[#found + 1] = id
        found[#found + 1] = body
      else
        redis.call('ZREM', KEYS[1], id)
      end
    end
    return found
    """
)
# KEYS: queue, bodies. ARGV: id, body, due ms. 0: an erasure took it away while it was being tried.
_AGAIN: Final = Script(
    """
    if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    return 1
    """
)
# KEYS: queue, bodies, dead letters. ARGV: id, delivery, reason, most. 0: as above.
_BURY: Final = Script(
    """
    redis.call('ZREM', KEYS[1], ARGV[1])
    if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
    redis.call(
      'XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'id', ARGV[1], 'delivery', ARGV[2], 'reason', ARGV[3]
    )
    return 1
    """
)
# KEYS: queue, bodies, the segment's set, set of segments. ARGV: id, segment. 0: an erasure took it away.
_COUNT: Final = Script(
    """
    redis.call('ZREM', KEYS[1], ARGV[1])
    if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
    redis.call('SADD', KEYS[3], ARGV[1])
    redis.call('SADD', KEYS[4], ARGV[2])
    return 1
    """
)


class HookTarget(msgspec.Struct, frozen=True):
    """Where an advertiser wants to hear of its audiences; `secret` signs every call, '' leaves them unsigned.

    Without a URL the advertiser is told by a mail with counts.
    """

    id: int
    advertiser_id: int
    url: str
    secret: str


class Delivery(msgspec.Struct, frozen=True):
    """One call to make. The body is kept as it was first built, so that repeats are identical."""

    webhook_id: int
    body: bytes
    attempts: int = 0


class _Entered(msgspec.Struct):
    """What a delivery's body says of the segment."""

    segment_id: int


def signature(secret: str, body: bytes, now_s: int) -> str:
    """Value of the `Grosz-Signature` header: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "{t}.{body}">`."""
    digest = hmac.new(secret.encode(), f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


async def _repeat(step: Callable[[], Awaitable[int]]) -> None:
    """Repeat a step for ever, with a pause of IDLE_S after one that did nothing or to which Redis did not answer."""
    away = False
    while True:
        try:
            done = await step()
            away = False
        except UnavailableError as error:
            if not away:  # logged once: the loop passes here several times a second
                log.warning("audience hooks wait, Redis does not answer: %s", error.message)
            away, done = True, 0
        if not done:
            await asyncio.sleep(IDLE_S)


class DueEntries:
    """Turns memberships that have begun into deliveries, for the partitions of one worker."""

    def __init__(self, store: ProfileStore, leases: PartitionLeases, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._leases = leases
        self._directory = directory
        self._clock = clock

    async def run(self) -> None:
        """Handle due entries until cancelled."""
        await _repeat(self._look)

    async def _look(self) -> int:
        return sum([await self.step(partition) for partition in self._leases.owned])

    async def step(self, partition: int) -> int:
        """Handle what is due in a partition; returns how many entries that were.

        The worker writes the profile a moment after the due entry, so an entry is looked at a second after its time:
        by then the profile is there, or the worker repeats the batch and writes the entry again.
        """
        now_ms = self._clock.now_ms()
        key = due_entries(partition)
        before_s = now_ms // 1000 - 1
        (reply,) = await self._store.commands([("ZRANGEBYSCORE", key, "-inf", before_s, "LIMIT", 0, DUE_BATCH)])
        members = [member.decode() for member in reply] if isinstance(reply, list) else []
        if not members:
            return 0
        parsed = [parse_due(member) for member in members]
        wanted: dict[str, set[int]] = {}
        for advertiser_id, _, _, user_id in parsed:
            wanted.setdefault(user_id, set()).add(advertiser_id)
        users = await self._store.read(wanted)
        calls = [call for entry in parsed if (call := self._delivery(users[entry[3]], *entry[:3], now_ms)) is not None]
        if calls:
            await self._store.script(_ENQUEUE, calls)
        await self._store.commands([("ZREM", key, *members)])
        return len(members)

    def _delivery(
        self, user: StoredUser, advertiser_id: int, segment_id: int, enter_s: int, now_ms: int
    ) -> Command | None:
        segment = self._directory.segment(segment_id)
        stored = user.fields[advertiser_id]
        if segment is None or segment.webhook_id is None or segment.advertiser_id != advertiser_id:
            return None
        try:
            windows = unpack_windows(stored.hot)
            facts = unpack_cold(stored.cold)
        except LayoutError:
            return None  # the user was erased or has opted out in between
        now_s = now_ms // 1000
        if not any(row[:2] == (segment_id, enter_s) and enter_s <= now_s < row[2] for row in windows):
            return None
        delivery_id = delivery_name((segment_id, enter_s, 0), user.user_id)
        body = msgspec.json.encode(
            {
                "id": delivery_id,
                "type": "segment.entered",
                "segment_id": segment_id,
                "segment": segment.name,
                "visitor": pseudonym(advertiser_id, user.user_id),
                "entered_at": max(enter_s, facts.first_visit_s),
                "attributes": facts.attributes,
                "cart_micros": facts.cart_micros,
                "cart": [line.id for line in facts.cart],
            }
        )
        packed = msgspec.msgpack.encode(Delivery(segment.webhook_id, body))
        return _ENQUEUE.call([WEBHOOK_QUEUE, WEBHOOK_BODIES], [delivery_id, packed, now_ms])


class WebhookSender:
    """Makes the calls; several may run, each delivery is claimed by one at a time."""

    def __init__(
        self,
        store: ProfileStore,
        caller: Caller,
        target_of: Callable[[int], HookTarget | None],
        clock: Clock,
        metrics: WorkerMetrics,
    ) -> None:
        self._store = store
        self._caller = caller
        self._target_of = target_of
        self._clock = clock
        self._sent = metrics.webhooks.labels("sent")
        self._failed = metrics.webhooks.labels("failed")
        self._dead = metrics.webhooks.labels("dead")
        self._counted = metrics.webhooks.labels("counted")
        self._wait_s = metrics.hook_wait_s

    async def run(self) -> None:
        """Send for ever."""
        await _repeat(self.step)

    async def step(self) -> int:
        """Try what is due, in parallel; returns how many deliveries that were."""
        now_ms = self._clock.now_ms()
        (oldest,) = await self._store.commands([("ZRANGE", WEBHOOK_QUEUE, 0, 0, "WITHSCORES")])
        due_ms = float(oldest[1]) if isinstance(oldest, list) and oldest else now_ms
        self._wait_s.set(max(now_ms - due_ms, 0) / 1000)
        keys = [WEBHOOK_QUEUE, WEBHOOK_BODIES]
        (reply,) = await self._store.script(_CLAIM, [_CLAIM.call(keys, [now_ms, now_ms + CLAIM_MS, SEND_BATCH])])
        flat: Sequence[bytes] = reply if isinstance(reply, list) else []
        pairs = [(flat[at].decode(), flat[at + 1]) for at in range(0, len(flat), 2)]
        await asyncio.gather(*(self._deliver(delivery_id, packed) for delivery_id, packed in pairs))
        return len(pairs)

    async def _deliver(self, delivery_id: str, packed: bytes) -> None:
        delivery = msgspec.msgpack.decode(packed, type=Delivery)
        target = self._target_of(delivery.webhook_id)
        if target is None:
            await self._bury(delivery_id, packed, "the webhook does not exist any more")
            return
        if not target.url:
            segment = msgspec.json.decode(delivery.body, type=_Entered).segment_id
            keys = [WEBHOOK_QUEUE, WEBHOOK_BODIES, webhook_mail(segment), WEBHOOK_MAILED]
            await self._store.script(_COUNT, [_COUNT.call(keys, [delivery_id, segment])])
            self._counted.inc()
            return
        now_ms = self._clock.now_ms()
        headers = {
            "Content-Type": "application/json",
            "Grosz-Delivery": delivery_id,
        }
        if target.secret:  # a signature that everybody can make would prove nothing
            headers["Grosz-Signature"] = signature(target.secret, delivery.body, now_ms // 1000)
        fault = await self._caller.post(target.url, delivery.body, headers)
        if not fault:
            self._sent.inc()
            await self._store.commands(_removal(delivery_id))
            return
        self._failed.inc()
        attempts = delivery.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            await self._bury(delivery_id, packed, fault)
            return
        again = msgspec.msgpack.encode(msgspec.structs.replace(delivery, attempts=attempts))
        due_ms = now_ms + min(FIRST_RETRY_MS << delivery.attempts, LAST_RETRY_MS)
        await self._store.script(_AGAIN, [_AGAIN.call([WEBHOOK_QUEUE, WEBHOOK_BODIES], [delivery_id, again, due_ms])])

    async def _bury(self, delivery_id: str, packed: bytes, reason: str) -> None:
        self._dead.inc()
        log.error("audience hook %s is given up: %s", delivery_id, reason)
        keys = [WEBHOOK_QUEUE, WEBHOOK_BODIES, WEBHOOK_DEAD]
        await self._store.script(_BURY, [_BURY.call(keys, [delivery_id, packed, reason, MAX_DEAD])])


def _removal(delivery_id: str) -> list[Command]:
    return [("ZREM", WEBHOOK_QUEUE, delivery_id), ("HDEL", WEBHOOK_BODIES, delivery_id)]
