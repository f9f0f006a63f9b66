"""The demo's own shop, made as a customer would make it: with HTTP calls of the admin API and a key, nothing else.

The other shops come from the seed; this one shows that the API alone leads from a setup link to bids.
"""

import asyncio
import datetime
import secrets
from typing import Any

import aiohttp
import msgspec

from admin.seed.products import demo_products
from core.errors import UnavailableError
from core.money import format_micros, parse_decimal

Json = dict[str, Any]

SHOP = "Glina i Glazura"
DOMAIN = "glina.example"
EXTERNAL_ID = "made-by-the-demo"
SIZES = ((300, 250), (728, 90), (320, 50), (160, 600), (300, 600), (970, 250), (320, 100), (336, 280))

EFFECTIVE_TIMEOUT_S = 20.0
# The journal has everything after its processes have handed on their segments and the worker has passed: some 4 s.
FRESH_TIMEOUT_S = 60.0
POLL_S = 0.1
REPORTED = ("spend", "orders", "conversions", "cost_of_order", "cpa", "roas")
"""Measures of the table of shops, in its order."""


class Delivered(msgspec.Struct, frozen=True):
    """What the shop got. `spend` is an amount with its currency."""

    bids: int
    impressions: int
    spend: str


class DemoShop:
    """The shop and its key. `session` belongs to the caller."""

    def __init__(self, session: aiohttp.ClientSession, admin_url: str) -> None:
        self._session = session
        self._url = f"{admin_url}/v1"
        self._headers: dict[str, str] = {}
        self._version = "0"
        self.advertiser_id = 0
        self._line_items: list[int] = []

    async def open(self, setup_token: str, cart_delay_s: int) -> None:
        """Administrator, key, advertiser, segment, creatives, campaign, line items; returns when the bidders have them.

        In a data directory where an earlier demo has made the shop, that one is found instead.
        """
        await self._take_key(setup_token)
        known = (await self._call("GET", f"advertisers?external_id={EXTERNAL_ID}"))["items"]
        if known:
            self.advertiser_id = known[0]["id"]
            found = await self._call("GET", f"line-items?advertiser_id={self.advertiser_id}&fields=name")
            self._line_items = [item["id"] for item in found["items"]]
            return
        await self._make(cart_delay_s)
        await self._until_effective()

    async def _take_key(self, setup_token: str) -> None:
        person = {"email": f"{secrets.token_hex(4)}@grosz.example", "password": secrets.token_urlsafe(16)}
        await self._call("POST", "setup", person | {"token": setup_token, "name": "Demo"})
        session = await self._call("POST", "login", person)
        csrf = {"X-CSRF-Token": session["csrf_token"]}
        key = {"name": "Demo", "scopes": ["read", "trade"], "requests_per_minute": 6_000}
        made = await self._call("POST", "api-keys", key, csrf)
        self._headers = {"Authorization": f"Bearer {made['secret']}"}

    async def _make(self, cart_delay_s: int) -> None:
        shop = {"name": SHOP, "domain": DOMAIN, "currency": "PLN", "external_id": EXTERNAL_ID}
        self.advertiser_id = await self._created("advertisers", shop)
        own = {"advertiser_id": self.advertiser_id}
        rule = f"cart.value > 0 PLN and cart.age in {cart_delay_s}s..14d and not purchased since cart"
        carts = await self._created("segments", own | {"name": "Abandoned carts", "rule": rule})
        creatives = [await self._created("creatives", own | _banner(width, height)) for width, height in SIZES]
        budget = {"total_budget": {"spend": {"amount": "100000.00"}}}
        feed = await self._created("feeds", own | {"name": "Mugs", "mapping": {"margin": "custom_label_0"}})
        await self._upload(feed)
        campaign = await self._created("campaigns", own | budget | {"name": "Mugs for autumn"})
        common = own | {"campaign_id": campaign, "creative_ids": creatives, "goal": "cpm", "pacing": "asap"}
        for line_item in (
            {"name": "Run of network", "bid": {"amount": "12.00"}, "max_cpm": {"amount": "20.00"}},
            {
                "name": "Abandoned carts",
                "bid": {"amount": "15.00"},
                "max_cpm": {"amount": "60.00"},
                "cart": {"delay_s": cart_delay_s, "rise_s": 1},
                "targeting": {"segments_any": [carts]},
            },
        ):
            self._line_items.append(await self._created("line-items", common | line_item))

    async def _created(self, kind: str, document: Json) -> int:
        number: int = (await self._call("POST", kind, document))["id"]
        return number

    async def _upload(self, feed: int) -> None:
        data = demo_products(feed, SHOP, DOMAIN, "PLN", ("Kubek", "Talerz", "Miska", "Wazon"), 120)
        async with self._session.put(f"{self._url}/feeds/{feed}/content", data=data, headers=self._headers) as response:
            run: Json = await response.json(content_type=None)
            if response.status >= 400 or run["outcome"] != "loaded":
                raise UnavailableError(f"the demo's feed was not loaded: {run}")

    async def _until_effective(self) -> None:
        try:
            async with asyncio.timeout(EFFECTIVE_TIMEOUT_S):
                question = f"effective-version?version={self._version}"
                while not (await self._call("GET", question))["is_effective"]:  # noqa: ASYNC110 - it is asked by HTTP
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise UnavailableError("the bidders do not have the demo's shop yet", hint="see demo.log") from None

    async def delivered(self) -> Delivered:
        """The shop's own figures, added up over the funnels of its line items; counts are some seconds old."""
        funnels = [await self._call("GET", f"line-items/{number}/funnel") for number in self._line_items]
        hours = [funnel["last_hour"] for funnel in funnels]
        spend = format_micros(sum(parse_decimal(hour["spend"]) for hour in hours))
        bids, impressions = (sum(hour[name] for hour in hours) for name in ("bids", "impressions"))
        return Delivered(bids, impressions, f"{spend} {funnels[0]['currency']}")

    async def reported(self, until_ms: int) -> list[tuple[str, ...]]:
        """A row for each shop: its name, and then REPORTED.

        Waits until everything that happened up to `until_ms` (unix) is in the figures. Raises UnavailableError.
        """
        answer = await self._fresh_report({"dimensions": ["advertiser"], "measures": list(REPORTED)}, until_ms)
        names = {shop["id"]: shop["name"] for shop in (await self._call("GET", "advertisers?limit=500"))["items"]}
        return [
            (
                names.get(number, str(number)),
                *(_figure(value, currency if at in _MONEY else "") for at, value in enumerate(rest)),
            )
            for number, currency, *rest in answer["rows"]
        ]

    async def _fresh_report(self, question: Json, until_ms: int) -> Json:
        try:
            async with asyncio.timeout(FRESH_TIMEOUT_S):
                while True:
                    answer = await self._call("POST", "reports/query", question)
                    fresh = answer["fresh_until"]
                    if fresh and datetime.datetime.fromisoformat(fresh).timestamp() * 1000 >= until_ms:
                        return answer
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise UnavailableError("the journal does not store what happens", hint="see demo.log") from None

    async def _call(self, method: str, path: str, body: Json | None = None, headers: Json | None = None) -> Json:
        every = self._headers | (headers or {})
        async with self._session.request(method, f"{self._url}/{path}", json=body, headers=every) as response:
            answer: Json = await response.json(content_type=None)
            if response.status >= 400:
                problem = answer.get("errors") or answer.get("detail")
                raise UnavailableError(f"the admin API refused {method} /v1/{path.partition('?')[0]}: {problem}")
            self._version = response.headers.get("Grosz-Catalogue-Version", self._version)
            return answer


# Places of the amounts among the measures of `reported`.
_MONEY = (0, 3, 4)


def _figure(value: object, currency: str) -> str:
    """A figure for the table: amounts to the cent, with their currency."""
    if value is None:
        return "-"
    if currency:
        return f"{float(str(value)):.2f} {currency}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _banner(width: int, height: int) -> Json:
    style = (
        f"display:flex;box-sizing:border-box;width:{width}px;height:{height}px;align-items:center;"
        "justify-content:center;background:#efe6da;color:#5b3a29;font:600 15px system-ui;text-decoration:none"
    )
    return {
        "name": f"{SHOP} {width}x{height}",
        "width": width,
        "height": height,
        "html": f'<a href="${{CLICK_URL}}" target="_blank" rel="noopener" style="{style}">{SHOP}: your mugs wait</a>',
        "landing_url": f"https://{DOMAIN}/",
        "advertiser_domain": DOMAIN,
    }
