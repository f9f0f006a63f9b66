"""What is to be sent, and its sending: each once, again where it fails, set aside where it keeps failing.

A delivery is claimed by moving its next moment right before it is tried, one at a time: of several admin roles one
sends it, however slow a mail server is. A process that dies between the server's answer and the note of it sends it
once more.
"""

import asyncio
import datetime
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from admin.mail.message import mail
from admin.mail.sending import MailSender
from admin.store.database import Database
from admin.store.model import Webhook
from admin.store.tables import documents, mail_recipients, outbox, webhooks
from core.clock import Clock
from core.errors import GroszError, UnavailableError
from core.model import Status
from core.telemetry.metrics import Telemetry
from segments.audiences.callout import Caller
from segments.audiences.hooks import signature

Channel = Literal["mail", "webhook", "file"]
POLL_S: Final = 5.0
# After these minutes it is tried again; after the last it is set aside for a person to look at.
RETRY_MINUTES: Final = (1, 5, 30, 120, 720)
_MINUTE_MS: Final = 60_000
# An attempt ends after so many seconds; a mail server may take 30 for each of its dozen answers.
ATTEMPT_S: Final = 240.0
# A minute longer than an attempt: nothing else sends a delivery for so long after it was claimed.
_CLAIM_MS: Final = 5 * _MINUTE_MS
_DAY_MS: Final = 24 * 60 * _MINUTE_MS
# What was sent or set aside is kept for so long after it was last wanted, as dead letters of events are.
KEPT_DAYS: Final = 30
# Files of reports are kept for so long: a month can be laid beside the same one a year before.
FILES_KEPT_DAYS: Final = 400
# The names that `_file_name` gives, and gave without a moment; other files in the folder are somebody else's.
_OUR_FILE: Final = re.compile(r"([0-9]{8}T[0-9]{6}Z-)?[0-9]{8,}\.(csv|json|parquet|xlsx|tmp)")
ALL_SHOPS: Final = 0
"""Stands for all advertisers where one is named."""

log = logging.getLogger("grosz.mail")


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """A thing to be sent. `once` names what it is about: a name is sent once. Moments in unix ms."""

    once: str
    advertiser_id: int
    channel: Channel
    target: str
    subject: str
    text: str
    attachment: bytes | None = None
    ending: str = ""
    content_type: str = ""
    due_ms: int = 0


