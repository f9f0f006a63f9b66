"""`POST /v1/forecast`: what a new line item, or a changed one, would do on recorded traffic."""

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.diagnosis.forecasting import FIRST_PART, MOST_FIRST, MOST_REQUESTS, Forecast, ForecastDesk, ForecastRequest
from admin.store.model import Scope
from admin.validation.decode import decode

EXAMPLE: Final[dict[str, Any]] = {"line_item_id": 1, "changes": {"bid": {"amount": "3.00"}}, "part": 0.05}
EVENTS: Final = "text/event-stream"


class ForecastPages:
    """Routes of forecasts: every caller may ask about line items of the advertisers that they may see."""

    def __init__(self, desk: ForecastDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/forecast", self.forecast)]

    async def forecast(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/forecast; as a stream of events for a client that asks for one."""
        principal: Principal = request[requests.PRINCIPAL]
        principal.require(Scope.READ)
        requests.reject_unknown(request, ())
        asked = decode(await requests.read_json(request), ForecastRequest)
        if EVENTS in request.headers.get("Accept", ""):
            return await self._stream(request, asked, principal.advertiser_ids)
        return requests.respond_json(await self._desk.forecast(asked, principal.advertiser_ids))

    async def _stream(
        self, request: web.Request, asked: ForecastRequest, advertisers: frozenset[int] | None
    ) -> web.StreamResponse:
        """Stream the events `first` (the answer by a twentieth of the people), `progress` of the whole, and `answer`.

        A fault of the question is found by the first answer, before the stream begins, and so gets an HTTP status of
        its own.
        """
        early = msgspec.structs.replace(asked, part=asked.part * FIRST_PART)
        first = await self._desk.forecast(early, advertisers, most=MOST_FIRST)
        response = web.StreamResponse(headers={"Content-Type": EVENTS, "Cache-Control": "no-store"})
        await response.prepare(request)
        await _send(response, "first", first)
        loop, steps = asyncio.get_running_loop(), asyncio.Queue[tuple[int, int] | None]()

        def progress(done: int, of: int) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, (done, of))

        async def work() -> Forecast:
            try:
                return await self._desk.forecast(asked, advertisers, most=MOST_REQUESTS, progress=progress)
            finally:
                steps.put_nowait(None)

        working = asyncio.create_task(work())
        try:
            while (step := await steps.get()) is not None:
                await _send(response, "progress", {"done": step[0], "of": step[1]})
            await _send(response, "answer", await working)
        finally:
            working.cancel()
        return response


async def _send(response: web.StreamResponse, event: str, told: object) -> None:
    await response.write(b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(told)))
