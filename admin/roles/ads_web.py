"""HTTP of `admin.roles.ads`: `/a/{token}`, a page for a sandboxed frame."""

from aiohttp import web

from admin.roles.ads import AdDesk, AdRequest
from core.network.headers import CSP
from core.query import query_pairs
from creatives.templates.page import FRAME_PERMISSIONS, SCRIPT_HASH
from segments.events.privacy import members_of_query
from segments.events.web import COOKIE, OPT_OUT_COOKIE, SEC_GPC


def ad_page_routes(desk: AdDesk, track_url: str) -> list[web.RouteDef]:
    """GET and HEAD of `/a/{token}`."""
    # Pictures come from the shop, over TLS wherever the tracker itself is reached by it.
    images = "https: data:" if track_url.startswith("https://") else "https: http: data:"
    # The page has no origin of its own also where somebody opens it without a frame.
    policy = "; ".join((
        f"sandbox {FRAME_PERMISSIONS}", "default-src 'none'", f"script-src '{SCRIPT_HASH}'",
        "style-src 'unsafe-inline'", f"img-src {images}", "base-uri 'none'", "form-action 'none'",
    ))  # fmt: skip
    headers = {
        CSP: policy, "Cache-Control": "no-store, private", "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer-when-downgrade",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }  # fmt: skip

    async def show(request: web.Request) -> web.Response:
        cookies, said = request.cookies, members_of_query(query_pairs(request.rel_url.raw_query_string))
        asked = AdRequest(
            said, cookies.get(COOKIE, ""), OPT_OUT_COOKIE in cookies, request.headers.get(SEC_GPC, ""),
        )  # fmt: skip
        ad = await desk.show(request.match_info["token"], asked)
        if not ad.page:
            return web.Response(status=ad.status, headers={"Cache-Control": "no-store"})
        return web.Response(text=ad.page, content_type="text/html", charset="utf-8", headers=headers)

    return [web.get("/a/{token}", show)]
