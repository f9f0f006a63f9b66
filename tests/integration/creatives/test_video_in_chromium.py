"""A video of ours in a real browser: a player's parser reads the VAST, a `<video>` plays it, the tracker counts."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from core import keys
from core.clock import ManualClock
from core.spot import MediaFile, Spot
from creatives.formats import spots
from creatives.macros import TOKEN, Tracker
from pacing.budgets.timing import lease_day
from pacing.notices.claims import landing_digest
from pacing.notices.signals import SignalDesk
from pacing.notices.signals_web import signal_routes
from pacing.notices.web import routes as notice_routes
from tests.kit.agents import PERSON
from tests.kit.fixtures import skip_or_fail
from tests.kit.money import ADVERTISER, LINE_ITEM
from tests.kit.peers import PEERS
from tests.kit.settling import audited_shop, bid, leased_book
from tests.kit.spots import player, video_creative

pytestmark = pytest.mark.needs_package("chromium")

LIBRARY = PEERS / "vast" / "node_modules" / "@dailymotion" / "vast-client" / "dist" / "vast-client.min.js"


class Page:
    """The publisher's server: its page, the clip that the browser recorded, and what became of it."""

    def __init__(self) -> None:
        self.vast = ""
        self.clip = b""
        self.state: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def routes(self) -> list[web.RouteDef]:
        async def show(_request: web.Request) -> web.Response:
            return web.Response(text=(PEERS / "vast" / "play.html").read_text(), content_type="text/html")

        async def library(_request: web.Request) -> web.Response:
            return web.Response(text=LIBRARY.read_text(), content_type="text/javascript")

        async def vast(_request: web.Request) -> web.Response:
            return web.Response(text=self.vast, content_type="application/xml")

        async def keep(request: web.Request) -> web.Response:
            self.clip = await request.read()
            return web.Response()

        async def clip(_request: web.Request) -> web.Response:
            return web.Response(body=self.clip, content_type="video/webm")

        async def tell(request: web.Request) -> web.Response:
            told = await request.text()
            if not self.state.done():
                self.state.set_result(told)
            return web.Response()

        return [
            web.get("/", show), web.get("/vast-client.js", library), web.get("/vast", vast), web.put("/clip", keep),
            web.get("/clip.webm", clip), web.post("/state", tell),
        ]  # fmt: skip


async def test_a_browser_plays_our_video_and_the_tracker_counts_it(
    valkey: str, clock: ManualClock, tmp_path: Path
) -> None:
    if not LIBRARY.is_file():
        skip_or_fail("the npm packages of a peer are not installed: run 'npm ci' in tests/peers/vast")
    async with audited_shop(valkey, clock) as shop:
        book = await leased_book(shop)

        @web.middleware
        async def later(request: web.Request, handler: Handler) -> web.StreamResponse:
            if "/click/" in request.path:  # a person needs more than a second for it
                clock.advance(2)
            return await handler(request)

        page, app = Page(), web.Application(middlewares=[later])
        app.add_routes(page.routes())
        app.add_routes(notice_routes(shop.desk))
        app.add_routes(signal_routes(SignalDesk(shop.signer, shop.transitions, clock, shop.telemetry)))
        async with TestServer(app) as server:
            origin = f"http://127.0.0.1:{server.port}"
            landing = f"{origin}/"
            spot = Spot(
                duration_ms=2_000,
                media=(MediaFile(url=f"{origin}/clip.webm", mime="video/webm", width=64, height=36),),
            )
            token = bid(shop, book, landing=landing_digest(landing))
            ad = spots.render(
                video_creative(spot=spot, landing_url=landing), player(protocols=(13,)), Tracker(origin, "p=1.00&c=PLN")
            )
            page.vast = ad.markup.replace(TOKEN, token)
            browser = await asyncio.create_subprocess_exec(
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
                "--autoplay-policy=no-user-gesture-required", "--disable-background-networking",
                f"--user-data-dir={tmp_path}", f"--user-agent={PERSON}", "--remote-debugging-port=0", origin,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                told = await asyncio.wait_for(page.state, 90)
            finally:
                browser.terminate()
                await browser.wait()
        assert told == "played video/webm opaqueredirect"
        found = await shop.transitions.command("HGETALL", keys.delivery(ADVERTISER, lease_day(book.lease_id(0))))
        assert isinstance(found, list)
        pairs = zip(found[::2], found[1::2], strict=True)
        counts = {key.decode().removeprefix(f"{LINE_ITEM}:"): int(value) for key, value in pairs}
        assert counts == {
            "seen": 1, "start": 1, "first_quartile": 1, "midpoint": 1, "third_quartile": 1, "complete": 1, "clicks": 1
        }  # fmt: skip
