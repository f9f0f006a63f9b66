"""The published bytes, and the arithmetic of changes: what is between two catalogues leads from one to the other."""

import contextlib
import random
import struct

import msgspec
import pytest
import zstandard

from core.catalogue.codec import (
    BY_ID,
    CHANGE_FORMAT,
    FORMAT,
    HEADER_BYTES,
    WHOLE,
    Change,
    apply_change,
    decode_catalogue,
    decode_change,
    decode_published,
    difference,
    encode_catalogue,
    encode_change,
    header_of,
    version_of,
)
from core.errors import CatalogueError
from core.model import Catalogue
from tests.kit.catalogues import catalogue, line_item
from tests.kit.publishing import changed_catalogue
from tests.kit.random_bidding import random_catalogue

HEADER = FORMAT + struct.pack(">Q", 1)


def test_a_catalogue_comes_back_as_it_was_published() -> None:
    for seed in range(5):
        published = random_catalogue(random.Random(seed))
        assert decode_catalogue(encode_catalogue(published)) == published


def test_the_bytes_are_what_msgspec_would_write_of_it() -> None:
    published = random_catalogue(random.Random(1))
    body = zstandard.ZstdDecompressor().decompress(encode_catalogue(published)[HEADER_BYTES:])
    assert msgspec.msgpack.decode(body) == msgspec.msgpack.decode(msgspec.msgpack.encode(published))


def test_the_version_is_in_clear() -> None:
    data = encode_catalogue(catalogue(version=2**40 + 3))
    assert version_of(data) == 2**40 + 3
    assert data.startswith(header_of(2**40 + 3))
    assert len(header_of(1)) == HEADER_BYTES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"C0" + encode_catalogue(catalogue())[2:],
        FORMAT,
        HEADER[:-1],
        HEADER,
        HEADER + b"rubbish",
        encode_catalogue(catalogue(line_item(1)))[:-5],
        header_of(2) + encode_catalogue(catalogue(version=1))[HEADER_BYTES:],
        HEADER + zstandard.ZstdCompressor().compress(b"rubbish"),
        HEADER + zstandard.ZstdCompressor().compress(msgspec.msgpack.encode({"version": "x"})),
    ],
)
def test_what_is_not_a_catalogue_is_refused_with_a_hint(data: bytes) -> None:
    with pytest.raises(CatalogueError) as caught:
        decode_catalogue(data)
    assert caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        CHANGE_FORMAT,
        CHANGE_FORMAT + b"rubbish",
        encode_catalogue(catalogue()),
        encode_change(difference(catalogue(), catalogue(line_item(1), version=2)))[:-5],
        CHANGE_FORMAT + zstandard.ZstdCompressor().compress(b"rubbish"),
        CHANGE_FORMAT + zstandard.ZstdCompressor().compress(msgspec.msgpack.encode({"since": 1})),
    ],
)
def test_what_is_not_a_change_is_refused_with_a_hint(data: bytes) -> None:
    with pytest.raises(CatalogueError) as caught:
        decode_change(data)
    assert caught.value.hint


def test_damaged_bytes_are_refused_and_nothing_else_happens() -> None:
    """Whoever follows the catalogue survives CatalogueError alone."""
    chance = random.Random(1)
    before = random_catalogue(chance)
    whole, change = encode_catalogue(before), encode_change(difference(before, changed_catalogue(chance, before)))
    for turn in range(4_000):
        data = bytearray(change if turn % 2 else whole)
        # Half of the damage is in the header, which says how long the rest is.
        data[chance.randrange(2, 24 if turn % 4 < 2 else len(data))] ^= 1 << chance.randrange(8)
        with contextlib.suppress(CatalogueError):
            if turn % 2:
                decode_change(bytes(data))
            else:
                decode_catalogue(bytes(data))


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\xc3"])
def test_text_that_is_none_is_refused(name: bytes) -> None:
    body = msgspec.msgpack.encode(difference(catalogue(), catalogue(line_item(1), version=2)))
    assert body.count(b"line item 1") == 1
    damaged = body.replace(b"line item 1", name + b"x" * (11 - len(name)))
    with pytest.raises(CatalogueError) as caught:
        decode_change(CHANGE_FORMAT + zstandard.ZstdCompressor().compress(damaged))
    assert caught.value.hint


def test_a_flipped_bit_is_no_other_bid() -> None:
    change = encode_change(difference(catalogue(), catalogue(line_item(1), version=2)))
    flipped = [bytearray(change) for _ in range(8 * len(change))]
    for bit, data in enumerate(flipped):
        data[bit // 8] ^= 1 << bit % 8
    changed = [data for data in map(bytes, flipped) if is_read(data) and decode_change(data) != decode_change(change)]
    assert changed == []


def is_read(data: bytes) -> bool:
    """Whether it is taken for a change."""
    with contextlib.suppress(CatalogueError):
        decode_change(data)
        return True
    return False


def test_a_change_knows_every_member_of_a_catalogue() -> None:
    assert sorted((*BY_ID, *WHOLE, "version", "published_ms")) == sorted(Catalogue.__struct_fields__)


def test_a_change_leads_from_one_catalogue_to_the_other() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        first = present = random_catalogue(chance, line_items=20)
        encoded = []
        for _ in range(chance.randint(1, 5)):
            later = changed_catalogue(chance, present)
            change = difference(present, later)
            assert apply_change(present, change) == later
            encoded.append(encode_change(change))
            assert decode_change(encoded[-1]) == change
            present = later
        assert decode_published(encode_catalogue(first), encoded) == present
        assert apply_change(first, difference(first, present)) == present


def test_a_change_is_found_between_catalogues_that_share_no_object() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        before = random_catalogue(chance)
        after = changed_catalogue(chance, before)
        elsewhere = decode_catalogue(encode_catalogue(before))
        assert difference(elsewhere, after) == difference(before, after)


def test_a_change_holds_what_is_new_and_what_is_gone_and_nothing_else() -> None:
    before = catalogue(*(line_item(number) for number in (1, 2, 3, 5)))
    paused = msgspec.structs.replace(line_item(2), notes="other")
    after = msgspec.structs.replace(before, version=4, line_items=(line_item(1), paused, line_item(4), line_item(5)))
    change = difference(before, after)
    assert (change.since, change.version, change.count) == (1, 4, 3)
    assert change.changed.line_items == (paused, line_item(4))
    assert change.removed == {"line_items": (3,)}
    assert (change.changed.campaigns, change.changed.fx_rates) == ((), before.fx_rates)


def test_members_that_do_not_change_stay_the_same_objects() -> None:
    before = random_catalogue(random.Random(1))
    after = msgspec.structs.replace(before, version=2, line_items=before.line_items[1:])
    applied = apply_change(before, decode_change(encode_change(difference(before, after))))
    others = [name for name in (*BY_ID, *WHOLE) if name != "line_items"]
    assert all(getattr(applied, name) is getattr(before, name) for name in others)
    assert all(left is right for left, right in zip(applied.line_items, before.line_items[1:], strict=True))


def test_an_id_that_is_not_there_may_be_removed() -> None:
    before = catalogue(line_item(2))
    for number in (1, 3):
        change = Change(
            since=1,
            changed=msgspec.structs.replace(catalogue(version=2), advertisers=()),
            removed={"line_items": (number,)},
        )
        assert apply_change(before, change).line_items == (line_item(2),)


def test_a_change_that_begins_elsewhere_is_refused() -> None:
    change = difference(catalogue(version=1), catalogue(line_item(1), version=2))
    with pytest.raises(CatalogueError) as caught:
        apply_change(catalogue(version=3), change)
    assert caught.value.hint
