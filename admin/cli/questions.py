"""Two ways to ask why something does not deliver: the admin API, or Redis and the database of this machine."""

import contextlib
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from admin.cli.object_access import ApiAccess, Json
from admin.cli.opening import has_database_file, installed_settings, open_database, require_installation
from admin.diagnosis.doctor import Doctor, Patient
from admin.diagnosis.explaining import make_explain_desk
from admin.diagnosis.findings import Report
from admin.diagnosis.funnels import FunnelDesk
from admin.diagnosis.paced import PacingDesk, TargetReport
from admin.diagnosis.published import read_published
from admin.diagnosis.told import found
from admin.roles.local_state import read_endpoints, read_metrics
from admin.store.catalogue import CatalogueStore
from bidder.diagnosis.explain import Explanation
from core.clock import SystemClock
from core.config import Settings
from core.errors import NotFoundError, UnavailableError
from core.model import LineItem
from core.redis.client import Pipelined
from core.redis.embedded import EmbeddedServer
from core.redis.opening import open_pipelined
from segments.audiences.sizes import SegmentSizes
from segments.profiles.store import ProfileStore


class Questions(Protocol):
    """What the commands ask. Failures are GroszErrors with hints."""

    async def explain(
        self, request: Json, exchange: str, line_item_id: int | None, user_id: str | None
    ) -> Explanation: ...

    async def funnel(self, line_item_id: int) -> Json: ...

    async def target(self, line_item_id: int) -> TargetReport: ...

    async def resume_target(self, line_item_id: int) -> None: ...

    async def doctor(self, line_item_id: int | None) -> Report: ...


class HttpQuestions(ApiAccess):
    """Over the API of a running admin role."""

    async def explain(self, request: Json, exchange: str, line_item_id: int | None, user_id: str | None) -> Explanation:
        body: dict[str, Any] = {"exchange": exchange, "request": request}
        if line_item_id is not None:
            body["line_item_id"] = line_item_id
        if user_id is not None:
            body["user_id"] = user_id
        return self._call("POST", "/explain", Explanation, body)

    async def funnel(self, line_item_id: int) -> Json:
        return self._call("GET", f"/line-items/{line_item_id}/funnel", Json)

    async def target(self, line_item_id: int) -> TargetReport:
        return self._call("GET", f"/line-items/{line_item_id}/target", TargetReport)

    async def resume_target(self, line_item_id: int) -> None:
        self._call("POST", f"/line-items/{line_item_id}/target/resume", Json)

    async def doctor(self, line_item_id: int | None) -> Report:
        query = {} if line_item_id is None else {"line_item_id": str(line_item_id)}
        try:
            return self._call("GET", f"/doctor?{urllib.parse.urlencode(query)}", Report)
        except UnavailableError as error:
            return Report.of([found("processes.no_admin", fault=error.message)])


class LocalQuestions:
    """On Redis and the database themselves, with all rights: whoever can read the data directory has them anyway."""

    def __init__(self, redis: Pipelined, commands: ProfileStore, settings: Settings, directory: Path) -> None:
        self._redis = redis
        self._commands = commands
        self._settings = settings
        self._directory = directory

    async def explain(self, request: Json, exchange: str, line_item_id: int | None, user_id: str | None) -> Explanation:
        desk = make_explain_desk(self._redis, self._commands, self._settings, SystemClock())
        body = msgspec.json.encode(request)
        return await desk.explain(body, exchange, line_item_id=line_item_id, user_id=user_id)

    async def funnel(self, line_item_id: int) -> Json:
        line_item, currency = await self._line_item(line_item_id)
        desk = FunnelDesk(self._commands, SystemClock())
        shown: Json = msgspec.to_builtins(await desk.funnel(line_item.id, currency))
        return shown

    async def target(self, line_item_id: int) -> TargetReport:
        return await PacingDesk(self._commands, SystemClock()).target(*await self._line_item(line_item_id))

    async def resume_target(self, line_item_id: int) -> None:
        line_item, _ = await self._line_item(line_item_id)
        await PacingDesk(self._commands, SystemClock()).resume(line_item)

    async def _line_item(self, line_item_id: int) -> tuple[LineItem, str]:
        """The line item as it is published, and its advertiser's currency. Raises NotFoundError."""
        catalogue = await read_published(self._commands)
        wanted = next((one for one in catalogue.line_items if one.id == line_item_id), None)
        if wanted is None:
            raise NotFoundError(f"there is no line item {line_item_id} in the published catalogue")
        return wanted, next(one.currency for one in catalogue.advertisers if one.id == wanted.advertiser_id)

    async def doctor(self, line_item_id: int | None) -> Report:
        async with contextlib.AsyncExitStack() as stack:
            store = None
            # Without a file there is no database to look at, and looking would make one.
            if self._settings.admin.database_url or has_database_file(self._directory):
                database = open_database(self._settings, self._directory)
                stack.push_async_callback(database.close)
                store = CatalogueStore(database, SystemClock())
            patient = Patient(
                self._commands,
                SegmentSizes(self._commands),
                store,
                read_endpoints(self._directory),
                read_metrics(self._directory),
                self._settings.catalogue.max_age_s,
            )
            return await Doctor(patient, SystemClock()).examine(line_item_id)


@contextlib.asynccontextmanager
async def open_questions(url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[Questions]:
    """Over HTTP when there is a URL, otherwise on this machine. The doctor reports a Redis that is away."""
    if url:
        yield HttpQuestions(url, key)
        return
    settings, clock = installed_settings(config, data), SystemClock()
    require_installation(settings, data)
    directory = (data or Path(settings.data.directory)).absolute()
    server = settings.redis.url or EmbeddedServer(directory).url
    redis = await open_pipelined(settings.redis, clock, url=server, required=False)
    try:
        yield LocalQuestions(redis, ProfileStore(redis, clock), settings, directory)
    finally:
        await redis.close()
