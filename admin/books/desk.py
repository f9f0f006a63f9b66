"""The books: whether counters and ledger agree, and rows by hand. For the API and the command line alike."""

import asyncio
import datetime
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from admin.books.documents import BookAudit, CorrectionAnswer, CorrectionRequest
from admin.reports.agreement import JournalAgreement, agreement
from admin.reports.rolled_up import rollup_faults
from admin.store import tables
from admin.store.catalogue import objects_by_id
from admin.store.database import Database
from admin.store.kinds import ADVERTISERS, LINE_ITEMS
from admin.store.ledger import SqlLedgerStore
from admin.store.lookups import exchange_id_of
from admin.validation.days import number_of
from admin.validation.fields import Balance
from core.clock import SystemClock
from core.errors import Fault, InputError, NotFoundError, UnavailableError
from core.model import Advertiser, LineItem, Status
from core.money import MAX_BUDGET_MICROS, MoneyError, format_micros, parse_decimal
from journal.archive import Archive
from pacing.budgets.levels import level_names
from pacing.budgets.pools import PoolKey
from pacing.budgets.transitions import Transitions
from pacing.ledger.audit import audit, spent_by_level
from pacing.ledger.rows import PriceSource, RowHead, RowKind, encode_head

_NO_DAY: Final = 2**31 - 1
"""After every day of the ledger: its sums are asked for as of all days before."""

# Several passes of the worker over the journal.
_AGAIN_S = 4.0

Sees = Callable[[int], bool]
"""Whether the caller may know of an advertiser, by its id."""


def sees_all(_advertiser_id: int) -> bool:
    """For a command on the machine itself, which sees every advertiser."""
    return True


