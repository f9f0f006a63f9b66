"""Deliveries: each is sent once, also where a server is slow; files of reports do not gather for ever."""

import asyncio
import os
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from admin.mail.outbox import FILES_KEPT_DAYS, KEPT_DAYS, Outbox, OutboxItem, OutboxLoop, forget_files
from admin.mail.sending import MailSender
from admin.reports.saved import RecipientRequest, SavedReportDesk
from admin.store.database import Database
from admin.store.migrate import migrate
from core.clock import ManualClock
from core.config import MailSettings
from core.telemetry.metrics import Telemetry
from segments.audiences.callout import Caller

ANN = "ann@shop.example"
DAY_S = 86_400
SETTINGS = MailSettings(host="mail.example", sender="grosz@dsp.example")


class SlowSender(MailSender):
    """A mail server that takes its time, during which another worker looks for what is due."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__(SETTINGS)
        self.clock, self.seconds = clock, seconds
        self.sent: list[str] = []
        self.other: OutboxLoop | None = None

    async def send(self, message: EmailMessage) -> None:
        self.clock.advance(self.seconds)
        self.sent.append(message["Subject"])
        if self.other is not None and len(self.sent) == 14:  # more time is over than a claim lasts
            await self.other.step()


class HangingSender(MailSender):
    """A mail server that never answers."""

    def __init__(self) -> None:
        super().__init__(SETTINGS)

    async def send(self, _message: EmailMessage) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def database(any_database_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    """One where Ann has agreed to mails."""
    made = Database.open(any_database_url)
    await migrate(made)
    desk = SavedReportDesk(made, clock)
    await desk.confirm(await desk.ask_recipient(RecipientRequest(ANN), None))
    yield made
    await made.close()


def loop_of(database: Database, clock: ManualClock, sender: MailSender, attempt_s: float = 240) -> OutboxLoop:
    return OutboxLoop(
        Outbox(database, clock), database, sender, Caller(allow_private=True), None, Telemetry(), attempt_s
    )


async def add(database: Database, clock: ManualClock, *names: str) -> None:
    for name in names:
        item = OutboxItem(once=name, advertiser_id=1, channel="mail", target=ANN, subject=name, text="t")
        assert await Outbox(database, clock).add(item)


async def test_two_workers_send_each_mail_once_by_a_server_that_takes_half_a_minute(
    database: Database, clock: ManualClock
) -> None:
    names = [f"mail {number}" for number in range(20)]
    await add(database, clock, *names)
    sender = SlowSender(clock, seconds=30)
    sender.other = loop_of(database, clock, sender)
    await loop_of(database, clock, sender).step()
    assert sorted(sender.sent) == sorted(names)


async def test_what_has_waited_longest_is_sent_first(database: Database, clock: ManualClock) -> None:
    for name in ("first", "second", "third"):
        await add(database, clock, name)
        clock.advance(1)
    sender = SlowSender(clock, seconds=1)
    assert await loop_of(database, clock, sender).step() == 3
    assert sender.sent == ["first", "second", "third"]


async def test_a_server_that_never_answers_is_given_up(database: Database, clock: ManualClock) -> None:
    await add(database, clock, "mail")
    assert await loop_of(database, clock, HangingSender(), attempt_s=0.01).step() == 0
    (row,) = await Outbox(database, clock).listed(None, "waiting")
    assert (row["attempts"], row["error"]) == (1, "it was not done after 0.01 s")


def test_old_files_of_reports_go_and_those_of_others_stay(tmp_path: Path) -> None:
    now_s = 1_000 * DAY_S
    ages = {
        "00000001.xlsx": FILES_KEPT_DAYS + 1, "00000002.csv": FILES_KEPT_DAYS - 1, "00000003.tmp": FILES_KEPT_DAYS + 1,
        "123456789.json": FILES_KEPT_DAYS + 1, "00000004.pdf": 900, "notes.csv": 900, "2026-11.xlsx": 900,
        "0000001.csv": 900, "00000005.csv.bak": 900, "20261201T081500Z-00000006.csv": FILES_KEPT_DAYS + 1,
        "20261201T081500Z-00000007.csv": 9, "20261201-00000008.csv": 900,
    }  # fmt: skip
    for name, days in ages.items():
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (now_s - days * DAY_S,) * 2)
    (tmp_path / "00000009.csv").mkdir()
    os.utime(tmp_path / "00000009.csv", (0, 0))
    forget_files(tmp_path, now_s - FILES_KEPT_DAYS * DAY_S)
    assert {path.name for path in tmp_path.iterdir()} == {
        "00000002.csv", "00000004.pdf", "notes.csv", "2026-11.xlsx", "0000001.csv", "00000005.csv.bak", "00000009.csv",
        "20261201T081500Z-00000007.csv", "20261201-00000008.csv",
    }  # fmt: skip
    forget_files(tmp_path / "none", now_s)


async def test_a_file_that_is_written_ends_the_oldest_ones(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    old = folder / "00000099.csv"
    old.write_text("old")
    os.utime(old, (clock.now_ms() / 1000 - FILES_KEPT_DAYS * DAY_S - 1,) * 2)
    item = OutboxItem(
        once="file", advertiser_id=1, channel="file", target="", subject="s", text="t", attachment=b"new", ending="csv"
    )
    outbox = Outbox(database, clock)
    assert await outbox.add(item)
    sender, caller = MailSender(MailSettings()), Caller(allow_private=True)
    assert await OutboxLoop(outbox, database, sender, caller, folder, Telemetry()).step() == 1
    (left,) = folder.iterdir()
    assert left.read_bytes() == b"new"


async def test_a_file_outlives_the_deliveries_that_get_its_number_again(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    """A month's report is the only delivery, and is forgotten before the next."""
    outbox = Outbox(database, clock)
    sender, caller = MailSender(MailSettings()), Caller(allow_private=True)
    loop = OutboxLoop(outbox, database, sender, caller, tmp_path / "reports", Telemetry())
    for month in (b"November", b"December"):
        item = OutboxItem(
            once=month.decode(), advertiser_id=1, channel="file", target="", subject="s", text="t", attachment=month,
            ending="csv",
        )  # fmt: skip
        assert await outbox.add(item)
        assert await loop.step() == 1
        clock.advance((KEPT_DAYS + 1) * DAY_S)
        await outbox.forget()
    assert [path.read_bytes() for path in sorted((tmp_path / "reports").iterdir())] == [b"November", b"December"]