class Outbox:
    """The table of deliveries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def add(self, delivery: OutboxItem) -> bool:
        """Add a delivery, unless there is one with the same `once`; whether it was added.

        What is wanted again, as a notification is for as long as its reason lasts, is not forgotten meanwhile.
        """
        now_ms = self._clock.now_ms()
        async with self._database.write() as connection:
            known = sa.select(outbox.c.id).where(outbox.c.once == delivery.once)
            number = await connection.scalar(known)
            if number is not None:
                wanted = _change(number, due_ms=now_ms).where(_is_over(now_ms - _DAY_MS))
                await connection.execute(wanted)
                return False
            values = msgspec.structs.asdict(delivery) | {
                "state": "waiting", "attempts": 0, "error": "", "created_ms": now_ms,
                "due_ms": max(delivery.due_ms, now_ms),
            }  # fmt: skip
            await connection.execute(sa.insert(outbox).values(values))
            return True

    async def secret(self, advertiser_id: int, url: str) -> str:
        """What calls of a URL are signed with: the secret of the advertiser's webhook there; "" without one.

        A call about all advertisers is signed with the secret of the oldest webhook there.
        """
        chosen = documents(webhooks).where(webhooks.c.url == url, webhooks.c.status == Status.ACTIVE.value)
        if advertiser_id != ALL_SHOPS:
            chosen = chosen.where(webhooks.c.advertiser_id == advertiser_id)
        async with self._database.read() as connection:
            rows = list(await connection.scalars(chosen.order_by(webhooks.c.id)))
        return next((found.secret for row in rows if (found := msgspec.json.decode(row, type=Webhook)).secret), "")

    def now_s(self) -> int:
        """The moment that a signature names, in unix seconds."""
        return self._clock.now_ms() // 1000

    async def claim(self) -> Mapping[str, Any] | None:
        """The delivery that has been due longest, None where none is. No other call gets it for _CLAIM_MS."""
        now_ms = self._clock.now_ms()
        async with self._database.write() as connection:
            due = sa.select(outbox).where(outbox.c.state == "waiting", outbox.c.due_ms <= now_ms)
            due = due.order_by(outbox.c.due_ms, outbox.c.id).limit(1).with_for_update(skip_locked=True)
            row = (await connection.execute(due)).first()
            if row is not None:
                await connection.execute(_change(row.id, due_ms=now_ms + _CLAIM_MS))
        return None if row is None else row._asdict()

    async def forget(self) -> None:
        """Delete the deliveries that have been over for KEPT_DAYS."""
        before_ms = self._clock.now_ms() - KEPT_DAYS * _DAY_MS
        async with self._database.write() as connection:
            await connection.execute(sa.delete(outbox).where(_is_over(before_ms)))

    async def sent(self, number: int) -> None:
        async with self._database.write() as connection:
            await connection.execute(_change(number, state="sent", error="", attachment=None))

    async def failed(self, row: Mapping[str, Any], error: str) -> bool:
        """Note a failed attempt; whether it was the last one, so that the delivery is set aside now."""
        attempts = row["attempts"] + 1
        is_dead: bool = attempts > len(RETRY_MINUTES)
        due_ms = self._clock.now_ms() + RETRY_MINUTES[min(attempts, len(RETRY_MINUTES)) - 1] * _MINUTE_MS
        async with self._database.write() as connection:
            state = "dead" if is_dead else "waiting"
            change = _change(row["id"], state=state, attempts=attempts, error=error[:500], due_ms=due_ms)
            await connection.execute(change)
        return is_dead

    async def listed(self, advertisers: frozenset[int] | None, state: str) -> Sequence[Mapping[str, Any]]:
        """The newest deliveries, without what they carry."""
        columns = [column for column in outbox.c if column.name not in ("attachment", "text")]
        chosen = sa.select(*columns).order_by(outbox.c.id.desc()).limit(200)
        if state:
            chosen = chosen.where(outbox.c.state == state)
        if advertisers is not None:
            chosen = chosen.where(outbox.c.advertiser_id.in_(sorted(advertisers)))
        async with self._database.read() as connection:
            return [row._asdict() for row in await connection.execute(chosen)]

    async def again(self, number: int, advertisers: frozenset[int] | None) -> bool:
        """Send a delivery that was set aside once more; whether there was one."""
        change = _change(number, state="waiting", attempts=0, due_ms=self._clock.now_ms())
        change = change.where(outbox.c.state == "dead")
        if advertisers is not None:
            change = change.where(outbox.c.advertiser_id.in_(sorted(advertisers)))
        async with self._database.write() as connection:
            changed: int = (await connection.execute(change)).rowcount
            return changed > 0


class OutboxLoop:
    """Sends what is due. `folder` is where files go; None: nowhere."""

    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        sender: MailSender,
        caller: Caller,
        folder: Path | None,
        telemetry: Telemetry,
        attempt_s: float = ATTEMPT_S,
    ) -> None:
        self._outbox, self._database, self._sender, self._caller = outbox, database, sender, caller
        self._folder, self._attempt_s = folder, attempt_s
        self._counts = telemetry.counter(
            "grosz_deliveries_total", "Attempts to send reports and notifications, by outcome.", ("channel", "outcome")
        )

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            try:
                await self.step()
            except GroszError as error:
                log.warning("nothing is sent for now: %s", error)
            await asyncio.sleep(POLL_S)

    async def step(self) -> int:
        """Attempt all that is due; how many were sent."""
        await self._outbox.forget()
        done = 0
        while (row := await self._outbox.claim()) is not None:
            error = await self._attempt(row)
            if not error:
                done += 1
                await self._outbox.sent(row["id"])
                outcome = "sent"
            else:
                outcome = "dead" if await self._outbox.failed(row, error) else "failed"
                log.warning("a delivery %s", outcome, extra={"fields": {"id": row["id"], "error": error}})
            self._counts.labels(row["channel"], outcome).inc()
        return done

    async def _attempt(self, row: Mapping[str, Any]) -> str:
        """Attempt one delivery; the reason why it failed, "" where it did not."""
        try:
            async with asyncio.timeout(self._attempt_s):
                if row["channel"] == "mail":
                    return await self._mail(row)
                if row["channel"] == "webhook":
                    return await self._call(row)
                return await asyncio.to_thread(self._store, row)
        except TimeoutError:
            return f"it was not done after {self._attempt_s:g} s"
        except GroszError as error:
            return str(error)

    async def _call(self, row: Mapping[str, Any]) -> str:
        """Call a webhook, with the headers of audience hooks: receivers check one kind of signature."""
        body = row["attachment"] or msgspec.json.encode({"subject": row["subject"], "text": row["text"]})
        headers = {
            "Content-Type": row["content_type"] or "application/json",
            "Grosz-Delivery": hashlib.sha256(row["once"].encode()).hexdigest()[:32],
        }
        secret = await self._outbox.secret(row["advertiser_id"], row["target"])
        if secret:  # a signature that everybody can make would prove nothing
            headers["Grosz-Signature"] = signature(secret, body, self._outbox.now_s())
        return await self._caller.post(row["target"], body, headers)

    async def _mail(self, row: Mapping[str, Any]) -> str:
        if not row["once"].startswith(CONFIRMATION) and not await self._is_confirmed(row):
            return "the recipient has not agreed to mails"
        if not self._sender.is_on:
            return "no mail server is set: mail.host, mail.sender"
        made = mail(
            self._sender.sender, row["target"], row["subject"], row["text"], row["attachment"], row["ending"],
            row["content_type"],
        )  # fmt: skip
        await self._sender.send(made)
        return ""

    async def _is_confirmed(self, row: Mapping[str, Any]) -> bool:
        chosen = sa.select(mail_recipients.c.address).where(
            mail_recipients.c.advertiser_id.in_((row["advertiser_id"], ALL_SHOPS)),
            mail_recipients.c.address == row["target"], mail_recipients.c.confirmed_ms.is_not(None),
        )  # fmt: skip
        async with self._database.read() as connection:
            return await connection.scalar(chosen) is not None

    def _store(self, row: Mapping[str, Any]) -> str:
        if self._folder is None:
            return "no journal is kept here, and files of reports go beside it"
        path = self._folder / _file_name(row)
        forget_files(self._folder, self._outbox.now_s() - FILES_KEPT_DAYS * _DAY_MS // 1000)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(row["attachment"] or b"")
            temporary.rename(path)
        except OSError as error:
            raise UnavailableError(f"{path} cannot be written: {error}") from error
        return ""


def _file_name(row: Mapping[str, Any]) -> str:
    """Named by when the delivery was made, too: SQLite gives an id again once the newest deliveries are forgotten."""
    made = datetime.datetime.fromtimestamp(row["created_ms"] // 1000, datetime.UTC)
    return f"{made:%Y%m%dT%H%M%SZ}-{row['id']:08d}.{row['ending']}"


CONFIRMATION: Final = "confirm:"
"""Begins `once` of the one mail that goes to somebody who has not agreed yet."""


def forget_files(folder: Path, before_s: float) -> None:
    """Remove the files of reports that were written before a moment (unix s), and no others.

    One that cannot be removed is logged, and tried again when the next is written.
    """
    try:
        ours = [path for path in folder.iterdir() if _OUR_FILE.fullmatch(path.name) and path.is_file()]
        for path in ours:
            if path.stat().st_mtime < before_s:
                path.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # there is no folder yet, or another admin role was faster
    except OSError as error:
        log.warning("an old file of a report stays: %s", error)


def _is_over(before_ms: int) -> sa.ColumnElement[bool]:
    """Whether a delivery was sent or set aside, and last wanted before a moment."""
    return sa.and_(outbox.c.state.in_(("sent", "dead")), outbox.c.due_ms < before_ms)


def _change(number: int, **values: object) -> "sa.Update":
    return sa.update(outbox).where(outbox.c.id == number).values(**values)
