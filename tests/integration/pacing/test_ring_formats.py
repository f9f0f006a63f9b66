"""The ring of impressions says in which format an ad was shown, wherever a cap by format has to know."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from core import keys
from core.clock import ManualClock
from core.model import BudgetShare, Catalogue, Format, FrequencyCap
from core.ring import pack_record, record_number
from core.terms import FORMATS_BY_NUMBER
from pacing.caps import CapTable
from tests.kit.money import LINE_ITEM, USER, Shop, catalogue, line_item

HOUR_S = 3_600
ANY = (FrequencyCap(impressions=3, window_s=HOUR_S),)
VIDEOS = (FrequencyCap(impressions=2, window_s=HOUR_S, format=Format.VIDEO),)
OF_A_SHARE = (BudgetShare(segment_id=1, percent=10, caps=VIDEOS),)


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock)
    yield shop
    await shop.close()


async def billed(shop: Shop, of_format: str) -> bytes:
    """The user's ring after one more bill."""
    book, _ = await shop.bidder()
    answer = await shop.desk.bill(shop.token(book.lease_id(0), format=of_format), "5", "PLN")
    assert answer.outcome == "billed"
    ring = await shop.transitions.command("HGET", keys.user_profile(USER), "i")
    assert isinstance(ring, bytes)
    return ring


def capped_by(owner: str, caps: tuple[FrequencyCap, ...]) -> Catalogue:
    made = catalogue()
    capped = tuple(msgspec.structs.replace(each, caps=caps) for each in getattr(made, owner))
    return msgspec.structs.replace(made, **{owner: capped})


@pytest.mark.parametrize(
    ("published", "noted"),
    [
        (catalogue(line_item(caps=VIDEOS)), "audio"),
        (catalogue(line_item(budget_shares=OF_A_SHARE)), "audio"),
        (capped_by("campaigns", VIDEOS), "audio"),
        (capped_by("advertisers", VIDEOS), "audio"),
        (catalogue(line_item(caps=ANY, min_gap_s=60)), ""),
        (capped_by("campaigns", ANY), ""),
        (catalogue(), ""),
    ],
)
async def test_the_format_is_noted_where_a_cap_asks_for_one_and_nowhere_else(
    shop: Shop, published: Catalogue, noted: str
) -> None:
    shop.present = published
    number = record_number(LINE_ITEM, FORMATS_BY_NUMBER.index(noted))
    assert await billed(shop, "audio") == pack_record(number, shop.clock.now_ms() // 1000)


async def test_what_was_billed_is_what_the_bid_path_counts(shop: Shop) -> None:
    shop.present = catalogue(line_item(caps=VIDEOS))
    caps, found = CapTable(shop.present), list[set[str]]()
    for of_format in ("banner", "video", "banner", "video"):
        ring = await billed(shop, of_format)
        found.append(set(caps.blocked(ring, shop.clock.now_ms() // 1000).formats))
        shop.clock.advance(60)
    assert found == [set(), set(), set(), {"video"}]
