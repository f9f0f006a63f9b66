"""The doctor: walks the whole chain top down and says in plain words what stops delivery, and what to do."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from admin.diagnosis.budgets import read_levels
from admin.diagnosis.deliverability import Scene, examine, is_paused
from admin.diagnosis.findings import Finding, Report, Severity
from admin.diagnosis.funnels import FunnelDesk
from admin.diagnosis.installation import (
    ask_metrics,
    check_catalogue,
    check_database,
    check_rates,
    check_redis,
    check_roles,
)
from admin.diagnosis.journal import check_journal
from admin.diagnosis.paced import PacingDesk, read_multipliers
from admin.diagnosis.prices import check_prices
from admin.diagnosis.products import check_products
from admin.diagnosis.profiles import check_profiles
from admin.diagnosis.published import Commands, read_published
from admin.diagnosis.told import found
from admin.diagnosis.traffic import Traffic, check_exchanges
from admin.store.catalogue import CatalogueStore
from core.clock import Clock
from core.errors import CatalogueError, NotFoundError, UnavailableError
from core.model import Catalogue, LineItem
from segments.audiences.sizes import SegmentSizes

# A screen or two; with more line items in trouble one asks for a single line item.
MAX_LINE_ITEMS_SHOWN = 50


class Patient(msgspec.Struct, frozen=True):
    """What the doctor can reach. `endpoints`: role -> URL, as far as known; `store`: None without a database.

    `metrics`: role -> URL below which its metrics are.
    """

    redis: Commands
    sizes: SegmentSizes
    store: CatalogueStore | None
    endpoints: Mapping[str, str]
    metrics: Mapping[str, str]
    max_age_s: int
    """Settings `catalogue.max_age_s`: how old a catalogue bidders still bid on."""


class Doctor:
    """Examines an installation, or one line item of it."""

    def __init__(self, patient: Patient, clock: Clock) -> None:
        self._patient = patient
        self._clock = clock
        self._funnels = FunnelDesk(patient.redis, clock)

    async def examine(self, line_item_id: int | None = None) -> Report:
        """Everything, with all line items in trouble or the one asked for. Raises NotFoundError."""
        patient = self._patient
        findings = await check_roles(patient.endpoints)
        if patient.store is not None:
            findings += await check_database(patient.store)
            findings += await check_rates(patient.store, self._clock.now_ms())
        redis = await check_redis(patient.redis)
        findings += redis
        if redis[0].severity is Severity.STOP:
            return Report.of(findings)
        try:
            findings += await check_catalogue(patient.redis, patient.store, self._clock.now_ms(), patient.max_age_s)
            catalogue = await read_published(patient.redis)
        except (UnavailableError, CatalogueError) as error:
            findings.append(found("catalogue.unreadable", fault=error.message, hint=error.hint))
            return Report.of(findings)
        findings += await self._products()
        wanted = None if line_item_id is None else _require(catalogue, line_item_id)
        scene = await self._scene(catalogue, wanted)
        findings += await self._exchanges(catalogue, scene)
        findings += await check_profiles(patient.redis)
        findings += check_journal(await ask_metrics(self._patient.metrics.get("worker")))
        findings += check_prices(await ask_metrics(self._patient.metrics.get("tracker")), catalogue.exchanges)
        if wanted is not None:
            return Report.of([*findings, *examine(wanted, scene)])
        # In a thread: 100,000 line items take seconds, in which the API goes on answering.
        findings += await asyncio.to_thread(line_item_findings, catalogue, scene)
        return Report.of(findings)

    async def examine_line_item(self, line_item_id: int) -> Report:
        """Only what concerns a line item itself, for callers who may not see the rest. Raises NotFoundError."""
        catalogue = await read_published(self._patient.redis)
        line_item = _require(catalogue, line_item_id)
        return Report.of(examine(line_item, await self._scene(catalogue, line_item)))

    async def _scene(self, catalogue: Catalogue, wanted: LineItem | None) -> Scene:
        line_items = catalogue.line_items if wanted is None else (wanted,)
        owners = sorted({line_item.advertiser_id for line_item in line_items})
        levels = await read_levels(self._patient.redis, owners) if owners else {}
        now_ms = self._clock.now_ms()
        segments = {
            segment
            for line_item in line_items
            for segment in (*line_item.targeting.segments_any, *line_item.targeting.segments_all)
        }
        sizes = {segment: await self._patient.sizes.size(segment, now_ms) for segment in sorted(segments)}
        windows, multipliers = await self._funnels.last_hour(), await read_multipliers(self._patient.redis)
        targets = await PacingDesk(self._patient.redis, self._clock).targets()
        return Scene.of(catalogue, levels, sizes, windows, now_ms, multipliers, targets)

    async def _products(self) -> list[Finding]:
        database = None if self._patient.store is None else self._patient.store.database
        try:
            return await check_products(self._patient.redis, database, self._clock)
        except (UnavailableError, CatalogueError) as error:
            return [found("products.unreadable", fault=error.message, hint=error.hint)]

    async def _exchanges(self, catalogue: Catalogue, scene: Scene) -> list[Finding]:
        bid_url = self._patient.endpoints.get("bidder")
        metrics = await ask_metrics(self._patient.metrics.get("bidder"))
        offered = max((window.requests for window in scene.windows.values()), default=0)
        traffic = None if metrics is None else Traffic(metrics)
        return check_exchanges(catalogue.exchanges, traffic, bid_url, offered)


def _require(catalogue: Catalogue, line_item_id: int) -> LineItem:
    wanted = next((one for one in catalogue.line_items if one.id == line_item_id), None)
    if wanted is None:
        hint = "a new one is published within a second; archived ones are not published"
        raise NotFoundError(f"there is no line item {line_item_id} in the published catalogue", hint=hint)
    return wanted


def line_item_findings(catalogue: Catalogue, scene: Scene) -> list[Finding]:
    """A row for each line item that delivers nothing although it is not paused.

    Some line items always do: their audience has yet to fill, or their budget is spent until midnight. Delivery counts
    as stopped only where all of them deliver nothing.
    """
    running = [line_item for line_item in catalogue.line_items if not is_paused(line_item, scene)]
    paused = len(catalogue.line_items) - len(running)
    if not running:
        return [found("line_items.none_active", count=paused)]
    findings = [found("line_items.paused", count=paused)] if paused else []
    rows = [row for line_item in running if (row := _row(examine(line_item, scene))) is not None]
    findings += rows[:MAX_LINE_ITEMS_SHOWN]
    if len(rows) > MAX_LINE_ITEMS_SHOWN:
        findings.append(found("line_items.more", count=len(rows) - MAX_LINE_ITEMS_SHOWN))
    if len(rows) == len(running):
        first = rows[0]
        parts = first.parts | {"all": len(running), "first": f"{first.where}: {first.text}", "hint": first.advice}
        whole = found("line_items.none_delivers", None, **parts).advised(first.advice_code)
        return [msgspec.structs.replace(whole, is_waiting=all(row.is_waiting for row in rows)), *findings]
    return [found("line_items.deliver", count=len(running) - len(rows), all=len(running)), *findings]


def _row(findings: Sequence[Finding]) -> Finding | None:
    """The first finding that stops a line item, as a note about the installation; None where nothing stops it."""
    stops = [finding for finding in findings if finding.severity is Severity.STOP]
    if not stops:
        return None
    return msgspec.structs.replace(stops[0], severity=Severity.NOTE, more=len(stops) - 1)
