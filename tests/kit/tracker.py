"""The shop side of the tracker as an aiohttp application over a real server, for tests."""

import contextlib
import hashlib
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from core.clock import Clock
from core.model import Catalogue, Exchange
from segments.events.collect import EventCollector
from segments.events.consent import ConsentFlags, EventConsentPolicy
from segments.events.dropped import DroppedEvents
from segments.events.member_notes import MemberNotes
from segments.events.web import TrackerSite, routes
from segments.identity.cookie_sync import CookieSync
from segments.identity.persons import Identities
from segments.profiles.directory import ServerKey
from segments.profiles.log import MAX_BACKLOG, EventLog
from tests.kit.profiles import PARTITIONS, EventRig, catalogue, event_rig

API_KEY = "key-of-shoes"
SERVER_KEYS = (ServerKey(hashlib.sha256(API_KEY.encode()).digest(), frozenset({1})),)
EXCHANGE = Exchange(id=5, key="demo", sync_url="https://exchange.example/match?dsp=grosz&id={uid}")


def read_consent(text: str) -> ConsentFlags:
    """Stands in for the TC decoder: "all", "ids" (purpose 1 without 3), or any other text for a refusal."""
    return ConsentFlags(identifiers=text in ("all", "ids"), profile_write=text == "all")


class Shop:
    """A client of the tracker, and the rig behind it."""

    def __init__(
        self, client: "TestClient[web.Request, web.Application]", rig: EventRig, identities: Identities
    ) -> None:
        self.client = client
        self.rig = rig
        self.identities = identities

    def user_id(self) -> str:
        """The browser's cookie; '' before it has one."""
        for cookie in self.client.session.cookie_jar:
            if cookie.key == "grosz_uid":
                return cookie.value
        return ""


@contextlib.asynccontextmanager
async def shop(
    url: str, clock: Clock, *, published: Catalogue | None = None, secure: bool = False, max_backlog: int = 1_000
) -> AsyncIterator[Shop]:
    """A running tracker application with one API key for advertiser 1."""
    published = published or catalogue(exchanges=[EXCHANGE])
    async with event_rig(url, clock, published=published, server_keys=SERVER_KEYS) as rig:
        identities = Identities(rig.store, rig.sizes, clock)
        application = tracker_application(rig, identities, secure=secure, max_backlog=max_backlog)
        server = TestServer(application)
        await server.start_server(auto_decompress=False)
        async with TestClient(server) as client:
            yield Shop(client, rig, identities)


def tracker_application(
    rig: EventRig, identities: Identities, *, secure: bool = False, max_backlog: int = MAX_BACKLOG
) -> web.Application:
    """The shop side's routes over a rig."""
    clock = rig.clock
    log = EventLog(rig.redis, clock, rig.intake_metrics, partitions=PARTITIONS, max_backlog=max_backlog)
    consent = EventConsentPolicy(read_consent)
    collector = EventCollector(
        log,
        identities,
        consent,
        clock,
        rig.intake_metrics,
        MemberNotes(rig.store, rig.intake_metrics),
        DroppedEvents(rig.store),
    )
    sync = CookieSync(rig.store, identities, clock, rig.intake_metrics)
    site = TrackerSite(rig.directory, collector, identities, sync, consent, clock, rig.intake_metrics, secure=secure)
    application = web.Application()
    application.add_routes(routes(site))
    return application
