"""Approvals as people ask for and change them: the API and the command line."""

from collections.abc import Callable
from typing import Final

from admin.reviews.documents import ApprovalPage, ApprovalQuery, ApprovalRequest, ApprovalView, view_of
from admin.reviews.loop import is_asked
from admin.reviews.states import Review, ReviewState, asked_again, begun, set_by_hand
from admin.reviews.store import ReviewStore
from admin.store.catalogue import CatalogueStore
from admin.store.changes import Actor
from core.clock import Clock
from core.dialects import spoken_by
from core.errors import ConflictError, Fault, InputError
from core.model import Creative, Exchange, ReviewPolicy

# The loop may change the same review in between.
_TRIES: Final = 5


class ReviewDesk:
    """Reads and changes approvals; `committed` is told of each change that bidders must know."""

    def __init__(self, store: CatalogueStore, clock: Clock, committed: Callable[[], None]) -> None:
        self._reviews = ReviewStore(store)
        self._clock = clock
        self._committed = committed

    async def page(self, query: ApprovalQuery, advertisers: frozenset[int] | None) -> ApprovalPage:
        """Approvals of the advertisers' creatives; None: of all."""
        creative_id, _, exchange_id = (query.cursor or "0-0").partition("-")
        found = await self._reviews.find(
            creative_id=query.creative_id,
            exchange_id=query.exchange_id,
            states=(ReviewState(query.state),) if query.state else (),
            advertisers=advertisers,
            after=(int(creative_id), int(exchange_id)),
            most=query.limit + 1,
        )
        items = [view_of(review) for review in found[: query.limit]]
        following = f"{items[-1].creative_id}-{items[-1].exchange_id}" if len(found) > query.limit else None
        return ApprovalPage(items, len(items), following)

    async def note(self, creative: Creative, exchange: Exchange, wanted: ApprovalRequest, actor: Actor) -> ApprovalView:
        """Note what an exchange has said of the creative's present version. Raises InputError."""
        _require_review(exchange)
        state = ReviewState(wanted.state)
        if state is ReviewState.REJECTED and not wanted.reason:
            raise InputError(
                "the input is not valid",
                faults=[Fault("/reason", "required", "a rejection has a reason", "in the exchange's words")],
            )
        return await self._change(
            creative, exchange, actor, lambda review, now_ms: set_by_hand(review, state, wanted.reason, now_ms)
        )

    async def submit(self, creative: Creative, exchange: Exchange, actor: Actor) -> ApprovalView:
        """Let the exchange look at the creative again, now. Raises InputError for one that is not asked by Grosz."""
        _require_review(exchange)
        if not is_asked(exchange):
            hint = "set its review_url, or note by hand what it has decided"
            raise InputError(f"exchange {exchange.id} has no interface that creatives are sent to", hint=hint)
        return await self._change(creative, exchange, actor, asked_again)

    async def _change(
        self, creative: Creative, exchange: Exchange, actor: Actor, change: Callable[[Review, int], Review]
    ) -> ApprovalView:
        for _ in range(_TRIES):
            found = await self._reviews.find(creative_id=creative.id, exchange_id=exchange.id)
            now_ms = self._clock.now_ms()
            before = found[0] if found else None
            fresh = begun(creative.id, exchange.id, creative.advertiser_id, creative.version, now_ms)
            after = change(before or fresh, now_ms)
            if await self._reviews.save(before, after, actor):
                self._committed()
                return view_of(after)
            if not found:
                await self._reviews.begin(exchange, now_ms)  # an earlier version of the creative is in its place
        raise ConflictError("the approval is being changed by others", hint="repeat your change")


def _require_review(exchange: Exchange) -> None:
    if spoken_by(exchange).review is ReviewPolicy.NONE:
        raise InputError(
            f"exchange {exchange.id} does not review creatives", hint="set its `review` to before or after"
        )
