"""A shop whose counters must agree with each other and with the ledger when a test has settled what it wanted."""

import contextlib
from collections.abc import AsyncIterator

from core.clock import ManualClock
from pacing.budgets.leases import LeaseBook
from pacing.budgets.levels import broken_invariants
from pacing.ledger.audit import audit
from pacing.ledger.rows import LedgerRow
from tests.kit.money import ADVERTISER, Shop


@contextlib.asynccontextmanager
async def audited_shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    """A shop over a real server; its money is audited at the end."""
    shop = await Shop.open(valkey, clock)
    yield shop
    snapshot = await shop.transitions.snapshot(ADVERTISER, "")
    assert broken_invariants(snapshot.levels, snapshot.leases.values()) == []
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
    await shop.close()


async def leased_book(shop: Shop) -> LeaseBook:
    """The leases of a bidder whose demand has grown, so that a lease holds many bids."""
    book, client = await shop.bidder()
    await shop.reserve_all(book, client, 10_000, ticks=3)
    return book


async def spent(shop: Shop) -> tuple[int, int]:
    """Micros and impressions that the advertiser has spent."""
    levels = (await shop.transitions.snapshot(ADVERTISER, "")).levels
    return levels["a"].micros.spent, levels["a"].impressions.spent


async def rows(shop: Shop) -> list[LedgerRow]:
    """The rows of the ledger, after rows that were on their way were moved there."""
    await shop.writer.drain(ADVERTISER)
    return shop.store.rows[ADVERTISER]


def bid(shop: Shop, book: LeaseBook, **changes: object) -> str:
    """A reserved bid at 10.00 CPM and the token of its notices."""
    lease = book.reserve(0, 10_000, shop.clock.now_ms())
    assert lease
    return shop.token(lease, 10_000, **changes)
