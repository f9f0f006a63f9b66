"""The bid path's view of profiles: one round trip and two numpy decodes for a whole batch of requests.

A miss, an opted-out user and a slow Redis are normal outcomes: they come back as "not found", never as an exception.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import hiredis
import numpy as np
import numpy.typing as npt

from core.errors import UnavailableError
from core.ids import USER_ID_CHARS
from core.keys import exchange_user, user_profile
from segments.facts.facts import CART_LIFETIME_S, CartStage
from segments.facts.layout import (
    HEADER,
    HEADER_BYTES,
    HOT_VERSION,
    OLDEST_HOT_VERSION,
    STAGE_BITS,
    WINDOW,
    WINDOW_BYTES,
    unpack_references,
)
from segments.facts.meta import is_opted_out

Command = tuple[bytes | str | int, ...]
UserLookup = tuple[str | None, int, str | None]
"""(our user id or None, exchange id, the exchange's user id or None)."""

NOBODY: Final = "nobody"
"""Value of an exchange's id that too many browsers claim, before `:` and the day."""
NOBODY_PREFIX: Final = f"{NOBODY}:".encode()

RING_FIELD: Final = b"i"
META_FIELD: Final = b"m"
LOST_FIELD: Final = b"o"

_NO_FLOATS: Final = np.zeros(0)
_NO_FACTS: Final = np.zeros((0, 5))
_NO_INTEGERS: Final = np.zeros(0, dtype=np.int64)
_READ_VERSIONS: Final = frozenset(range(OLDEST_HOT_VERSION, HOT_VERSION + 1))
_version_of = operator.itemgetter(0)  # the first byte of a field
_NO_CYCLES: Final = np.zeros(0, dtype=np.uint8)
_STAGE_MASK: Final = (1 << STAGE_BITS) - 1
# Columns of the header read as 32-bit words.
_FACTS: Final = (7, 8, 1, 6, 4)  # visits, products viewed, moments of the last visit and purchase and of the cart
_FIRST_MOMENT: Final = 2  # in `_FACTS`
_EXPIRES: Final = 5


class Pipeline(Protocol):
    """The part of core.redis.client.PipelinedRedis that is needed here; the class for a cluster has it, too."""

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        """Answers in order; an error answer is a hiredis.ReplyError in the list. Raises UnavailableError."""
        ...


_STATE_ARRAYS: Final = (
    "cart_micros", "cart_stage", "purchase_cycle", "score", "state_advertiser", "state_request"
)  # fmt: skip


class ProfileBatch:
    """Profiles of one batch of requests; lists have one entry a request, `state_*` arrays one row a known shop.

    `state_request` and `state_advertiser` say whose row it is. `cart_micros` and `cart_stage` (a CartStage) are 0 and
    `*_age_s` infinite where there is none; without `has_carts` nobody has one. `purchase_cycle` is a place in
    segments.facts.layout.CYCLES_S. `facts` has `visits`, `products_viewed`, `last_visit_age_s`, `last_purchase_age_s`
    and `cart_age_s` as its columns. `state_fields` are the rows' hot fields, which `references` reads.
    `segments` are the segments that each request's user is a member of now, as sorted little-endian uint32 ids; None
    where nothing is known of the user, or consent forbids using it. Caps are counted from `cap_rings`: these are
    `rings`, unless the bid path puts others there. `lost` tells of bids that were lost a moment ago
    (core.ring), by request. `failed` are the requests whose user could not be looked up: they may have a
    profile, unlike users who were looked up and not found.
    """

    __slots__ = (
        "cap_rings", "cart_age_s", "cart_micros", "cart_stage", "facts", "failed", "found", "has_carts",
        "last_purchase_age_s", "last_visit_age_s", "lost", "products_viewed", "purchase_cycle", "rings", "score",
        "segments", "state_advertiser", "state_fields", "state_request", "user_ids", "visits",
    )  # fmt: skip

    def __init__(self, user_ids: list[str | None]) -> None:
        count = len(user_ids)
        self.user_ids = user_ids
        self.found = [False] * count
        self.segments: list[bytes | None] = [None] * count
        self.rings = [b""] * count
        self.cap_rings = self.rings
        self.lost: dict[int, bytes] = {}
        self.failed: set[int] = set()
        self.state_fields: list[bytes] = []
        self.state_request: npt.NDArray[np.int64] = _NO_INTEGERS
        self.state_advertiser: npt.NDArray[np.int64] = _NO_INTEGERS
        self.cart_micros: npt.NDArray[np.int64] = _NO_INTEGERS
        self.cart_stage: npt.NDArray[np.int64] = _NO_INTEGERS
        self.purchase_cycle: npt.NDArray[np.uint8] = _NO_CYCLES
        self.score: npt.NDArray[np.float64] = _NO_FLOATS
        self.has_carts = False
        self.facts: npt.NDArray[np.float64] = _NO_FACTS
        self.visits: npt.NDArray[np.float64] = _NO_FLOATS
        self.products_viewed: npt.NDArray[np.float64] = _NO_FLOATS
        self.last_visit_age_s: npt.NDArray[np.float64] = _NO_FLOATS
        self.last_purchase_age_s: npt.NDArray[np.float64] = _NO_FLOATS
        self.cart_age_s: npt.NDArray[np.float64] = _NO_FLOATS

    def set_facts(self, facts: npt.NDArray[np.float64]) -> None:
        """Set `facts` and what is named after its columns: views of them, so what changes one changes both."""
        self.facts = facts
        self.visits, self.products_viewed, self.last_visit_age_s, self.last_purchase_age_s, self.cart_age_s = facts.T

    def keep_only_ring(self, request: int) -> None:
        """Forget what shops know about one request's user: consent admits the id, but not its use for selection."""
        self.segments[request] = None
        kept = self.state_request != request
        self.state_fields = [self.state_fields[row] for row in kept.nonzero()[0].tolist()]
        for name in _STATE_ARRAYS:
            setattr(self, name, getattr(self, name)[kept])
        self.set_facts(self.facts[kept])

    def references(self, request: int, advertiser_id: int) -> tuple[tuple[int, ...], int]:
        """Products that a shop knows one request's user by (core.ids.product_reference), dearest cart lines first.

        Also how many of them are in a cart that has not lost its value. Nothing where the shop does not know the user.
        """
        rows = ((self.state_request == request) & (self.state_advertiser == advertiser_id)).nonzero()[0]
        if not len(rows):
            return (), 0
        references, of_cart = unpack_references(self.state_fields[rows[0]])
        return references, of_cart if self.cart_micros[rows[0]] > 0 else 0


class ProfileReader:
    """Reads the hot halves of profiles."""

    __slots__ = ("_on_failed", "_redis")

    def __init__(self, redis: Pipeline, on_failed: Callable[[int], None] = lambda _count: None) -> None:
        """`on_failed` is told how many requests of a batch could not be looked up."""
        self._redis = redis
        self._on_failed = on_failed

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:
        """Profiles of a batch's users at `now_ms`; `deadline` in monotonic seconds.

        A second round trip happens only for requests that know nothing but the exchange's user id. Users for whom
        Redis does not answer in time are unknown, and their requests `failed`.
        """
        batch = ProfileBatch([user[0] for user in users])
        try:
            unresolved = [at for at, user in enumerate(users) if user[0] is None and user[2] is not None]
            if unresolved:
                await self._resolve(users, unresolved, batch, deadline)
            asked = [(at, user_id) for at, user_id in enumerate(batch.user_ids) if user_id is not None]
            if asked:
                commands: list[Command] = [("HGETALL", user_profile(user_id)) for _, user_id in asked]
                replies = await self._redis.batch(commands, deadline)
                decode(batch, [at for at, _ in asked], replies, now_ms)
        except (UnavailableError, ValueError, TypeError):  # the latter two: Redis holds what we never write
            batch = ProfileBatch([user[0] for user in users])
            batch.failed.update(at for at, user in enumerate(users) if user[0] is not None or user[2] is not None)
        if batch.failed:
            self._on_failed(len(batch.failed))
        return batch

    async def _resolve(
        self, users: Sequence[UserLookup], unresolved: list[int], batch: ProfileBatch, deadline: float
    ) -> None:
        commands: list[Command] = [("GET", exchange_user(users[at][1], users[at][2] or "")) for at in unresolved]
        replies = await self._redis.batch(commands, deadline)
        for at, reply in zip(unresolved, replies, strict=True):
            # How many browsers claimed the exchange's id today may follow the user id; NOBODY stands for too many.
            if isinstance(reply, bytes):
                if not reply.startswith(NOBODY_PREFIX):
                    batch.user_ids[at] = reply[:USER_ID_CHARS].decode("ascii", "replace")
            elif reply is not None:  # an error, or a value of another type
                batch.failed.add(at)


def decode(batch: ProfileBatch, requests: Sequence[int], replies: Sequence[object], now_ms: int) -> None:
    """Fill `batch` from HGETALL replies; `replies[i]` belongs to request `requests[i]`.

    A field of a layout version that is not read here is skipped.
    """
    owners: list[int] = []
    names: list[bytes] = []
    fields: list[bytes] = []
    for at, reply in zip(requests, replies, strict=True):
        if not isinstance(reply, list) or not reply:
            if isinstance(reply, hiredis.ReplyError):
                batch.failed.add(at)
            continue
        shops, values = reply[::2], reply[1::2]
        if len(shops) != len(values):
            raise ValueError("a hash has a field without a value")
        if META_FIELD in shops and is_opted_out(_taken_out(shops, values, META_FIELD)):
            # The bid may not carry the id either: its notices would write what the opt-out has erased.
            batch.user_ids[at] = None
            continue
        if RING_FIELD in shops:
            batch.rings[at] = _taken_out(shops, values, RING_FIELD)
        if LOST_FIELD in shops:
            batch.lost[at] = _taken_out(shops, values, LOST_FIELD)
        batch.found[at] = True
        batch.segments[at] = b""
        owners += [at] * len(values)
        names += shops
        fields += values
    # All fields are checked at once: checking each alone costs as much as everything above.
    if fields and (min(map(len, fields)) < HEADER_BYTES or not _READ_VERSIONS.issuperset(map(_version_of, fields))):
        owners, names, fields = _sound(owners, names, fields)
    if fields:
        _decode_states(batch, owners, list(map(int, names)), fields, now_ms)


def _sound(owners: list[int], names: list[bytes], fields: list[bytes]) -> tuple[list[int], list[bytes], list[bytes]]:
    """The rows whose field has a layout version that is read here."""
    sound = [row for row, field in enumerate(fields) if len(field) >= HEADER_BYTES and field[0] in _READ_VERSIONS]
    return [owners[row] for row in sound], [names[row] for row in sound], [fields[row] for row in sound]


def _taken_out(names: list[bytes], values: list[bytes], name: bytes) -> bytes:
    """Take a field that is not a shop's out of both lists; returns its value."""
    at = names.index(name)
    del names[at]
    return values.pop(at)


def _decode_states(
    batch: ProfileBatch, owners: list[int], advertisers: list[int], fields: list[bytes], now_ms: int
) -> None:
    now_s = now_ms / 1000
    joined = b"".join([field[:HEADER_BYTES] for field in fields])
    header = np.frombuffer(joined, dtype=HEADER)
    # Most columns are 32-bit words: one call converts them all, instead of seven calls.
    words = np.frombuffer(joined, dtype="<u4").reshape(-1, HEADER_BYTES // 4).astype(np.float64)
    request = np.array(owners, dtype=np.int64)
    _decode_segments(batch, request, header, fields, now_ms // 1000)
    advertiser = np.array(advertisers, dtype=np.int64)
    live = words[:, _EXPIRES] > now_s
    if np.count_nonzero(live) != len(live):
        header, request, advertiser, words = header[live], request[live], advertiser[live], words[live]
        fields = [fields[row] for row in live.nonzero()[0].tolist()]
    batch.state_fields = fields
    facts = words[:, _FACTS]
    ages = facts[:, _FIRST_MOMENT:]
    never = ages == 0.0
    # Ages are not negative, though clocks of machines differ, and infinite for what never happened.
    np.maximum(np.subtract(now_s, ages, out=ages), 0.0, out=ages)
    ages[never] = np.inf
    batch.set_facts(facts)
    batch.state_request = request
    batch.state_advertiser = advertiser
    cart_age = batch.cart_age_s
    cart, packed = header["cart_micros"], header["stage"]
    batch.purchase_cycle = (packed >> STAGE_BITS).astype(np.uint8)
    stage = (packed & _STAGE_MASK).astype(np.int64)
    batch.has_carts = bool(np.count_nonzero(cart))
    if batch.has_carts:
        no_cart = (cart <= 0) | (cart_age >= CART_LIFETIME_S)
        cart = np.where(no_cart, 0, cart)
        cart_age[no_cart], stage[no_cart] = np.inf, CartStage.NONE
    else:
        cart_age[:], stage[:] = np.inf, CartStage.NONE
    batch.cart_micros, batch.cart_stage = cart, stage
    batch.score = header["score"].astype(np.float64)


def _decode_segments(
    batch: ProfileBatch,
    request: npt.NDArray[np.int64],
    header: npt.NDArray[np.void],
    fields: list[bytes],
    now_s: int,
) -> None:
    counts = header["windows"].astype(np.int64)
    ends = counts * WINDOW_BYTES + HEADER_BYTES
    joined = b"".join([field[HEADER_BYTES:end] for field, end in zip(fields, ends.tolist(), strict=True)])
    if len(joined) != int(counts.sum()) * WINDOW_BYTES:  # a field is damaged: keep the windows of the sound ones
        sound = np.array([len(field) for field in fields]) >= ends
        joined = b"".join([fields[at][HEADER_BYTES : ends[at]] for at in np.flatnonzero(sound)])
        request, counts = request[sound], counts[sound]
    if not joined:
        return
    windows = np.frombuffer(joined, dtype=WINDOW)
    owner = np.repeat(request, counts)
    active = (windows["enter_s"] <= now_s) & (now_s < windows["leave_s"])
    # (request, segment) as one number: one sort groups by request and orders the ids. A segment's windows do not
    # overlap and its id belongs to one shop, so none comes twice.
    keys = owner[active] << 32 | windows["segment"][active]
    keys.sort()
    ids = keys.astype("<u4").tobytes()  # the low halves: segment ids
    start = 0
    for at, count in enumerate(np.bincount(keys >> 32).tolist()):
        if count:
            end = start + 4 * count
            batch.segments[at] = ids[start:end]
            start = end
