"""What an advertiser is told without asking.

A budget that runs out, a price of orders off its target, a flight that ends, a creative that an exchange rejects, a
feed that is refused, a tag that has fallen silent.

Each is told once, and not in quiet hours. What is looked at is what everybody else sees: the ledger's sums, reports,
the feeds' runs, the tags' counts.
"""

import asyncio
import datetime
import logging
import zoneinfo
from collections.abc import AsyncIterator, Mapping
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from admin.mail.outbox import Outbox, OutboxItem
from admin.products.desk import ProductDesk
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportRequest
from admin.reports.saved import SavedReportDesk
from admin.store import tables
from admin.store.catalogue import CatalogueStore
from admin.store.ledger import SqlLedgerStore
from admin.store.model import Feed
from core.clock import Clock
from core.config import MailSettings
from core.errors import GroszError, NotFoundError
from core.model import Advertiser, Campaign, Catalogue, LineItem, Status
from core.money import format_micros, parse_decimal
from creatives.feeds.runs import RunOutcome
from segments.audiences.tag_health import TagHealth

POLL_S: Final = 300.0
# Prices of orders are asked for once an hour: over a week they move slowly, and each advertiser's take a report.
PRICES_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
# Parts of a total budget at which it is told, in percent.
BUDGET_MARKS: Final = (100, 80)
FLIGHT_DAYS: Final = 3
# The price of an order is told when it is above so many per cent of its target, over a week with at least so many
# orders: with fewer it is chance.
CPA_PERCENT: Final = 130
CPA_ORDERS: Final = 5
# The absence of an event is told after a day without it, if it came at least so often a day before: pages without
# visitors are no fault.
TAG_DAILY: Final = 20.0

log = logging.getLogger("grosz.notifications")


class Note(NamedTuple):
    """One thing to be told; `once` names it within the advertiser."""

    once: str
    subject: str
    text: str


class Notifier:
    """Looks at the advertisers that some recipient wants to be told of."""

    def __init__(
        self,
        store: CatalogueStore,
        outbox: Outbox,
        reports: ReportDesk,
        products: ProductDesk,
        tags: TagHealth,
        settings: MailSettings,
        clock: Clock,
    ) -> None:
        self._store, self._outbox, self._reports = store, outbox, reports
        self._products, self._tags, self._settings, self._clock = products, tags, settings, clock
        self._saved, self._ledger = SavedReportDesk(store.database, clock), SqlLedgerStore(store.database)
        self._prices_due_ms: dict[int, int] = {}  # advertiser -> when its prices are asked for again

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.step()
            except GroszError as error:
                log.warning("nobody is notified for now: %s", error)
            await asyncio.sleep(POLL_S)

    async def step(self) -> int:
        """Look once; the number of new messages."""
        wanting: dict[int | None, set[str]] = {None: set()}  # None: of all advertisers
        for recipient in await self._saved.recipients(None):
            if recipient.confirmed_at is not None:
                wanting.setdefault(recipient.advertiser_id, set()).add(recipient.address)
        if not any(wanting.values()):
            return 0
        catalogue = await self._store.catalogue(self._clock.now_ms())
        told = 0
        for advertiser in catalogue.advertisers:
            if addresses := sorted(wanting[None] | wanting.get(advertiser.id, set())):
                async for note in self._notes(advertiser, catalogue):
                    for address in addresses:
                        told += await self._outbox.add(self._item(advertiser, note, address))
        return told

    def _item(self, advertiser: Advertiser, note: Note, address: str) -> OutboxItem:
        return OutboxItem(
            once=f"note:{advertiser.id}:{note.once}:{address}",
            advertiser_id=advertiser.id,
            channel="webhook" if address.startswith(("http://", "https://")) else "mail",
            target=address,
            subject=f"{advertiser.name}: {note.subject}",
            text=note.text + "\n",
            due_ms=loud_ms(self._clock.now_ms(), advertiser.timezone, self._settings),
        )

    async def _notes(self, advertiser: Advertiser, catalogue: Catalogue) -> AsyncIterator[Note]:
        """All that is to be said of an advertiser now, whether or not it was said before."""
        items = [item for item in catalogue.line_items if item.advertiser_id == advertiser.id]
        campaigns = [campaign for campaign in catalogue.campaigns if campaign.advertiser_id == advertiser.id]
        totals = await self._ledger.totals(advertiser.id)
        spent: dict[str, int] = {}
        for pool in totals.pools:
            for key in (f"line item {pool.line_item_id}", f"campaign {pool.campaign_id}"):
                spent[key] = spent.get(key, 0) + pool.charge_micros
        everything: list[LineItem | Campaign] = [*items, *campaigns]
        for one in everything:
            for note in (*budget_notes(one, spent, advertiser.currency), *flight_notes(one, self._clock.now_ms())):
                yield note
        for note in (
            *await self._prices(advertiser, {item.id: item for item in items}),
            *await self._rejections(advertiser),
            *await self._feeds(advertiser),
            *await self._silence(advertiser),
        ):
            yield note

    async def _prices(self, advertiser: Advertiser, items: Mapping[int, LineItem]) -> list[Note]:
        """Line items whose orders cost more than their target; none until PRICES_MS after they were last asked for."""
        wanted = {number: item.target_cpa_micros for number, item in items.items() if item.target_cpa_micros}
        now_ms = self._clock.now_ms()
        if not wanted or now_ms < self._prices_due_ms.get(advertiser.id, 0):
            return []
        request = ReportRequest(
            ("conversions", "cpa"), ("line_item",), timezone=advertiser.timezone, limit=10_000,
            filters={"line_item": tuple(wanted)},
        )  # fmt: skip
        try:
            answer = await self._reports.answer(request, frozenset((advertiser.id,)))
        except NotFoundError:
            return []  # no journal is kept here
        self._prices_due_ms[advertiser.id] = now_ms + PRICES_MS
        week = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).strftime("%G-%V")
        notes = []
        for number, _currency, orders, shown in answer.rows:
            target, cpa = wanted.get(int(number or 0)), parse_decimal(str(shown)) if shown is not None else 0
            if target and int(orders or 0) >= CPA_ORDERS and cpa * 100 > target * CPA_PERCENT:
                said = f"{format_micros(cpa)} {advertiser.currency}, the target is {format_micros(target)}"
                text = f"Orders of line item {number}, {items[int(number or 0)].name}, cost {said}, over a week."
                notes.append(Note(f"cpa:{number}:{week}", f"orders of line item {number} cost more than planned", text))
        return notes

    async def _rejections(self, advertiser: Advertiser) -> list[Note]:
        table = tables.approvals
        chosen = sa.select(table.c.creative_id, table.c.exchange_id, table.c.creative_version, table.c.reason).where(
            table.c.advertiser_id == advertiser.id, table.c.state == "rejected"
        )
        async with self._store.database.read() as connection:
            rows = list(await connection.execute(chosen))
        return [
            Note(
                f"creative:{row.creative_id}:{row.exchange_id}:{row.creative_version}",
                f"creative {row.creative_id} was rejected",
                f"Exchange {row.exchange_id} rejected creative {row.creative_id}: {row.reason or 'it gave no reason'}.",
            )
            for row in rows
        ]

    async def _feeds(self, advertiser: Advertiser) -> list[Note]:
        table = tables.feeds
        chosen = tables.documents(table).where(
            table.c.advertiser_id == advertiser.id, table.c.status == Status.ACTIVE.value
        )
        decoder = msgspec.json.Decoder(Feed)
        async with self._store.database.read() as connection:
            feeds = [decoder.decode(document) for document in await connection.scalars(chosen)]
        notes = []
        for feed in feeds:
            report = await self._products.report(feed)
            last, good = report.last, report.good
            if last is not None and last.outcome in (RunOutcome.REFUSED, RunOutcome.FAILED):
                once = f"feed:{feed.id}:{good.finished_ms if good is not None else 0}"
                text = f"Feed {feed.id}, {feed.name}: {last.message}. {last.hint}".strip()
                notes.append(Note(once, f"feed {feed.id} was refused", text))
        return notes

    async def _silence(self, advertiser: Advertiser) -> list[Note]:
        now_ms = self._clock.now_ms()
        return [
            Note(
                f"tag:{state.event}:{state.last_ms}",
                f"no {state.event} has come for a day",
                f"The shop's pages told of {state.event} {state.daily_mean:.0f} times a day, and not for a day now.",
            )
            for state in await self._tags.report(advertiser.id, now_ms)
            if state.daily_mean >= TAG_DAILY and state.last_ms < now_ms - _DAY_MS
        ]


