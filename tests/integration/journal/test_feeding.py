"""A sink gets what the journal's files have, without people who are erased, from one worker at a time."""

from pathlib import Path

import pytest

from admin.roles.journal_sink import SinkFeeder
from core import keys
from core.clock import SystemClock
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from journal.rows import BILL, CLICK, NOTICE
from journal.sinks.files import FileSink
from journal.sinks.outbox import FOLDER, SinkOutbox
from journal.sinks.sink import RowBatch
from tests.integration.journal.conftest import (
    PEOPLE,
    KeptShop,
    an_impression,
    feeder_of,
    keep_and_die,
    the_visitor_opts_out,
)
from tests.kit.journal_rows import JournalFolder
from tests.kit.money import USER


async def test_a_sink_has_what_the_files_have_also_after_a_kill(
    kept: KeptShop, elsewhere: tuple[JournalFolder, SinkFeeder], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, feeder = elsewhere
    await an_impression(kept, click=True)
    await kept.keep()
    await an_impression(kept)
    await keep_and_die(kept, monkeypatch)
    assert await feeder.give() > 0
    kept.keeper.stop()
    kept.keeper = kept.new_keeper(feeder)
    await kept.keep()
    await feeder.give()
    assert await feeder.give() == 0
    for kind, count in ((BILL, 2), (CLICK, 1), (NOTICE, 2)):
        assert sink.rows(kind) == kept.folder.rows(kind)
        assert len(kept.folder.rows(kind)) >= count


async def test_who_was_erased_while_the_sink_was_away_does_not_reach_it(
    kept: KeptShop, elsewhere: tuple[JournalFolder, SinkFeeder], tmp_path: Path
) -> None:
    sink, feeder = elsewhere
    await an_impression(kept, click=True)
    await kept.keep()
    person = PEOPLE.of(USER, kept.shop.clock.now_ms())
    await the_visitor_opts_out(kept)
    assert await feeder.clean() > 0
    assert await feeder.clean() == 0, "until an hour is over"
    outbox = SinkOutbox(tmp_path / FOLDER, Telemetry(), max_bytes=10)
    assert str(person) not in repr([outbox.read(path) for path in outbox.waiting()])
    await an_impression(kept, click=True)  # of a bid that was out
    await kept.keep()
    assert await feeder.give() > 0
    for kind in (NOTICE, CLICK):
        assert [row[0] for row in sink.rows(kind, "person")] == [0] * len(kept.folder.rows(kind))


async def test_a_full_disk_keeps_no_batch_from_the_sink(
    kept: KeptShop, elsewhere: tuple[JournalFolder, SinkFeeder], tmp_path: Path
) -> None:
    sink, feeder = elsewhere
    await an_impression(kept, click=True)
    await kept.keep()
    await the_visitor_opts_out(kept)
    outbox = SinkOutbox(tmp_path / FOLDER, Telemetry(), max_bytes=10)
    for path in outbox.waiting():
        Path(f"{path}.tmp").mkdir()  # no batch can be written anew
    with pytest.raises(UnavailableError, match="cannot be written anew"):
        await feeder.clean()
    await feeder.step()
    assert not outbox.waiting()
    assert [row[0] for row in sink.rows(CLICK, "person")] == [0]


async def test_batches_are_cleaned_while_the_sink_takes_none(
    kept: KeptShop, elsewhere: tuple[JournalFolder, SinkFeeder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sink, feeder = elsewhere
    await an_impression(kept, click=True)
    await kept.keep()
    person = PEOPLE.of(USER, kept.shop.clock.now_ms())
    await the_visitor_opts_out(kept)

    async def away(_sink: FileSink, _batch: RowBatch) -> None:
        raise UnavailableError("the sink is away")

    monkeypatch.setattr(FileSink, "put", away)
    with pytest.raises(UnavailableError, match="the sink is away"):
        await feeder.step()
    outbox = SinkOutbox(tmp_path / FOLDER, Telemetry(), max_bytes=10)
    assert outbox.waiting()
    assert str(person) not in repr([outbox.read(path) for path in outbox.waiting()])


async def test_of_two_workers_the_one_that_has_the_folder_feeds_the_sink(
    kept: KeptShop, elsewhere: tuple[JournalFolder, SinkFeeder], tmp_path: Path
) -> None:
    sink, feeder = elsewhere
    other = feeder_of(kept, sink, tmp_path)
    standby = kept.made_keeper(other)
    await an_impression(kept)
    await kept.keep()
    outbox = SinkOutbox(tmp_path / FOLDER, Telemetry(), max_bytes=10)
    assert not standby.start()
    await other.step()
    assert outbox.waiting()
    kept.keeper.stop()
    await feeder.step()
    assert outbox.waiting(), "its worker has given the folder back"
    assert standby.start()
    await other.step()
    assert not outbox.waiting()
    assert sink.rows(NOTICE) == kept.folder.rows(NOTICE)
    await standby.close()
    assert kept.keeper.start()


async def test_an_erasure_is_repeated_until_the_sink_is_clean(
    kept: KeptShop, elsewhere: tuple[JournalFolder, SinkFeeder]
) -> None:
    sink, feeder = elsewhere
    await feeder.erase()
    await an_impression(kept, click=True)
    await kept.keep()
    await feeder.give()
    person = PEOPLE.of(USER, kept.shop.clock.now_ms())
    assert person in {row[0] for row in sink.rows(NOTICE, "person")}
    await the_visitor_opts_out(kept)
    await feeder.erase()
    for kind in (NOTICE, CLICK):
        assert {row[0] for row in sink.rows(kind, "person")} == {0}
    now_s = SystemClock().now_ms() // 1000  # the erasure is stamped by the server
    kept.shop.clock.advance(now_s + 8 * 3_600 - kept.shop.clock.now_ms() // 1000)
    await kept.keeper.erase()
    assert await kept.shop.transitions.command("ZCARD", keys.JOURNAL_ERASURES), "the sink is not known to be clean"
    feeder._erased_at -= 3_600.0
    await feeder.erase()
    await kept.keeper.erase()
    assert not await kept.shop.transitions.command("ZCARD", keys.JOURNAL_ERASURES)
