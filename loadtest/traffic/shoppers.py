"""Simulated visitors of the shops: they look, fill carts, buy or leave, and come back more often once they saw an ad.

Their journeys feed the profile store through the public tracker, so retargeting is exercised end to end. Each shopper's
decision to return is one random number compared with two thresholds, so how many visits and purchases the ads caused is
counted, not estimated: the number that a measured lift has to find again.
"""

import heapq
import random
from collections.abc import Callable

import orjson

from loadtest.measure.tally import Tally
from loadtest.traffic.scenario import ShopperPlan
from loadtest.traffic.templates import USER_ID_CHARS
from loadtest.wire.client import Pool, header_value

MICROS = 1_000_000

# A browser's cookie jar: what the tracker sets is sent back with every event.
_PRODUCTS = 200
_MOST_VIEWS = 4


class Shopper:
    """One visitor of one shop."""

    __slots__ = ("advertiser", "by_ad", "cart", "cookie", "exposed", "script", "user")

    def __init__(self, advertiser: int) -> None:
        self.advertiser = advertiser
        self.cookie = b""
        self.user = b""
        self.exposed = False
        self.by_ad = False  # only an ad has brought about this visit
        self.cart: list[dict[str, object]] = []
        self.script: list[dict[str, object]] = []  # events of this visit still to come, last first


class ShopperEvent:
    """An event on its way to the tracker."""

    __slots__ = ("shopper",)

    def __init__(self, shopper: Shopper) -> None:
        self.shopper = shopper


class Shoppers:
    """Plays all journeys of one process. `on_cookie` is told each user id that the tracker gives out."""

    def __init__(
        self,
        plan: ShopperPlan,
        host: str,
        pool: "Pool[ShopperEvent]",
        tally: Tally,
        monotonic: Callable[[], float],
        seed: int,
        on_cookie: Callable[[bytes], None],
        currency: str = "PLN",
    ) -> None:
        self._plan = plan
        self._host = host
        self._pool = pool
        self._tally = tally
        self._monotonic = monotonic
        self._chance = random.Random(seed)
        self._on_cookie = on_cookie
        self._currency = currency
        self._queue: list[tuple[float, int, Shopper]] = []
        self._number = 0
        self._by_user: dict[bytes, Shopper] = {}

    def start(self, count: int) -> None:
        """Let `count` shoppers arrive over the first pause; each that leaves for good is replaced."""
        for _ in range(count):
            self._arrive()

    def _arrive(self) -> None:
        shopper = Shopper(self._chance.choice(self._plan.advertisers))
        self._begin_visit(shopper)
        self._later(shopper, self._chance.random() * self._plan.page_seconds * _MOST_VIEWS)

    def _later(self, shopper: Shopper, delay_s: float) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self._monotonic() + delay_s, self._number, shopper))

    def exposed(self, user: bytes) -> None:
        """Note that this user was shown an ad."""
        shopper = self._by_user.get(user)
        if shopper is not None and not shopper.exposed:
            shopper.exposed = True
            self._tally.counts["shopper.exposed"] += 1

    def pump(self, now: float) -> None:
        """Play the events that are due."""
        while self._queue and self._queue[0][0] <= now:
            shopper = heapq.heappop(self._queue)[2]
            if shopper.script:
                self._send(shopper, shopper.script.pop())
            else:
                self._decide_return(shopper)

    def _begin_visit(self, shopper: Shopper) -> None:
        plan, chance = self._plan, self._chance
        self._tally.counts["shopper.visits"] += 1
        script: list[dict[str, object]] = [self._event("page_view", "/")]
        views = [self._item() for _ in range(chance.randint(1, _MOST_VIEWS))]
        script += [self._event("view_item", f"/p/{item['item_id']}", [item]) for item in views]
        if not shopper.cart and chance.random() < plan.cart_share:
            shopper.cart = [views[-1]]
            script.append(self._event("add_to_cart", "/koszyk", shopper.cart))
            self._tally.counts["shopper.carts"] += 1
        if shopper.cart and chance.random() < plan.buy_share:
            script.append(self._event("begin_checkout", "/zamowienie", shopper.cart))
            purchase = self._event("purchase", "/dziekujemy", shopper.cart)
            purchase["transaction_id"] = f"t{chance.getrandbits(60):015x}"
            script.append(purchase)
        script.reverse()
        shopper.script = script

    def _item(self) -> dict[str, object]:
        number = min(int(self._chance.expovariate(1 / 30)), _PRODUCTS - 1)  # few products make most views
        price = round(self._plan.cart_median * self._chance.lognormvariate(0, 0.6), 2)
        return {"item_id": f"p{number}", "item_category": f"c{number % 12}", "price": price, "quantity": 1}

    def _event(self, name: str, path: str, items: list[dict[str, object]] | None = None) -> dict[str, object]:
        event: dict[str, object] = {"event": name, "url": f"https://sklep.example{path}", "gdpr": 0}
        if items:
            event |= {
                "items": items,
                "currency": self._currency,
                "value": sum(float(str(item["price"])) for item in items),
            }
        return event

    def _send(self, shopper: Shopper, event: dict[str, object]) -> None:
        counts = self._tally.counts
        counts["shopper.events"] += 1
        if event["event"] == "purchase":
            shopper.cart = []
            counts["shopper.purchases"] += 1
            counts["shopper.purchases_by_ad"] += shopper.by_ad
            counts["shopper.revenue_micros"] += round(float(str(event["value"])) * MICROS)
        body = orjson.dumps(event)
        cookie = b"Cookie: %b\r\n" % shopper.cookie if shopper.cookie else b""
        head = (
            f"POST /e/{shopper.advertiser} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
        )
        self._pool.submit(ShopperEvent(shopper), head.encode() + cookie + b"\r\n" + body)

    def on_answer(self, event: ShopperEvent, status: int, head: bytes, body: bytes) -> None:
        """The pool's callback: keep the cookie, go on with the visit."""
        shopper = event.shopper
        if not 200 <= status < 300:
            self._tally.counts["shopper.events_refused"] += 1
            if status >= 500:
                self._tally.violate(
                    "event-5xx", f"a shop event was answered {status}", "", body[:500].decode("utf-8", "replace")
                )
        elif not shopper.user:
            self._take_cookie(shopper, head)
        if shopper.script:
            self._later(shopper, self._plan.page_seconds * (0.5 + self._chance.random()))
        else:
            self._later(shopper, self._chance.expovariate(1 / self._plan.return_after_s))

    def _take_cookie(self, shopper: Shopper, head: bytes) -> None:
        pair = (header_value(head, b"set-cookie") or b"").split(b";", 1)[0]
        value = pair.partition(b"=")[2].strip(b'"')
        if len(value) == USER_ID_CHARS:
            shopper.cookie, shopper.user = pair, value
            self._by_user[value] = shopper
            self._on_cookie(value)

    def _decide_return(self, shopper: Shopper) -> None:
        draw = self._chance.random()
        shopper.by_ad = (
            shopper.exposed and self._plan.return_share <= draw < self._plan.return_share + self._plan.ad_lift
        )
        if draw < self._plan.return_share or shopper.by_ad:
            self._tally.counts["shopper.returns"] += 1
            self._tally.counts["shopper.returns_by_ad"] += shopper.by_ad
            shopper.exposed = False
            self._begin_visit(shopper)
            self._later(shopper, 0.0)
        else:
            self._by_user.pop(shopper.user, None)
            self._arrive()
