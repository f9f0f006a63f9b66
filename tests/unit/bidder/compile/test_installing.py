"""Following the published catalogue: what is new is taken, what is broken is refused once, the child may die."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from bidder.compile.compiler import CatalogueCompiler
from bidder.compile.installing import LEAST_MERGED, MERGING, BidCatalogue
from bidder.compile.process import CHILD_NICENESS
from bidder.decision.model_file import load_model
from bidder.diagnosis.funnel import FunnelWriter
from bidder.door.handler import BidderHandler
from bidder.door.metrics import BidMetrics
from bidder.request.auction import Impression
from bidder.request.consent import ConsentPolicy
from bidder.targeting.index import Index
from core import keys
from core.catalogue.codec import difference, encode_catalogue
from core.catalogue.follower import RETRY_REFUSED_S, CatalogueWatcher, Chain, read_whole
from core.clock import ManualClock
from core.config import ConsentSettings
from core.errors import CatalogueError, UnavailableError
from core.model import Advertiser, Catalogue, LineItem, Status, Targeting
from core.telemetry.metrics import Telemetry
from pacing.budgets.leases import LeaseBook
from pacing.notices.tokens import TokenSigner
from tests.kit.bid_port import until
from tests.kit.bidding import KEYS, TRACK, KnownProfiles, TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request
from tests.kit.publishing import PublishedValues


class NoStore:
    """The funnel's store is not what is tested here."""

    async def set(self, name: str, value: bytes, *, ex: int) -> object:
        return None

    async def sadd(self, name: str, *values: str) -> object:
        return None

    async def expire(self, name: str, time: int) -> object:
        return None


