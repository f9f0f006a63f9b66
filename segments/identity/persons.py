"""Who a browser is: our id, others' ids of it, and what its owner may ask for (opt-out, erasure, export).

An erasure takes effect in one script on the user's slot. The script answers with what it removed, and what that points
to goes next, so that no write in between is missed. The meta field that it leaves behind keeps events that are still on
their way from bringing the profile back. Whatever is done to a user is noted in the audit stream, under a digest of the
id and without any content.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from core.clock import Clock
from core.keys import (
    JOURNAL_ERASURES,
    USER_AUDIT,
    client_user,
    exchange_user,
    person,
    user_aliases,
    user_facts,
    user_profile,
    user_touches,
)
from core.ring import format_of, line_item_of, records
from core.terms import FORMATS_BY_NUMBER
from segments.audiences.due import not_due_command
from segments.audiences.leftovers import erase_leftovers
from segments.audiences.rosters import RosterStore
from segments.audiences.sizes import SegmentSizes
from segments.facts.facts import DAY_S, Facts, digests_of
from segments.facts.layout import LayoutError, Window, unpack_cold, unpack_windows
from segments.facts.meta import Meta, pack_meta, unpack_meta
from segments.profiles.reading import META_FIELD, NOBODY, RING_FIELD, Command
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore
from segments.rules.vocabulary import FACTS, Value

# Browsers cut longer cookies to 400 days; 13 months is what data protection authorities accept.
COOKIE_LIFETIME_S: Final = 390 * DAY_S
# An opt-out outlives every cookie it could apply to.
_OPT_OUT_TTL_MS: Final = 400 * DAY_S * 1000
# The tombstone of an erasure must outlive every entry of the event log, which is drained within minutes.
_TOMBSTONE_TTL_MS: Final = 7 * DAY_S * 1000
_EXCHANGE_FIELD: Final = b"x"
_CLIENT_FIELD: Final = b"c"
# A browser that keeps our cookie needs its first-party id for the first page only, so that events before the cookie are
# its own, too: the id is tried for an hour. A browser that sends no cookie after the grace of a minute keeps none.
_CLIENT_TRIAL_S: Final = 3_600
_CLIENT_GRACE_S: Final = 60
_MAX_AUDIT: Final = 1_000_000

# KEYS: u:{uid}, f:{uid}, al:{uid}, at:{uid}. ARGV: meta, ttl ms. Returns what the first three held.
_ERASE: Final = Script(
    """
    local held = {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
    redis.call('DEL', unpack(KEYS))
    redis.call('HSET', KEYS[1], 'm', ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return held
    """
)


# An id that a request brought while its user was being erased must not point to it again. Requests are answered within
# milliseconds; the server's clock stamps both sides.
_IN_FLIGHT_MS: Final = 5_000

# KEYS: u:{uid}, al:{uid}. ARGV: field, value, time to live (s), how long after an erasure nothing is noted (ms). 0: the
# user has opted out or was just erased (or has a tombstone that cannot be read), and nothing is written.
_NOTE_ALIAS: Final = Script(
    """
    local tombstone = redis.call('HGET', KEYS[1], 'm')
    if tombstone then
      if #tombstone ~= 10 or string.byte(tombstone, 1) ~= 1 or string.byte(tombstone, 2) % 2 == 1 then return 0 end
      local low, high = struct.unpack('<I4I4', tombstone, 3)
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      if now <= high * 4294967296 + low + tonumber(ARGV[4]) then return 0 end
    end
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
    redis.call('EXPIRE', KEYS[2], ARGV[3])
    return 1
    """
)


# An exchange's id may get another user of ours when a browser's cookies are cleared or two people share it. More claims
# on a day mean a placeholder that no list knows, a test id, or somebody who fishes for others' carts.
MAX_CLAIMS: Final = 5

# KEYS: x:{exchange}:{id}. ARGV: user id, time to live (s), day, most claims, what stands for nobody, its time to live
# (s). The value is a user id, behind it `:claims:day` once another browser has claimed it; or `nobody:day`.
_CLAIM: Final = Script(
    """
    local held = redis.call('GET', KEYS[1])
    local claims = 0
    if held and string.sub(held, 1, #ARGV[5] + 1) == ARGV[5] .. ':' then
      if string.sub(held, #ARGV[5] + 2) == ARGV[3] then return 0 end
      held = false
    end
    if held then
      local user, count, day = string.match(held, '^([^:]*):?(%d*):?(%d*)$')
      if user == ARGV[1] then
        redis.call('EXPIRE', KEYS[1], ARGV[2])
        return 1
      end
      claims = day == ARGV[3] and tonumber(count) or 1
    end
    claims = claims + 1
    if claims > tonumber(ARGV[4]) then
      redis.call('SET', KEYS[1], ARGV[5] .. ':' .. ARGV[3], 'EX', ARGV[6])
      return 0
    end
    local value = ARGV[1]
    if claims > 1 then value = value .. ':' .. claims .. ':' .. ARGV[3] end
    redis.call('SET', KEYS[1], value, 'EX', ARGV[2])
    return 1
    """
)

# KEYS: what points to a user (x: or c:). ARGV: the user's id. The key stays if another browser has claimed it since.
_LET_GO: Final = Script(
    """
    local held = redis.call('GET', KEYS[1])
    if held and string.match(held, '^[^:]*') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0
    """
)


class Erased(msgspec.Struct, frozen=True):
    """What an erasure removed; `user_ids` are the asked one and the person's linked devices."""

    user_ids: tuple[str, ...]
    advertisers: int
    exchange_ids: int


class AdvertiserExport(msgspec.Struct, frozen=True):
    """One advertiser's part of a profile, in words: what is stored, and by name what segment rules find in it now.

    Of the latter money is in micros, moments are unix seconds.
    """

    advertiser_id: int
    facts: dict[str, Any]
    known: dict[str, Value]
    windows: tuple[tuple[int, int, int], ...]


class UserExport(msgspec.Struct, frozen=True):
    """Everything stored of one user id (GDPR article 15). `impressions` are (line item id, unix seconds, format).

    The format is empty where it was not noted, as it is not unless a cap by format concerns the line item.
    """

    user_id: str
    found: bool
    opted_out: bool
    advertisers: tuple[AdvertiserExport, ...]
    exchange_ids: dict[str, str]
    first_party_ids: tuple[int, ...]  # advertisers whose pages keep an id for this browser; we store only its digest
    impressions: tuple[tuple[int, int, str], ...]


PseudonymsOf = Callable[[str, int], Sequence[str]]
"""The pseudonyms of a user id up to a moment (unix ms), as decimal texts."""


class Identities:
    """Operations on whole users."""

    def __init__(
        self,
        store: ProfileStore,
        sizes: SegmentSizes,
        clock: Clock,
        pseudonyms: PseudonymsOf = lambda _user_id, _until_ms: (),
    ) -> None:
        """`pseudonyms` gives those that the journal may have a user under; none where no journal is kept."""
        self._pseudonyms = pseudonyms
        self._store = store
        self._sizes = sizes
        self._clock = clock
        self._rosters = RosterStore(store, clock)

    async def opted_out(self, user_id: str) -> bool:
        """Whether the user may not be profiled."""
        (meta,) = await self._store.commands([("HGET", user_profile(user_id), META_FIELD)])
        return unpack_meta(meta if isinstance(meta, bytes) else None).opted_out

    async def bind(self, exchange_id: int, exchange_user_id: str, user_id: str) -> bool:
        """Remember that an exchange knows our user under its own id; both ways, so that an erasure finds it.

        Returns False, and remembers nothing, for a user who has opted out or was just erased, and for an id that more
        than MAX_CLAIMS browsers claimed on this day, which stands for nobody until the next.
        """
        if not await self._alias(user_id, f"x{exchange_id}", exchange_user_id):
            return False
        key = exchange_user(exchange_id, exchange_user_id)
        day = self._clock.now_ms() // (DAY_S * 1000)
        call = _CLAIM.call([key], [user_id, COOKIE_LIFETIME_S, day, MAX_CLAIMS, NOBODY, 2 * DAY_S])
        (bound,) = await self._store.script(_CLAIM, [call])
        if not await self._is_alias(user_id, f"x{exchange_id}"):  # the user was erased in between
            await self._let_go([key], user_id)
            return False
        return bound == 1

    async def user_of_client(self, advertiser_id: int, client_id: str) -> str | None:
        """Our user of a first-party id at one shop; None for one that was not adopted, or whose trial is over."""
        key = client_user(advertiser_id, _client_digest(client_id))
        user_id, seconds = await self._store.commands([("GET", key), ("TTL", key)])
        if not isinstance(user_id, bytes):
            return None
        if int(str(seconds)) < _CLIENT_TRIAL_S - _CLIENT_GRACE_S or int(str(seconds)) > _CLIENT_TRIAL_S:
            if not await self._alias(user_id.decode(), f"c{advertiser_id}", _client_digest(client_id)):
                await self._let_go([key], user_id.decode())
                return None
            await self._store.commands([("EXPIRE", key, COOKIE_LIFETIME_S)])
        return user_id.decode()

    async def adopt_client(self, advertiser_id: int, client_id: str, user_id: str) -> str:
        """Let a first-party id stand for `user_id`, unless it already stands for a user; returns that user."""
        digest = _client_digest(client_id)
        key = client_user(advertiser_id, digest)
        await self._store.commands([("SET", key, user_id, "EX", _CLIENT_TRIAL_S, "NX")])
        (known,) = await self._store.commands([("GET", key)])
        found = known.decode() if isinstance(known, bytes) else user_id
        if not await self._alias(found, f"c{advertiser_id}", digest):
            await self._let_go([key], found)
        return found

    async def _alias(self, user_id: str, field: str, value: str) -> bool:
        """Note an id that points to a user; False, without noting it, where the user's tombstone forbids it."""
        keys = [user_profile(user_id), user_aliases(user_id)]
        call = _NOTE_ALIAS.call(keys, [field, value, COOKIE_LIFETIME_S, _IN_FLIGHT_MS])
        (noted,) = await self._store.script(_NOTE_ALIAS, [call])
        return noted == 1

    async def _is_alias(self, user_id: str, field: str) -> bool:
        (found,) = await self._store.commands([("HEXISTS", user_aliases(user_id), field)])
        return found == 1

    async def devices(self, advertiser_id: int, digest: bytes) -> list[str]:
        """User ids that logged in as a person at an advertiser."""
        (members,) = await self._store.commands([("SMEMBERS", person(advertiser_id, digest.hex()))])
        return sorted(member.decode() for member in members) if isinstance(members, list | set) else []

    async def opt_out(self, user_id: str, actor: str) -> None:
        """Erase the profile of this browser and never write it again."""
        await self._erase(user_id, Meta(opted_out=True, erased_ms=await self._server_ms()), _OPT_OUT_TTL_MS)
        await self.note("opt_out", user_id, actor)

    async def forget(self, user_id: str, actor: str) -> Erased:
        """Erase everything about a user id and about the devices that are linked to it by a login.

        Linked devices hold the same person's history (merge.py), so leaving them would leave the data. Effective at
        once: the next bid request finds nobody. An opt-out stays an opt-out.
        """
        erased_ms = await self._server_ms()
        held = await self._forget_one(user_id, erased_ms, actor)
        linked = sorted(_linked(held.cold) - {user_id})
        parts = [held, *[await self._forget_one(device, erased_ms, actor) for device in linked]]
        return Erased(
            (user_id, *linked),
            sum(len(_advertisers(part.cold)) for part in parts),
            sum(len(_exchange_ids(part.aliases)) for part in parts),
        )

    async def _forget_one(self, user_id: str, erased_ms: int, actor: str) -> "_Held":
        out = await self.opted_out(user_id)
        meta = Meta(opted_out=out, erased_ms=erased_ms)
        held = await self._erase(user_id, meta, _OPT_OUT_TTL_MS if out else _TOMBSTONE_TTL_MS)
        await self.note("erase", user_id, actor)
        return held

    async def export(self, user_id: str, actor: str) -> UserExport:
        """Everything stored of a user id."""
        names = (user_profile(user_id), user_facts(user_id), user_aliases(user_id))
        hot, cold, aliases = map(_pairs, await self._store.commands([("HGETALL", name) for name in names]))
        await self.note("export", user_id, actor)
        ring = hot.get(RING_FIELD, b"")
        now_s = self._clock.now_ms() // 1000
        advertisers = tuple(
            AdvertiserExport(int(name), _facts_in_words(value), _known(value, now_s), _windows(hot.get(name, b"")))
            for name, value in sorted(_advertisers(cold).items())
        )
        return UserExport(
            user_id=user_id,
            found=bool(advertisers or ring or aliases),
            opted_out=unpack_meta(hot.get(META_FIELD)).opted_out,
            advertisers=advertisers,
            exchange_ids={str(exchange): known for exchange, known in _exchange_ids(aliases).items()},
            first_party_ids=tuple(sorted(_clients(aliases))),
            impressions=tuple(
                (line_item_of(number), shown_s, FORMATS_BY_NUMBER[format_of(number)])
                for number, shown_s in records(ring)
            ),
        )

    async def _erase(self, user_id: str, meta: Meta, ttl_ms: int) -> "_Held":
        """Remove all of the user's keys and what points to them; returns what the keys held.

        The worker erases the journal's rows, and is told first: if a fault makes us repeat this, it does it twice.
        """
        if pseudonyms := self._pseudonyms(user_id, meta.erased_ms):
            scored = [part for pseudonym in pseudonyms for part in (meta.erased_ms, pseudonym)]
            await self._store.commands([("ZADD", JOURNAL_ERASURES, *scored)])
        keys = [user_profile(user_id), user_facts(user_id), user_aliases(user_id), user_touches(user_id)]
        (reply,) = await self._store.script(_ERASE, [_ERASE.call(keys, [pack_meta(meta), ttl_ms])])
        hot, cold, aliases = map(_pairs, reply if isinstance(reply, list) else [])
        pointing = [exchange_user(exchange, known) for exchange, known in _exchange_ids(aliases).items()]
        pointing += [client_user(advertiser, digest) for advertiser, digest in _clients(aliases).items()]
        await self._let_go(pointing, user_id)
        commands: list[Command] = []
        windows: dict[int, tuple[Window, ...]] = {}
        for name, value in _advertisers(cold).items():
            windows[int(name)] = _windows(hot.get(name, b""))
            commands += [not_due_command(int(name), window, user_id) for window in windows[int(name)]]
            facts = _facts(value)
            digests = digests_of(facts) if facts is not None else []
            commands += [("SREM", person(int(name), digest.hex()), user_id) for digest in digests]
            await self._rosters.forget(int(name), digests)
        await self._store.commands(commands)
        await self._sizes.forget(user_id, sorted({window[0] for rows in windows.values() for window in rows}))
        await erase_leftovers(self._store, user_id, windows)
        return _Held(cold, aliases)

    async def _let_go(self, keys: Sequence[str], user_id: str) -> None:
        """Remove what points to a user, as far as it still does."""
        if keys:
            await self._store.script(_LET_GO, [_LET_GO.call([key], [user_id]) for key in keys])

    async def _server_ms(self) -> int:
        """The server's clock: stream ids, which an erasure is compared with, are made from it."""
        (reply,) = await self._store.commands([("TIME",)])
        seconds, micros = reply if isinstance(reply, list) else (self._clock.now_ms() // 1000, 0)
        return int(seconds) * 1000 + int(micros) // 1000

    async def note(self, action: str, user_id: str, actor: str) -> None:
        """Add an entry to the audit stream, under a digest of the id and without any content."""
        digest = hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()
        await self._store.commands(
            [("XADD", USER_AUDIT, "MAXLEN", "~", _MAX_AUDIT, "*", "action", action, "user", digest, "actor", actor)]
        )


class _Held(NamedTuple):
    """What an erased user's keys held."""

    cold: dict[bytes, bytes]
    aliases: dict[bytes, bytes]


def _pairs(reply: object) -> dict[bytes, bytes]:
    flat: Sequence[bytes] = reply if isinstance(reply, list) else []
    return {flat[at]: flat[at + 1] for at in range(0, len(flat), 2)}


def _client_digest(client_id: str) -> str:
    """What is stored of a first-party id: the shop's own script knows the id itself."""
    return hashlib.blake2b(client_id.encode(), digest_size=16, person=b"grosz-client").hexdigest()


def _advertisers(cold: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in cold.items() if name.isdigit()}


def _exchange_ids(aliases: Mapping[bytes, bytes]) -> dict[int, str]:
    return _numbered(aliases, _EXCHANGE_FIELD)


def _clients(aliases: Mapping[bytes, bytes]) -> dict[int, str]:
    return _numbered(aliases, _CLIENT_FIELD)


def _numbered(aliases: Mapping[bytes, bytes], prefix: bytes) -> dict[int, str]:
    return {
        int(name[1:]): value.decode()
        for name, value in aliases.items()
        if name.startswith(prefix) and name[1:].isdigit()
    }


def _linked(cold: Mapping[bytes, bytes]) -> set[str]:
    """Devices that hold the same person's history."""
    found = [facts for value in _advertisers(cold).values() if (facts := _facts(value)) is not None]
    return {device for facts in found for device in (*facts.devices, *facts.merged)}


def _facts(cold: bytes) -> Facts | None:
    try:
        return unpack_cold(cold)
    except LayoutError:
        return None


def _windows(hot: bytes) -> tuple[Window, ...]:
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


def _known(cold: bytes, now_s: int) -> dict[str, Value]:
    facts = _facts(cold) or Facts()
    values = ((fact, fact.value(facts, now_s)) for fact in FACTS.values())
    return {
        fact.name: fact.words[value] if fact.words and isinstance(value, int) else value
        for fact, value in values
        if value not in (None, (), 0)
    }


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