class BookDesk:
    """Audits and corrects the money: the ledger in the database, and the counters in Redis."""

    def __init__(self, database: Database, transitions: Transitions, journal: Archive | None = None) -> None:
        """`journal` is the archive whose bills must be those of the ledger; None where no journal is kept."""
        self._journal = journal
        self._database = database
        self._ledger = SqlLedgerStore(database)
        self._transitions = transitions

    async def advertisers(self) -> list[int]:
        """The ids of all advertisers, archived ones too: their books are kept."""
        async with self._database.read() as connection:
            table = tables.advertisers
            return list(await connection.scalars(sa.select(table.c.id).order_by(table.c.id)))

    async def audit(self, advertiser_id: int, sees: Sees) -> BookAudit:
        """Recompute every counter of an advertiser from its ledger, and the ledger's sums from its rows.

        Raises NotFoundError, UnavailableError.
        """
        advertiser = await self._advertiser(advertiser_id, sees)
        result = await audit(self._transitions, self._ledger, advertiser_id)
        texts = [difference.text for difference in result.differences]
        texts += await self._ledger.check(advertiser_id)
        spent = Balance(format_micros(result.spent_micros), advertiser.currency)
        if self._journal is None:
            return BookAudit(advertiser_id, advertiser.name, spent, result.levels, texts)
        compared = await self._with_journal(self._journal, advertiser_id)
        until = datetime.datetime.fromtimestamp(compared.until_ms / 1000, datetime.UTC) if compared.until_ms else None
        texts += compared.faults
        return BookAudit(advertiser_id, advertiser.name, spent, result.levels, texts, until, compared.newer)

    async def _with_journal(self, journal: Archive, advertiser_id: int) -> JournalAgreement:
        """Where the journal differs from the ledger, or its roll-ups from its rows. Any difference is looked at twice.

        The worker stores and sums up meanwhile, so that a single look may find a difference that is none.
        """
        compared = await self._look(journal, advertiser_id)
        if compared.faults:
            await asyncio.sleep(_AGAIN_S)
            compared = await self._look(journal, advertiser_id)
        return compared

    async def _look(self, journal: Archive, advertiser_id: int) -> JournalAgreement:
        compared = await agreement(journal, self._ledger, advertiser_id)
        faults = await rollup_faults(journal, advertiser_id, SystemClock().now_ms())
        return compared._replace(faults=[*compared.faults, *faults])

    async def correct(self, wanted: CorrectionRequest, sees: Sees) -> CorrectionAnswer:
        """Book a correction once by its name: a ledger row, and every counter with it.

        Raises InputError, NotFoundError, and UnavailableError before the counters are there.
        """
        line = await self._line_item(wanted.line_item_id, sees)
        if wanted.share > len(line.budget_shares):
            text = f"line item {line.id} has no budget share {wanted.share}"
            raise InputError(text, faults=[Fault("/share", "range", text)])
        micros = micros_of(wanted.amount)
        exchange = 0
        if wanted.exchange is not None:
            async with self._database.read() as connection:
                exchange = await exchange_id_of(connection, wanted.exchange)
        currency = (await self._advertiser(line.advertiser_id, sees)).currency
        day = number_of(wanted.day)
        head = RowHead(
            RowKind.CORRECTION, wanted.name, line.campaign_id, line.id, wanted.share, day, exchange, 0, 0, 0, currency,
            currency, 0, 0, PriceSource.CORRECTION, wanted.note,
        )  # fmt: skip
        outcome = await self._transitions.correct(
            line.advertiser_id, wanted.name, PoolKey(line.id, wanted.share), line.campaign_id, day, micros,
            wanted.impressions, encode_head(head), await self._dropped(line, wanted.share),
        )  # fmt: skip
        amount = Balance(format_micros(micros), currency)
        if outcome == "unready":
            hint = "start the worker, and correct then"
            raise UnavailableError("the money counters are not there yet", hint=hint)
        return CorrectionAnswer(
            "duplicate" if outcome == "duplicate" else "corrected", line.id, amount, wanted.impressions
        )

    async def _dropped(self, line: LineItem, share: int) -> list[tuple[str, int, int]]:
        """(level, micros, impressions) of a pool's total levels by the ledger; only if the line item is archived.

        The counters of an archived line item may have been dropped.
        """
        if line.status is not Status.ARCHIVED:
            return []
        totals = await self._ledger.totals(line.advertiser_id, _NO_DAY)
        spent = spent_by_level(totals.pools)
        _, campaign, whole, _, part, _ = level_names(line.id, share, line.campaign_id, _NO_DAY)
        return [(name, *spent.get(name, (0, 0))) for name in (campaign, whole, part)]

    async def _advertiser(self, advertiser_id: int, sees: Sees) -> Advertiser:
        async with self._database.read() as connection:
            stored = (await objects_by_id(connection, ADVERTISERS, [advertiser_id])).get(advertiser_id)
        if stored is None or not sees(advertiser_id):
            raise NotFoundError(f"there is no advertiser {advertiser_id}", hint="see `grosz advertiser list`")
        advertiser: Advertiser = stored.value
        return advertiser

    async def _line_item(self, line_item_id: int, sees: Sees) -> LineItem:
        async with self._database.read() as connection:
            stored = (await objects_by_id(connection, LINE_ITEMS, [line_item_id])).get(line_item_id)
        if stored is None or not sees(stored.value.advertiser_id):
            raise NotFoundError(f"there is no line item {line_item_id}", hint="see `grosz line-item list`")
        line: LineItem = stored.value
        return line


def micros_of(amount: str) -> int:
    """Micros of the text of an amount, which may be negative. Raises InputError for what is not counted exactly."""
    try:
        micros = parse_decimal(amount)
    except MoneyError as error:
        raise InputError(f"amount: {error}", faults=[Fault("/amount", "value", str(error))]) from None
    if abs(micros) > MAX_BUDGET_MICROS:
        text = f"{amount} is more than is counted exactly ({format_micros(MAX_BUDGET_MICROS)})"
        raise InputError(f"amount: {text}", faults=[Fault("/amount", "range", text)])
    return micros
