"""The pages of the API itself: its description (`/openapi.json`, `/docs`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

_STATIC = Path(__file__).with_name("static")

# Swagger UI sets styles and data images from its own script; nothing else may load anything.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Grosz API</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""

_ASSETS = {
    "swagger-ui-bundle.js": ("swagger/swagger-ui-bundle.js.gz", "text/javascript"),
    "swagger-ui.css": ("swagger/swagger-ui.css.gz", "text/css"),
    "start.js": ("start.js", "text/javascript"),
}


def page_routes(describe: Callable[[], dict[str, Any]]) -> list[web.RouteDef]:
    """Routes of the pages; `describe` makes the OpenAPI document, when it is first asked for."""

    async def openapi(_request: web.Request) -> web.Response:
        encoded = msgspec.json.encode(describe())
        return web.Response(body=encoded, content_type="application/json", headers=_HEADERS)

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(text=_DOCS, content_type="text/html", headers=_HEADERS)

    return [
        web.get("/openapi.json", openapi),
        web.get("/docs", docs),
        web.get("/docs/{name}", _asset),
    ]


async def _asset(request: web.Request) -> web.Response:
    found = _ASSETS.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    path, content_type = found
    headers = dict(_HEADERS) | {"Cache-Control": "max-age=3600"}
    if path.endswith(".gz"):
        headers["Content-Encoding"] = "gzip"  # every browser reads it; the file would be three times as large
    return web.Response(body=(_STATIC / path).read_bytes(), content_type=content_type, headers=headers)
