"""Which events a profile has seen lately, so that one that is sent again counts once.

Senders repeat what got no answer: a page its last request, a server its last batch. So the newest few are enough; an
order is remembered for longer, by its number (orders.py).
"""

from typing import Final

from segments.facts.facts import Facts

DIGEST_BYTES: Final = 4
# More than the 20 that a page sends in one request. They take 128 bytes of an active visitor's profile; the chance that
# a new event is taken for a repeated one stays below 1 in 100 million.
MAX_RECENT: Final = 32


def is_repeated(facts: Facts, once: int) -> bool:
    """Whether an event with this `event_key` is among the newest; False for 0, which is no key."""
    return bool(once) and once.to_bytes(DIGEST_BYTES, "little") in _digests(facts.recent_events)


def remember_event(facts: Facts, once: int) -> None:
    """Note an `event_key` as the newest; 0 is no key, and not noted."""
    if once:
        facts.recent_events = facts.recent_events[-(MAX_RECENT - 1) * DIGEST_BYTES :] + once.to_bytes(
            DIGEST_BYTES, "little"
        )


def united_events(left: bytes, right: bytes) -> bytes:
    """Digests of both sides, sorted: their age is not known, and both devices must get the same."""
    return b"".join(sorted({*_digests(left), *_digests(right)})[-MAX_RECENT:]) if left and right else left or right


def _digests(packed: bytes) -> list[bytes]:
    return [packed[at : at + DIGEST_BYTES] for at in range(0, len(packed), DIGEST_BYTES)]
