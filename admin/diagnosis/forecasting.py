"""Forecasts from recorded traffic: of a new line item, and of a line item that is changed.

A part of the people is asked first, for an answer within seconds; then all, by all cores where the command line asks.
Who may see some advertisers alone is answered from these alone: other line items do not compete, and what it takes to
win is learnt from their bids only, so that no answer depends on what others bid.
"""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from admin.diagnosis.journal_desk import JournalDesk
from admin.diagnosis.recorded import DAY_MS, unpacked
from admin.store.kinds import KINDS, LINE_ITEMS
from admin.validation.convert import merge_patch, represent
from admin.validation.documents import LineItemDocument
from admin.validation.intake import build
from admin.validation.rules import check_change, check_references, prefixed
from bidder.decision.model_file import load_model
from bidder.diagnosis.forecast import Forecaster, ForecastRun
from bidder.diagnosis.replaying import without_checks
from bidder.diagnosis.trials import TRIAL, TrialReader, Trials, studied
from bidder.diagnosis.win_curves import BidOutcome, WinCurves
from bidder.targeting.compiled import Compiled
from core.catalogue.codec import decode_catalogue, encode_catalogue
from core.config import Settings
from core.errors import InputError, NotFoundError
from core.ids import MAX_LINE_ITEM_ID
from core.model import Advertiser, Catalogue, LineItem, Status
from core.money import format_micros

if TYPE_CHECKING:
    from journal.requests import RecordedRow

# The id of the line item under study in the catalogue that is compiled for it; no other line item has this id.
STUDIED_ID: Final = MAX_LINE_ITEM_ID + 1
# Recorded requests that the API works through for one answer, at most.
MOST_REQUESTS: Final = 20_000
# The same for a first answer, which the caller waits for; then how many a process is given at a time.
MOST_FIRST: Final = 5_000
CHUNK: Final = 1_000
FIRST_PART: Final = 0.05
FACTORS: Final = (0.5, 0.75, 1.0, 1.5, 2.0)
# With fewer orders than these in the last RATE_DAYS days nothing is said of orders.
LEAST_ORDERS: Final = 20
RATE_DAYS: Final = 30
_Z: Final = 1.96  # of an interval that holds the truth in 95 of 100 cases


class ForecastRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A new line item (`line_item`, as it would be created), or one that is there with `changes` (a merge patch).

    Answered from what was recorded between `since_ms` and `until_ms` (unix; without them the last seven days). `part`
    is the fraction of the recorded people that is used: a first answer takes 0.05.
    """

    line_item: dict[str, Any] | None = None
    line_item_id: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    changes: dict[str, Any] = {}
    since_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    until_ms: Annotated[int, Meta(ge=0, le=2**53)] = 0
    part: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    factors: Annotated[tuple[Annotated[float, Meta(ge=0.05, le=20.0)], ...], Meta(max_length=12)] = FACTORS


class ForecastHour(msgspec.Struct, frozen=True):
    """One hour of the recorded traffic. `multiplier` is what pacing would have made of the bids."""

    at_ms: int
    bids: int
    impressions: int
    spend: str
    multiplier: float


class ForecastOrders(msgspec.Struct, frozen=True):
    """Orders by the rate of the last 30 days, with an interval that holds the truth in 95 of 100 cases.

    `of` says whose rate it is. With fewer than 20 orders there is only a note.
    """

    of: str
    counted: int
    note: str = ""
    orders: float | None = None
    least: float | None = None
    most: float | None = None
    revenue: str | None = None
    cost_of_order: str | None = None
    cost_of_order_least: str | None = None
    cost_of_order_most: str | None = None


class ForecastFigures(msgspec.Struct, frozen=True):
    """What came of the whole recorded time. Amounts are in the advertiser's currency."""

    bids: int
    impressions: int
    reach: int
    clicks: int
    spend: str
    cpm: str


class ForecastPoint(msgspec.Struct, frozen=True):
    """One point of the curve: everything bid `factor` times."""

    factor: float
    impressions: int
    reach: int
    spend: str


class LosingLineItem(msgspec.Struct, frozen=True):
    """Another line item of ours that this one outbids, and what it would have won."""

    line_item_id: int
    impressions: int
    spend: str


class Forecast(msgspec.Struct, frozen=True):
    """An answer for `days` of recorded traffic, `recorded` requests that stand for `requests`.

    `before` is the line item as it is, where one is changed: worked out in the same way, so that both compare.
    `bids_learnt_from` is what is known of the market; `notes` say what to mind.
    """

    currency: str
    days: float
    recorded: int
    requests: int
    part: float
    after: ForecastFigures
    before: ForecastFigures | None
    curve: tuple[ForecastPoint, ...]
    pacing: tuple[ForecastHour, ...]
    losing: tuple[LosingLineItem, ...]
    orders: ForecastOrders
    bids_learnt_from: int
    notes: tuple[str, ...]


