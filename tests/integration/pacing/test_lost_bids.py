"""A loss that a tracker is told ends the count of the bid in the process that made it, at its next look at the user."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from bidder.decision.bids_out import BidsOut
from core.clock import ManualClock, SystemClock
from core.keys import user_profile
from core.model import Catalogue, FrequencyCap
from core.ring import pack_record
from segments.profiles.reading import ProfileReader
from tests.kit.money import LINE_ITEM, USER, Shop, catalogue, line_item

CAP_1 = (FrequencyCap(impressions=1, window_s=3600),)


@pytest.fixture
async def shop(valkey: str) -> AsyncIterator[Shop]:
    made = await Shop.open(valkey, ManualClock(SystemClock().now_ms()), catalogue(line_item(caps=CAP_1)))
    try:
        yield made
    finally:
        await made.close()


async def told(shop: Shop) -> bytes:
    """What a bidder reads of lost bids with the user's profile."""
    clock = SystemClock()
    batch = await ProfileReader(shop.redis).fetch([(USER, 0, None)], shop.clock.now_ms(), clock.monotonic() + 5)
    assert not batch.failed
    return batch.lost.get(0, b"")


async def lease_of(shop: Shop) -> int:
    book, _ = await shop.bidder()
    return book.lease_id(0)


async def test_the_bid_counts_until_its_loss(shop: Shop) -> None:
    lease, out, now_ms = await lease_of(shop), BidsOut(), shop.clock.now_ms()
    out.add(USER, LINE_ITEM, now_ms, 5_000)
    assert out.ring(USER, b"", now_ms, await told(shop)) == pack_record(LINE_ITEM, now_ms // 1000)
    assert (await shop.desk.loss(shop.token(lease), "102")).outcome == "lost"
    assert out.ring(USER, b"", now_ms, await told(shop)) == b""


async def test_a_loss_is_told_once_and_the_last_four_are_kept(shop: Shop) -> None:
    lease, made_s = await lease_of(shop), shop.clock.now_ms() // 1000
    for _ in range(3):
        token = shop.token(lease)
        await shop.desk.loss(token, "102")
        await shop.desk.loss(token, "102")
    assert await told(shop) == 3 * pack_record(LINE_ITEM, made_s)
    for _ in range(3):
        await shop.desk.loss(shop.token(lease), "102")
    assert await told(shop) == 4 * pack_record(LINE_ITEM, made_s)
    (life,) = await shop.transitions.commands([("TTL", user_profile(USER))])
    assert isinstance(life, int)
    assert 0 < life <= 600, "a user whom no shop knows is forgotten"


async def test_a_late_loss_and_one_of_nobody_are_not_noted(shop: Shop) -> None:
    lease = await lease_of(shop)
    old, nobody = shop.token(lease), shop.token(lease, user_id="")
    shop.clock.advance(6)
    assert (await shop.desk.loss(old, "102")).status == 204
    assert (await shop.desk.loss(nobody, "102")).status == 204
    assert await told(shop) == b""


def capped_by(owner: str) -> Catalogue:
    made = catalogue()
    capped = tuple(msgspec.structs.replace(each, caps=CAP_1) for each in getattr(made, owner))
    return msgspec.structs.replace(made, **{owner: capped})


@pytest.mark.parametrize(
    ("published", "noted"),
    [
        (catalogue(), 0),
        (catalogue(line_item(min_gap_s=60)), 1),
        (capped_by("campaigns"), 1),
        (capped_by("advertisers"), 1),
    ],
)
async def test_only_what_a_cap_or_gap_counts_is_noted(shop: Shop, published: Catalogue, noted: int) -> None:
    shop.present = published
    lease = await lease_of(shop)
    await shop.desk.loss(shop.token(lease), "102")
    assert len(await told(shop)) == 8 * noted


async def test_a_bill_after_the_loss_enters_the_ring(shop: Shop) -> None:
    lease, token = await lease_of(shop), shop.token(await lease_of(shop))
    assert lease
    await shop.desk.loss(token, "102")
    assert (await shop.desk.bill(token, "5", "PLN")).status == 204
    batch = await ProfileReader(shop.redis).fetch([(USER, 0, None)], shop.clock.now_ms(), SystemClock().monotonic() + 5)
    assert batch.rings == [pack_record(LINE_ITEM, shop.clock.now_ms() // 1000)]
