"""Who a browser is: our id, the exchanges' ids of it, and what its owner may ask for (opt-out, erasure, export).

An erasure takes effect in one script on the user's slot; the meta field that it leaves behind keeps events that are
still on their way from bringing the profile back. Whatever is done to a user is noted in the audit stream, under a
digest of the id and without any content.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from core.clock import Clock
from core.keys import USER_AUDIT, exchange_user, person, user_facts, user_profile
from segments.facts import DAY_S, Facts
from segments.layout import LayoutError, unpack_cold, unpack_windows
from segments.meta import Meta, pack_meta, unpack_meta
from segments.profiles import META_FIELD, RING_FIELD, Command
from segments.scripts import Script
from segments.sizes import SegmentSizes
from segments.store import LAST_FIELD, ProfileStore

# Browsers cut longer cookies to 400 days; 13 months is what data protection authorities accept.
COOKIE_LIFETIME_S: Final = 390 * DAY_S
# An opt-out outlives every cookie it could apply to.
_OPT_OUT_TTL_MS: Final = 400 * DAY_S * 1000
# The tombstone of an erasure must outlive every entry of the event log, which is drained within minutes.
_TOMBSTONE_TTL_MS: Final = 7 * DAY_S * 1000
_EXCHANGE_FIELD: Final = b"x"
_IMPRESSION_BYTES: Final = 8
_MAX_AUDIT: Final = 1_000_000

# KEYS: u:{uid}, f:{uid}. ARGV: meta, ttl ms.
_ERASE: Final = Script(
    """
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'm', ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return 1
    """
)


class Erased(msgspec.Struct, frozen=True):
    """What an erasure removed; `user_ids` are the asked one and the person's linked devices."""

    user_ids: tuple[str, ...]
    advertisers: int
    exchange_ids: int


class AdvertiserExport(msgspec.Struct, frozen=True):
    """One advertiser's part of a profile, in words."""

    advertiser_id: int
    facts: dict[str, Any]
    windows: tuple[tuple[int, int, int], ...]


class UserExport(msgspec.Struct, frozen=True):
    """Everything stored of one user id (GDPR article 15). `impressions` are (line item id, unix seconds)."""

    user_id: str
    found: bool
    opted_out: bool
    advertisers: tuple[AdvertiserExport, ...]
    exchange_ids: dict[str, str]
    impressions: tuple[tuple[int, int], ...]


