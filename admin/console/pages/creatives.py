"""An ad as people see it, in a frame that may do nothing at the console."""

from aiohttp import web

from admin.api import requests
from admin.api.reading import Reader
from admin.console.browser import Visitor
from admin.store.model import Scope
from core.model import Format
from core.network.headers import CSP
from creatives.formats.banner import preview_markup
from creatives.preview.page import ad_page

# The `sandbox` of the policy gives the document an origin of its own also where it is opened without a frame: its
# scripts reach neither cookies nor pages of the console, and it can send no form, open no window, lead nobody away.
_POLICY = "; ".join((
    "sandbox allow-scripts",
    "default-src 'none'",
    "script-src 'unsafe-inline' 'unsafe-eval' https:",
    "style-src 'unsafe-inline' https:",
    "img-src https: http: data: blob:",
    "font-src https: data:",
    "media-src https: data:",
    "frame-src https: http:",
    "connect-src 'none'",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'self'",
))  # fmt: skip
_HEADERS = {
    CSP: _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE = '<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title><body style="margin:0">{ad}'


class Creatives:
    """The frame of an ad."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def ad(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /creatives/{id}/ad: the markup of a banner without what counts it; other formats as a page shows them"""
        visitor.caller.require(Scope.READ)
        creative = await self._reader.creative(visitor.caller, requests.object_id_of(request))
        title = visitor.words.text("Preview")
        if creative.format is Format.BANNER:
            text = _PAGE.format(language=visitor.words.language, title=title, ad=preview_markup(creative))
        else:
            text = ad_page(creative)
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)
