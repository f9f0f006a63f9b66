"""Scripts and styles of the console: vendored, named by their content, so that browsers keep them for a year."""

import functools
import gzip
import hashlib
from pathlib import Path
from typing import Final

from aiohttp import web

_STATIC = Path(__file__).with_name("static")
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@functools.cache
def _files() -> dict[str, tuple[bytes, str, str]]:
    """Name -> (gzipped bytes, content type, first digits of the content's SHA-256)."""
    found = {}
    for path in sorted(_STATIC.rglob("*")):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:12]
            found[path.relative_to(_STATIC).as_posix()] = (gzip.compress(content, mtime=0), _TYPES[path.suffix], digest)
    return found


def asset_url(name: str) -> str:
    """The address of a file of `static/`; it changes with the content."""
    return f"/console/{_files()[name][2]}/{name}"


async def serve_asset(request: web.Request) -> web.Response:
    """GET /console/{digest}/{name}"""
    found = _files().get(request.match_info["name"])
    if found is None or found[2] != request.match_info["digest"]:
        raise web.HTTPNotFound
    content, content_type, _ = found
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=content, content_type=content_type, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=gzip.decompress(content), content_type=content_type, headers=headers)
