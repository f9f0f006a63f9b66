"""Lease check and reservation, CPU a bid: `scripts/bench leases [--rounds N]`.

What the bid path does about money for each bid: `stages.pace.affordable` over the pairs of a batch, then one
`LeaseBook.reserve`. A batch is ten requests of two impressions with 60 eligible line items each, 1,000 pools in all.
Figures are CPU time, so other work on the machine changes them little.
"""

import argparse
import statistics
import time

import numpy as np

from bidder.decision.afford import affordable
from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import PoolSpec

POOLS = 1_000
PAIRS_PER_BID = 60
BIDS_PER_BATCH = 20
BATCHES = 5_000
COST = 4_000  # micros of an impression
NOW_MS = 1_790_000_000_000

MOST_US = 2.0


def full_book() -> LeaseBook:
    """Leases that outlast the measurement."""
    book = LeaseBook()
    book.bind([PoolSpec(number, 0, 1, 10_000, 1.0) for number in range(1, POOLS + 1)])
    for position in range(POOLS):
        book.grant(position, position + 1, 10**15, 10**9, NOW_MS + 10_000)
    return book


def measure(book: LeaseBook, random: np.random.Generator) -> tuple[float, float]:
    """Microseconds of CPU a bid: of the check of its pairs, and of its reservation."""
    size = PAIRS_PER_BID * BIDS_PER_BATCH
    positions = random.integers(0, POOLS, size)
    cost = np.full(size, COST, np.int64)
    enough = affordable(cost, positions, book)
    started = time.process_time()
    for _ in range(BATCHES):
        enough = affordable(cost, positions, book)
    checked = time.process_time()
    assert enough.all()
    winners = random.integers(0, POOLS, BIDS_PER_BATCH).tolist()
    before = int(book.reserved().sum())
    reserve = book.reserve
    between = time.process_time()
    for _ in range(BATCHES):
        for position in winners:
            if not reserve(position, COST, NOW_MS):
                raise AssertionError("a lease was empty")
    ended = time.process_time()
    bids = BATCHES * BIDS_PER_BATCH
    assert int(book.reserved().sum()) - before == bids * COST
    return (checked - started) / bids * 1e6, (ended - between) / bids * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    book, random = full_book(), np.random.default_rng(1)
    rounds = [measure(book, random) for _ in range(options.rounds)]
    check, reservation = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"| lease check of {PAIRS_PER_BID} pairs, us a bid | reservation, us a bid | both |")
    print("|---|---|---|")
    print(f"| {check:.2f} | {reservation:.2f} | {check + reservation:.2f} |")
    print(f"bar: both below {MOST_US} us")
    return 0 if check + reservation < MOST_US else 1


if __name__ == "__main__":
    raise SystemExit(main())
