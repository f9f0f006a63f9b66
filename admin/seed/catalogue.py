"""The demo catalogue: seven shops (admin.seed.shops) on one exchange, with the campaigns such shops really run.

Everything is made up: the domains are under `.example`. Each shop has ads in all common sizes, two run-of-network line
items that bid worldwide, one by page context, and retargeting of visitors, abandoned carts and customers.
"""

import msgspec

from admin.seed.ads import creatives, native_ad, spots
from admin.seed.products import demo_feeds
from admin.seed.shops import SHOPS, Shop
from admin.store.catalogue import CatalogueStore
from admin.store.changes import SYSTEM
from admin.store.kinds import FEEDS, KINDS
from core.model import (
    Advertiser,
    Budget,
    BudgetShare,
    Campaign,
    CartValue,
    Catalogue,
    Clearing,
    Creative,
    Deal,
    Exchange,
    FrequencyCap,
    Goal,
    LineItem,
    Pacing,
    Segment,
    Targeting,
)
from core.money import MICROS_PER_UNIT

EXCHANGE_ID = 1
HOUR_S = 3_600
DAY_S = 86_400

# Ids of a shop's objects start at a hundred times its own, so that 203 is seen to be the third of shop 2.
IDS_PER_SHOP = 100

RATES = {
    "USD": 3_640_000, "EUR": 4_270_000, "GBP": 4_920_000, "CHF": 4_560_000, "CZK": 172_000, "SEK": 389_000,
    "JPY": 24_500, "CAD": 2_630_000, "AUD": 2_390_000, "INR": 42_000,
}  # fmt: skip
"""Plausible rates of autumn 2026, in micros of PLN."""


def demo_catalogue(cart_delay_s: int = HOUR_S) -> Catalogue:
    """All of it as one value. `cart_delay_s`: after how long without an event a cart counts as abandoned."""
    exchange = Exchange(
        id=EXCHANGE_ID,
        key="demo",
        name="Demo exchange",
        seat="grosz",
        default_currency="USD",
        clearing=Clearing.REPORTED,
    )
    parts = [_Part(position + 1, shop, cart_delay_s) for position, shop in enumerate(SHOPS)]
    return Catalogue(
        version=1,
        published_ms=0,
        exchanges=(exchange,),
        deals=_deals(),
        advertisers=tuple(part.advertiser() for part in parts),
        campaigns=tuple(campaign for part in parts for campaign in part.campaigns()),
        segments=tuple(segment for part in parts for segment in part.segments()),
        creatives=tuple(creative for part in parts for creative in part.creatives),
        line_items=tuple(line_item for part in parts for line_item in part.line_items()),
        fx_rates=RATES,
    )


def _deals() -> tuple[Deal, ...]:
    return (
        Deal(
            id=1,
            exchange_id=EXCHANGE_ID,
            deal_id="grosz-fashion-weekly",
            name="Fashion weekly, above the fold",
            advertiser_id=1,
        ),
        Deal(id=2, exchange_id=EXCHANGE_ID, deal_id="grosz-tech-front", name="Tech portal, front page"),
    )