class _Study(NamedTuple):
    """What is asked: the line item as it would be, and as it is."""

    after: LineItem
    before: LineItem | None
    advertiser: Advertiser
    catalogue: Catalogue


class _Gathered(NamedTuple):
    trials: Trials
    steps: dict[tuple[int, str, int, int], bytes]
    rows: int
    requests: float
    since_ms: int
    until_ms: int


Progress = Callable[[int, int], None]


class ForecastDesk(JournalDesk):
    """Forecasts from the recorded requests of one journal."""

    async def forecast(
        self,
        asked: ForecastRequest,
        advertisers: frozenset[int] | None,
        *,
        most: int = MOST_REQUESTS,
        progress: Progress = lambda _done, _of: None,
    ) -> Forecast:
        """Raises InputError, NotFoundError where no journal is kept or the line item is not the caller's.

        `progress` is called from another thread.
        """
        return await self._turns.run(lambda: self.forecast_now(asked, advertisers, most=most, progress=progress))

    def forecast_now(
        self,
        asked: ForecastRequest,
        advertisers: frozenset[int] | None,
        *,
        cores: int = 1,
        most: int = MOST_REQUESTS,
        progress: Progress = lambda _done, _of: None,
    ) -> Forecast:
        """`forecast` in this thread; with several `cores` in as many processes."""
        from journal.requests import RequestFilter

        if self._archive is None or self._catalogues is None:
            raise NotFoundError("no journal is kept here, so there is no forecast", hint="set journal.directory")
        study = self._study(asked, advertisers)
        until_ms = asked.until_ms or self._clock.now_ms() + 1
        wanted = RequestFilter(asked.since_ms or until_ms - 7 * DAY_MS, until_ms, part=asked.part)
        reader = self._reader_of(self._archive)
        count, _requests = reader.count(wanted)
        if count > most:
            wanted = wanted._replace(part=max(asked.part * most / count, 0.0002))
        rows = reader.rows(wanted)
        if not rows:
            raise NotFoundError("no request is recorded in this time", hint="see journal.recorded_a_second")
        gathered = self._gather(study, rows, cores, progress)
        outcomes = [BidOutcome(*each) for each in reader.outcomes(wanted, advertisers)]
        rates = _rates(reader, study, until_ms)
        return _answer(asked, study, gathered, WinCurves(outcomes), rates, wanted.part)

    def _study(self, asked: ForecastRequest, advertisers: frozenset[int] | None) -> _Study:
        """Raises InputError, NotFoundError."""
        versions = self._catalogues.versions() if self._catalogues is not None else []
        if self._catalogues is None or not versions:
            raise NotFoundError("no catalogue is kept yet", hint="is the worker running, with journal.directory set?")
        catalogue = without_checks(self._catalogues.read(versions[-1]))
        if (asked.line_item is None) == (asked.line_item_id is None):
            raise InputError("give either `line_item` or `line_item_id`")
        before = None
        if asked.line_item_id is not None:
            before = next((each for each in catalogue.line_items if each.id == asked.line_item_id), None)
            if before is None or not (advertisers is None or before.advertiser_id in advertisers):
                raise NotFoundError(f"there is no line item {asked.line_item_id}", hint="archived ones are not known")
        after = _line_item(asked, before, catalogue, advertisers)
        if advertisers is not None:
            own = tuple(each for each in catalogue.line_items if each.advertiser_id in advertisers)
            catalogue = msgspec.structs.replace(catalogue, line_items=own)
        advertiser = next(each for each in catalogue.advertisers if each.id == after.advertiser_id)
        return _Study(after, before, advertiser, catalogue)

    def _gather(self, study: _Study, rows: Sequence["RecordedRow"], cores: int, progress: Progress) -> _Gathered:
        items = [study.after] if study.before is None else [study.after, study.before]
        catalogue = encode_catalogue(studied(study.catalogue, items))
        known_as = None if study.before is None else (study.before.id, STUDIED_ID)
        setting = (catalogue, self._settings, tuple(item.id for item in items), known_as)
        chunks = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
        found: list[tuple[Trials, dict[Any, bytes]]] = []
        done = 0
        for chunk, part in zip(chunks, _worked(setting, chunks, cores), strict=True):
            found.append(part)
            done += len(chunk)
            progress(done, len(rows))
        steps: dict[tuple[int, str, int, int], bytes] = {}
        for _trials, told in found:
            steps |= told
        trials = np.concatenate([np.zeros(0, TRIAL), *(part[0] for part in found)])
        requests = sum(1.0 / row.sampled for row in rows)
        return _Gathered(trials, steps, len(rows), requests, rows[0].at_ms, rows[-1].at_ms)


