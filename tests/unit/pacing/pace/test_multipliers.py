from collections.abc import Sequence

import numpy as np
import pytest

from core import keys
from core.clock import ManualClock
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import PoolSpec
from pacing.budgets.transitions import Argument, Transitions
from pacing.pace.messages import MULTIPLIER, Multipliers, decode_demand, encode_multipliers
from pacing.pace.multipliers import PacingFollower


class FakeRedis:
    """Keeps commands, and answers GET with `block`."""

    def __init__(self) -> None:
        self.block: bytes | None = None
        self.away = False
        self.commands: list[tuple[Argument, ...]] = []

    async def batch(self, commands: Sequence[tuple[Argument, ...]], deadline: float) -> list[object]:
        if self.away:
            raise UnavailableError("away")
        self.commands += commands
        return [self.block if command[0] == "GET" else 1 for command in commands]


def pool(line_item: int, share: int = 0) -> PoolSpec:
    return PoolSpec(line_item, share, 1, 100, 0.1)


@pytest.fixture
def redis() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def book() -> LeaseBook:
    book = LeaseBook()
    book.bind([pool(7), pool(7, 1), pool(8)])
    return book


@pytest.fixture
def follower(book: LeaseBook, redis: FakeRedis, clock: ManualClock) -> PacingFollower:
    return PacingFollower(book, Transitions(redis, clock), clock, Telemetry(), process="p", auctions=lambda: 42)


def block(*pools: tuple[int, int, float]) -> bytes:
    return encode_multipliers(Multipliers(0, np.array(list(pools), MULTIPLIER)))


async def test_multipliers_go_to_their_pools(follower: PacingFollower, book: LeaseBook, redis: FakeRedis) -> None:
    redis.block = block((9, 0, 0.9), (8, 0, 0.8), (7, 1, 0.71))
    await follower.tick()
    assert book.multiplier.tolist() == [0.1, 0.71, 0.8]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0, 1.5])
async def test_a_multiplier_that_cannot_be_is_not_bid_with(
    follower: PacingFollower, book: LeaseBook, redis: FakeRedis, value: float
) -> None:
    redis.block = block((7, 0, value), (8, 0, 0.5))
    await follower.tick()
    assert book.multiplier.tolist() == [0.1, 0.1, 0.5]


async def test_only_pools_that_are_to_spend_all_bid_above_their_value(
    follower: PacingFollower, book: LeaseBook, redis: FakeRedis
) -> None:
    book.bind([pool(7)._replace(highest_multiplier=10.0), pool(7, 1), pool(8)._replace(highest_multiplier=10.0)])
    redis.block = block((7, 0, 4.0), (7, 1, 4.0), (8, 0, 10.5))
    await follower.tick()
    assert book.multiplier.tolist() == [4.0, 0.1, 0.1]
    redis.away = True
    book.bind([pool(7)])
    await follower.close()
    await follower.tick()
    assert book.multiplier.tolist() == [1.0]


@pytest.mark.parametrize("packed", [None, b"", b"something else", block()])
async def test_without_an_array_the_cold_start_stays(
    follower: PacingFollower, book: LeaseBook, redis: FakeRedis, packed: bytes | None
) -> None:
    redis.block = packed
    await follower.tick()
    assert book.multiplier.tolist() == [0.1, 0.1, 0.1]


async def test_pools_of_a_new_catalogue_get_what_is_known_of_them(
    follower: PacingFollower, book: LeaseBook, redis: FakeRedis
) -> None:
    redis.block = block((9, 0, 0.9), (8, 0, 0.8))
    await follower.tick()
    book.bind([pool(9), pool(8)])
    redis.away = True
    await follower.tick()
    assert book.multiplier.tolist() == [0.1, 0.8]
    redis.away = False
    await follower.tick()
    assert book.multiplier.tolist() == [0.9, 0.8]


async def test_totals_of_scored_and_reserved_are_reported(
    follower: PacingFollower, book: LeaseBook, redis: FakeRedis
) -> None:
    book.scored[2] = 30
    book.grant(2, 5, 1_000, 9, 2**60)
    book.reserve(2, 400, 0)
    book.take(2)
    book.grant(2, 6, 1_000, 9, 2**60)
    book.reserve(2, 50, 0)
    await follower.tick()
    name, key, process, packed = redis.commands[0]
    assert (name, key, process) == ("HSET", keys.PACING_DEMAND, "p")
    assert isinstance(packed, bytes)
    demand = decode_demand(packed)
    assert demand is not None
    assert (demand.auctions, demand.records.tolist()) == (42, [(8, 0, 30, 450, 2)])


async def test_totals_survive_a_new_catalogue(book: LeaseBook) -> None:
    book.scored[2] = 30
    book.grant(2, 5, 1_000, 9, 2**60)
    book.reserve(2, 400, 0)
    book.bind([pool(8)])
    book.reserve(0, 100, 0)
    micros, impressions = book.demand()
    assert (book.scored.tolist(), micros.tolist(), impressions.tolist()) == ([30], [500], [2])


async def test_a_process_that_ends_takes_its_report_away(follower: PacingFollower, redis: FakeRedis) -> None:
    await follower.close()
    assert redis.commands == [("HDEL", keys.PACING_DEMAND, "p")]
    redis.away = True
    await follower.close()  # nobody to tell: the worker finds out by itself
