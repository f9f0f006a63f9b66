"""A certification that is run from an exchange's page: what is asked costs nothing, and the report says what to do."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.clock import ManualClock
from tests.kit.api import Api, running_api
from tests.kit.console import Browser, person
from tests.kit.fake_bidder import NO_BID, FakeBidder, json_answer


def _bids_on_anything(asked: list[dict[str, Any]], body: bytes) -> bytes:
    """Bids two euros, whatever it is asked; a broken request is refused."""
    if not body:
        return NO_BID.replace(b"204 No Content", b"200 OK\r\nContent-Length: 0")
    try:
        request = orjson.loads(body)
    except ValueError:
        return json_answer(b"{}", 400)
    asked.append(request)
    bid = {"id": "1", "impid": "1", "price": 2.0, "adm": "<b>ad</b>", "crid": "1", "w": 300, "h": 250}
    return json_answer(orjson.dumps({"id": request["id"], "cur": "EUR", "seatbid": [{"bid": [bid]}]}))


async def _exchange(api: Api) -> int:
    caller = await api.caller()
    made = await caller.made("/v1/exchanges", {"key": "ssp", "name": "SSP", "bearer_token": "our-secret"})
    return int(made["id"])


async def _run(browser: Browser, exchange: int) -> tuple[int, str]:
    answer = await browser.post(f"/exchanges/{exchange}/traffic", {"csrf": await browser.csrf()})
    return answer.status, answer.text


async def test_a_run_is_shown_with_what_to_do_and_asks_for_tests_alone(
    valkey: str, clock: ManualClock, tmp_path: Path
) -> None:
    asked: list[dict[str, Any]] = []
    async with FakeBidder(lambda body: _bids_on_anything(asked, body)) as bidder:
        database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
        async with running_api(database, valkey, clock, bidder=bidder.url) as api:
            exchange, browser = await _exchange(api), await person(api)
            assert "No bid on a size" not in (await browser.get(f"/exchanges/{exchange}/traffic")).text
            status, _ = await _run(browser, exchange)
            assert status == 303
            shown = (await browser.get(f"/exchanges/{exchange}/traffic")).text
            browser.cookies["grosz_language"] = "pl"
            polish = (await browser.get(f"/exchanges/{exchange}/traffic")).text
            await (await api.caller()).patch(f"/v1/exchanges/{exchange}", {"status": "paused"})
            paused, refusal = await _run(browser, exchange)
    assert len(asked) > 25
    assert {request.get("test") for request in asked if request["imp"]} == {1}
    posts = [head for head in bidder.heads if head.startswith(b"POST")]
    assert all(b"POST /openrtb2/ssp " in head and b"Authorization: Bearer our-secret" in head for head in posts)
    assert "No bid on a size that nobody has" in shown
    assert "A fault of the bidder: send request and answer" in shown
    assert "&lt;b&gt;ad&lt;/b&gt;" in shown
    assert "our-secret" not in shown
    assert "Brak oferty na rozmiar, którego nikt nie ma" in polish
    assert "waluta EUR nie jest jedną z: USD" in polish
    assert '<td lang="en">' not in polish
    assert (paused, "giełda jest wstrzymana" in refusal) == (422, True)


async def test_one_run_at_a_time_by_who_may_set_up_exchanges(valkey: str, clock: ManualClock, tmp_path: Path) -> None:
    asked = asyncio.Event()

    def never(_: bytes) -> bytes:
        asked.set()
        return b""

    async with FakeBidder(never) as bidder:
        database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
        async with running_api(database, valkey, clock, bidder=bidder.url) as api:
            exchange, browser = await _exchange(api), await person(api)
            trader = await person(api, "read", "trade", email="bea@szpilka.example")
            assert (await _run(trader, exchange))[0] == 403
            assert "Run it now" not in (await trader.get(f"/exchanges/{exchange}/traffic")).text
            forged = await browser.post(f"/exchanges/{exchange}/traffic", {"csrf": "x"})
            assert forged.status == 403
            assert bidder.heads == []
            first = asyncio.create_task(_run(browser, exchange))
            await asked.wait()
            status, text = await _run(browser, exchange)
            assert (status, "a certification runs already" in text) == (409, True)
            assert "It runs: load the page again" in text
            for transport in bidder.transports:
                transport.abort()
            assert (await first)[0] == 303
            assert "the bidder does not answer" in (await browser.get(f"/exchanges/{exchange}/traffic")).text


@pytest.mark.parametrize("method", ["get", "post"])
async def test_without_a_bidder_on_this_machine_the_command_is_shown(api: Api, method: str) -> None:
    exchange, browser = await _exchange(api), await person(api)
    path = f"/exchanges/{exchange}/traffic"
    answer = await (browser.get(path) if method == "get" else browser.post(path, {"csrf": await browser.csrf()}))
    assert "grosz certify --url" in answer.text
    assert "Run it now" not in answer.text
    assert answer.status == (200 if method == "get" else 503)
