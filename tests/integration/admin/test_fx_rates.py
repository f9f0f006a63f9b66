"""Exchange rates: shown to all, changed by administrators, read from a source that may be away or behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from admin.rates.refresh import RateDesk, RateLoop
from core.clock import ManualClock
from core.telemetry.metrics import Telemetry
from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.unit.admin.rates.test_reference import FILE


@pytest.fixture
async def source() -> AsyncIterator[tuple[BaseTestServer, dict[str, bytes | int]]]:
    """A bank that answers what the test says."""
    said: dict[str, bytes | int] = {"body": FILE, "status": 200}

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=said["body"], status=int(said["status"]), content_type="text/xml")

    app = web.Application()
    app.add_routes([web.get("/rates.xml", answer)])
    async with TestServer(app) as server:
        yield server, said


async def test_rates_are_replaced_by_administrators_and_shown_to_all(api: Api, shop: Shop) -> None:
    owner = await api.caller()
    assert (await shop.caller.get("/v1/fx-rates")).status == 200
    assert (await shop.caller.call("PUT", "/v1/fx-rates", {"rates": {"USD": "3.64"}})).status == 403
    assert (await shop.caller.post("/v1/fx-rates/refresh", {"source": "ecb"})).status == 403
    answer = await owner.call("PUT", "/v1/fx-rates", {"rates": {"USD": "3.64", "EUR": "4.27"}})
    assert answer.status == 200
    shown = (await shop.caller.get("/v1/fx-rates")).body
    assert shown["rates"] == {"EUR": "4.27", "USD": "3.64"}
    assert (shown["base"], shown["source"], shown["age_days"], shown["is_stale"]) == ("PLN", "set by hand", 0, False)
    await api.publisher.publish()
    changes = (await owner.get("/v1/change-log?kind=fx-rates")).body["items"]
    assert {(one["field"], one["new"]) for one in changes} == {("EUR", "4.27"), ("USD", "3.64")}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"rates": {"USD": "0"}}, "/rates/USD"),
        ({"rates": {"USD": "-1"}}, "/rates/USD"),
        ({"rates": {"USD": "1,5"}}, "/rates/USD"),
        ({"rates": {"PLN": "1"}}, "/rates/PLN"),
        ({"rates": {"usd": "1"}}, "/rates/usd"),
        ({"rates": {"USD": 1.5}}, "/rates/USD"),
        ({"rates": {}, "as_of": "2999-01-01"}, "/as_of"),
        ({"rates": {}, "day": "2026-01-01"}, "/day"),
        ({}, "/rates"),
    ],
)
async def test_bad_rates_are_refused_with_their_place(api: Api, body: object, pointer: str) -> None:
    answer = await (await api.caller()).call("PUT", "/v1/fx-rates", body)
    assert answer.status in (400, 422)
    assert pointer in {error["pointer"] for error in answer.body["errors"]}


async def test_a_currency_in_use_keeps_its_rate(api: Api) -> None:
    owner = await api.caller()
    assert (await owner.call("PUT", "/v1/fx-rates", {"rates": {"EUR": "4.27", "USD": "3.64"}})).status == 200
    await owner.made("/v1/advertisers", {"name": "Berlin", "domain": "berlin.example", "currency": "EUR"})
    answer = await owner.call("PUT", "/v1/fx-rates", {"rates": {"USD": "3.64"}})
    assert answer.status == 409
    assert "EUR" in answer.body["detail"] + answer.body["title"]
    assert (await owner.get("/v1/fx-rates")).body["rates"] == {"EUR": "4.27", "USD": "3.64"}


async def test_only_the_operator_names_a_source(api: Api) -> None:
    owner = await api.caller()
    for source in ("/etc/passwd", "http://127.0.0.1:1/", "file:///etc/passwd"):
        assert (await owner.post("/v1/fx-rates/refresh", {"source": source})).status in (400, 422)
    assert (await owner.post("/v1/fx-rates/refresh", {})).status in (400, 422)  # none is set


async def test_the_loop_takes_later_rates_and_survives_a_bad_source(
    api: Api, clock: ManualClock, source: tuple[BaseTestServer, dict[str, bytes | int]], tmp_path: Path
) -> None:
    server, said = source
    woken: list[int] = []
    desk = RateDesk(api.store, clock, lambda: woken.append(1))
    telemetry = Telemetry()
    loop = RateLoop(desk, str(server.make_url("/rates.xml")), 3600.0, telemetry)
    assert await loop.step() == 3600.0
    assert (await desk.current()).rates["USD"] == 3_935_484
    assert len(woken) == 1
    await loop.step()
    assert len(woken) == 1  # the same day again changes nothing
    said["body"] = FILE.replace(b"2026-11-27", b"2026-11-30").replace(b"<Cube currency='JPY' rate='170.12'/>", b"")
    await loop.step()
    assert (await desk.current()).rates["JPY"] == 25_100  # what the source has dropped keeps its last rate
    for broken in (b"<html>", FILE.replace(b"2026-11-27", b"2026-11-26")):
        said["body"] = broken
        await loop.step()
    said["status"] = 500
    assert await loop.step() == 600.0
    assert str((await desk.current()).as_of) == "2026-11-30"
    file = tmp_path / "rates.xml"
    file.write_bytes(FILE.replace(b"2026-11-27", b"2026-12-01"))
    assert await desk.refresh(str(file))
    families = {family.name: family for family in telemetry.families()}
    outcomes = {one.labels["outcome"]: one.value for one in families["grosz_fx_refreshes_total"].samples}
    assert outcomes == {"changed": 2, "unchanged": 2, "failed": 2}
