"""Saved reports: kept questions, which can be sent by schedule and shown to whoever has a link."""

import datetime
import hashlib
import secrets
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from admin.api.reading import moment_text
from admin.mail.message import checked_address
from admin.rates.store import BASE
from admin.reports.documents import ReportRequest
from admin.store.catalogue import rates
from admin.store.database import Database
from admin.store.tables import advertisers, mail_recipients, report_links, saved_reports
from admin.validation.fields import TEXT, Id
from core.clock import Clock
from core.errors import Fault, InputError, NotFoundError
from core.money import FxTable, MoneyError
from core.network.outgoing import check_url
from journal.questions import check, span_of

_DAY_MS: Final = 86_400_000
_TOKEN_BYTES: Final = 16  # 128 bits: nobody finds one by trying
ALL_SHOPS: Final = 0
MAX_LINK_DAYS: Final = 365

ShortName = Annotated[str, Meta(min_length=1, max_length=120, pattern=TEXT)]


class ReportSchedule(msgspec.Struct, forbid_unknown_fields=True):
    """When a report is sent, in the time zone of its question, how, and to whom.

    Of mail `to` are addresses that have agreed, of a webhook it is one URL, of a file nothing. A week begins on Monday.
    """

    every: Literal["day", "week", "month"]
    by: Literal["mail", "webhook", "file"]
    to: Annotated[tuple[Annotated[str, Meta(max_length=500)], ...], Meta(max_length=20)] = ()
    hour: Annotated[int, Meta(ge=0, le=23)] = 7


class ReportDraft(msgspec.Struct, forbid_unknown_fields=True):
    """A report to be saved. Without an advertiser it is about all of them."""

    name: ShortName
    request: ReportRequest
    advertiser_id: Id | None = None
    schedule: ReportSchedule | None = None


class SavedReport(msgspec.Struct):
    """A saved report."""

    id: int
    name: str
    advertiser_id: int | None
    request: ReportRequest
    schedule: ReportSchedule | None
    next_at: str | None
    created_at: str
    updated_at: str


class SavedReportPage(msgspec.Struct):
    """All saved reports that the caller may see."""

    items: list[SavedReport]


class LinkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A link to a report of one advertiser, for so many days."""

    days: Annotated[int, Meta(ge=1, le=MAX_LINK_DAYS)] = 30
    advertiser_id: Id | None = None


class ReportLink(msgspec.Struct):
    """A link. `path` is in the answer to its making, and nowhere else ever again."""

    id: int
    advertiser_id: int
    expires_at: str
    revoked_at: str | None
    path: str = ""


class ReportLinkPage(msgspec.Struct):
    """The links of a report."""

    items: list[ReportLink]


class RecipientRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An address that is asked whether it wants mails about an advertiser; about all without one.

    A URL is called for notifications, and is not asked.
    """

    address: Annotated[str, Meta(min_length=3, max_length=500)]
    advertiser_id: Id | None = None


class Recipient(msgspec.Struct):
    """An address that is written to, or that was asked whether it may be."""

    address: str
    advertiser_id: int | None
    confirmed_at: str | None


class RecipientPage(msgspec.Struct):
    """Who may be written to."""

    items: list[Recipient]


SAVED_TYPES: Final = (
    ReportDraft, SavedReport, SavedReportPage, LinkRequest, ReportLink, ReportLinkPage, RecipientRequest, Recipient,
    RecipientPage,
)  # fmt: skip


class SharedReport(msgspec.Struct, frozen=True):
    """What a link shows."""

    name: str
    request: ReportRequest
    advertiser_id: int


