"""`/widget.js` on the track port: boxes, blocks and pop-ups for the shops' own pages (docs/recommendations.md)."""

import hashlib
import importlib.resources
import re
from typing import Final

from aiohttp import hdrs, web

_AGE_S: Final = 3_600
_COMMENT: Final = re.compile(rb"/\*.*?\*/\n")
_LINE_BREAK: Final = re.compile(rb"([{;,])?\n\s*")


def packed(script: bytes) -> bytes:
    """The script without its comments and indentation; line breaks go where a statement or list shows its end."""
    return _LINE_BREAK.sub(lambda found: found[1] or b"\n", _COMMENT.sub(b"", script))


def widget_routes() -> list[web.RouteDef]:
    """The script, the same for every shop."""
    script = packed(importlib.resources.files("creatives.pages").joinpath("widget.js").read_bytes())
    headers = {
        hdrs.CACHE_CONTROL: f"public, max-age={_AGE_S}",
        hdrs.ETAG: f'"{hashlib.sha256(script).hexdigest()[:32]}"',
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",  # subresource integrity needs a CORS answer
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }

    async def widget(request: web.Request) -> web.Response:
        if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=script, content_type="text/javascript", charset="utf-8", headers=headers)

    return [web.get("/widget.js", widget)]
