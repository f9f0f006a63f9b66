"""Two ways to ask about audiences: the admin API, or Redis and the published catalogue of this machine."""

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from admin.cli.object_access import ApiAccess, Json
from admin.cli.profiles import Profiles, open_profiles
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.documents import (
    CountRequest,
    GivenUpPage,
    MatchPage,
    MatrixRequest,
    Overlap,
    PassProgress,
    RuleCounts,
    SentAgain,
    SizesPage,
    TagReport,
)
from core.clock import SystemClock
from core.errors import NotFoundError
from core.model import Advertiser, Catalogue, Segment
from core.redis.client import control_cluster, control_redis
from core.telemetry.metrics import Telemetry
from segments.audiences.matrix import Matrix
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.scanning import ClusterScanner, Scanner, ServerScanner


class Audiences(Protocol):
    """What the commands ask. Failures are GroszErrors with hints."""

    async def sizes(self, advertiser_id: int) -> SizesPage: ...

    async def overlap(self, left: int, right: int) -> Overlap: ...

    async def tags(self, advertiser_id: int) -> TagReport: ...

    async def matches(self, exchange: str) -> MatchPage: ...

    async def given_up(self) -> GivenUpPage: ...

    async def send_again(self) -> SentAgain: ...

    async def progress(self) -> PassProgress: ...

    async def count(self, advertiser_id: int, rules: Sequence[str]) -> RuleCounts: ...

    async def matrix(self, advertiser_id: int, wanted: MatrixRequest) -> Matrix: ...


class HttpAudiences(ApiAccess):
    """Over the API of a running admin role."""

    async def sizes(self, advertiser_id: int) -> SizesPage:
        return self._call("GET", f"/advertisers/{advertiser_id}/segment-sizes", SizesPage)

    async def overlap(self, left: int, right: int) -> Overlap:
        owner = self._call("GET", f"/segments/{left}", Json)["advertiser_id"]
        return self._call("GET", f"/advertisers/{owner}/segment-overlap?left={left}&right={right}", Overlap)

    async def tags(self, advertiser_id: int) -> TagReport:
        return self._call("GET", f"/advertisers/{advertiser_id}/tags", TagReport)

    async def matches(self, exchange: str) -> MatchPage:
        return self._call("GET", f"/cookie-sync?{urllib.parse.urlencode({'exchange': exchange})}", MatchPage)

    async def given_up(self) -> GivenUpPage:
        return self._call("GET", "/given-up-calls", GivenUpPage)

    async def send_again(self) -> SentAgain:
        return self._call("POST", "/given-up-calls/send-again", SentAgain)

    async def progress(self) -> PassProgress:
        return self._call("GET", "/segment-pass", PassProgress)

    async def count(self, advertiser_id: int, rules: Sequence[str]) -> RuleCounts:
        return self._call("POST", f"/advertisers/{advertiser_id}/count", RuleCounts, CountRequest(list(rules)))

    async def matrix(self, advertiser_id: int, wanted: MatrixRequest) -> Matrix:
        return self._call("POST", f"/advertisers/{advertiser_id}/matrix", Matrix, wanted)


class LocalAudiences:
    """On Redis itself, with all rights: whoever can read the data directory has them anyway."""

    def __init__(self, desk: AudienceDesk, catalogue: Catalogue) -> None:
        self._desk = desk
        self._catalogue = catalogue

    async def sizes(self, advertiser_id: int) -> SizesPage:
        self._advertiser(advertiser_id)
        return await self._desk.sizes([one for one in self._catalogue.segments if one.advertiser_id == advertiser_id])

    async def overlap(self, left: int, right: int) -> Overlap:
        return await self._desk.overlap(self._segment(left), self._segment(right))

    async def tags(self, advertiser_id: int) -> TagReport:
        return await self._desk.tags(self._advertiser(advertiser_id).id)

    async def matches(self, exchange: str) -> MatchPage:
        found = next((one for one in self._catalogue.exchanges if one.key == exchange), None)
        if found is None:
            raise NotFoundError(f"there is no exchange {exchange}", hint="see `grosz exchange list`")
        return await self._desk.matches(found.id)

    async def given_up(self) -> GivenUpPage:
        return await self._desk.given_up()

    async def send_again(self) -> SentAgain:
        return await self._desk.send_again()

    async def progress(self) -> PassProgress:
        return await self._desk.progress()

    async def count(self, advertiser_id: int, rules: Sequence[str]) -> RuleCounts:
        return await self._desk.count(self._advertiser(advertiser_id), rules)

    async def matrix(self, advertiser_id: int, wanted: MatrixRequest) -> Matrix:
        return await self._desk.matrix(self._advertiser(advertiser_id), wanted)

    def _advertiser(self, advertiser_id: int) -> Advertiser:
        found = next((one for one in self._catalogue.advertisers if one.id == advertiser_id), None)
        if found is None:
            raise NotFoundError(f"there is no advertiser {advertiser_id}", hint="see `grosz advertiser list`")
        return found

    def _segment(self, segment_id: int) -> Segment:
        found = next((one for one in self._catalogue.segments if one.id == segment_id), None)
        if found is None:
            raise NotFoundError(f"there is no segment {segment_id}", hint="see `grosz segment list`")
        return found


@contextlib.asynccontextmanager
async def open_audiences(url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[Audiences]:
    """Over HTTP when there is a URL, otherwise on this machine."""
    if url:
        yield HttpAudiences(url, key)
        return
    async with open_profiles(config, data) as profiles, _scanner(profiles) as scanner:
        desk = AudienceDesk(profiles.store, scanner, SystemClock(), IntakeMetrics(Telemetry()))
        yield LocalAudiences(desk, await profiles.catalogue())


@contextlib.asynccontextmanager
async def _scanner(profiles: Profiles) -> AsyncIterator[Scanner]:
    settings = profiles.settings.redis
    if settings.cluster:
        cluster = control_cluster(profiles.url, username=settings.username, password=settings.password)
        async with contextlib.aclosing(cluster):
            yield ClusterScanner(cluster)
    else:
        server = control_redis(profiles.url, username=settings.username, password=settings.password)
        async with contextlib.aclosing(server):
            yield ServerScanner(server)
