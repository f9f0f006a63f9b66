"""A small advertiser with money, for tests of everything that spends it."""

from collections.abc import Callable
from typing import Any

from core.clock import ManualClock, SystemClock
from core.model import Advertiser, AuctionType, Budget, Campaign, Catalogue, Exchange, LineItem, Pacing
from core.redis.client import Pipelined, PipelinedRedis
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import LeaseBank
from pacing.budgets.lease_client import TICK_S, LeaseClient
from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import active_pools
from pacing.budgets.timing import Timing
from pacing.budgets.transitions import Transitions
from pacing.ledger.rows import LedgerWriter
from pacing.notices.claims import Claims, landing_digest, terms_of
from pacing.notices.delivery import DeliveryCounts
from pacing.notices.notices import NoticeDesk
from pacing.notices.tokens import TokenSigner
from tests.kit.ledger_store import MemoryLedgerStore

ADVERTISER, CAMPAIGN, LINE_ITEM, EXCHANGE = 1, 3, 7, 5
LANDING = "https://buty.example/kozaki?a=1"
USER = "u" * 22
TIMING = Timing()
NO_BUDGET = Budget()


def line_item(**changes: object) -> LineItem:
    """A line item that bids at most 10 units CPM, so 10,000 micros an impression."""
    values: dict[str, object] = {
        "id": LINE_ITEM, "advertiser_id": ADVERTISER, "campaign_id": CAMPAIGN, "name": "line",
        "max_cpm_micros": 10_000_000, "pacing": Pacing.ASAP,
    }  # fmt: skip
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


def catalogue(
    *lines: LineItem,
    version: int = 1,
    balance_micros: int | None = None,
    total: Budget = NO_BUDGET,
    timezone: str = "UTC",
    **exchange: Any,  # noqa: ANN401 - tests name fields that exist
) -> Catalogue:
    """One advertiser, one campaign, one exchange with the settings that are named."""
    return Catalogue(
        version=version,
        published_ms=0,
        advertisers=(Advertiser(id=ADVERTISER, name="shop", balance_micros=balance_micros, timezone=timezone),),
        campaigns=(Campaign(id=CAMPAIGN, advertiser_id=ADVERTISER, name="campaign", total_budget=total),),
        line_items=lines or (line_item(),),
        exchanges=(Exchange(id=EXCHANGE, key="demo", **exchange),),
        fx_rates={"USD": 4_000_000},
    )


class Shop:
    """All parts of one deployment that handle money, in one process, on a manual clock."""

    def __init__(self, redis: Pipelined, clock: ManualClock, present: Catalogue, url: str) -> None:
        self.redis, self.clock, self.present, self.url = redis, clock, present, url
        self.telemetry = Telemetry()
        self.transitions = Transitions(redis, SystemClock(), timing=TIMING, time_ms=clock.now_ms)
        self.store = MemoryLedgerStore()
        self.writer = LedgerWriter(self.transitions, self.store, lambda: [ADVERTISER], self.telemetry)
        self.bank = LeaseBank(self.transitions, self.store, self.writer, lambda: self.present, clock, self.telemetry)
        self.signer = TokenSigner({1: b"k" * 32})
        self.delivery = DeliveryCounts(clock)
        self.desk = NoticeDesk(
            self.signer, self.transitions, lambda: self.present, clock, self.telemetry, self.delivery
        )
        self.auctions = 0

    @classmethod
    async def open(cls, url: str, clock: ManualClock, present: Catalogue | None = None) -> "Shop":
        shop = cls(await PipelinedRedis.open(url, clock=SystemClock()), clock, present or catalogue(), url)
        await shop.bank.tick()
        return shop

    async def bidder(
        self, process: str = "p1", *, demanded: bool = True, jitter: Callable[[], float] = lambda: 0.5
    ) -> tuple[LeaseBook, LeaseClient]:
        """A bidder process with its first leases: for demand, or, unless they are `demanded`, those ahead of demand."""
        book = LeaseBook()
        book.bind(active_pools(self.present))
        book.scored += demanded  # an auction has asked for every pool
        client = LeaseClient(book, self.transitions, self.clock, Telemetry(), process=process, jitter=jitter)
        await client.tick()  # learns the epoch
        await client.tick()
        return book, client

    async def reserve_all(self, book: LeaseBook, client: LeaseClient, micros: int, ticks: int) -> None:
        """Before each tick, reserve bids of `micros` until the lease of the first pool does not hold another."""
        for _ in range(ticks):
            while book.reserve(0, micros, self.clock.now_ms()):
                pass
            self.clock.advance(TICK_S)
            await client.tick()

    def claims(self, lease: int, micros: int = 10_000, /, **changes: object) -> Claims:
        """The claims of a bid of `micros` an impression at second price: no rival, floor 1.00, the present terms."""
        self.auctions += 1
        (exchange,) = (*self.present.exchanges, *self.present.archived_exchanges)
        values: dict[str, object] = {
            "share": 0, "line_item_id": LINE_ITEM, "advertiser_id": ADVERTISER, "campaign_id": CAMPAIGN,
            "creative_id": 9, "exchange_id": EXCHANGE, "lease_id": lease, "reserved_micros": micros,
            "bid_cpm": micros * 1000, "second_cpm": 0, "floor_cpm": 1_000_000, "currency": "PLN",
            "nonce": self.auctions, "terms": terms_of(exchange), "auction_type": AuctionType.SECOND_PRICE,
            "issued_s": self.clock.now_ms() // 1000, "user_id": USER, "landing": landing_digest(LANDING),
        }  # fmt: skip
        return Claims(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist

    def token(self, lease: int, micros: int = 10_000, /, **changes: object) -> str:
        return self.signer.sign(self.claims(lease, micros, **changes)).decode()

    def counted(self, name: str, *labels: str) -> float:
        """A counter's value, 0 before its first count."""
        return sum(
            sample.value
            for family in self.telemetry.families()
            for sample in family.samples
            if family.name == name and tuple(sample.labels.values()) == labels
        )

    async def close(self) -> None:
        await self.redis.close()
