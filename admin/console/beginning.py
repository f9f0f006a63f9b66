"""What a campaign still needs before its first bid: what its own page lists until it bids."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from admin.access.principal import Principal
from admin.console.desk import Desk
from admin.console.fields import N_
from admin.diagnosis.funnels import Funnel
from admin.visitors.audience_desk import AudienceDesk


class NextStep(NamedTuple):
    """One thing to do or done, and the page where it is done, "" for one that the caller may not see."""

    is_done: bool
    text: str
    link: str
    path: str


class Beginning:
    """Looks at what comes before a first bid."""

    def __init__(self, desk: Desk, audiences: AudienceDesk) -> None:
        self._desk = desk
        self._audiences = audiences

    async def steps(self, caller: Principal, item: Mapping[str, Any], funnel: Funnel) -> list[NextStep]:
        """What there is to do; nothing for a line item that is not to bid, or has bid. Raises UnavailableError."""
        if item["status"] != "active" or funnel.last_day.bids or funnel.last_hour.bids:
            return []
        steps = []
        targeting = item["targeting"]
        if targeting["segments_any"] or targeting["segments_all"]:
            shop = f"/advertisers/{item['advertiser_id']}/shop#code"
            is_heard = bool(await self._audiences.last_events(item["advertiser_id"]))
            steps.append(NextStep(is_heard, N_("The shop's pages send events."), N_("The code for the pages"), shop))
        steps.append(await self._connected(caller))
        is_asked = bool(funnel.last_day.requests or funnel.last_hour.requests)
        why = f"/explain?line_item_id={item['id']}"
        steps.append(NextStep(is_asked, N_("The exchange sends bid requests."), N_("Why it bids or not"), why))
        return steps

    async def _connected(self, caller: Principal) -> NextStep:
        query = [("limit", "1"), ("status", "active")]
        found = (await self._desk.page(caller, "exchanges", query))["items"]
        text, link = N_("An exchange is connected."), N_("New exchange")
        path = "/exchanges/new" if self._desk.may_create(caller, "exchanges") else ""
        if found and caller.advertiser_ids is None:
            link, path = N_("Address and an example request"), f"/exchanges/{found[0]['id']}/traffic"
        return NextStep(bool(found), text, link, path)