def budget_notes(one: LineItem | Campaign, spent: Mapping[str, int], currency: str) -> list[Note]:
    """Notes that most, or all, of a total budget is spent: one for the highest of BUDGET_MARKS that is reached."""
    kind = "line item" if isinstance(one, LineItem) else "campaign"
    budget, key = one.total_budget.micros, f"{kind} {one.id}"
    reached = next((mark for mark in BUDGET_MARKS if budget and spent.get(key, 0) * 100 >= budget * mark), None)
    if reached is None or budget is None:
        return []
    what = "is spent" if reached == max(BUDGET_MARKS) else f"is spent to {reached}%"
    text = f"{format_micros(spent[key])} of {format_micros(budget)} {currency} of {key}, {one.name}, are spent."
    return [Note(f"budget:{key}:{budget}:{reached}", f"the budget of {key} {what}", text)]


def flight_notes(one: LineItem | Campaign, now_ms: int) -> list[Note]:
    """Notes that a flight ends within FLIGHT_DAYS days."""
    end_ms = one.end_ms
    if end_ms is None or one.status is not Status.ACTIVE or not now_ms < end_ms <= now_ms + FLIGHT_DAYS * _DAY_MS:
        return []
    kind = "line item" if isinstance(one, LineItem) else "campaign"
    day = datetime.datetime.fromtimestamp(end_ms / 1000, datetime.UTC)
    text = f"The flight of {kind} {one.id}, {one.name}, ends at {day:%Y-%m-%d %H:%M} UTC."
    return [Note(f"flight:{kind}:{one.id}:{end_ms}", f"{kind} {one.id} ends soon", text)]


def loud_ms(now_ms: int, timezone: str, settings: MailSettings) -> int:
    """When an advertiser may be told: now, or at the end of the quiet hours (unix ms)."""
    now = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(timezone))
    quiet = (now.hour - settings.quiet_from) % 24 < (settings.quiet_until - settings.quiet_from) % 24
    if not quiet:
        return now_ms
    day = now.date() + datetime.timedelta(days=now.hour >= settings.quiet_until)
    at = datetime.datetime.combine(day, datetime.time(settings.quiet_until), now.tzinfo)
    return round(at.timestamp() * 1000)
