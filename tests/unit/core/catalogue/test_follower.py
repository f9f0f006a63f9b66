"""Following what is published: by changes where they lead on, otherwise whole, and never less than what is in force."""

import asyncio
import logging
import random
from collections.abc import Sequence

import pytest

from core import keys
from core.catalogue.codec import apply_encoded, decode_published, difference, encode_catalogue, encode_change
from core.catalogue.follower import (
    RETRY_REFUSED_S,
    CatalogueFollower,
    CatalogueWatcher,
    CommandSource,
    read_catalogue,
    read_changes,
)
from core.clock import ManualClock
from core.errors import CatalogueError, UnavailableError
from core.model import Catalogue
from tests.kit.catalogues import catalogue, line_item
from tests.kit.publishing import PublishedValues, changed_catalogue
from tests.kit.random_bidding import random_catalogue


class Taker:
    """Takes catalogues as values, and notes how each came."""

    def __init__(self) -> None:
        self.current: Catalogue | None = None
        self.taken: list[str] = []
        self.fails_by: Exception | None = None

    async def take(self, snapshot: bytes, changes: Sequence[bytes]) -> int:
        self.taken.append(f"whole+{len(changes)}")
        self.current = decode_published(snapshot, changes)
        return self.current.version

    async def take_changes(self, changes: Sequence[bytes]) -> int:
        self.taken.append(f"changes+{len(changes)}")
        assert self.current is not None
        if self.fails_by is not None:
            raise self.fails_by
        self.current = apply_encoded(self.current, changes)
        return self.current.version


