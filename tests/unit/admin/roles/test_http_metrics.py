"""Every answer is counted under its route's template, whatever became of it."""

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from admin.roles.http_metrics import counting
from core.telemetry.metrics import Telemetry


async def answer(request: web.Request) -> web.Response:
    if request.match_info["id"] == "7":
        raise RuntimeError("a fault of ours")
    if request.match_info["id"] == "8":
        raise web.HTTPForbidden
    return web.Response(text="yes")


def samples(telemetry: Telemetry, name: str) -> dict[tuple[str, ...], float]:
    families = {family.name: family for family in telemetry.families()}
    return {
        tuple(sample.labels.values()): sample.value
        for sample in families[name].samples
        if sample.name in (name, f"{name}_count")
    }


async def test_requests_are_counted_by_template_and_status() -> None:
    telemetry = Telemetry()
    app = web.Application()
    app.add_routes([web.get("/v1/things/{id}", answer)])
    app.middlewares.insert(0, counting(telemetry))
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as client:
        for path in ("/v1/things/1", "/v1/things/2", "/v1/things/7", "/v1/things/8", "/elsewhere/1", "/elsewhere/2"):
            await (await client.get(path)).release()
        await (await client.patch("/v1/things/1")).release()
    template = "/v1/things/{id}"
    assert samples(telemetry, "grosz_http_requests_total") == {
        ("GET", template, "200"): 2,
        ("GET", template, "500"): 1,
        ("GET", template, "403"): 1,
        ("GET", "unmatched", "404"): 2,
        ("PATCH", "unmatched", "405"): 1,
    }
    assert sum(samples(telemetry, "grosz_http_request_seconds").values()) == 7