class Identities:
    """Operations on whole users."""

    def __init__(self, store: ProfileStore, sizes: SegmentSizes, clock: Clock) -> None:
        self._store = store
        self._sizes = sizes
        self._clock = clock

    async def opted_out(self, user_id: str) -> bool:
        """Whether the user may not be profiled."""
        (meta,) = await self._store.commands([("HGET", user_profile(user_id), META_FIELD)])
        return unpack_meta(meta if isinstance(meta, bytes) else None).opted_out

    async def bind(self, exchange_id: int, exchange_user_id: str, user_id: str) -> None:
        """Remember that an exchange knows our user under its own id; both ways, so that an erasure finds it."""
        facts = user_facts(user_id)
        await self._store.commands(
            [
                ("SET", exchange_user(exchange_id, exchange_user_id), user_id, "EX", COOKIE_LIFETIME_S),
                ("HSET", facts, f"x{exchange_id}", exchange_user_id),
                ("EXPIRE", facts, COOKIE_LIFETIME_S),
            ]
        )

    async def devices(self, advertiser_id: int, digest: bytes) -> list[str]:
        """User ids that logged in as a person at an advertiser."""
        (members,) = await self._store.commands([("SMEMBERS", person(advertiser_id, digest.hex()))])
        return sorted(member.decode() for member in members) if isinstance(members, list | set) else []

    async def opt_out(self, user_id: str, actor: str) -> None:
        """Erase the profile of this browser and never write it again."""
        await self._erase(user_id, Meta(opted_out=True, erased_ms=await self._server_ms()), _OPT_OUT_TTL_MS)
        await self._audit("opt_out", user_id, actor)

    async def forget(self, user_id: str, actor: str) -> Erased:
        """Erase everything about a user id and about the devices that are linked to it by a login.

        Linked devices hold the same person's history (merge.py), so leaving them would leave the data. Effective at
        once: the next bid request finds nobody. An opt-out stays an opt-out.
        """
        user_ids = [user_id, *await self._linked(user_id)]
        erased_ms = await self._server_ms()
        advertisers = exchange_ids = 0
        for device in user_ids:
            out = await self.opted_out(device)
            meta = Meta(opted_out=out, erased_ms=erased_ms)
            fields, bound = await self._erase(device, meta, _OPT_OUT_TTL_MS if out else _TOMBSTONE_TTL_MS)
            advertisers += fields
            exchange_ids += bound
            await self._audit("erase", device, actor)
        return Erased(tuple(user_ids), advertisers, exchange_ids)

    async def export(self, user_id: str, actor: str) -> UserExport:
        """Everything stored of a user id."""
        hot, cold = await self._read(user_id)
        await self._audit("export", user_id, actor)
        ring = hot.get(RING_FIELD, b"")
        advertisers = tuple(
            AdvertiserExport(int(name), _facts_in_words(value), _windows(hot.get(name, b"")))
            for name, value in sorted(cold.items())
            if name.isdigit()
        )
        return UserExport(
            user_id=user_id,
            found=bool(advertisers or ring or _exchange_ids(cold)),
            opted_out=unpack_meta(hot.get(META_FIELD)).opted_out,
            advertisers=advertisers,
            exchange_ids={str(exchange): known for exchange, known in _exchange_ids(cold).items()},
            impressions=tuple(
                (int.from_bytes(ring[at : at + 4], "little"), int.from_bytes(ring[at + 4 : at + 8], "little"))
                for at in range(0, len(ring) - _IMPRESSION_BYTES + 1, _IMPRESSION_BYTES)
            ),
        )

    async def _erase(self, user_id: str, meta: Meta, ttl_ms: int) -> tuple[int, int]:
        """Remove both hashes and all that points to them; (advertiser fields, exchange ids) removed."""
        hot, cold = await self._read(user_id)
        keys = [user_profile(user_id), user_facts(user_id)]
        await self._store.script(_ERASE, [_ERASE.call(keys, [pack_meta(meta), ttl_ms])])
        bound = _exchange_ids(cold)
        commands: list[Command] = [("DEL", exchange_user(exchange, known)) for exchange, known in bound.items()]
        segments: set[int] = set()
        advertisers = 0
        for name, value in cold.items():
            if name.isdigit():
                advertisers += 1
                segments.update(window[0] for window in _windows(hot.get(name, b"")))
                facts = _facts(value)
                if facts is not None and facts.person:
                    commands.append(("SREM", person(int(name), facts.person.hex()), user_id))
        await self._store.commands(commands)
        await self._sizes.forget(user_id, sorted(segments))
        return advertisers, len(bound)

    async def _linked(self, user_id: str) -> list[str]:
        _, cold = await self._read(user_id)
        linked: set[str] = set()
        for name, value in cold.items():
            facts = _facts(value) if name.isdigit() else None
            if facts is not None:
                linked.update(facts.devices, facts.merged)
        return sorted(linked - {user_id})

    async def _read(self, user_id: str) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        replies = await self._store.commands([("HGETALL", user_profile(user_id)), ("HGETALL", user_facts(user_id))])
        hot, cold = (_pairs(reply if isinstance(reply, list) else []) for reply in replies)
        cold.pop(LAST_FIELD, None)
        return hot, cold

    async def _server_ms(self) -> int:
        """The server's clock: stream ids, which an erasure is compared with, are made from it."""
        (reply,) = await self._store.commands([("TIME",)])
        seconds, micros = reply if isinstance(reply, list) else (self._clock.now_ms() // 1000, 0)
        return int(seconds) * 1000 + int(micros) // 1000

    async def _audit(self, action: str, user_id: str, actor: str) -> None:
        digest = hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()
        await self._store.commands(
            [("XADD", USER_AUDIT, "MAXLEN", "~", _MAX_AUDIT, "*", "action", action, "user", digest, "actor", actor)]
        )


def _pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return {flat[at]: flat[at + 1] for at in range(0, len(flat), 2)}


def _exchange_ids(cold: Mapping[bytes, bytes]) -> dict[int, str]:
    return {
        int(name[1:]): value.decode()
        for name, value in cold.items()
        if name.startswith(_EXCHANGE_FIELD) and name[1:].isdigit()
    }


def _facts(cold: bytes) -> Facts | None:
    try:
        return unpack_cold(cold)
    except LayoutError:
        return None


def _windows(hot: bytes) -> tuple[tuple[int, int, int], ...]:
    try:
        return tuple(unpack_windows(hot))
    except LayoutError:
        return ()


def _facts_in_words(cold: bytes) -> dict[str, Any]:
    """Facts by name, nested rows too; the digest of the e-mail as hex."""
    facts = _facts(cold)
    if facts is None:
        return {"damaged": True}
    return {name: _in_words(getattr(facts, name)) for name in facts.__struct_fields__}


def _in_words(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {name: _in_words(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _in_words(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_in_words(item) for item in value]
    return value
