"""`/r/{advertiser}` and `/widget.js` over a real server, beside the tracker's routes for shops."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from admin.roles.page_lists import PageDesk
from admin.roles.page_lists_web import ListPages, list_routes
from core.clock import Clock
from core.model import Advertiser, Catalogue
from core.network.headers import Edge, safe_headers
from creatives.pages.web import widget_routes
from creatives.products.interactions import InteractionLog
from creatives.products.known import KnownProducts
from creatives.products.models import ModelStore
from creatives.products.refresh import fit_advertiser
from creatives.products.sessions import Interaction
from segments.events.consent import EventConsentPolicy
from segments.identity.persons import Identities
from tests.kit.products import Shop as ProductShop
from tests.kit.products import product_shop
from tests.kit.profiles import EventRig, catalogue, event_rig
from tests.kit.tracker import SERVER_KEYS, read_consent, tracker_application

SHOES = Advertiser(id=1, name="Shoes", domain="buty.example")
BOOKS = Advertiser(id=2, name="Books", currency="EUR", domain="books.example")
OWN = {"Origin": "http://buty.example"}


class PageShop:
    """A client of the tracker, the worker's side, and the shop's products."""

    def __init__(
        self, client: "TestClient[web.Request, web.Application]", rig: EventRig, products: ProductShop, desk: PageDesk,
        identities: Identities, known: KnownProducts, models: ModelStore,
    ) -> None:  # fmt: skip
        self.client = client
        self.rig = rig
        self.products = products
        self.desk = desk
        self.identities = identities
        self.known = known
        self.models = models

    async def fit(self, rows: list[Interaction], advertiser_id: int = 1) -> None:
        """Make the shop's tables from these interactions, and load them into this process."""
        log = InteractionLog(self.products.store)
        log.add(advertiser_id, rows)
        await log.flush()
        await fit_advertiser(self.products.store, advertiser_id, self.rig.clock)
        await self.models.get(advertiser_id)


@contextlib.asynccontextmanager
async def page_shop(
    url: str,
    clock: Clock,
    *,
    published: Catalogue | None = None,
    tls: ssl.SSLContext | None = None,
    elapsed: Callable[[], float] = lambda: 0.0,
    edge: Edge | None = None,
) -> AsyncIterator[PageShop]:
    """A running tracker application of two shops with the lists of their pages.

    `tls`: it is reached by https, as the shops' pages are. `elapsed` tells the process how late it is: never, unless a
    test says so.
    """
    published = published or catalogue(advertisers=(SHOES, BOOKS))
    async with (
        event_rig(url, clock, published=published, server_keys=SERVER_KEYS) as rig,
        product_shop(url, clock) as products,
    ):
        identities = Identities(rig.store, rig.sizes, clock)
        known, models = KnownProducts(products.store, rig.telemetry), ModelStore(products.store, clock)
        desk = PageDesk(rig.store, known, models, clock, rig.telemetry, elapsed)
        pages = ListPages(
            desk, rig.directory, identities, EventConsentPolicy(read_consent), clock, edge or Edge(),
            secure=tls is not None,
        )  # fmt: skip
        application = tracker_application(rig, identities, secure=tls is not None)
        application.add_routes([*list_routes(pages), *widget_routes()])
        application.on_response_prepare.append(safe_headers(Edge()))
        await known.follow()
        following = asyncio.create_task(known.run())
        try:
            server = TestServer(application, scheme="https" if tls else "http")
            await server.start_server(ssl=tls)
            async with TestClient(server) as client:
                yield PageShop(client, rig, products, desk, identities, known, models)
        finally:
            following.cancel()
            await models.close()
