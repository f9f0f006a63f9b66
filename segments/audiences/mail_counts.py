"""How many visitors wait to be counted in the mails of audience hooks, by segment; one counted is taken away."""

from typing import Final

from core.keys import WEBHOOK_MAILED, webhook_mail
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore

# KEYS: the segment's set, set of segments. ARGV: how many, segment. Visitors who came meanwhile wait for the next mail.
_TAKE: Final = Script(
    """
    if tonumber(ARGV[1]) > 0 then redis.call('SPOP', KEYS[1], ARGV[1]) end
    if redis.call('SCARD', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[2]) end
    return 1
    """
)


async def waiting_counts(store: ProfileStore) -> dict[int, int]:
    """How many visitors wait to be counted, by segment. Raises UnavailableError."""
    (reply,) = await store.commands([("SMEMBERS", WEBHOOK_MAILED)])
    ids = sorted(int(member) for member in reply) if isinstance(reply, list | set) else []
    if not ids:
        return {}
    sizes = await store.commands([("SCARD", webhook_mail(one)) for one in ids])
    return {one: size for one, size in zip(ids, sizes, strict=True) if isinstance(size, int)}


async def take_counted(store: ProfileStore, segment_id: int, count: int) -> None:
    """Take away `count` visitors of a segment, any of them: a mail has counted so many. Raises UnavailableError."""
    await store.script(_TAKE, [_TAKE.call([webhook_mail(segment_id), WEBHOOK_MAILED], [count, segment_id])])
