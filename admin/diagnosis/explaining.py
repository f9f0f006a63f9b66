"""Explanations for the API and the command line: what the bidders would do, asked from outside of them.

The same code as the bid path runs on a snapshot of its own, compiled from the published catalogue, with the money as
it stands in Redis (budgets.py).
"""

from collections.abc import Sequence

from admin.diagnosis.budgets import MoneyReader
from admin.diagnosis.published import Commands, Published, PublishedCatalogue
from bidder.decision.model_file import load_model
from bidder.decision.snapshot import Snapshot
from bidder.diagnosis.explain import Explainer, Explanation, Viewer
from bidder.request.consent import ConsentPolicy
from core.clock import Clock
from core.config import Settings
from core.errors import NotFoundError
from segments.profiles.reading import Pipeline, ProfileReader


class ExplainDesk:
    """Answers questions about single bid requests."""

    def __init__(
        self, published: PublishedCatalogue, money: MoneyReader, explainer: Explainer, track_url: str, clock: Clock
    ) -> None:
        self._published = published
        self._money = money
        self._explainer = explainer
        self._model = load_model()
        self._track_url = track_url
        self._clock = clock

    async def explain(
        self,
        body: bytes,
        exchange_key: str,
        *,
        line_item_id: int | None = None,
        user_id: str | None = None,
        advertisers: frozenset[int] | None = None,
    ) -> Explanation:
        """Explain a bid request on an exchange to a caller who may know of `advertisers` (None: of all).

        Raises Malformed, NotFoundError (also for a line item of others), UnavailableError, CatalogueError.
        """
        published = await self._published.current()
        viewer = viewer_of(published, advertisers)
        index = published.compiled.index
        if exchange_key not in index.exchanges:
            known = ", ".join(sorted(index.exchanges)) or "none"
            raise NotFoundError(f"no active exchange has the key '{exchange_key}'", hint=f"there is: {known}")
        if line_item_id is not None:
            _require_line_item(published, line_item_id, viewer)
        money = await self._money.read(published)
        snapshot = Snapshot(published.compiled, self._model, money.book, self._track_url, money.shading)
        snapshot.live.refresh(self._clock.now_ms(), money.book)
        return await self._explainer.explain(
            body,
            exchange_key,
            snapshot,
            line_item_id=line_item_id,
            user_id=user_id,
            viewer=viewer,
            background=money,
        )


def viewer_of(published: Published, advertisers: frozenset[int] | None) -> Viewer:
    """The limits of what a caller may be told who may know of `advertisers` (None: of all)."""
    if advertisers is None:
        return Viewer()
    segments: Sequence[int] = [
        segment.id for segment in published.catalogue.segments if segment.advertiser_id in advertisers
    ]
    return Viewer(advertisers, frozenset(segments))


def _require_line_item(published: Published, line_item_id: int, viewer: Viewer) -> None:
    line_item = published.line_items.get(line_item_id)
    if line_item is None or not viewer.sees(line_item.advertiser_id):
        hint = "a new one is published within a second; archived ones are not published"
        raise NotFoundError(f"there is no line item {line_item_id} in the published catalogue", hint=hint)


def make_explain_desk(redis: Pipeline, commands: Commands, settings: Settings, clock: Clock) -> ExplainDesk:
    """A desk over one connection to Redis, which `commands` shares."""
    explainer = Explainer(ProfileReader(redis), ConsentPolicy(settings.consent), clock)
    published, money = PublishedCatalogue(commands), MoneyReader(commands, clock)
    return ExplainDesk(published, money, explainer, settings.track.public_url, clock)
