"""`/why/{token}` on the track port: who paid for an ad and why it is shown, for ads that have no room for it.

The privacy link of native ads and the sign above videos lead here. Siblings meet: the token (pacing) says which ad it
was, the words are those of banners (creatives). It is served long after the bid, since people read it when they like.
"""

import bisect
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from aiohttp import hdrs, web

from core.clock import Clock
from core.model import Advertiser, Catalogue, Creative
from core.network.headers import CSP
from creatives.formats.base import AdNotice
from creatives.formats.notice import notice_page
from pacing.notices.claims import Claims
from pacing.notices.tokens import TokenError, TokenSigner

# The numbers of `dsaparams`. They are not signed, and all that a changed one does is another sentence of ours.
_REASONS: Final = {"1": 1, "2": 2, "3": 3}
MAX_QUERY_CHARS: Final = 16

_HEADERS: Final = {
    CSP: "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store", "Vary": "Accept-Language",
}  # fmt: skip


Named = TypeVar("Named", Creative, Advertiser)


def find_by_id(objects: Sequence[Named], number: int) -> Named | None:
    """The object of an id; they are sorted by it."""
    at = bisect.bisect_left(objects, number, key=lambda each: each.id)
    return objects[at] if at < len(objects) and objects[at].id == number else None


def why_routes(signer: TokenSigner, catalogue: Callable[[], Catalogue | None], clock: Clock) -> list[web.RouteDef]:
    """GET and HEAD of `/why/{token}`."""

    async def show(request: web.Request) -> web.Response:
        claims, published = _claims(signer, request.match_info["token"], clock.now_ms() // 1000), catalogue()
        if claims is None or published is None:
            raise web.HTTPNotFound
        creative = find_by_id(published.creatives, claims.creative_id)
        advertiser = find_by_id(published.advertisers, claims.advertiser_id)
        if creative is None or advertiser is None:
            raise web.HTTPNotFound
        asked = request.query.get("by", "")[:MAX_QUERY_CHARS].split(",")
        chosen_by = tuple(sorted({_REASONS[each] for each in asked if each in _REASONS}))
        shop = advertiser.domain
        notice = AdNotice(advertiser.dsa_behalf or shop, advertiser.dsa_paid or shop, chosen_by)
        page = notice_page(creative, notice, request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        return web.Response(text=page, content_type="text/html", charset="utf-8", headers=_HEADERS)

    return [web.get("/why/{token}", show)]


def _claims(signer: TokenSigner, token: str, now_s: int) -> Claims | None:
    """What a genuine token says, also where it has expired."""
    try:
        return signer.verify(token, now_s)
    except TokenError as error:
        return error.claims
