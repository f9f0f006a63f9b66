"""Recorded requests: listed, explained as of their own moment, and decided again by this or another version."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from admin.diagnosis.explaining import viewer_of
from admin.diagnosis.journal_desk import JournalDesk
from admin.diagnosis.published import Published, near_miss
from bidder.decision.model_file import Model, load_model
from bidder.diagnosis.explain import Explainer, Explanation
from bidder.diagnosis.replaying import (
    TAKEN,
    BidChange,
    BidDecision,
    RecordedRequest,
    Replayer,
    changes,
    recorded_decision,
    unpack_request,
    without_checks,
)
from core.clock import Clock, ManualClock
from core.config import Settings
from core.errors import ConflictError, InputError, NotFoundError
from core.model import Catalogue
from core.money import format_micros
from core.reasons import NoBid
from journal.archive import Archive
from journal.catalogues import CatalogueFiles
from segments.profiles.recording import RecordedProfiles

if TYPE_CHECKING:
    from journal.requests import BidFate, RecordedRow, RequestReader

DAY_MS: Final = 86_400_000
# Requests that one question lists or decides again at most; the command line takes more, in a process of its own.
MAX_LISTED: Final = 200
MAX_REPLAYED: Final = 2_000
MAX_CHANGES: Final = 500

RecordName = Annotated[
    str, Meta(pattern=r"^[0-9]{1,15}-[0-9a-f]{16}$(?!\n)", description="Name of a recorded request.")
]


class RecordedBidShown(msgspec.Struct, frozen=True):
    """A bid that was made, and what became of it. Prices are decimal CPM; "" where one is not known.

    `outcome`: won, lost, or unknown where no notice came.
    """

    impression_id: str
    format: str
    line_item_id: int
    share: int
    creative_id: int
    bid_cpm: str
    value_cpm: str
    floor_cpm: str
    deal_id: str
    outcome: str
    loss_code: str = ""
    price_cpm: str = ""
    minimum_to_win_cpm: str = ""


class RecordedSummary(msgspec.Struct, frozen=True):
    """A recorded request in a line. `sampled` is the chance that a request like it is recorded."""

    id: str
    at_ms: int
    exchange: str
    sampled: float
    catalogue: int
    reason: str
    bids: tuple[RecordedBidShown, ...]


class RecordedPage(msgspec.Struct, frozen=True):
    """The newest first."""

    requests: tuple[RecordedSummary, ...]


class RecordedExplanation(msgspec.Struct, frozen=True):
    """What was decided, and why, as of the moment of the request.

    `catalogue` explains it; it is another than the request's own where that is not kept. `note` says what is taken as
    recorded instead of being decided again.
    """

    recorded: RecordedSummary
    catalogue: int
    explanation: Explanation
    note: str = ""


class Replayed(msgspec.Struct, frozen=True):
    """Requests decided again. `same` of them came out as before, to the byte; `taken` were taken as recorded."""

    requests: int
    same: int
    taken: int
    other_catalogue: int  # whose catalogue is not kept: another stood for it
    changes: tuple[BidChange, ...]


class RecordedQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which recorded requests, the newest first. Times are unix milliseconds; without them the last day."""

    since_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    until_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    exchange: Annotated[str, Meta(max_length=64)] = ""
    line_item_id: Annotated[int, Meta(ge=0, le=2**31, description="That bid on them.")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = 50


class ReplayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which recorded requests to decide again, and by what. Without `catalogue` each is decided by its own."""

    since_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    until_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    exchange: Annotated[str, Meta(max_length=64)] = ""
    catalogue: Annotated[int, Meta(ge=0, le=2**53, description="A version that is kept; 0: each its own.")] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_REPLAYED)] = 500


class _NearMisses:
    """The near misses of a recorded request, by its catalogue. What its budgets had left is not recorded."""

    def __init__(self, published: Published) -> None:
        self._published = published

    def refine(self, reason: NoBid, position: int) -> tuple[NoBid, str]:  # noqa: ARG002 - the protocol's
        return reason, ""

    def near_miss(self, reason: NoBid, position: int, said: str) -> str:
        pool = self._published.compiled.index.pools[position]
        return near_miss(self._published, reason, pool.line_item_id, said)


class RecordedDesk(JournalDesk):
    """Answers questions about the recorded requests of one journal."""

    def __init__(
        self, archive: Archive | None, catalogues: CatalogueFiles | None, settings: Settings, clock: Clock
    ) -> None:
        super().__init__(archive, catalogues, settings, clock)
        self._model: Model | None = None
        self._replayers: dict[tuple[int, str], Replayer] = {}
        self._published: dict[int, Published] = {}

    async def listed(self, query: RecordedQuery, advertisers: frozenset[int] | None) -> RecordedPage:
        """The newest recorded requests; of restricted callers those that a line item of theirs bid on."""
        return await self._turns.run(lambda: self._listed(query, advertisers))

    async def explain(
        self, name: str, line_item_id: int | None, advertisers: frozenset[int] | None
    ) -> RecordedExplanation:
        """Why each line item did or did not bid. Raises NotFoundError, also for what is not the caller's to see."""
        return await self._turns.run(lambda: self._explain(name, line_item_id, advertisers))

    async def replay(self, asked: ReplayRequest) -> Replayed:
        """Decide requests again. Raises NotFoundError, InputError."""
        return await self._turns.run(lambda: self.replay_now(asked))

    def replay_now(
        self,
        asked: ReplayRequest,
        *,
        model: Path | None = None,
        limit: int = 0,
        told: Callable[[RecordedRequest, BidDecision], None] | None = None,
        before: Callable[[RecordedRequest], BidDecision | None] = recorded_decision,
        progress: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> Replayed:
        """`replay` in this thread, of up to `limit` requests, if one is given. Raises NotFoundError, InputError.

        `told` is called with each decision; `before` gives the decision that it is compared with. `model` is another
        price model than the shipped one.
        """
        if asked.catalogue and asked.catalogue not in (kept := self._kept().versions()):
            raise NotFoundError(
                f"catalogue {asked.catalogue} is not kept", hint=f"these are: {', '.join(map(str, kept[-10:]))}"
            )
        rows = self._rows(asked.since_ms, asked.until_ms, asked.exchange, 0, limit or asked.limit)
        compared = same = taken = other = 0
        found: list[BidChange] = []
        for number, row in enumerate(rows):
            request = unpacked(row)
            expected = before(request)
            if expected is None:
                continue
            compared += 1
            replayer, version = self._replayer(asked.catalogue or request.catalogue, model)
            other += version != (asked.catalogue or request.catalogue)
            again = replayer.decide(request)
            taken += request.reason in TAKEN
            if told is not None:
                told(request, again.decision)
            if again.decision.packed() == expected.packed():
                same += 1
            elif len(found) < MAX_CHANGES:
                found += changes(request, expected, again, replayer)
            progress(number + 1, len(rows))
        return Replayed(compared, same, taken, other, tuple(found[:MAX_CHANGES]))

    def _listed(self, query: RecordedQuery, advertisers: frozenset[int] | None) -> RecordedPage:
        rows = self._rows(
            query.since_ms, query.until_ms, query.exchange, query.line_item_id, 10 * query.limit, advertisers
        )  # fmt: skip
        shown: list[RecordedSummary] = []
        for row in rows:
            summary = self._summary(unpacked(row), advertisers)
            if summary is not None:
                shown.append(summary)
            if len(shown) == query.limit:
                break
        return RecordedPage(tuple(shown))

    def _explain(self, name: str, line_item_id: int | None, advertisers: frozenset[int] | None) -> RecordedExplanation:
        at_ms, record_id = parse_name(name)
        row = self._reader().one(record_id, at_ms, at_ms + 1)
        request = unpacked(row) if row is not None else None
        summary = self._summary(request, advertisers) if request is not None else None
        if request is None or summary is None:
            raise NotFoundError(
                f"no request is recorded as {name}", hint="see GET /v1/recorded-requests", code="no_such_object"
            )
        replayer, version = self._replayer(request.catalogue, None)
        exchange, published = replayer.exchange(request), self._published[version]
        if exchange is None:
            raise NotFoundError(f"catalogue {version} has not the exchange {request.exchange_id}")
        viewer = viewer_of(published, advertisers)
        if line_item_id is not None:
            owner = published.line_items.get(line_item_id)
            if owner is None or not viewer.sees(owner.advertiser_id):
                raise NotFoundError(f"there is no line item {line_item_id} in catalogue {version}")
        replayer.set_conditions(request)
        explainer = Explainer(RecordedProfiles([request.profile]), replayer.policy, ManualClock(request.at_ms))
        told = explainer.explain(
            request.body, exchange.key, replayer.snapshot, line_item_id=line_item_id, viewer=viewer,
            background=_NearMisses(published),
        )  # fmt: skip
        explanation = _finished(told)
        note = ""
        if request.reason in TAKEN:
            note = f"'{request.reason}' was decided by what is not kept; the rest is told as if it had not been"
        return RecordedExplanation(summary, version, explanation, note)

    def _summary(self, request: RecordedRequest, advertisers: frozenset[int] | None) -> RecordedSummary | None:
        """What a caller may see of a request; None where nothing is theirs."""
        _replayer, version = self._replayer(request.catalogue, None)
        published = self._published[version]
        bids = [
            bid
            for bid in request.bids
            if advertisers is None
            or ((found := published.line_items.get(bid.line_item_id)) and found.advertiser_id in advertisers)
        ]
        if advertisers is not None and not bids:
            return None
        fates = self._reader().fates([bid.bid_id for bid in bids], request.at_ms)
        exchange = next((each.key for each in published.catalogue.exchanges if each.id == request.exchange_id), "")
        return RecordedSummary(
            name_of(request), request.at_ms, exchange, request.sampled, request.catalogue, request.reason,
            tuple(
                RecordedBidShown(
                    bid.impression_id, bid.format, bid.line_item_id, bid.share, bid.creative_id,
                    format_micros(bid.bid_cpm), format_micros(bid.value_cpm), format_micros(bid.floor_cpm),
                    bid.deal_id, *_fate(fates.get(bid.bid_id)),
                )
                for bid in bids
            ),
        )  # fmt: skip

    def _rows(
        self,
        since_ms: int,
        until_ms: int,
        exchange: str,
        line_item_id: int,
        limit: int,
        advertisers: frozenset[int] | None = None,
    ) -> Sequence["RecordedRow"]:
        from journal.requests import RequestFilter

        until_ms = until_ms or self._clock.now_ms() + 1
        exchange_id = self._exchange_id(exchange) if exchange else 0
        wanted: RequestFilter = RequestFilter(since_ms or until_ms - DAY_MS, until_ms, exchange_id, line_item_id)
        if advertisers is not None:
            # The filter is applied while reading: otherwise requests that only others bid on would use up the limit.
            own = self._reader().line_items_of(advertisers, wanted.since_ms, until_ms)
            own |= {each.id for each in self.newest().line_items if each.advertiser_id in advertisers}
            wanted = wanted._replace(line_items=own)
        return self._reader().rows(wanted, newest_first=True, limit=limit)

    def _exchange_id(self, key: str) -> int:
        """The id of an exchange, by its key in the newest catalogue that is kept. Raises InputError."""
        catalogue = self.newest()
        found = next((each.id for each in catalogue.exchanges if each.key == key), None)
        if found is None:
            raise InputError(f"there is no exchange '{key}'", hint="see `grosz exchange list`", code="no_such_exchange")
        return found

    def newest(self) -> Catalogue:
        """The newest catalogue that is kept. Raises NotFoundError."""
        versions = self._kept().versions()
        if not versions:
            raise NotFoundError("no catalogue is kept yet", hint="is the worker running, with journal.directory set?")
        return self._kept().read(versions[-1])

    def _replayer(self, version: int, model: Path | None) -> tuple[Replayer, int]:
        """The replayer for a version, or for the nearest one that is kept, and that version. Raises NotFoundError."""
        nearest = self._kept().nearest(version)
        if nearest is None:
            raise NotFoundError("no catalogue is kept yet", hint="is the worker running, with journal.directory set?")
        key = (nearest, str(model or ""))
        if key not in self._replayers:
            if len(self._replayers) >= _MOST_VERSIONS:
                self._replayers.clear()
                self._published.clear()
            if nearest not in self._published:
                self._published[nearest] = Published.compile(without_checks(self._kept().read(nearest)))
            if self._model is None:
                self._model = load_model()
            chosen = self._model if model is None else load_model(model)
            track = self._settings.track.public_url
            self._replayers[key] = Replayer(self._published[nearest].compiled, chosen, self._settings.consent, track)
        return self._replayers[key], nearest

    def _kept(self) -> CatalogueFiles:
        if self._catalogues is None:
            raise _no_journal()
        return self._catalogues

    def _reader(self) -> "RequestReader":
        if self._archive is None:
            raise _no_journal()
        return self._reader_of(self._archive)


# Compiled catalogues that are kept at hand: traffic of a day may have been decided by many.
_MOST_VERSIONS: Final = 8


def unpacked(row: "RecordedRow") -> RecordedRequest:
    """A row as the stages take it."""
    return unpack_request(
        row.record_id, row.at_ms, row.exchange_id, row.sampled, row.catalogue, row.request, row.profile, row.bids,
        row.conditions, row.reason, row.person,
    )  # fmt: skip


def name_of(request: RecordedRequest) -> str:
    return f"{request.at_ms}-{request.record_id:016x}"


def parse_name(name: str) -> tuple[int, int]:
    """Moment and id of a recorded request. Raises InputError."""
    at_ms, _, record_id = name.partition("-")
    try:
        return int(at_ms), int(record_id, 16)
    except ValueError:
        raise InputError(f"'{name}' names no recorded request", hint="see `grosz recorded`") from None


def _fate(fate: "BidFate | None") -> tuple[str, str, str, str]:
    if fate is None:
        return "unknown", "", "", ""
    outcome = "won" if fate.won else "lost" if fate.lost else "unknown"
    prices = (fate.price_cpm, fate.minimum_to_win_cpm)
    price, minimum = ("" if each is None else format_micros(each) for each in prices)
    return outcome, fate.loss_code, price, minimum


def _finished(told: "object") -> Explanation:
    """The result of a coroutine that never waits, since its profile is at hand."""
    try:
        told.send(None)  # type: ignore[attr-defined]
    except StopIteration as done:
        explanation: Explanation = done.value
        return explanation
    raise ConflictError("an explanation of what was recorded waits")


def _no_journal() -> NotFoundError:
    return NotFoundError("no journal is kept here, so no request is recorded", hint="set journal.directory")
