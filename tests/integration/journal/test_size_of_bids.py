"""How many bytes a bid takes that says all that a bid can say, in segments and in Parquet."""

import random
import uuid
from pathlib import Path
from typing import Any

from bidder.decision.noting import BidNotes
from bidder.decision.pipeline import respond
from core.model import ProductStrategy
from creatives.product import FeedProduct
from creatives.products.on_bid import BidProducts
from journal.people import Pseudonyms
from journal.rows import BID
from tests.kit.bidding import NOW_MS, Shopper, ShopState, TestBidder, profile_batch
from tests.kit.catalogues import catalogue, line_item
from tests.kit.journal_rows import JournalFolder

BATCHES, BATCH = 100, 16
# Bytes a bid: in Parquet, for as long as bids are kept, and in segment files, for some seconds.
MOST_KEPT, MOST_WAITING = 250, 400
AGENTS = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in ("Windows NT 10.0; Win64; x64", "Linux; Android 14; K", "X11; Linux x86_64")
    for version in (129, 130, 131)
)
CITIES = (("MZ", "Warszawa"), ("PM", "Gdańsk"), ("DS", "Wrocław"), ("MA", "Kraków"), ("SL", "Katowice"))


def a_request(chance: random.Random) -> dict[str, Any]:
    """A request of a page, with two impressions and all that the journal keeps of it."""
    region, city = chance.choice(CITIES)
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "imp": [
            {"id": str(number), "banner": {"w": 300, "h": 250}, "bidfloor": chance.random(), "bidfloorcur": "PLN"}
            for number in (1, 2)
        ],
        "regs": {"gdpr": 0},
        "site": {"domain": f"news{chance.randrange(3_000)}.example", "publisher": {"id": str(chance.randrange(9_000))}},
        "device": {
            "ua": chance.choice(AGENTS), "devicetype": chance.choice((2, 4)),
            "os": chance.choice(("Windows", "Android")),
            "geo": {"country": "POL", "region": region, "city": city, "utcoffset": 60},
        },
    }  # fmt: skip


def a_shopper(chance: random.Random) -> Shopper:
    """A visitor of two shops with a cart, in ten segments."""
    shops = {
        shop: ShopState(
            cart_micros=chance.randrange(10**9), cart_stage=2, cart_age_s=chance.uniform(60, 10**6),
            visits=float(chance.randint(1, 40)), products_viewed=float(chance.randint(1, 90)),
            last_visit_age_s=chance.uniform(60, 10**6), last_purchase_age_s=chance.uniform(60, 10**7),
        )
        for shop in (1, 2)
    }  # fmt: skip
    return Shopper(segments=tuple(chance.sample(range(1, 400), 10)), shops=shops)


async def test_a_bid_with_everything_takes_at_most_250_bytes(tmp_path: Path) -> None:
    chance = random.Random(11)
    bidder = TestBidder(catalogue(line_item(1), line_item(2, advertiser=2)))
    journal = JournalFolder(tmp_path)
    notes = BidNotes(journal.writer, Pseudonyms(b"k" * 32), journal.clock.now_ms)
    shelf = [
        FeedProduct(id=f"SKU-{number:06}", image="https://shop.example/1", price_micros=10) for number in range(5_000)
    ]
    for _ in range(BATCHES):
        auctions = [bidder.screened(a_request(chance)) for _ in range(BATCH)]
        respond(
            auctions, profile_batch([a_shopper(chance) for _ in range(BATCH)]), bidder.snapshot, bidder.signer, NOW_MS,
            notes,
        )  # fmt: skip
        assert notes._pending is not None
        for bid in notes._pending.chosen.values():
            bid.products = BidProducts(tuple(chance.sample(shelf, 8)), (ProductStrategy.CART,) * 8, 0, True)
            bid.nonce, bid.deal_id = chance.getrandbits(63), f"deal-{chance.randrange(100):04}"
        notes.sent()
    await journal.writer.close()
    waiting = sum(path.stat().st_size for path in journal.converter.waiting())
    journal.convert()
    bids = journal.count(BID)
    kept = sum(path.stat().st_size for path in journal.archive.files(BID.name, journal.archive.hours(BID.name)))
    assert bids == 2 * BATCHES * BATCH
    assert journal.rows(BID, "count(DISTINCT products), min(len(segments)), bool_and(cart_micros > 0)") == [
        (bids, 10, True)
    ]
    assert kept / bids <= MOST_KEPT
    assert waiting / bids <= MOST_WAITING
