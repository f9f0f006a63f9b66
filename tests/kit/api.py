"""The admin API under test: a real application over a real database and Redis, and a client that speaks as a caller."""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import argon2
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from admin.access.passwords import Passwords
from admin.access.principal import command_line
from admin.api.api_keys import RESOURCE as API_KEYS
from admin.api.app import Desks, build_api, uncounted
from admin.api.authentication import FAILURES_PER_MINUTE
from admin.api.operations import Operations, Reply, Write
from admin.api.reading import Reader
from admin.api.requests import render
from admin.books.desk import BookDesk
from admin.catalogue.publish import CataloguePublisher
from admin.console.app import add_console
from admin.diagnosis.doctor import Doctor, Patient
from admin.diagnosis.explaining import make_explain_desk
from admin.diagnosis.forecasting import ForecastDesk
from admin.diagnosis.funnels import FunnelDesk
from admin.diagnosis.paced import PacingDesk
from admin.diagnosis.recorded import RecordedDesk
from admin.mail.sending import MailSender
from admin.products.desk import ProductDesk
from admin.reports.desk import ReportDesk
from admin.roles.consents import event_policy
from admin.roles.journal import catalogues_beside
from admin.store.accounts import AccountStore
from admin.store.catalogue import CatalogueStore, CatalogueWriter
from admin.store.database import Database
from admin.store.migrate import migrate
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.visitor_desk import EventDesk, VisitorDesk
from core.clock import Clock, SystemClock
from core.config import RedisSettings, Settings
from core.network.headers import Edge
from core.redis.client import PipelinedRedis, control_redis
from core.telemetry.metrics import Telemetry
from creatives.media.desk import MediaDesk
from creatives.media.store import FolderStore
from creatives.scanning.loaded import CreativeScanner
from journal.archive import Archive
from pacing.budgets.transitions import Transitions
from segments.audiences.sizes import SegmentSizes
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.scanning import ServerScanner
from segments.profiles.store import ProfileStore

ALL_SCOPES = ("read", "trade", "finance", "admin")

# One argon2 pass over 8 KiB instead of 64 MiB: the tests are about who gets in, not about the cost of guessing.
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class TestTime:
    """A test's time of day, with the real monotonic time, which deadlines of connections to a real server go by."""

    __test__ = False

    def __init__(self, clock: Clock) -> None:
        self.now_ms = clock.now_ms
        self.monotonic = SystemClock().monotonic


class Answer:
    """A response with its parsed body."""

    def __init__(self, response: ClientResponse, body: object) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body: Any = body

    @property
    def codes(self) -> dict[str, str]:
        """Pointer -> code of the problem's errors."""
        return {error["pointer"]: error["code"] for error in self.body.get("errors", [])}

    @property
    def warned(self) -> set[str]:
        """Codes of the warnings about the object."""
        return {warning["code"] for warning in self.body["warnings"]}