class Side:
    """A bidder's side of the catalogue."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.book = LeaseBook()
        self.handler = BidderHandler(
            profiles=KnownProfiles(),
            signer=TokenSigner(KEYS),
            policy=ConsentPolicy(ConsentSettings()),
            clock=self.clock,
            metrics=BidMetrics(Telemetry()),
            tmax_cap_ms=100,
            fresh=lambda: True,
        )
        self.funnel = FunnelWriter(NoStore(), "p", self.clock)
        self.published = PublishedValues()
        self.may_merge = asyncio.Event()
        self.may_merge.set()
        self.bid = BidCatalogue(
            read_whole=self._read_whole,
            model=load_model(),
            book=self.book,
            handler=self.handler,
            funnel=self.funnel,
            track_url=TRACK,
            clock=self.clock,
        )
        self.watcher = CatalogueWatcher(self.published, self.bid, clock=self.clock, poll_s=0.001)

    async def _read_whole(self) -> tuple[bytes, Chain]:
        found = await read_whole(self.published)
        await self.may_merge.wait()
        return found


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    made = Side()
    yield made
    await made.bid.close()


@pytest.mark.parametrize(
    "broken",
    [
        catalogue(line_item(1, campaign_id=99)),
        catalogue(line_item(1, targeting=Targeting(hours_of_week=(168,)))),
        msgspec.structs.replace(
            catalogue(line_item(1)), advertisers=(Advertiser(id=1, name="x", timezone="Mars/Base"),)
        ),
    ],
)
def test_what_cannot_be_compiled_is_refused_where_it_is_compiled(broken: Catalogue) -> None:
    with pytest.raises(CatalogueError):
        CatalogueCompiler().whole(encode_catalogue(broken), ())


async def test_a_new_version_is_installed_and_an_old_one_not_read_again(side: Side) -> None:
    assert side.watcher.version == -1
    await side.watcher.follow()
    assert side.published.snapshot_reads == 0
    side.published.publish(encode_catalogue(catalogue(line_item(1), version=4)), 4, side.clock.now_ms())
    await side.watcher.follow()
    await side.watcher.follow()
    assert (side.watcher.version, side.published.snapshot_reads) == (4, 1)
    snapshot = side.handler.snapshot
    assert snapshot is not None
    assert snapshot.is_bound
    assert snapshot.live.parts


async def test_a_change_is_installed(side: Side) -> None:
    versions = [catalogue(*(line_item(n) for n in range(1, version + 1)), version=version) for version in range(1, 4)]
    side.published.publish(encode_catalogue(versions[0]), 1)
    side.published.append(difference(versions[0], versions[1]))
    await side.watcher.follow()
    assert side.handler.snapshot is not None
    assert set(side.handler.snapshot.index.by_line_item) == {1, 2}
    side.published.append(difference(versions[1], versions[2]))
    await side.watcher.follow()
    assert set(side.handler.snapshot.index.by_line_item) == {1, 2, 3}
    assert (side.watcher.version, side.published.snapshot_reads) == (3, 1)


def line_items(side: Side) -> dict[int, int]:
    """The line items that are served, and their positions."""
    assert side.handler.snapshot is not None
    return {line_item: position for line_item, (position,) in side.handler.snapshot.index.by_line_item.items()}


async def test_changes_lie_above_the_base_until_they_are_many(side: Side) -> None:
    present = catalogue(*(line_item(n) for n in range(1, 4)), version=1)
    side.published.publish(encode_catalogue(present), 1)
    await side.watcher.follow()
    assert line_items(side) == {1: 0, 2: 1, 3: 2}

    async def change(*changed: LineItem) -> None:
        nonlocal present
        known = {line.id: line for line in present.line_items} | {line.id: line for line in changed}
        before, present = present, catalogue(*(known[n] for n in sorted(known)), version=present.version + 1)
        side.published.append(difference(before, present))
        await side.watcher.follow()

    await change(line_item(2, max_cpm_micros=7_000_000))
    await change(line_item(4))
    assert line_items(side) == {1: 0, 2: 3, 3: 2, 4: 4}
    assert side.handler.snapshot is not None
    assert side.handler.snapshot.index.lines.max_cpm[3] == 7_000_000
    assert side.handler.snapshot.is_bound
    await change(*(line_item(n) for n in range(5, 6 + LEAST_MERGED)))
    await until(lambda: line_items(side)[2] == 1)
    assert line_items(side) == {n: n - 1 for n in range(1, 6 + LEAST_MERGED)}
    assert side.handler.snapshot.index.version == side.watcher.version == 4
    await change(line_item(1, max_cpm_micros=8_000_000))
    assert line_items(side)[1] == 5 + LEAST_MERGED
    assert (side.published.snapshot_reads, side.watcher.version) == (2, 5)


async def test_a_change_that_comes_while_a_base_is_compiled_is_not_lost(side: Side) -> None:
    many = [line_item(n) for n in range(1, 3 + LEAST_MERGED)]
    versions = [catalogue(line_item(1), version=1), catalogue(*many, version=2)]
    versions.append(catalogue(line_item(1, max_cpm_micros=7_000_000), *many[1:], version=3))
    side.published.publish(encode_catalogue(versions[0]), 1)
    await side.watcher.follow()
    side.may_merge.clear()
    side.published.append(difference(versions[0], versions[1]))
    await side.watcher.follow()
    await until(lambda: side.published.snapshot_reads == 2)  # of version 2, for the new base
    side.published.append(difference(versions[1], versions[2]))
    await side.watcher.follow()
    assert line_items(side)[2] == 1 + 1
    side.may_merge.set()
    await until(lambda: line_items(side)[2] == 1)
    assert side.handler.snapshot is not None
    index = side.handler.snapshot.index
    assert (index.version, index.lines.max_cpm[line_items(side)[1]]) == (3, 7_000_000)


async def merging(side: Side) -> list[Catalogue]:
    """Two versions, the second of which is served and being merged into a new base; nothing is read for that yet."""
    many = [line_item(n) for n in range(1, 3 + LEAST_MERGED)]
    versions = [catalogue(line_item(1), version=1), catalogue(*many, version=2)]
    side.published.publish(encode_catalogue(versions[0]), 1)
    await side.watcher.follow()
    side.published.append(difference(versions[0], versions[1]))
    await side.watcher.follow()
    assert side.bid.layers == (1, 1 + LEAST_MERGED)
    return versions


async def merged(side: Side) -> None:
    """Wait until no base is being compiled any more."""
    await until(lambda: MERGING not in {task.get_name() for task in asyncio.all_tasks()})


async def test_a_base_that_is_older_than_a_whole_catalogue_that_came_meanwhile_is_given_up(side: Side) -> None:
    side.may_merge.clear()
    (_, second) = await merging(side)
    await until(lambda: side.published.snapshot_reads == 2)  # of version 2, for the new base
    paused = line_item(1, status=Status.PAUSED)
    side.published.publish(encode_catalogue(catalogue(paused, *second.line_items[1:], version=3)), 3)
    await side.watcher.follow()
    side.may_merge.set()
    await merged(side)
    assert side.handler.snapshot is not None
    index = side.handler.snapshot.index
    assert (side.watcher.version, index.version, bool(index.lines.active[line_items(side)[1]])) == (3, 3, False)


async def test_changes_are_taken_while_a_new_base_is_tried(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_base: Index) -> None:
        tried.set()
        await go_on.wait()

    versions = await merging(side)
    monkeypatch.setattr(side.bid, "_rehearse", wait)
    await tried.wait()
    paused = catalogue(line_item(1, status=Status.PAUSED), *versions[1].line_items[1:], version=3)
    side.published.append(difference(versions[1], paused))
    await side.watcher.follow()
    assert side.bid.layers == (1, 2 + LEAST_MERGED)
    go_on.set()
    await merged(side)
    assert side.bid.layers == (2 + LEAST_MERGED, 1)
    assert side.handler.snapshot is not None
    index = side.handler.snapshot.index
    assert (index.version, bool(index.lines.active[line_items(side)[1]])) == (3, False)


async def test_no_base_is_compiled_of_what_is_older_than_what_is_served(side: Side) -> None:
    versions = await merging(side)
    side.published.publish(encode_catalogue(versions[0]), 1)  # restarted with older data, and soon published again
    await merged(side)
    assert side.published.snapshot_reads == 2
    side.published.publish(encode_catalogue(versions[1]), 2)
    await side.watcher.follow()
    assert side.handler.snapshot is not None
    assert (side.watcher.version, side.handler.snapshot.index.version) == (2, 2)


async def test_a_request_that_cannot_be_matched_keeps_no_catalogue_from_being_installed(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    strange = bidder.screened(raw_request())
    strange.impressions = [cast(Impression, object())]
    side.handler.recent.append(strange)
    side.published.publish(encode_catalogue(catalogue(line_item(1), version=1)), 1)
    await side.watcher.follow()
    assert (side.watcher.version, line_items(side)) == (1, {1: 0})
    assert "a recent request cannot be matched" in caplog.text


async def test_a_change_that_cannot_be_compiled_is_refused_and_the_next_one_is_taken(side: Side) -> None:
    versions = [catalogue(line_item(1), version=1), catalogue(line_item(1), line_item(2, campaign_id=99), version=2)]
    versions.append(catalogue(line_item(1), line_item(2), version=3))
    side.published.publish(encode_catalogue(versions[0]), 1)
    await side.watcher.follow()
    side.published.append(difference(versions[0], versions[1]))
    with pytest.raises(UnavailableError):
        await side.watcher.follow()
    with pytest.raises(CatalogueError):
        await side.watcher.follow()
    assert (side.watcher.version, line_items(side)) == (1, {1: 0})
    side.published.append(difference(versions[1], versions[2]))
    await side.watcher.follow()
    assert (side.watcher.version, set(line_items(side)), side.watcher.refusal) == (3, {1, 2}, None)


async def test_the_age_is_that_of_the_publisher_s_last_sign_of_life(side: Side) -> None:
    side.published.publish(encode_catalogue(catalogue(version=1)), 1, side.clock.now_ms())
    await side.watcher.follow()
    side.clock.advance(30)
    await side.watcher.follow()
    assert side.watcher.age_s == 30
    side.published.values[keys.CATALOGUE_ALIVE] = b"%d" % side.clock.now_ms()
    await side.watcher.follow()
    assert side.watcher.age_s == 0


async def test_an_old_catalogue_ages_while_a_newer_one_cannot_be_installed(side: Side) -> None:
    side.published.publish(encode_catalogue(catalogue(version=1)), 1, side.clock.now_ms())
    await side.watcher.follow()
    side.published.publish(b"rubbish", 2, side.clock.now_ms())
    side.clock.advance(60)
    with pytest.raises(CatalogueError):
        await side.watcher.follow()
    assert side.watcher.age_s == 60


async def test_a_broken_catalogue_is_refused_once_and_the_old_one_stays(side: Side) -> None:
    side.published.publish(encode_catalogue(catalogue(line_item(1), version=1)), 1)
    await side.watcher.follow()
    pools, snapshot = side.book.pools, side.handler.snapshot
    side.published.publish(encode_catalogue(catalogue(line_item(2, campaign_id=99), version=2)), 2)
    with pytest.raises(CatalogueError):
        await side.watcher.follow()
    reads = side.published.snapshot_reads
    await side.watcher.follow()
    assert side.published.snapshot_reads == reads
    assert side.handler.snapshot is snapshot
    assert side.book.pools is pools
    side.published.publish(encode_catalogue(catalogue(line_item(3), version=3)), 3)
    await side.watcher.follow()
    assert side.watcher.version == 3
    assert side.watcher.refusal is None
    assert side.handler.snapshot is not None
    assert set(side.handler.snapshot.index.by_line_item) == {3}


async def test_a_refusal_says_what_and_why_and_is_tried_again_after_a_minute(side: Side) -> None:
    side.published.publish(encode_catalogue(catalogue(line_item(1), version=1)), 1)
    await side.watcher.follow()
    broken = encode_catalogue(catalogue(line_item(2, campaign_id=99), version=2))
    side.published.publish(broken, 2)
    for _ in range(2):
        with pytest.raises(CatalogueError):
            await side.watcher.follow()
        version, text = side.watcher.refusal or (0, "")
        assert version == 2
        assert "campaign 99" in text
        await side.watcher.follow()
        side.clock.advance(RETRY_REFUSED_S)
    assert side.published.snapshot_reads == 3


async def test_the_child_is_there_before_the_first_change_and_gives_way_to_requests(side: Side) -> None:
    before = compilers()
    side.published.publish(encode_catalogue(catalogue(version=1)), 1)
    await side.watcher.follow()
    await until(lambda: bool(compilers() - before))
    (child,) = compilers() - before
    await until(lambda: os.getpriority(os.PRIO_PROCESS, child) == CHILD_NICENESS and os.getsid(child) == child)


async def test_following_goes_on_after_a_failure(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    side.published.publish(b"rubbish", 1)
    with caplog.at_level(logging.WARNING, "grosz.bidder.catalogue"):
        running = asyncio.create_task(side.watcher.run())
        await until(lambda: bool(said(caplog)))
        side.published.publish(encode_catalogue(catalogue(version=2)), 2)
        await until(lambda: side.watcher.version == 2)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert len(said(caplog)) == 1


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "grosz.bidder.catalogue"]


def compilers() -> set[int]:
    found = {int(child) for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
    return {child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


async def test_a_killed_compiler_is_started_again_and_the_old_catalogue_stays(side: Side) -> None:
    first, second = (encode_catalogue(catalogue(line_item(n), version=n)) for n in (1, 2))
    side.published.publish(first, 1)
    before = compilers()
    await side.watcher.follow()
    await until(lambda: bool(compilers() - before))
    side.published.publish(second, 2)
    for child in compilers() - before:
        os.kill(child, signal.SIGKILL)
    installing = asyncio.create_task(side.watcher.follow())
    with pytest.raises(UnavailableError):
        await installing
    assert side.watcher.version == 1
    await side.watcher.follow()
    assert side.watcher.version == 2


async def test_the_whole_is_compiled_when_the_child_died_before_a_change(side: Side) -> None:
    versions = [catalogue(*(line_item(n) for n in range(1, version + 1)), version=version) for version in range(1, 4)]
    side.published.publish(encode_catalogue(versions[0]), 1)
    before = compilers()
    await side.watcher.follow()
    await until(lambda: bool(compilers() - before))
    side.published.append(difference(versions[0], versions[1]))
    for child in compilers() - before:
        os.kill(child, signal.SIGKILL)
    with pytest.raises(UnavailableError):
        await side.watcher.follow()
    await side.watcher.follow()
    assert (side.watcher.version, line_items(side)) == (2, {1: 0, 2: 1})
    side.published.append(difference(versions[1], versions[2]))
    await side.watcher.follow()
    assert (side.watcher.version, line_items(side)) == (3, {1: 0, 2: 1, 3: 2})
