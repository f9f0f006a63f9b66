"""An exchange's review of ads, played: the Ad Management API 1.0 of the IAB Tech Lab, over HTTP.

An ad that is sent is pending for a while. Then it is approved; but every fifth, beginning with the second, is denied
with a reason, and every fifth, beginning with the third, is approved and expires later. An ad that is sent again after
that is approved for good. The first submissions are answered 500, as by a service that is being deployed.
"""

from typing import Any, Final

import msgspec
from aiohttp import web

from core.clock import Clock

DENIED, EXPIRING, OF = 1, 2, 5
"""Of each `OF` ads, the number of the one that is denied, and of the one that expires."""

REASON: Final = "the landing page is not about what the ad shows"

# AdCOM list "Audit Status Codes".
PENDING, APPROVED, REJECTED, EXPIRED = 1, 3, 4, 6

BIDDER: Final = "grosz"
PATH: Final = f"/v1/bidder/{BIDDER}"

Json = dict[str, Any]


class _Reviewed(msgspec.Struct):
    """An ad as it was sent, and when; `times` counts how often."""

    number: int
    ad: Json
    first_ms: int
    sent_ms: int
    times: int = 1


class ReviewService:
    """Keeps the ads that were submitted, and decides on them as time passes."""

    def __init__(self, clock: Clock, *, pending_s: float = 10, expires_s: float = 20, failures: int = 2) -> None:
        self._clock = clock
        self._pending_ms = int(pending_s * 1000)
        self._expires_ms = int(expires_s * 1000)
        self._failures = failures
        self._ads: dict[str, _Reviewed] = {}
        self.refused = 0
        """How many submissions were answered 500."""

    def app(self) -> web.Application:
        """The service, below PATH."""
        app = web.Application()
        app.add_routes(
            [
                web.post(f"{PATH}/ads", self._submit),
                web.get(f"{PATH}/ads", self._changes),
                web.get(f"{PATH}/ads/{{id}}", self._one),
                web.put(f"{PATH}/ads/{{id}}", self._again),
            ]
        )
        return app

    def status_of(self, ad_id: str) -> int:
        """The review status of an ad now."""
        return self._audit(self._ads[ad_id])[0]

    def audit_of(self, ad_id: str) -> tuple[int, float]:
        """The review status of an ad now, and since when (seconds since 1970)."""
        status, since_ms = self._audit(self._ads[ad_id])
        return status, since_ms / 1000

    def decided_s(self) -> list[float]:
        """When each ad's first decision was, or will be, made (seconds since 1970)."""
        return [(known.first_ms + self._pending_ms) / 1000 for known in self._ads.values()]

    def _audit(self, known: _Reviewed) -> tuple[int, int]:
        """The review status now, and since when (unix ms)."""
        now_ms, decided_ms = self._clock.now_ms(), known.sent_ms + self._pending_ms
        if now_ms < decided_ms:
            return PENDING, known.sent_ms
        turn = known.number % OF if known.times == 1 else 0
        if turn == DENIED:
            return REJECTED, decided_ms
        if turn == EXPIRING and now_ms >= decided_ms + self._expires_ms:
            return EXPIRED, decided_ms + self._expires_ms
        return APPROVED, decided_ms

    def _shown(self, known: _Reviewed) -> Json:
        status, since_ms = self._audit(known)
        audit: Json = {"status": status, "init": known.first_ms, "lastmod": since_ms}
        if status == REJECTED:
            audit["feedback"] = [REASON]
        return known.ad | {"init": known.first_ms, "lastmod": known.sent_ms, "audit": audit}

    async def _submit(self, request: web.Request) -> web.Response:
        if self.refused < self._failures:
            self.refused += 1
            return web.Response(status=500, text="being deployed")
        ad = await request.json()
        if not isinstance(ad, dict) or not isinstance(ad.get("id"), str) or not ad.get("adomain"):
            return web.Response(status=400, text="an ad has an id and an adomain")
        now_ms = self._clock.now_ms()
        known = self._ads.setdefault(ad["id"], _Reviewed(len(self._ads), ad, now_ms, now_ms))
        return web.json_response({"count": 1, "ads": [self._shown(known)]})

    async def _again(self, request: web.Request) -> web.Response:
        known = self._ads.get(request.match_info["id"])
        if known is None:
            return web.Response(status=404)
        known.ad, known.sent_ms, known.times = await request.json(), self._clock.now_ms(), known.times + 1
        return web.json_response({"count": 1, "ads": [self._shown(known)]})

    async def _one(self, request: web.Request) -> web.Response:
        known = self._ads.get(request.match_info["id"])
        if known is None:
            return web.Response(status=404)
        return web.json_response({"count": 1, "ads": [self._shown(known)]})

    async def _changes(self, request: web.Request) -> web.Response:
        since = request.query.get("auditStart", "")
        if not since.isdigit():
            return web.Response(status=400, text="auditStart is missing")
        found = [known for known in self._ads.values() if self._audit(known)[1] > int(since)]
        ads = [self._shown(known) for known in sorted(found, key=lambda known: self._audit(known)[1])]
        return web.json_response({"count": len(ads), "ads": ads})