class Side:
    """A follower of a catalogue of versions 1, 2, ..., in which line item n comes with version n."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.published = PublishedValues()
        self.taker = Taker()
        self.watcher = CatalogueWatcher(self.published, self.taker, clock=self.clock, poll_s=0.001)

    def whole(self, version: int) -> None:
        self.published.publish(encode_catalogue(at(version)), version, self.clock.now_ms())

    def change(self, since: int, version: int, data: bytes | None = None) -> None:
        self.published.append(difference(at(since), at(version)), data)

    async def polled(self) -> list[str]:
        """What was taken by one poll."""
        begun = len(self.taker.taken)
        await self.watcher.follow()
        assert self.taker.current is not None
        assert self.taker.current == at(self.watcher.version)
        return self.taker.taken[begun:]


def at(version: int) -> Catalogue:
    return catalogue(*(line_item(number) for number in range(1, version + 1)), version=version)


@pytest.fixture
def side() -> Side:
    return Side()


async def test_the_first_catalogue_is_taken_whole_with_the_changes_after_it(side: Side) -> None:
    await side.watcher.follow()
    assert side.taker.taken == []
    side.whole(1)
    side.change(1, 2)
    side.change(2, 5)
    assert await side.polled() == ["whole+2"]
    assert side.watcher.version == 5
    assert side.watcher.age_s == 0
    assert await side.polled() == []


async def test_later_ones_are_taken_by_changes_and_the_whole_is_not_read(side: Side) -> None:
    side.whole(1)
    await side.polled()
    side.change(1, 2)
    assert await side.polled() == ["changes+1"]
    side.change(2, 3)
    side.change(3, 6)
    assert await side.polled() == ["changes+2"]
    assert (side.watcher.version, side.published.snapshot_reads) == (6, 1)


async def test_a_whole_one_that_was_written_meanwhile_changes_nothing_for_who_has_a_version(side: Side) -> None:
    side.whole(1)
    side.change(1, 2)
    await side.polled()
    side.change(2, 3)
    side.published.write_snapshot(at(3))
    assert await side.polled() == ["changes+1"]


async def test_changes_that_do_not_begin_at_the_installed_version_lead_to_the_whole(side: Side) -> None:
    side.whole(1)
    await side.polled()
    side.change(1, 2)
    side.change(2, 3)
    side.change(3, 4)
    side.published.write_snapshot(at(3))
    del side.published.stream[0]
    assert await side.polled() == ["whole+1"]
    assert side.watcher.version == 4


async def test_a_whole_one_that_is_older_than_what_is_in_force_is_never_installed(side: Side) -> None:
    side.whole(1)
    side.change(1, 2)
    side.change(2, 3)
    (_, lost) = side.published.stream.pop(0), side.published.stream[:]
    for missing in (lost, []):
        side.published.stream = missing
        with pytest.raises(UnavailableError):
            await side.watcher.follow()
        assert (side.watcher.version, side.taker.taken) == (-1, [])
    side.published.write_snapshot(at(3))
    assert await side.polled() == ["whole+0"]


async def test_who_has_a_version_waits_too_until_the_changes_are_complete(side: Side) -> None:
    side.whole(1)
    await side.polled()
    side.published.values[keys.CATALOGUE_VERSION] = b"3"
    with pytest.raises(UnavailableError):
        await side.watcher.follow()
    assert side.watcher.version == 1
    side.change(1, 3)
    assert await side.polled() == ["changes+1"]


@pytest.mark.parametrize("error", [CatalogueError("cannot be compiled"), UnavailableError("the child died")])
async def test_after_a_change_that_cannot_be_taken_the_whole_comes_next(side: Side, error: Exception) -> None:
    side.whole(1)
    await side.polled()
    side.change(1, 2)
    side.taker.fails_by = error
    with pytest.raises(UnavailableError):
        await side.watcher.follow()
    assert (side.watcher.version, side.watcher.refusal) == (1, None)
    assert await side.polled() == ["whole+1"]
    side.taker.fails_by = None
    side.change(2, 3)
    assert await side.polled() == ["changes+1"]


async def test_a_damaged_change_is_overcome_by_the_next_whole(side: Side) -> None:
    side.whole(1)
    await side.polled()
    side.change(1, 2, b"rubbish")
    with pytest.raises(UnavailableError):
        await side.watcher.follow()
    with pytest.raises(CatalogueError):
        await side.watcher.follow()
    assert side.watcher.refusal is not None
    assert side.watcher.refusal.version == 2
    await side.watcher.follow()
    assert side.taker.taken[1:] == ["changes+1", "whole+1"], "a refused version is not tried at each poll"
    side.published.write_snapshot(at(2))
    side.clock.advance(RETRY_REFUSED_S)
    assert await side.polled() == ["whole+0"]
    assert side.watcher.refusal is None


async def test_a_damaged_change_is_tried_again_when_something_newer_is_published(side: Side) -> None:
    side.whole(1)
    await side.polled()
    side.change(1, 2, encode_change(difference(at(4), at(5))))
    for error in (UnavailableError, CatalogueError):
        with pytest.raises(error):
            await side.watcher.follow()
    side.change(2, 3)
    side.published.write_snapshot(at(3))
    assert await side.polled() == ["whole+0"]


async def test_an_entry_of_another_shape_ends_the_chain(side: Side) -> None:
    side.whole(1)
    side.published.stream.append((2, {b"what": b"else"}))
    assert await read_changes(side.published, 1) == ((), 1)


async def test_a_lower_version_is_followed_as_what_is_published_is_the_truth(side: Side) -> None:
    side.whole(5)
    await side.polled()
    side.whole(3)
    assert await side.polled() == ["whole+0"]
    assert side.watcher.version == 3


async def test_a_failure_is_said_and_following_goes_on(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    side.whole(1)
    await side.polled()
    side.change(1, 2)
    side.taker.fails_by = CatalogueError("cannot be compiled")
    with caplog.at_level(logging.WARNING, "grosz.bidder.catalogue"):
        running = asyncio.create_task(side.watcher.run())
        async with asyncio.timeout(20):
            while side.watcher.version < 2:  # noqa: ASYNC110 - what is awaited is in another task
                await asyncio.sleep(0.001)
        running.cancel()
    (record,) = [record for record in caplog.records if record.name == "grosz.bidder.catalogue"]
    assert "cannot be compiled" in record.getMessage()


async def test_the_roles_without_an_index_hear_of_each_catalogue() -> None:
    follower, heard = CatalogueFollower(), list[int]()
    follower.listen(lambda published: heard.append(published.version))
    with pytest.raises(CatalogueError):
        await follower.take_changes([encode_change(difference(at(1), at(2)))])
    assert await follower.take(encode_catalogue(at(7)), [encode_change(difference(at(7), at(8)))]) == 8
    assert await follower.take_changes([encode_change(difference(at(n), at(n + 1))) for n in (8, 9)]) == 10
    assert heard == [8, 10]
    assert follower.current == at(10)
    with pytest.raises(CatalogueError):
        await follower.take_changes([encode_change(difference(at(8), at(9)))])
    assert follower.current == at(10)


async def test_whatever_happens_between_polls_the_follower_has_what_is_published() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        side, present = Side(), random_catalogue(chance)
        side.published.publish(encode_catalogue(present), present.version)
        for _ in range(30):
            action = chance.random()
            if action < 0.5:
                before, present = present, changed_catalogue(chance, present)
                side.published.append(difference(before, present))
            elif action < 0.6:
                side.published.write_snapshot(present)
                side.published.stream = side.published.stream[chance.randint(0, len(side.published.stream)) :]
            elif action < 0.65:
                present = changed_catalogue(chance, present)
                side.published.publish(encode_catalogue(present), present.version)
            else:
                await side.watcher.follow()
                assert side.taker.current == present
        await side.watcher.follow()
        assert side.taker.current == present


async def test_plain_commands_read_the_same() -> None:
    entry = [b"2-0", [b"since", b"1", b"change", encode_change(difference(at(1), at(2)))]]
    answers: dict[tuple[bytes | str | int, ...], object] = {
        ("GET", keys.CATALOGUE_VERSION): b"2",
        ("GET", keys.CATALOGUE_SNAPSHOT): encode_catalogue(at(1)),
        ("XRANGE", keys.CATALOGUE_CHANGES, "2-0", "+"): [entry],
    }

    async def send(commands: Sequence[tuple[bytes | str | int, ...]]) -> list[object]:
        return [answers.get(command) for command in commands]

    assert await read_catalogue(CommandSource(send)) == at(2)
    answers.clear()
    with pytest.raises(UnavailableError):
        await read_catalogue(CommandSource(send))
