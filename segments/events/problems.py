"""Answers of RFC 9457 (application/problem+json) with all faults at once."""

from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from core.errors import Fault

_encoder = msgspec.json.Encoder()


def problem(
    status: int,
    title: str,
    *,
    hint: str = "",
    faults: Sequence[Fault] = (),
    results: Sequence[Mapping[str, object]] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem document; `results` are per-item outcomes of a batch."""
    document: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if hint:
        document["hint"] = hint
    if faults:
        document["errors"] = list(faults)
    if results:
        document["results"] = list(results)
    return web.Response(
        status=status, body=_encoder.encode(document), content_type="application/problem+json", headers=headers
    )
