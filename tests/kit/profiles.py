"""Everything of the event path on one real server, built as the composition roots build it, for tests and benches."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from core.clock import Clock
from core.model import Advertiser, Catalogue, Exchange, Segment
from core.redis.client import PipelinedRedis
from core.telemetry.metrics import Telemetry
from segments.audiences.sizes import SegmentSizes
from segments.audiences.tag_health import TagHealth
from segments.facts.event import Event
from segments.facts.facts import Facts
from segments.facts.layout import unpack_cold
from segments.profiles.directory import CatalogueDirectory, SegmentRules, ServerKey
from segments.profiles.log import PARTITIONS, EventLog
from segments.profiles.metrics import IntakeMetrics, WorkerMetrics
from segments.profiles.partitions import PartitionLeases
from segments.profiles.reading import ProfileReader
from segments.profiles.store import ProfileStore
from segments.rules.ruleset import CompiledRules
from segments.worker.planning import UserPlanner
from segments.worker.telling import AskProducts, nothing_known
from segments.worker.worker import EventWorker, OnPurchase, nobody_asks

__all__ = ["PARTITIONS", "EventRig", "catalogue", "event_rig"]

SHOES = Advertiser(id=1, name="Shoes", domain="buty.example")
BOOKS = Advertiser(id=2, name="Books", currency="EUR", domain="books.example")


class EventRig:
    """Log, worker, store and reader over one connection; `worker` works only when a test lets it."""

    def __init__(
        self,
        redis: PipelinedRedis,
        clock: Clock,
        catalogue: Catalogue,
        server_keys: Sequence[ServerKey],
        worker_id: str,
        on_purchase: OnPurchase,
        ask_products: AskProducts = nothing_known,
    ) -> None:
        self.redis = redis
        self.clock = clock
        self.telemetry = Telemetry()
        self.intake_metrics = IntakeMetrics(self.telemetry)
        self.worker_metrics = WorkerMetrics(self.telemetry)
        compile_rules: Callable[[Sequence[Segment], Advertiser], SegmentRules] = CompiledRules
        self.directory = CatalogueDirectory(compile_rules, lambda: server_keys)
        self.directory.replace(catalogue)
        self.store = ProfileStore(redis, clock)
        self.log = EventLog(redis, clock, self.intake_metrics, partitions=PARTITIONS)
        self.leases = PartitionLeases(self.store, clock, partitions=PARTITIONS, worker_id=worker_id)
        self.planner = UserPlanner(self.directory, self.worker_metrics, PARTITIONS)
        self.sizes = SegmentSizes(self.store)
        self.tags = TagHealth(self.store)
        self.reader = ProfileReader(redis)
        self.worker = EventWorker(
            self.store, self.leases, self.planner, self.sizes, self.tags, clock, self.worker_metrics, PARTITIONS,
            on_purchase, ask_products=ask_products,
        )  # fmt: skip

    async def send(self, *events: Event) -> None:
        """Store events durably, as the tracker does."""
        assert all(await self.log.append(events))

    async def settle(self) -> int:
        """Let the worker apply all waiting events, and those that it passes on; returns how many entries there were."""
        total = quiet = 0
        while quiet < 2:  # where other tests have the processor, a lease of three seconds may run out before the step
            await self.leases.balance()  # a long backlog takes longer than a lease lasts
            handled = await self.worker.step()
            quiet = 0 if handled else quiet + 1
            total += handled
        return total

    async def facts(self, user_id: str, advertiser_id: int = 1) -> Facts | None:
        """The stored facts of a user at an advertiser."""
        user = (await self.store.read({user_id: [advertiser_id]}))[user_id]
        cold = user.fields[advertiser_id].cold
        return unpack_cold(cold) if cold else None

    async def segments_of(self, *user_ids: str) -> list[bytes]:
        """Active segment ids as the bid path sees them."""
        deadline = self.clock.monotonic() + 5
        batch = await self.reader.fetch([(user, 0, None) for user in user_ids], self.clock.now_ms(), deadline)
        return [segments or b"" for segments in batch.segments]


def catalogue(
    segments: Sequence[Segment] = (),
    advertisers: Sequence[Advertiser] = (SHOES, BOOKS),
    exchanges: Sequence[Exchange] = (),
    rates: Mapping[str, int] | None = None,
) -> Catalogue:
    """A catalogue with two shops and exchange rates."""
    return Catalogue(
        version=1,
        published_ms=0,
        advertisers=tuple(advertisers),
        segments=tuple(segments),
        exchanges=tuple(exchanges),
        fx_rates=dict(rates or {"EUR": 4_300_000, "USD": 3_640_000}),
    )


@contextlib.asynccontextmanager
async def event_rig(
    url: str,
    clock: Clock,
    *,
    published: Catalogue | None = None,
    server_keys: Sequence[ServerKey] = (),
    worker_id: str = "worker-a",
    on_purchase: OnPurchase = nobody_asks,
    ask_products: AskProducts = nothing_known,
) -> AsyncIterator[EventRig]:
    """A rig that closes its connection at the end."""
    redis = await PipelinedRedis.open(url, clock=clock)
    try:
        yield EventRig(redis, clock, published or catalogue(), server_keys, worker_id, on_purchase, ask_products)
    finally:
        await redis.close()