class SavedReportDesk:
    """Keeps saved reports. `mine` are the advertisers that the caller may see; None: all."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def listed(self, mine: frozenset[int] | None) -> list[SavedReport]:
        """All that may be seen, by their names."""
        chosen = sa.select(saved_reports).order_by(saved_reports.c.name, saved_reports.c.id)
        if mine is not None:
            chosen = chosen.where(saved_reports.c.advertiser_id.in_(sorted(mine)))
        async with self._database.read() as connection:
            return [_saved(row._asdict()) for row in await connection.execute(chosen)]

    async def get(self, number: int, mine: frozenset[int] | None) -> SavedReport:
        """Raises NotFoundError, for what belongs to others as well."""
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(saved_reports).where(saved_reports.c.id == number))).first()
        if row is None or (mine is not None and row.advertiser_id not in mine):
            raise NotFoundError(f"there is no saved report {number}")
        return _saved(row._asdict())

    async def save(self, draft: ReportDraft, mine: frozenset[int] | None, number: int | None = None) -> SavedReport:
        """Save a new report, or change one. Raises InputError, NotFoundError."""
        _check(draft, mine, self._clock.now_ms())
        if number is not None:
            await self.get(number, mine)
        await self._require(draft.advertiser_id)
        await self._require_rate(draft.request.currency)
        now_ms = self._clock.now_ms()
        values = {
            "advertiser_id": draft.advertiser_id or ALL_SHOPS, "name": draft.name, "updated_ms": now_ms,
            "document": msgspec.json.encode(draft).decode(), "next_ms": next_moment(draft, now_ms),
        }  # fmt: skip
        async with self._database.write() as connection:
            if number is None:
                made = await connection.execute(sa.insert(saved_reports).values(values | {"created_ms": now_ms}))
                number = int(made.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
            else:
                changed = sa.update(saved_reports).where(saved_reports.c.id == number).values(values)
                await connection.execute(changed)
        return await self.get(number, mine)

    async def delete(self, number: int, mine: frozenset[int] | None) -> None:
        """Forget a report; its links lead nowhere then. Raises NotFoundError."""
        await self.get(number, mine)
        async with self._database.write() as connection:
            await connection.execute(sa.delete(report_links).where(report_links.c.report_id == number))
            await connection.execute(sa.delete(saved_reports).where(saved_reports.c.id == number))

    async def share(self, number: int, asked: LinkRequest, mine: frozenset[int] | None) -> ReportLink:
        """A link to one report of one advertiser. Raises InputError, NotFoundError."""
        report = await self.get(number, mine)
        advertiser = report.advertiser_id or asked.advertiser_id
        if advertiser is None or asked.advertiser_id not in (None, advertiser):
            fault = Fault("/advertiser_id", "missing", "a link shows the figures of one advertiser: say of which")
            raise InputError("the input is not valid", faults=[fault])
        if mine is not None and advertiser not in mine:
            raise NotFoundError(f"there is no advertiser {advertiser}")
        check(report.request.question(), restricted=True)
        await self._require(advertiser)
        token, now_ms = secrets.token_urlsafe(_TOKEN_BYTES), self._clock.now_ms()
        values = {
            "report_id": number, "advertiser_id": advertiser, "token_sha256": _digest(token), "created_ms": now_ms,
            "expires_ms": now_ms + asked.days * _DAY_MS,
        }  # fmt: skip
        async with self._database.write() as connection:
            made = await connection.execute(sa.insert(report_links).values(values))
            link = int(made.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
        return ReportLink(link, advertiser, moment_text(now_ms + asked.days * _DAY_MS), None, f"/shared/{token}")

    async def links(self, number: int, mine: frozenset[int] | None) -> list[ReportLink]:
        """The links of a report, the newest first. Raises NotFoundError."""
        await self.get(number, mine)
        chosen = sa.select(report_links).where(report_links.c.report_id == number).order_by(report_links.c.id.desc())
        async with self._database.read() as connection:
            rows = list(await connection.execute(chosen))
        return [
            ReportLink(row.id, row.advertiser_id, moment_text(row.expires_ms), _moment(row.revoked_ms)) for row in rows
        ]

    async def revoke(self, number: int, link: int, mine: frozenset[int] | None) -> None:
        """End a link. Raises NotFoundError."""
        await self.get(number, mine)
        found = sa.and_(report_links.c.report_id == number, report_links.c.id == link)
        async with self._database.write() as connection:
            changed = sa.update(report_links).where(found).values(revoked_ms=self._clock.now_ms())
            if not (await connection.execute(changed)).rowcount:
                raise NotFoundError(f"there is no link {link} of this report")

    async def shared(self, token: str) -> SharedReport:
        """What a link shows. Raises NotFoundError, the same for links that never were, are over or were revoked."""
        found = sa.select(saved_reports.c.document, report_links.c.advertiser_id).join(
            report_links, report_links.c.report_id == saved_reports.c.id
        )
        found = found.where(
            report_links.c.token_sha256 == _digest(token), report_links.c.revoked_ms.is_(None),
            report_links.c.expires_ms > self._clock.now_ms(),
        )  # fmt: skip
        async with self._database.read() as connection:
            row = (await connection.execute(found)).first()
        if row is None:
            raise NotFoundError("this link leads nowhere", hint="it may be over: ask who gave it to you for another")
        draft = msgspec.json.decode(row.document, type=ReportDraft)
        return SharedReport(draft.name, draft.request, row.advertiser_id)

    async def ask_recipient(self, asked: RecipientRequest, mine: frozenset[int] | None) -> str:
        """Note an address; the token by which its owner agrees, "" for a URL. Raises InputError, NotFoundError."""
        advertiser, is_url = asked.advertiser_id or ALL_SHOPS, asked.address.startswith(("http://", "https://"))
        address = asked.address if is_url else checked_address(asked.address)
        if is_url and (fault := check_url(address, allow_private=True)) is not None:
            raise InputError("the input is not valid", faults=[Fault("/address", "url", fault.message)])
        if mine is not None and advertiser not in mine:
            raise NotFoundError(f"there is no advertiser {advertiser}", hint="name one of yours")
        await self._require(asked.advertiser_id)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        same = sa.and_(mail_recipients.c.advertiser_id == advertiser, mail_recipients.c.address == address)
        async with self._database.write() as connection:
            known = await connection.scalar(sa.select(mail_recipients.c.address).where(same))
            values: dict[str, Any] = {"token_sha256": _digest(token)}
            if is_url:
                values["confirmed_ms"] = self._clock.now_ms()
            if known is None:
                values |= {"advertiser_id": advertiser, "address": address, "created_ms": self._clock.now_ms()}
                await connection.execute(sa.insert(mail_recipients).values(values))
            else:
                await connection.execute(sa.update(mail_recipients).where(same).values(values))
        return "" if is_url else token

    async def confirm(self, token: str) -> str:
        """Note that the owner of an address agrees; returns the address. Raises NotFoundError."""
        same = mail_recipients.c.token_sha256 == _digest(token)
        async with self._database.write() as connection:
            address = await connection.scalar(sa.select(mail_recipients.c.address).where(same))
            if address is None:
                raise NotFoundError("this link leads nowhere")
            changed = sa.update(mail_recipients).where(same).values(confirmed_ms=self._clock.now_ms())
            await connection.execute(changed)
        return str(address)

    async def recipients(self, mine: frozenset[int] | None) -> list[Recipient]:
        """Who may be written to, or was asked."""
        chosen = sa.select(mail_recipients).order_by(mail_recipients.c.address)
        if mine is not None:
            chosen = chosen.where(mail_recipients.c.advertiser_id.in_(sorted(mine)))
        async with self._database.read() as connection:
            rows = list(await connection.execute(chosen))
        return [Recipient(row.address, row.advertiser_id or None, _moment(row.confirmed_ms)) for row in rows]

    async def forget_recipient(self, asked: RecipientRequest, mine: frozenset[int] | None) -> None:
        """Write to an address no more. Raises NotFoundError."""
        advertiser = asked.advertiser_id or ALL_SHOPS
        same = sa.and_(mail_recipients.c.advertiser_id == advertiser, mail_recipients.c.address == asked.address)
        async with self._database.write() as connection:
            allowed = mine is None or advertiser in mine
            if not allowed or not (await connection.execute(sa.delete(mail_recipients).where(same))).rowcount:
                raise NotFoundError("nobody with this address is written to")

    async def _require(self, advertiser: int | None) -> None:
        """Raises InputError for an advertiser that is not there; None stands for all."""
        async with self._database.read() as connection:
            found = await connection.scalar(sa.select(advertisers.c.id).where(advertisers.c.id == advertiser))
        if advertiser is not None and found is None:
            fault = Fault("/advertiser_id", "unknown", f"there is no advertiser {advertiser}")
            raise InputError("the input is not valid", faults=[fault])

    async def _require_rate(self, currency: str) -> None:
        """Raises InputError for a currency that no money can be converted to; "" stands for each advertiser's own."""
        if not currency:
            return
        async with self._database.read() as connection:
            table = FxTable(BASE, await rates(connection))
        try:
            table.rate(BASE, currency)
        except MoneyError as error:
            fault = Fault("/request/currency", "no_rate", str(error), "`grosz fx show`")
            raise InputError("the input is not valid", faults=[fault]) from error

    async def due(self) -> list[tuple[SavedReport, int]]:
        """Scheduled reports whose moment has come, with that moment (unix ms)."""
        now_ms = self._clock.now_ms()
        # All of them: what cannot be made stays due, and must not stand in the way of what comes after.
        chosen = sa.select(saved_reports).where(saved_reports.c.next_ms <= now_ms).order_by(saved_reports.c.next_ms)
        async with self._database.read() as connection:
            rows = [row._asdict() for row in await connection.execute(chosen)]
        return [(_saved(row), row["next_ms"]) for row in rows]

    async def done(self, report: SavedReport, moment_ms: int) -> None:
        """Note that a scheduled report was made for `moment_ms` (unix), and when the next one is due."""
        draft = ReportDraft(report.name, report.request, report.advertiser_id, report.schedule)
        same = sa.and_(saved_reports.c.id == report.id, saved_reports.c.next_ms == moment_ms)
        async with self._database.write() as connection:
            next_ms = next_moment(draft, max(moment_ms, self._clock.now_ms()))
            await connection.execute(sa.update(saved_reports).where(same).values(next_ms=next_ms))


