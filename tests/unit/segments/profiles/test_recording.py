"""A recorded profile is read back as the bid path had it."""

import numpy as np
import pytest

from core.ring import pack_record
from segments.facts.layout import HEADER, HOT_VERSION
from segments.profiles.reading import ProfileBatch, decode
from segments.profiles.recording import RECORDED_USER, RecordedProfiles, batch_of, pack_profile, unpack_profile

NOW_MS = 1_790_000_000_000


def a_batch() -> ProfileBatch:
    """A user known to two shops, a stranger, and one whose look-up failed."""
    header = np.zeros(1, HEADER)
    header["version"], header["last_visit_s"], header["expires_s"] = HOT_VERSION, NOW_MS // 1000 - 60, 2**32 - 1
    header["cart_micros"], header["cart_idle_s"], header["visits"] = 5_000_000, NOW_MS // 1000 - 7_200, 4
    batch = ProfileBatch(["u" * 22, None, "v" * 22])
    decode(
        batch, [0], [[b"i", pack_record(7, NOW_MS // 1000 - 5), b"1", header.tobytes(), b"2", header.tobytes()]], NOW_MS
    )
    batch.segments[0] = (9).to_bytes(4, "little")
    batch.cap_rings = list(batch.rings)
    batch.cap_rings[0] += pack_record(8, NOW_MS // 1000)
    batch.failed.add(2)
    return batch


def test_a_profile_is_read_back_without_the_id() -> None:
    batch = a_batch()
    packed = [pack_profile(batch, number) for number in range(3)]
    assert not any(b"u" * 22 in one or b"v" * 22 in one for one in packed)
    again = batch_of([unpack_profile(one) for one in packed], NOW_MS)
    assert again.user_ids == [RECORDED_USER, None, RECORDED_USER]
    for name in ("found", "segments", "rings", "cap_rings", "failed"):
        assert getattr(again, name) == getattr(batch, name), name
    for name in ("state_request", "state_advertiser", "cart_micros", "cart_age_s", "visits", "last_visit_age_s"):
        assert np.array_equal(getattr(again, name), getattr(batch, name)), name


async def test_a_reader_answers_with_what_was_recorded() -> None:
    profile = unpack_profile(pack_profile(a_batch(), 0))
    read = await RecordedProfiles([profile, None]).fetch([("x", 1, None), (None, 1, None)], NOW_MS, 0.0)
    assert read.user_ids == [RECORDED_USER, None]
    assert read.segments == [(9).to_bytes(4, "little"), None]


@pytest.mark.parametrize("packed", [b"", b"\xff", b"\x98\x09\xc2\xc2\xc2\xc0\xc4\x00\xc4\x00\x90"])
def test_what_is_no_profile_of_a_known_version_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="recorded profile"):
        unpack_profile(packed)
