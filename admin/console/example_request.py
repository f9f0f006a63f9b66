"""A bid request to try an exchange's connection with: one that the newest campaign bids on, if anything lets it."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from admin.access.principal import Principal
from admin.console.desk import Desk
from admin.store.model import Scope
from admin.visitors.audience_desk import AudienceDesk
from core.model import Exchange

_ELSEWHERE = "https://BIDDER"
_SOMEBODY = "VISITOR"
# What a browser says; a program's name would be refused where only humans are bid on.
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class ExampleRequest(NamedTuple):
    """A command that sends it, for which line item it is (None: nothing is active), and what that waits for.

    `lacks` is the id of the segment that nobody is in, 0 for none.
    """

    command: str
    line_item: Mapping[str, Any] | None
    lacks: int = 0


class ExampleRequests:
    """Makes them; `bidder` is the URL of the bidder on this machine, "" where it is not here."""

    def __init__(self, desk: Desk, audiences: AudienceDesk, bidder: str) -> None:
        self._desk = desk
        self._audiences = audiences
        self.bidder = bidder

    def address(self, exchange: Exchange) -> str:
        """Where the exchange sends bid requests."""
        return f"{self.bidder or _ELSEWHERE}/openrtb2/{exchange.key}"

    async def example(self, caller: Principal, exchange: Exchange) -> ExampleRequest:
        """The request for the newest active line item. Raises UnavailableError."""
        query = [("limit", "1"), ("status", "active"), ("sort", "-created_at")]
        items = (await self._desk.page(caller, "line-items", query))["items"]
        item = items[0] if items else None
        size, user, country, lacks = (300, 250), "", "POL", 0
        if item:
            targeting = item["targeting"]
            country = next(iter(targeting["countries"]), country)
            wanted = [*targeting["segments_all"], *targeting["segments_any"]]
            if wanted:
                user = await self._audiences.anyone(wanted[0])
                lacks = wanted[0] if not user else 0
            if user and not caller.may(Scope.ADMIN, everywhere=True):
                user = _SOMEBODY  # who may not see visitors' cards is not told whose browsers there are
            size = await self._size(caller, item)
        currency = item["bid"]["currency"] if item else exchange.default_currency
        request = {
            "id": "example-1",
            "tmax": 500,
            "cur": [currency],
            "imp": [{"id": "1", "banner": {"w": size[0], "h": size[1]}, "bidfloor": 0.01, "bidfloorcur": currency}],
            "site": {"domain": "news.example", "page": "https://news.example/"},
            "device": {"ua": _AGENT, "geo": {"country": country}},
            "regs": {"gdpr": 0},
        } | ({"user": {"buyeruid": user}} if user else {})
        token = " -H 'Authorization: Bearer TOKEN'" if exchange.bearer_token else ""
        body = json.dumps(request, indent=1)
        command = f"curl -i{token} -H 'Content-Type: application/json' {self.address(exchange)} -d '{body}'"
        return ExampleRequest(command, item, lacks)

    async def _size(self, caller: Principal, item: Mapping[str, Any]) -> tuple[int, int]:
        """Width and height of an ad of the line item."""
        for creative_id in item["creative_ids"]:
            creative = await self._desk.read(caller, "creatives", creative_id)
            if creative["width"] and creative["height"]:
                return creative["width"], creative["height"]
        return 300, 250
