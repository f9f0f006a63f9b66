"""What a bid read of one user, packed for a recorded request: enough to price for the same user again.

Nothing here says who it is: no user id, and of shops what their hot fields hold. Segments are those of the moment.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from segments.profiles.reading import RING_FIELD, ProfileBatch, ProfileReader, UserLookup, decode

_VERSION: Final = 1

RECORDED_USER: Final = "recorded-user---------"
"""Stands for the user id in a recording: it is as long as one, and no user has it."""


class RecordedProfile(msgspec.Struct, array_like=True, frozen=True):
    """One user of a batch, as the bid path had it after consent."""

    version: int
    is_known: bool  # whether there was a user id
    found: bool
    failed: bool
    segments: bytes | None
    ring: bytes
    cap_ring: bytes  # the ring with the bids that were out
    shops: tuple[tuple[int, bytes], ...]  # advertiser id, hot field


class _HasVersion(Protocol):
    @property
    def version(self) -> int: ...


Versioned = TypeVar("Versioned", bound=_HasVersion)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RecordedProfile).decode


def of_version(version: int, decode: Callable[[bytes], Versioned], packed: bytes, what: str) -> Versioned:
    """The decoded struct, if it has this version. Raises ValueError for anything else."""
    try:
        found = decode(packed)
    except msgspec.DecodeError as error:
        raise ValueError(f"not {what}: {error}") from None
    if found.version != version:
        raise ValueError(f"{what} of version {found.version}")
    return found


def pack_profile(batch: ProfileBatch, number: int) -> bytes:
    """The profile of one request of a batch."""
    rows = (batch.state_request == number).nonzero()[0].tolist()
    return _encode(
        RecordedProfile(
            _VERSION,
            batch.user_ids[number] is not None,
            batch.found[number],
            number in batch.failed,
            batch.segments[number],
            batch.rings[number],
            batch.cap_rings[number],
            tuple((int(batch.state_advertiser[row]), batch.state_fields[row]) for row in rows),
        )
    )


def unpack_profile(packed: bytes) -> RecordedProfile:
    """The inverse of `pack_profile`. Raises ValueError for what is no profile of a version that is known."""
    return of_version(_VERSION, _decode, packed, "a recorded profile")


def batch_of(profiles: Sequence[RecordedProfile | None], now_ms: int) -> ProfileBatch:
    """A batch as it was read, with ages as of `now_ms`; None is a user of whom nothing is known."""
    known = [profile is not None and profile.is_known for profile in profiles]
    batch = ProfileBatch([RECORDED_USER if each else None for each in known])
    replies: list[object] = []
    for profile in profiles:
        reply: list[object] = [] if profile is None or not profile.ring else [RING_FIELD, profile.ring]
        for advertiser, field in profile.shops if profile is not None else ():
            reply += [b"%d" % advertiser, field]
        replies.append(reply)
    decode(batch, range(len(profiles)), replies, now_ms)
    # In place: `cap_rings` may be the same list as `rings`.
    batch.cap_rings = list(batch.rings)
    for number, profile in enumerate(profiles):
        if profile is None:
            continue
        batch.found[number] = profile.found
        batch.segments[number] = profile.segments
        batch.cap_rings[number] = profile.cap_ring
        if profile.failed:
            batch.failed.add(number)
    return batch


class RecordedProfiles(ProfileReader):
    """A reader that answers with what was recorded, whoever is asked for."""

    __slots__ = ("_profiles",)

    def __init__(self, profiles: Sequence[RecordedProfile | None]) -> None:
        self._profiles = profiles

    async def fetch(self, users: Sequence[UserLookup], now_ms: int, deadline: float) -> ProfileBatch:  # noqa: ARG002 - the reader's
        return batch_of(self._profiles, now_ms)
