import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from admin.roles.health import HealthPages, health_routes
from core.network.proxies import Proxies
from core.telemetry.metrics import Telemetry
from core.telemetry.scrape import ScrapePoint


def pages(*, public_metrics: bool = False) -> HealthPages:
    telemetry = Telemetry()
    telemetry.counter("grosz_things_total", "Things.").labels().inc(2)
    return HealthPages(ScrapePoint(telemetry.families, directory=None, role="tracker"), public_metrics=public_metrics)


def test_role_is_ready_when_every_check_agrees() -> None:
    health = pages()
    faults: list[str] = ["no answer"]
    health.require("redis", lambda: faults[0] if faults else None)
    health.require("catalogue", lambda: None)
    assert health.readiness() == (503, b"redis: no answer\n")
    faults.clear()
    assert health.readiness() == (200, b"ready\n")


def test_what_is_needed_to_begin_is_not_asked_for_again() -> None:
    health = pages()
    faults: list[str] = ["is not there yet"]
    health.require_once("catalogue", lambda: faults[0] if faults else None)
    assert health.readiness() == (503, b"catalogue: is not there yet\n")
    faults.clear()
    assert health.readiness() == (200, b"ready\n")
    faults.append("has gone")
    assert health.readiness() == (200, b"ready\n")


def test_what_somebody_should_look_at_is_told_and_keeps_nobody_away() -> None:
    health = pages()
    told: list[str] = []
    health.remark("ledger", lambda: told[0] if told else None)
    assert health.readiness() == (200, b"ready\n")
    told.append("rows wait")
    assert health.readiness() == (200, b"ready\nledger: rows wait\n")
    health.require("redis", lambda: "no answer")
    assert health.readiness() == (503, b"redis: no answer\nledger: rows wait\n")


def test_draining_role_is_not_ready() -> None:
    health = pages()
    health.drain()
    assert health.readiness() == (503, b"draining\n")


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9"])
def test_metrics_are_for_this_network(peer: str) -> None:
    assert pages().may_see_metrics(peer, {})


@pytest.mark.parametrize("peer", ["8.8.8.8", "2600::1", "", None, "unix"])
def test_metrics_are_not_for_strangers(peer: str | None) -> None:
    assert not pages().may_see_metrics(peer, {})
    assert pages(public_metrics=True).may_see_metrics(peer, {})


def test_request_that_a_proxy_forwards_comes_from_a_stranger() -> None:
    assert not pages().may_see_metrics("127.0.0.1", {"x-forwarded-for": "8.8.8.8"})


def test_at_a_listener_of_its_own_an_address_like_a_proxys_may_scrape() -> None:
    telemetry = Telemetry()
    point, proxies = ScrapePoint(telemetry.families, directory=None, role="tracker"), Proxies(["10.0.0.0/8"])
    at_the_port = HealthPages(point, public_metrics=False, proxies=proxies)
    apart = HealthPages(point, public_metrics=False, proxies=proxies, elsewhere="elsewhere")
    assert not at_the_port.may_see_metrics("10.1.2.3", {})
    assert apart.may_see_metrics("10.1.2.3", {})
    assert not apart.may_see_metrics("10.1.2.3", {"x-forwarded-for": "8.8.8.8"})


async def test_pages_are_served_by_an_aiohttp_app() -> None:
    app = web.Application()
    app.add_routes(health_routes(pages(), with_metrics=True))
    async with TestClient(TestServer(app)) as client:
        alive, ready, metrics = [await client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
        refused = await client.get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"})
        assert (alive.status, ready.status, metrics.status, refused.status) == (200, 200, 200, 403)
        assert "grosz_things_total 2.0" in await metrics.text()
        assert metrics.headers["Content-Type"].startswith("text/plain; version=")