class _Part:
    """One shop's objects. Segments and line items are numbered by their position in the tables below."""

    def __init__(self, number: int, shop: Shop, cart_delay_s: int) -> None:
        self._id = number
        self._shop = shop
        self._cart_delay_s = cart_delay_s
        self._first = number * IDS_PER_SHOP
        self.creatives: tuple[Creative, ...] = (
            *creatives(number, self._first, shop.look),
            *spots(number, self._first, shop.look),
            native_ad(number, self._first, shop.look),
        )

    def advertiser(self) -> Advertiser:
        return Advertiser(
            id=self._id,
            name=self._shop.name,
            currency=self._shop.currency,
            domain=self._shop.look.domain,
            caps=(FrequencyCap(impressions=60, window_s=DAY_S),),
            product_categories=self._shop.page_categories,
            external_id=f"shop-{self._id}",
        )

    def campaigns(self) -> tuple[Campaign, ...]:
        names = ("Find new customers", "Bring them back")
        return tuple(
            Campaign(
                id=self._first + position,
                advertiser_id=self._id,
                name=f"{self._shop.name}: {name}",
                total_budget=Budget(micros=self._money(1_000_000)),
                caps=(FrequencyCap(impressions=40, window_s=DAY_S),),
            )
            for position, name in enumerate(names)
        )

    def segments(self) -> tuple[Segment, ...]:
        """Visitors, carts, high carts, customers, lapsed customers: ids `first + 0..4`."""
        shop, delay = self._shop, f"{self._cart_delay_s}s"
        in_cart = f"cart.age in {delay}..14d and not purchased since cart"
        table = (
            ("All visitors of 30 days", 'visited "*" in 30d'),
            ("Abandoned carts", f"cart.value > 0 {shop.currency} and {in_cart}"),
            ("Abandoned high carts", f"cart.value >= {shop.high_cart} {shop.currency} and {in_cart}"),
            ("Customers", "purchases.count >= 1"),
            ("Customers who stay away", "purchases.count >= 1 and not purchased in 90d"),
        )
        return tuple(
            Segment(id=self._first + position, advertiser_id=self._id, name=f"{shop.name}: {name}", rule=rule)
            for position, (name, rule) in enumerate(table)
        )

    def line_items(self) -> tuple[LineItem, ...]:
        return (*self._prospecting(), *self._retargeting(), *self._special())

    def _prospecting(self) -> tuple[LineItem, ...]:
        shop, customers = self._shop, self._first + 3
        context = msgspec.structs.replace(shop.home, page_keywords=shop.keywords, page_keywords_deny=shop.keywords_deny)
        topics = Targeting(categories=shop.page_categories, segments_none=(customers,))
        network = self._cpm(0, "run of network", shop.network_cpm)
        return (
            msgspec.structs.replace(network, daily_budget=Budget(self._money(20_000)), pacing=Pacing.ASAP),
            self._line(1, "pages about our products", Goal.CPC, shop.click_bid, shop.network_cpm * 4, context),
            self._line(2, "sections we like", Goal.CPC, shop.click_bid, shop.network_cpm * 3, topics),
        )

    def _retargeting(self) -> tuple[LineItem, ...]:
        shop, first = self._shop, self._first
        visitors, carts, high_carts, customers, lapsed = range(first, first + 5)
        kernel = CartValue(cap_micros=self._money(3_000), delay_s=self._cart_delay_s, rise_s=max(1, self._cart_delay_s))
        cart = self._line(
            4,
            "abandoned carts",
            Goal.CPA,
            shop.sale_bid,
            shop.network_cpm * 12,
            Targeting(segments_any=(carts,)),
            campaign=1,
        )
        return (
            self._line(
                3, "visitors", Goal.CPC, shop.click_bid * 1.5, shop.network_cpm * 5,
                Targeting(segments_any=(visitors,), segments_none=(customers, carts)), campaign=1,
            ),
            msgspec.structs.replace(
                cart,
                cart=kernel,
                budget_shares=(BudgetShare(segment_id=high_carts, percent=30, bid_factor_percent=120),),
                caps=(FrequencyCap(impressions=12, window_s=DAY_S),),
                min_gap_s=30,
                pacing=Pacing.ASAP,
            ),
            self._line(
                5, "customers who stay away", Goal.CPA, shop.sale_bid, shop.network_cpm * 6,
                Targeting(segments_any=(lapsed,)), campaign=1,
            ),
        )  # fmt: skip

    def _special(self) -> tuple[LineItem, ...]:
        """What only one shop does: a deal, opening hours, apps, a second run of network."""
        shop = self._shop
        match self._id:
            case 1:
                deal = Targeting(deals=(1,), positions=(1,))
                return (self._line(6, "deal: fashion weekly", Goal.CPM, 28.0, 40.0, deal),)
            case 2:
                phones = Targeting(device_types=(1, 4, 5), operating_systems=("android", "ios"), environments=("app",))
                return (
                    self._line(6, "deal: tech front page", Goal.CPM, 30.0, 45.0, Targeting(deals=(2,))),
                    self._line(7, "accessories in apps", Goal.CPM, shop.network_cpm, shop.network_cpm * 1.5, phones),
                )
            case 3:
                evenings = tuple(day * 24 + hour for day in range(7) for hour in range(17, 23))
                hours = msgspec.structs.replace(shop.home, hours_of_week=evenings)
                return (self._line(6, "sofas in the evening", Goal.CPM, 14.0, 18.0, hours),)
            case 4 | 7:
                wide = self._cpm(6, "run of network, large formats", shop.network_cpm * 1.3)
                return (
                    msgspec.structs.replace(wide, creative_ids=self._large(), daily_budget=Budget(self._money(8_000))),
                )
            case _:
                return ()

    def _large(self) -> tuple[int, ...]:
        return tuple(ad.id for ad in self.creatives if ad.width * ad.height >= 300 * 250)

    def _cpm(self, position: int, name: str, price: float) -> LineItem:
        return self._line(position, name, Goal.CPM, price, price * 1.5, Targeting())

    def _line(
        self,
        position: int,
        name: str,
        goal: Goal,
        bid: float,
        max_cpm: float,
        targeting: Targeting,
        *,
        campaign: int = 0,
    ) -> LineItem:
        return LineItem(
            id=self._first + position,
            advertiser_id=self._id,
            campaign_id=self._first + campaign,
            name=f"{self._shop.name}: {name}",
            goal=goal,
            bid_micros=_grosz(bid),
            max_cpm_micros=_grosz(max_cpm),
            targeting=targeting,
            creative_ids=tuple(ad.id for ad in self.creatives),
            daily_budget=Budget(micros=self._money(2_000)),
            total_budget=Budget(micros=self._money(200_000)),
            caps=(FrequencyCap(impressions=15, window_s=DAY_S),),
        )

    def _money(self, zlotys: int) -> int:
        """About as much of the shop's currency as so many zlotys, in micros."""
        rate = RATES.get(self._shop.currency, MICROS_PER_UNIT)
        return round(zlotys * MICROS_PER_UNIT / rate) * MICROS_PER_UNIT


def _grosz(units: float) -> int:
    return round(units * 100) * (MICROS_PER_UNIT // 100)


async def seed_demo(store: CatalogueStore, cart_delay_s: int = HOUR_S) -> bool:
    """Puts the demo catalogue into a store that has no advertiser yet; False when it has some and nothing was done."""
    if not await store.is_empty():
        return False
    catalogue = demo_catalogue(cart_delay_s)
    async with store.write(SYSTEM) as writer:
        for kind in KINDS:
            if kind.member:
                await writer.upsert(kind, getattr(catalogue, kind.member))
        await writer.upsert(FEEDS, demo_feeds())
        await writer.set_rates(RATES)
    return True