def _line_item(
    asked: ForecastRequest, before: LineItem | None, catalogue: Catalogue, advertisers: frozenset[int] | None
) -> LineItem:
    """The line item that is asked about, refused for all that a `POST` or `PATCH` of it would be refused for.

    Raises InputError, NotFoundError where it is of none of the caller's `advertisers`.
    """
    seen = {one.id: one.currency for one in catalogue.advertisers if advertisers is None or one.id in advertisers}
    document, where = dict(asked.line_item or {}), "/line_item"
    if before is not None:
        where = "/changes"
        shown = represent(before, seen[before.advertiser_id])
        known = {name: shown[name] for name in LineItemDocument.__struct_fields__ if name in shown}
        document = merge_patch({name: value for name, value in known.items() if value is not None}, asked.changes)
    item: LineItem = build(
        LINE_ITEMS, document, seen.get, pointer=where, previous=before, id=STUDIED_ID, version=1, status=Status.ACTIVE
    )
    faults = check_change(LINE_ITEMS, before, item) if before is not None else []
    if not faults and item.advertiser_id not in seen and advertisers is not None:
        raise NotFoundError(f"there is no advertiser {item.advertiser_id}")
    faults = faults or check_references(LINE_ITEMS, item, _owners(catalogue, before))
    if faults:
        raise InputError("the line item is not valid", faults=prefixed(faults, where))
    return item


def _owners(catalogue: Catalogue, before: LineItem | None) -> dict[tuple[str, int], int | None]:
    """The advertiser of each (kind, id) that a line item may name; what it named before may be archived since."""
    found = {
        (kind.name, one.id): getattr(one, "advertiser_id", None)
        for kind in KINDS
        if kind.member and kind is not LINE_ITEMS
        for one in getattr(catalogue, kind.member)
    }
    if before is not None:
        found |= {(kind, target): before.advertiser_id for _, kind, target in LINE_ITEMS.references(before)}
    return found


_reader: TrialReader | None = None
"""Of a child process."""


_Setting = tuple[bytes, Settings, Sequence[int], tuple[int, int] | None]
"""Catalogue, settings, line items to study, and `TrialReader.known_as`."""


def _begin(*setting: Any) -> None:  # noqa: ANN401 - a _Setting, as a pool hands it over
    global _reader
    _reader = _trial_reader(*setting)


def _trial_reader(
    catalogue: bytes, settings: Settings, targets: Sequence[int], known_as: tuple[int, int] | None
) -> TrialReader:
    compiled = Compiled(decode_catalogue(catalogue))
    return TrialReader(compiled, load_model(), settings.consent, settings.track.public_url, targets, known_as)


def _work(rows: Sequence["RecordedRow"], reader: TrialReader | None = None) -> tuple[Trials, dict[Any, bytes]]:
    requests = [unpacked(row) for row in rows]
    steps = {cell[:4]: cell[4] for request in requests for cell in request.conditions.steps}
    by = reader or _reader
    if by is None:
        raise RuntimeError("a child process was not told what to work out")
    return by.read(requests), steps


def _worked(
    setting: _Setting, chunks: Sequence[Sequence["RecordedRow"]], cores: int
) -> Iterator[tuple[Trials, dict[Any, bytes]]]:
    """Trials of each chunk in order: here, or by as many processes as there are cores."""
    if cores <= 1 or len(chunks) <= 1:
        reader = _trial_reader(*setting)
        for chunk in chunks:
            yield _work(chunk, reader)
        return
    context = multiprocessing.get_context("spawn")
    workers = min(cores, len(chunks), os.cpu_count() or 1)
    with concurrent.futures.ProcessPoolExecutor(workers, context, _begin, setting) as pool:
        yield from pool.map(_work, chunks)


class _Rates(NamedTuple):
    """What impressions of the last RATE_DAYS days came to. `of` says whose impressions."""

    of: str
    impressions: int
    orders: int
    revenue_micros: int


