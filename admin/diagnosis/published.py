"""The catalogue as the bidders have it, compiled as they compile it, to answer questions about it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from bidder.diagnosis.near_misses import targeting_detail
from bidder.targeting.compiled import Compiled
from core import keys
from core.catalogue.follower import CommandSource, read_catalogue
from core.model import Advertiser, Campaign, Catalogue, Creative, Deal, LineItem
from core.reasons import NoBid


class Commands(Protocol):
    """What is needed of segments.profiles.store.ProfileStore: plain commands in one round trip, on a cluster too."""

    async def commands(self, commands: Sequence[tuple[bytes | str | int, ...]]) -> list[object]:
        """Answers in order. Raises UnavailableError."""
        ...


class Published(msgspec.Struct, frozen=True):
    """One version: as values, by id, and compiled."""

    catalogue: Catalogue
    compiled: Compiled
    advertisers: dict[int, Advertiser]
    campaigns: dict[int, Campaign]
    line_items: dict[int, LineItem]
    creatives: dict[int, Creative]
    deals: dict[int, Deal]
    segments: dict[int, str]  # names

    @classmethod
    def compile(cls, catalogue: Catalogue) -> "Published":
        return cls(
            catalogue,
            Compiled(catalogue),
            {advertiser.id: advertiser for advertiser in catalogue.advertisers},
            {campaign.id: campaign for campaign in catalogue.campaigns},
            {line_item.id: line_item for line_item in catalogue.line_items},
            {creative.id: creative for creative in catalogue.creatives},
            {deal.id: deal for deal in catalogue.deals},
            {segment.id: segment.name for segment in catalogue.segments},
        )


def near_miss(published: Published, reason: NoBid, line_item_id: int, said: str) -> str:
    """What a line item wants, in words, next to what the request said (bidder.diagnosis.near_misses)."""
    line_item = published.line_items.get(line_item_id)
    if line_item is None:
        return ""
    return targeting_detail(reason, line_item, published.creatives, published.deals, published.segments, said)


class PublishedCatalogue:
    """Follows the catalogue lazily: it is compiled when a question needs it, not at each change."""

    def __init__(self, redis: Commands) -> None:
        self._redis = redis
        self._version = -1
        self._current: Published | None = None
        self._compiling = asyncio.Lock()

    async def current(self) -> Published:
        """The published version. Raises UnavailableError before the first, CatalogueError for one of another format."""
        async with self._compiling:
            (version,) = await self._redis.commands([("GET", keys.CATALOGUE_VERSION)])
            if self._current is None or not isinstance(version, bytes) or int(version) != self._version:
                # In a thread: the API has no deadline of milliseconds, and goes on answering meanwhile.
                self._current = await asyncio.to_thread(Published.compile, await read_published(self._redis))
                self._version = self._current.catalogue.version
            return self._current


async def read_published(redis: Commands) -> Catalogue:
    """The published catalogue as values. Raises UnavailableError before the first."""
    return await read_catalogue(CommandSource(redis.commands))
