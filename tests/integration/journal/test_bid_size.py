"""How many bytes a bid takes in the journal, with all that production fills in."""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bidder.decision.noting import BidNotes
from bidder.decision.pipeline import respond
from core.ids import product_reference
from core.model import CartValue, Deal, Goal, ProductChoice, ProductStrategy, Targeting
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.cache import ProductCache
from journal.people import Pseudonyms
from journal.rows import BID
from pacing.notices.tokens import TokenSigner
from tests.kit.bidding import KEYS, Shopper, ShopState, TestBidder, profile_batch
from tests.kit.catalogues import catalogue, creative, line_item
from tests.kit.journal_rows import JournalFolder
from tests.kit.openrtb import raw_request

# 465 in a segment file, for some seconds, and 149 in Parquet when docs/journal.md was written.
MOST_WAITING, MOST_KEPT = 500, 250
SHOPS, SEGMENTS, PRODUCTS, DEALS, SITES = 10, 10, 8, 12, 150
# What a process bids in a tenth of a second, which is one write, on a busy day: turns of its loop, requests of each.
TURNS, REQUESTS = 64, 8
# Of another kind of inventory than a site, of a share, of an experiment.
EMPTY = {"app", "share", "arm"}
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36",
)
CITIES = ("Warszawa", "Kraków", "Łódź", "Wrocław", "Poznań", "Gdańsk", "Szczecin", "Bydgoszcz", "Lublin", "Katowice")

SKUS = {shop: [f"{shop}{number * 7919 % 1_000_003:07d}" for number in range(1_000)] for shop in range(1, SHOPS + 1)}


class Traffic:
    """Requests with a site, a place, an agent and a deal, of shoppers whom every shop knows, all drawn at random."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def request(self) -> dict[str, Any]:
        chance = self.chance
        site = chance.randrange(SITES)
        geo = {
            "country": "POL",
            "region": f"PL-{chance.randrange(16):02d}",
            "city": chance.choice(CITIES),
            "utcoffset": 60,
        }
        deal = {
            "id": f"PL-homepage-{chance.randrange(DEALS):05d}",
            "bidfloor": chance.randrange(5, 99) / 100,
            "bidfloorcur": "PLN",
            "at": 1,
        }
        imp = {
            "id": "1", "banner": {"w": 300, "h": 250, "pos": chance.choice((0, 1, 3))}, "pmp": {"deals": [deal]},
            "bidfloor": 0.05, "bidfloorcur": "PLN",
        }  # fmt: skip
        return raw_request(
            id=str(uuid.UUID(int=chance.getrandbits(128))), imp=[imp], at=1, cur=["PLN"], regs={"gdpr": 0},
            site={"domain": f"portal-{site}.example", "publisher": {"id": str(540_000_000 + site * 7919)}},
            device={"ua": chance.choice(AGENTS), "devicetype": chance.choice((2, 4, 5)), "geo": geo},
        )  # fmt: skip

    def shopper(self) -> Shopper:
        chance = self.chance
        shops = {
            shop: ShopState(
                cart_micros=chance.randrange(10**9), cart_stage=chance.randrange(4),
                cart_age_s=chance.uniform(60, 864_000), last_visit_age_s=chance.uniform(60, 864_000),
                last_purchase_age_s=chance.uniform(86_400, 8_640_000), visits=chance.uniform(1, 40),
                products_viewed=chance.uniform(1, 200),
                seen=tuple(chance.sample(skus, PRODUCTS)),
            )
            for shop, skus in SKUS.items()
        }  # fmt: skip
        shown = tuple((chance.randrange(1, SHOPS + 1), 1_789_990_000 + chance.randrange(10_000)) for _ in range(3))
        return Shopper(segments=tuple(chance.sample(range(1, 500), SEGMENTS)), shops=shops, shown=shown)


@pytest.fixture
def bidder() -> TestBidder:
    products = ProductCache(Telemetry(), size=100_000)
    for shop, skus in SKUS.items():
        for sku in skus:
            found = FeedProduct(sku, sku, image="https://shop.example/i.png", price_micros=1)
            products.put((shop, product_reference(sku)), found)
    choice = ProductChoice(strategies=(ProductStrategy.LAST_VISIT,), count=PRODUCTS)
    made = TestBidder(
        catalogue(
            *(
                line_item(
                    number, number, goal=Goal.CPA, bid_micros=10_000_000, max_cpm_micros=10**9, cart=CartValue(),
                    targeting=Targeting(deals=tuple(range(1, DEALS + 1))),
                )
                for number in SKUS
            ), advertisers=SHOPS,
            creatives=tuple(creative(number, number, products=choice) for number in SKUS),
            deals=tuple(
                Deal(id=number + 1, exchange_id=1, advertiser_id=None, name="d", deal_id=f"PL-homepage-{number:05d}")
                for number in range(DEALS)
            ),
        ),
        products=products,
    )  # fmt: skip
    made.signer.nonces = TokenSigner(KEYS).nonces
    made.book.multiplier[:] = [0.3 + number / 17 for number in range(len(made.book.multiplier))]
    return made


@pytest.fixture
def journal(tmp_path: Path, bidder: TestBidder) -> Iterator[JournalFolder]:
    made = JournalFolder(tmp_path, bidder.clock)
    yield made
    made.close()


async def test_a_bid_with_all_its_columns_filled_takes_few_bytes(bidder: TestBidder, journal: JournalFolder) -> None:
    traffic, bids = Traffic(7), 0
    notes = BidNotes(journal.writer, Pseudonyms(b"k" * 32), bidder.clock.now_ms)
    for _ in range(TURNS):
        auctions = [bidder.screened(traffic.request()) for _ in range(REQUESTS)]
        profiles = profile_batch([traffic.shopper() for _ in auctions])
        profiles.user_ids = [f"{traffic.chance.getrandbits(88):022x}" for _ in auctions]
        bids += len(respond(auctions, profiles, bidder.snapshot, bidder.signer, bidder.clock.now_ms(), notes))
        notes.sent()
    await journal.writer.close()
    size = sum(path.stat().st_size for path in journal.segments.iterdir())
    assert journal.convert() > bids == REQUESTS * TURNS
    for name in set(BID.names) - EMPTY:
        assert len(journal.rows(BID, name, f"{name}::VARCHAR NOT IN ('', '0', '0.0')")) > 0, name
    assert {len(str(row[0]).split()) for row in journal.rows(BID, "products")} == {PRODUCTS}
    assert {row[0] for row in journal.rows(BID, "len(segments)")} == {SEGMENTS}
    parquet = sum(path.stat().st_size for path in journal.archive.files(BID.name, journal.archive.hours(BID.name)))
    assert size / bids <= MOST_WAITING
    assert parquet / bids <= MOST_KEPT
