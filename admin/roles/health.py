"""The three pages that every role serves: is it alive, can it serve, what has it counted.

They are plain values here, so that the bid port (its own protocol) and the aiohttp roles answer alike.
"""

import ipaddress
from collections.abc import Callable, Mapping

from aiohttp import web

from core.network.proxies import NO_PROXIES, Proxies
from core.telemetry.metrics import CONTENT_TYPE
from core.telemetry.scrape import ScrapePoint

ReadyCheck = Callable[[], str | None]
"""Says what is missing before the role can serve, or None."""

# A proxy in front speaks for strangers: whatever address it has, a forwarded request is not from this network.
_FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class HealthPages:
    """State of one role process, as its probes see it."""

    def __init__(
        self, scrape_point: ScrapePoint, *, public_metrics: bool, proxies: Proxies = NO_PROXIES, elsewhere: str = ""
    ) -> None:
        """`elsewhere` says where the metrics are, if they have a listener of their own."""
        self._proxies = proxies
        self.elsewhere = elsewhere
        self._scrape_point = scrape_point
        self._public_metrics = public_metrics
        self._checks: dict[str, ReadyCheck] = {}
        self._remarks: dict[str, ReadyCheck] = {}
        self._draining = False

    def require(self, name: str, check: ReadyCheck) -> None:
        """The role is ready only while `check` returns None; called at each probe, so it must be cheap.

        Only for what keeps *this process* from answering. What all processes share (Redis, the database) does not
        belong here: a balancer would take all of them away at once, and turn slow or careful answers into none.
        """
        self._checks[name] = check

    def require_once(self, name: str, check: ReadyCheck) -> None:
        """The role is not ready before `check` has returned None for the first time."""
        met = False

        def check_once() -> str | None:
            nonlocal met
            fault = None if met else check()
            met = fault is None
            return fault

        self.require(name, check_once)

    def remark(self, name: str, check: ReadyCheck) -> None:
        """What `check` says is told with the readiness and does not change it: it is for people, not for a balancer."""
        self._remarks[name] = check

    def drain(self) -> None:
        """Say "not ready" from now on."""
        self._draining = True

    def faults(self) -> list[str]:
        """What keeps the role from serving; empty when it can."""
        if self._draining:
            return ["draining"]
        return _told(self._checks)

    def readiness(self) -> tuple[int, bytes]:
        """Status and text of /readyz."""
        faults = self.faults()
        lines = [*(faults or ["ready"]), *_told(self._remarks)]
        return 503 if faults else 200, "\n".join(lines).encode() + b"\n"

    def may_see_metrics(self, peer: str | None, headers: Mapping[str, str]) -> bool:
        """Whether a peer address may read /metrics: loopback and private networks, unless it is open to all.

        A trusted proxy may not, whether or not it says for whom it asks: it stands in front of the role's port. A
        listener of its own for metrics is called by scrapers only, whose address may be like a proxy's.
        """
        if self._public_metrics:
            return True
        if any(name in headers for name in _FORWARDING_HEADERS):
            return False
        if not self.elsewhere and self._proxies.trusts(peer or ""):
            return False
        try:
            address = ipaddress.ip_address(peer or "")
        except ValueError:
            return False
        return address.is_loopback or address.is_private

    def metrics(self) -> bytes:
        """Text of /metrics, for the whole role on this machine."""
        return self._scrape_point.scrape()


def _told(checks: Mapping[str, ReadyCheck]) -> list[str]:
    found = ((name, check()) for name, check in checks.items())
    return [f"{name}: {fault}" for name, fault in found if fault is not None]


def health_routes(pages: HealthPages, *, with_metrics: bool) -> list[web.RouteDef]:
    """The three pages for an aiohttp app; without metrics the third only says where they are."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_request: web.Request) -> web.Response:
        status, text = pages.readiness()
        return web.Response(status=status, body=text, content_type="text/plain")

    async def metrics(request: web.Request) -> web.Response:
        if not with_metrics:
            return web.Response(status=404, text=pages.elsewhere)
        if not pages.may_see_metrics(request.remote, request.headers):
            return web.Response(status=403, text="metrics are for this network only; see telemetry.public_metrics\n")
        return web.Response(body=pages.metrics(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