def _rates(reader: Any, study: _Study, until_ms: int) -> _Rates:  # noqa: ANN401 - imported where it is used
    """The rates of the line item where it has enough orders, otherwise of its campaign, otherwise of its advertiser."""
    since_ms = until_ms - RATE_DAYS * DAY_MS
    found = _Rates("nobody", 0, 0, 0)
    scopes = [("campaign", study.after.campaign_id), ("advertiser", study.after.advertiser_id)]
    if study.before is not None:
        scopes.insert(0, ("line item", study.before.id))
    for name, number in scopes:
        found = _Rates(f"{name} {number}", *reader.sold(f"{name.replace(' ', '_')}_id", number, since_ms, until_ms))
        if found.orders >= LEAST_ORDERS:
            break
    return found


def _answer(
    asked: ForecastRequest, study: _Study, gathered: _Gathered, curves: WinCurves, rates: _Rates, part: float
) -> Forecast:
    days = max((gathered.until_ms - gathered.since_ms) / DAY_MS, 1e-3)
    scale = 1.0 / part

    def forecaster(item: LineItem) -> Forecaster:
        trials = gathered.trials[gathered.trials["line_item"] == item.id].copy()
        trials["weight"] *= scale
        return Forecaster(trials, item, curves, gathered.steps, study.advertiser.timezone, days)

    own = forecaster(study.after)
    after = own.run()
    before = forecaster(study.before).run() if study.before is not None else None
    points = tuple(
        ForecastPoint(factor, round(run.impressions), round(run.reach), _money(run.spend_micros))
        for factor in asked.factors
        for run in (after if factor == 1.0 else own.run(factor),)
    )
    losing = _losing(after, study)
    return Forecast(
        study.advertiser.currency, round(days, 4), gathered.rows, round(gathered.requests * scale), round(part, 4),
        _figures(after), None if before is None else _figures(before), points,
        tuple(
            ForecastHour(
                hour.hour * 3_600_000, round(hour.bids), round(hour.impressions), _money(hour.spend_micros),
                round(hour.multiplier, 4),
            )
            for hour in after.hours
        ),
        losing, _orders(after, rates), curves.weight, tuple(_notes(study, gathered, curves, after)),
    )  # fmt: skip


def _losing(after: ForecastRun, study: _Study) -> tuple[LosingLineItem, ...]:
    """Other line items that are outbid; the studied one as it is now is left out."""
    mine = {study.after.id} | ({study.before.id} if study.before is not None else set())
    ordered = sorted(after.losing.items(), key=lambda entry: -entry[1][1])
    return tuple(
        LosingLineItem(line_item, round(impressions), _money(micros))
        for line_item, (impressions, micros) in ordered
        if line_item not in mine
    )


def _figures(run: ForecastRun) -> ForecastFigures:
    cpm = run.spend_micros / run.impressions * 1000 if run.impressions else 0.0
    return ForecastFigures(
        round(run.bids),
        round(run.impressions),
        round(run.reach),
        round(run.clicks),
        _money(run.spend_micros),
        _money(cpm),
    )


def _money(micros: float) -> str:
    return format_micros(round(micros / 100) * 100)


def _orders(run: ForecastRun, rates: _Rates) -> ForecastOrders:
    if rates.orders < LEAST_ORDERS or not rates.impressions:
        return ForecastOrders(
            rates.of, rates.orders, f"not enough data: {rates.orders} orders, {LEAST_ORDERS} are needed"
        )
    share = run.impressions / rates.impressions
    low, high = order_interval(rates.orders)
    orders = rates.orders * share
    costs = [run.spend_micros / each if each else 0.0 for each in (orders, high * share, low * share)]
    return ForecastOrders(
        rates.of, rates.orders, "", round(orders, 2), round(low * share, 2), round(high * share, 2),
        _money(rates.revenue_micros * share), *map(_money, costs),
    )  # fmt: skip


def order_interval(count: int) -> tuple[float, float]:
    """The rates between which a Poisson count of so many lies in 95 of 100 cases (Byar's approximation)."""
    low = count * (1 - 1 / (9 * count) - _Z / (3 * count**0.5)) ** 3 if count else 0.0
    more = count + 1
    return low, more * (1 - 1 / (9 * more) + _Z / (3 * more**0.5)) ** 3


def _notes(study: _Study, gathered: _Gathered, curves: WinCurves, after: ForecastRun) -> Iterator[str]:
    if curves.weight < 500:
        yield f"only {curves.weight} bids tell what it takes to win: prices are mostly assumed"
    if len(gathered.trials) < 200:
        yield f"the line item fits {len(gathered.trials)} recorded places only: the figures are rough"
    if study.after.budget_shares:
        yield "budget shares are taken together"
    if after.impressions and not after.reach:
        yield "nobody is known by an id, so there is no reach"
