"""Layers are one index: position by position, bid by bid, lease by lease the same as a whole."""

import itertools
import random
from typing import Any

import msgspec
import pytest

from bidder.compile.compiler import CatalogueCompiler
from bidder.targeting.compiled import Compiled
from bidder.targeting.index import Index, LineArrays
from core.catalogue.codec import difference, encode_catalogue, encode_change
from core.model import Catalogue
from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import PoolKey
from tests.kit.bidding import NEVER_ENDS_MS, TestBidder, bids_of
from tests.kit.layering import compiled_by_changes, earlier, layered_now
from tests.kit.naive_pricing import two_column_model
from tests.kit.random_bidding import EXCHANGES, MOMENTS, random_catalogue, random_request, random_shopper

LINE_ITEMS = 14
# Those that stand for a row of another table, which is compared instead.
NUMBERED = ("currency", "timezone", "owner", "hours", "hour_pattern")


def versions_of(seed: int, steps: int) -> tuple[random.Random, list[Catalogue]]:
    """A catalogue that changes at random, its versions in order."""
    chance = random.Random(seed)
    last = random_catalogue(chance, LINE_ITEMS, targeted=chance.random() < 0.5)
    versions = [earlier(chance, last, version=step + 1) for step in range(steps)]
    return chance, [*versions, msgspec.structs.replace(last, version=steps + 1)]


def by_pool(index: Index) -> dict[PoolKey, dict[str, Any]]:
    """All that an index says of each pool."""
    lines, found = index.lines, dict[PoolKey, dict[str, Any]]()
    for line_item, positions in index.by_line_item.items():
        for share, at in enumerate(positions):
            key = PoolKey(line_item, share)
            assert (index.positions_of(key), index.pools.key(at), index.pools.position(key)) == ((at,), key, at)
            found[key] = {
                name: getattr(lines, name)[at] for name in LineArrays.__struct_fields__ if name not in NUMBERED
            } | {
                "currency": index.currencies[lines.currency[at]],
                "timezone": index.timezones[lines.timezone[at]],
                "owner": list(index.owners)[lines.owner[at]],
                "hours": lines.hours[lines.hour_pattern[at]].tolist(),
                "banners": index.creatives_of(at),
                "pool": index.pools[at],
            }
    return found


@pytest.mark.parametrize("seed", range(60))
def test_layers_say_of_each_pool_what_a_whole_says(seed: int) -> None:
    _, versions = versions_of(seed, 1 + seed % 3)
    layers, whole = compiled_by_changes(versions).index, Compiled(versions[-1]).index
    assert by_pool(layers) == by_pool(whole)
    assert (layers.version, layers.published_ms, layers.exchanges) == (
        whole.version, whole.published_ms, whole.exchanges
    )  # fmt: skip
    known = [position for positions in layers.by_line_item.values() for position in positions]
    others = sorted(set(range(layers.count)) - set(known))
    assert len(known) == len(set(known)) == whole.count
    assert not layers.lines.active[others].any()
    assert not any(column[others].any() for column in (layers.lines.line_item, *layers.pools.columns))


@pytest.mark.parametrize("seed", range(60))
def test_layers_bid_the_same_as_a_whole(seed: int) -> None:
    chance, versions = versions_of(seed, 1 + seed % 3)
    now_ms = chance.choice(MOMENTS)
    model = two_column_model(seed)
    layers = TestBidder(versions[-1], now_ms=now_ms, model=model, compiled=compiled_by_changes(versions))
    whole = TestBidder(versions[-1], now_ms=now_ms, model=model)
    for number in range(6):
        request, exchange = random_request(chance, number), chance.choice(EXCHANGES)
        user = random_shopper(chance, LINE_ITEMS, now_ms)
        found, expected = (bids_of(each.answer(request, user, exchange.key)) for each in (layers, whole))
        assert list(map(shown, found)) == list(map(shown, expected))


def shown(bid: dict[str, object]) -> dict[str, object]:
    """A bid without its tokens, which name leases."""
    return {name: value for name, value in bid.items() if name not in ("id", "adm", "burl", "lurl", "nurl")}


@pytest.mark.parametrize("seed", range(40))
def test_a_lease_follows_its_pool_and_is_handed_back_once_when_that_is_gone(seed: int) -> None:
    chance, versions = versions_of(seed, 8)
    versions = list(map(with_constant_owners, versions))
    compiler, book, numbers = CatalogueCompiler(), LeaseBook(), itertools.count(1)
    base = compiled = compiler.whole(encode_catalogue(versions[0]), ())
    held: dict[PoolKey, tuple[int, int, int, int]] = {}  # advertiser, lease, micros and impressions reserved
    for before, after in itertools.pairwise(versions):
        book.bind(compiled.index.pools)
        pools = {pool.key: pool.advertiser_id for pool in Compiled(before).index.pools}
        gone = [held.pop(key) for key in list(held) if key not in pools]
        returned = book.retired()
        assert sorted(gone) == sorted(
            (each.advertiser_id, each.lease_id, each.reserved_micros, each.reserved_impressions) for each in returned
        )
        assert book.retired() == []
        assert {book.pools.key(int(at)) for at in book.open.nonzero()[0]} == set(held)
        for key in pools:
            at = book.position(*key)
            assert at is not None
            if key in held:
                _, lease, micros, impressions = held[key]
                assert (book.lease_id(at), book.remaining[at], book.impressions_left[at]) == (
                    lease, 1_000 - micros, 50 - impressions
                )  # fmt: skip
            elif chance.random() < 0.5:
                held[key] = (int(book.pools.advertiser[at]), next(numbers), 0, 0)
                book.grant(at, held[key][1], 1_000, 50, NEVER_ENDS_MS)
            if key in held and chance.random() < 0.5:
                advertiser, lease, micros, impressions = held[key]
                assert book.reserve(at, 7, 0) == lease
                held[key] = (advertiser, lease, micros + 7, impressions + 1)
        if chance.random() < 0.2:  # a new base
            base, compiled = _merged(compiler, after)
        else:
            compiled = layered_now(base, compiler.overlay([encode_change(difference(before, after))]))


def with_constant_owners(catalogue: Catalogue) -> Catalogue:
    """No line item ever moves to another advertiser."""
    lines = [
        msgspec.structs.replace(line, advertiser_id=1 + line.id % 3, campaign_id=1 + line.id % 3)
        for line in catalogue.line_items
    ]
    return msgspec.structs.replace(catalogue, line_items=tuple(lines))


def _merged(compiler: CatalogueCompiler, catalogue: Catalogue) -> tuple[Compiled, Compiled]:
    base = compiler.whole(encode_catalogue(catalogue), ())
    return base, base
