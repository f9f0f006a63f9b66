"""Status, flight, daypart and money decide each second who may bid."""

import datetime

import msgspec
import numpy as np
import pytest

from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.index import compile_index
from core.model import Catalogue, Status, Targeting
from core.reasons import NoBid
from pacing.budgets.leases import LeaseBook
from tests.kit.bidding import NOW_MS, TestBidder, generous
from tests.kit.catalogues import catalogue, line_item


def live(configured: Catalogue, now_ms: int = NOW_MS) -> tuple[LiveSets, LeaseBook]:
    index, book = compile_index(configured), LeaseBook()
    book.bind(index.pools)
    generous(book)
    sets = LiveSets(index)
    sets.refresh(now_ms, book)
    return sets, book


def test_the_flight_includes_its_start_and_not_its_end() -> None:
    configured = catalogue(
        line_item(1, start_ms=NOW_MS), line_item(2, start_ms=NOW_MS + 1), line_item(3, end_ms=NOW_MS), line_item(4)
    )
    assert live(configured)[0].bits == 0b1001


def test_paused_objects_take_their_line_items_out() -> None:
    configured = catalogue(line_item(1), line_item(2, status=Status.PAUSED), line_item(3, advertiser=2))
    paused = tuple(
        msgspec.structs.replace(item, status=Status.PAUSED) if item.id == 2 else item for item in configured.campaigns
    )
    assert live(msgspec.structs.replace(configured, campaigns=paused))[0].bits == 0b001


@pytest.mark.parametrize(
    ("moment", "hour"),
    [
        ("2026-10-25T00:30+00:00", 6 * 24 + 2),  # Warsaw 02:30, summer time
        ("2026-10-25T01:30+00:00", 6 * 24 + 2),  # 02:30 once more, winter time
        ("2026-03-29T00:59+00:00", 6 * 24 + 1),
        ("2026-03-29T01:00+00:00", 6 * 24 + 3),  # there is no 02:00
        ("2026-09-20T22:00+00:00", 0),  # Monday there already
    ],
)
def test_dayparts_follow_the_advertiser_s_clock(moment: str, hour: int) -> None:
    now_ms = int(datetime.datetime.fromisoformat(moment).timestamp() * 1000)
    configured = catalogue(
        line_item(1, targeting=Targeting(hours_of_week=(hour,))),
        line_item(2, targeting=Targeting(hours_of_week=tuple(set(range(168)) - {hour}))),
    )
    assert live(configured, now_ms)[0].bits == 0b01


def test_without_money_or_pace_a_line_item_is_out() -> None:
    sets, book = live(catalogue(line_item(1), line_item(2), line_item(3), line_item(4)))
    assert sets.bits == 0b1111
    book.multiplier[0] = 0.0
    book.remaining[1] = 0
    book.refused_until_ms[1:3] = NOW_MS + 1
    book.take(2)
    sets.refresh(NOW_MS, book)
    assert sets.bits == 0b1000
    passing = dict(sets.parts)
    assert passing[NoBid.PACED_OUT] == 0b1110
    assert passing[NoBid.NO_LEASE] == 0b1001
    sets.refresh(NOW_MS + 1, book)
    assert sets.bits == 0b1110, "what may be asked for again is priced, so that somebody asks"


def test_where_nobody_may_bid_the_sets_say_why() -> None:
    sets, book = live(catalogue(line_item(1), line_item(2)))
    reasons = [sets.nobody]
    book.remaining[:] = 0
    book.refused_until_ms[:] = NOW_MS + 1
    sets.refresh(NOW_MS, book)
    reasons.append(sets.nobody)
    book.multiplier[:] = 0.0
    sets.refresh(NOW_MS, book)
    reasons.append(sets.nobody)
    assert reasons == [None, NoBid.NO_LEASE, NoBid.PACED_OUT]


def test_impressions_count_for_the_sets_that_were_in_force() -> None:
    sets, book = live(catalogue(line_item(1), line_item(2)))
    sets.hits += 3
    book.multiplier = np.array([0.0, 1.0])
    sets.refresh(NOW_MS, book)
    sets.hits += 2
    counts = sets.harvest()
    assert counts[NoBid.PACED_OUT, 0b11] == 3
    assert counts[NoBid.PACED_OUT, 0b10] == 2
    assert counts[NoBid.INACTIVE, 0b11] == 5
    assert sets.harvest() == {}


def test_an_empty_catalogue_lives_too() -> None:
    assert TestBidder(catalogue()).snapshot.live.bits == 0