class Caller:
    """A client with an API key (or without one)."""

    def __init__(self, client: "TestClient[Any, Any]", secret: str = "") -> None:
        self._client = client
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Sends `body` as JSON (or `data` as it is)."""
        options: dict[str, Any] = {"json": body} if body is not None else {"data": data} if data is not None else {}
        all_headers = self.headers | (headers or {})
        async with self._client.request(method, path, headers=all_headers, **options) as response:
            is_json = "json" in response.content_type
            return Answer(response, await response.json(content_type=None) if is_json else await response.read())

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("GET", path, headers=headers)

    async def post(self, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("POST", path, body, headers=headers)

    async def patch(self, path: str, body: object, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("PATCH", path, body, headers=headers)

    async def made(self, path: str, body: object) -> dict[str, Any]:
        """The created object; fails the test when it is refused."""
        answer = await self.post(path, body)
        assert answer.status == 201, answer.body
        created: dict[str, Any] = answer.body
        return created


class Api:
    """The application and all its parts, for tests to look behind."""

    def __init__(
        self, client: "TestClient[Any, Any]", store: CatalogueStore, publisher: CataloguePublisher, clock: Clock
    ) -> None:
        self.client = client
        self.store = store
        self.publisher = publisher
        self.accounts = AccountStore(store.database, clock)
        self._operations = Operations(store, Reader(store, clock, uncounted), publisher.wake)

    @property
    def anonymous(self) -> Caller:
        return Caller(self.client)

    async def caller(self, *scopes: str, advertisers: tuple[int, ...] = (), **more: object) -> Caller:
        """A client with a fresh key; it has all scopes when none are named."""
        raw: dict[str, Any] = {
            "name": "test",
            "scopes": list(scopes or ALL_SCOPES),
            "advertiser_ids": list(advertisers),
            **more,
        }
        context = await API_KEYS.hooks.before(command_line(), raw)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.create(writer, command_line(), API_KEYS, raw, context)

        reply = await self._operations.run(command_line(), Write(), work, render)
        return Caller(self.client, reply.body["secret"])


def desks_of(
    store: CatalogueStore,
    redis_url: str,
    redis: Redis,
    pipelined: PipelinedRedis,
    clock: Clock,
    media: Path,
    archive: Archive | None,
) -> Desks:
    """The desks as the admin role makes them, over one server."""
    time, profiles, metrics = TestTime(clock), ProfileStore(pipelined, SystemClock()), IntakeMetrics(Telemetry())
    settings = Settings()
    kept = catalogues_beside(archive) if archive is not None else None
    return Desks(
        products=ProductDesk(pipelined, profiles, RedisSettings(url=redis_url), time),
        audiences=AudienceDesk(profiles, ServerScanner(redis), time, metrics),
        visitors=VisitorDesk(profiles, time),
        events=EventDesk(pipelined, profiles, event_policy(settings.consent), time, metrics),
        books=BookDesk(store.database, Transitions(pipelined, time)),
        reports=ReportDesk(archive, store, clock),
        recorded=RecordedDesk(archive, kept, Settings(), clock),
        forecasts=ForecastDesk(archive, kept, Settings(), clock),
        media=MediaDesk(FolderStore(media), "https://track.example", Telemetry()),
        scanner=CreativeScanner("https://track.example", allow_private=True),
        pacing=PacingDesk(profiles, clock),
    )


@contextlib.asynccontextmanager
async def running_api(
    database_url: str,
    redis_url: str,
    clock: Clock,
    *,
    failures_per_minute: int = FAILURES_PER_MINUTE,
    edge: Edge | None = None,
    archive: Archive | None = None,
    mailer: MailSender | None = None,
    bidder: str = "",
) -> AsyncIterator[Api]:
    """The API over an empty database, and its publisher, which does not run: tests publish when they want.

    `archive`: the journal that reports are made of; `bidder`: the URL of the bidder that the console certifies.
    """
    media = tempfile.mkdtemp(prefix="grosz-media-")
    database = Database.open(database_url)
    await migrate(database)
    store = CatalogueStore(database, clock)
    redis = control_redis(redis_url)
    publisher = CataloguePublisher(store, redis, clock)
    pipelined = await PipelinedRedis.open(redis_url, clock=SystemClock())
    commands = ProfileStore(pipelined, SystemClock())
    parts = build_api(
        store,
        redis,
        commands,
        clock,
        make_explain_desk(pipelined, commands, Settings(), TestTime(clock)),
        FunnelDesk(commands, clock),
        Doctor(Patient(commands, SegmentSizes(commands), store, {}, {}, Settings().catalogue.max_age_s), clock),
        desks_of(store, redis_url, redis, pipelined, clock, Path(media), archive),
        committed=publisher.wake,
        passwords=Passwords(CHEAP),
        failures_per_minute=failures_per_minute,
        edge=edge,
        mailer=mailer,
    )
    add_console(parts, bidder)
    server = TestServer(parts.app)
    await server.start_server(auto_decompress=False)
    async with TestClient(server) as client:
        yield Api(client, store, publisher, clock)
    await pipelined.close()
    await redis.aclose()
    await database.close()
    shutil.rmtree(media)