def next_moment(draft: ReportDraft, after_ms: int) -> int | None:
    """When a report is sent next, unix ms; None where it is not scheduled."""
    schedule = draft.schedule
    if schedule is None:
        return None
    zone = zoneinfo.ZoneInfo(draft.request.timezone)
    day = datetime.datetime.fromtimestamp(after_ms / 1000, zone).date()
    while True:
        if _is_day(schedule.every, day):
            at = datetime.datetime.combine(day, datetime.time(schedule.hour), zone)
            moment = round(at.timestamp() * 1000)
            if moment > after_ms:
                return moment
        day += datetime.timedelta(days=1)


def _is_day(every: str, day: datetime.date) -> bool:
    return every == "day" or (every == "week" and day.weekday() == 0) or (every == "month" and day.day == 1)


def span_before(every: str, moment_ms: int, timezone: str) -> tuple[datetime.date, datetime.date]:
    """The day, week or month that is over when a scheduled report is made: first and last day."""
    today = datetime.datetime.fromtimestamp(moment_ms / 1000, zoneinfo.ZoneInfo(timezone)).date()
    last = today - datetime.timedelta(days=1)
    if every == "month":
        return last.replace(day=1), last
    return last - datetime.timedelta(days=6 if every == "week" else 0), last


def _check(draft: ReportDraft, mine: frozenset[int] | None, now_ms: int) -> None:
    """Raises InputError for what could never be made or sent."""
    check(draft.request.question(), restricted=draft.advertiser_id is not None)
    span_of(draft.request.question(), now_ms)
    faults = []
    if mine is not None and draft.advertiser_id not in mine:
        faults.append(Fault("/advertiser_id", "not_yours", "name one of your advertisers"))
    schedule = draft.schedule
    if schedule is not None and schedule.by == "mail":
        if not schedule.to:
            faults.append(Fault("/schedule/to", "missing", "name who is written to"))
        for at, address in enumerate(schedule.to):
            checked_address(address, f"/schedule/to/{at}")
    if schedule is not None and schedule.by == "webhook":
        fault = check_url(schedule.to[0], allow_private=True) if len(schedule.to) == 1 else None
        if len(schedule.to) != 1 or fault is not None:
            text = "name one URL" if fault is None else fault.message
            faults.append(Fault("/schedule/to", "url", text))
    if schedule is not None and schedule.by == "file" and schedule.to:
        faults.append(
            Fault("/schedule/to", "not_used", "leave it out: files go into reports/ of the journal's directory")
        )
    if faults:
        raise InputError("the input is not valid", faults=faults)


def _saved(row: Mapping[str, Any]) -> SavedReport:
    draft = msgspec.json.decode(row["document"], type=ReportDraft)
    return SavedReport(
        row["id"], draft.name, row["advertiser_id"] or None, draft.request, draft.schedule, _moment(row["next_ms"]),
        moment_text(row["created_ms"]), moment_text(row["updated_ms"]),
    )  # fmt: skip


def _moment(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else moment_text(moment_ms)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def seen_by(report: SavedReport) -> frozenset[int] | None:
    """The advertisers whose figures a report shows; None: all."""
    return None if report.advertiser_id is None else frozenset((report.advertiser_id,))


def addresses(schedule: ReportSchedule) -> Sequence[str]:
    """Where a scheduled report goes; a file goes to one place, which is named ""."""
    return ("",) if schedule.by == "file" else schedule.to
