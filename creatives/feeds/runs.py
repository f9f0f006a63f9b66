"""What became of a feed's run, as the API, the command line and the doctor show it."""

import enum
from typing import Final

import msgspec

from core.product_keys import FEED_REQUESTS, feed_progress, feed_runs
from creatives.feeds.faults import FaultCount
from creatives.products.store import LOCK_S, Command, ProductStore


class RunOutcome(enum.StrEnum):
    LOADED = "loaded"  # its products are in force
    UNCHANGED = "unchanged"  # the server said so; the products before are in force
    REFUSED = "refused"  # it was read and is not good enough; the products before are in force
    FAILED = "failed"  # it could not be fetched or written; the products before are in force


class Run(msgspec.Struct, kw_only=True):
    """One run. Times are unix ms; `products` is how many are in force after it, `read` how many it had itself."""

    feed_id: int
    advertiser_id: int
    outcome: RunOutcome
    code: str = ""  # of FeedError
    message: str = ""
    hint: str = ""
    line: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    as_of_ms: int = 0  # the moment the feed shows
    version: int = 0
    products: int = 0
    read: int = 0
    rows: int = 0
    rows_refused: int = 0
    repeated: int = 0
    form: str = ""  # csv, tsv, google, ceneo, yml, heureka, xml
    encoding: str = ""
    encoding_guessed: bool = False
    packing: str = ""
    bytes: int = 0
    etag: str = ""
    last_modified: str = ""
    faults: list[FaultCount] = []
    faults_total: int = 0


class RunProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running load is."""

    stage: str  # fetching, reading, writing
    started_ms: int
    rows: int = 0
    products: int = 0
    percent: int = 0  # of the stage


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A load that somebody asked for. `force` takes a feed that has lost more than half of its products."""

    asked_ms: int
    force: bool = False


_GOOD: Final = ":good"


class RunStore:
    """Runs, progress and requests in Redis."""

    def __init__(self, store: ProductStore) -> None:
        self._store = store

    async def record(self, run: Run) -> None:
        """Keep a run as the feed's last one, and as the last good one if it loaded or found it unchanged."""
        key, blob = feed_runs(run.advertiser_id), msgspec.json.encode(run)
        fields: list[str | bytes] = [str(run.feed_id), blob]
        if run.outcome is RunOutcome.LOADED:
            fields += [f"{run.feed_id}{_GOOD}", blob]
        await self._store.commands([("HSET", key, *fields), ("DEL", feed_progress(run.advertiser_id, run.feed_id))])

    async def last(self, advertiser_id: int, feed_id: int) -> tuple[Run | None, Run | None]:
        """The last run, and the last one that loaded."""
        key = feed_runs(advertiser_id)
        reply = (await self._store.commands([("HMGET", key, str(feed_id), f"{feed_id}{_GOOD}")]))[0]
        last, good = reply if isinstance(reply, list) else (None, None)
        return _run(last), _run(good)

    async def forget(self, advertiser_id: int, feed_id: int) -> None:
        await self._store.commands([("HDEL", feed_runs(advertiser_id), str(feed_id), f"{feed_id}{_GOOD}")])

    async def progress(self, advertiser_id: int, feed_id: int) -> RunProgress | None:
        """How far the load of a feed is; None while it is not being loaded."""
        reply = (await self._store.commands([("GET", feed_progress(advertiser_id, feed_id))]))[0]
        return msgspec.json.decode(reply, type=RunProgress) if isinstance(reply, bytes) else None

    async def show_progress(self, advertiser_id: int, feed_id: int, progress: RunProgress) -> None:
        key = feed_progress(advertiser_id, feed_id)
        await self._store.commands([("SET", key, msgspec.json.encode(progress), "EX", LOCK_S)])

    async def request(self, feed_id: int, request: Request) -> None:
        """Ask the worker to load a feed at once."""
        await self._store.commands([("HSET", FEED_REQUESTS, str(feed_id), msgspec.json.encode(request))])

    async def requests(self) -> dict[int, Request]:
        """What was asked for and not yet taken."""
        reply = (await self._store.commands([("HGETALL", FEED_REQUESTS)]))[0]
        pairs = reply if isinstance(reply, list) else []
        return {int(pairs[at]): msgspec.json.decode(pairs[at + 1], type=Request) for at in range(0, len(pairs), 2)}

    async def take(self, feed_id: int) -> None:
        """Remove a request: it is served from now on, and must not be served twice."""
        command: Command = ("HDEL", FEED_REQUESTS, str(feed_id))
        await self._store.commands([command])


def _run(blob: object) -> Run | None:
    return msgspec.json.decode(blob, type=Run) if isinstance(blob, bytes) else None
