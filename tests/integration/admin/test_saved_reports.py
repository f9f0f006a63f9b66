"""Saved reports: kept, shared by links, sent by schedule to who has agreed, by a real mail server."""

import datetime
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer

from admin.console.pages.linked import SHOWN_A_MINUTE
from admin.mail.outbox import ALL_SHOPS, KEPT_DAYS, RETRY_MINUTES, Outbox, OutboxItem, OutboxLoop
from admin.mail.sending import MailSender
from admin.products.desk import ProductDesk
from admin.reports.desk import ReportDesk
from admin.reports.notifying import Notifier
from admin.reports.saved import SavedReportDesk
from admin.reports.scheduling import ScheduleLoop
from admin.store import tables
from core.clock import ManualClock, SystemClock
from core.config import MailSettings, RedisSettings
from core.network.headers import Edge
from core.redis.client import PipelinedRedis
from core.telemetry.metrics import Telemetry
from journal.archive import HAND_ON_MS
from journal.rows import BILL
from journal.segment import SegmentFrame
from segments.audiences.callout import Caller
from segments.audiences.hooks import signature
from segments.audiences.tag_health import TagHealth
from segments.profiles.store import ProfileStore
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.api import Caller as ApiCaller
from tests.kit.journal_rows import JournalFolder, a_row
from tests.kit.mail_server import Post

DAY_S = 86_400
QUESTION = {"dimensions": ["line_item"], "measures": ["impressions", "spend"]}


class Sending:
    """An API with a journal in which shop 1 spent 3.00 and shop 2 0.25, and the loops that send."""

    def __init__(self, api: Api, post: Post, clock: ManualClock, journal: JournalFolder, folder: Path) -> None:
        self.api, self.post, self.clock, self.journal, self.folder = api, post, clock, journal, folder
        self.redis_url = ""
        database = api.store.database
        self.outbox, saved = Outbox(database, clock), SavedReportDesk(database, clock)
        self.desk = ReportDesk(journal.archive, api.store, clock)
        self.schedule = ScheduleLoop(saved, self.desk, self.outbox)
        self.caller = Caller(allow_private=True)
        sender = MailSender(post.settings, post.trusted)
        self.loop = OutboxLoop(self.outbox, database, sender, self.caller, folder, Telemetry())

    async def agreed(self, owner: ApiCaller, address: str, advertiser: int) -> None:
        """Ask an address, and agree as its owner would."""
        asked = await owner.post("/v1/reports/recipients", {"address": address, "advertiser_id": advertiser})
        assert asked.status == 202, asked.body
        await self.loop.step()
        text = self.post.box.mails.pop().get_payload()
        (path,) = re.findall(r"https://dsp.example(/confirm/\S+)", str(text))
        async with self.api.client.get(path) as page:
            assert "button" in await page.text()
        listed = await owner.get("/v1/reports/recipients")
        assert listed.body["items"][-1]["confirmed_at"] is None
        async with self.api.client.post(path) as page:
            assert page.status == 200


@pytest.fixture
async def sending(valkey: str, clock: ManualClock, tmp_path: Path, post: Post) -> AsyncIterator[Sending]:
    journal = JournalFolder(tmp_path / "journal", clock)
    rows = [
        list(a_row(BILL, bid_id=shop, bid_ms=clock.now_ms(), advertiser_id=shop, line_item_id=shop, impressions=1,
                   charge_micros=charge, currency="PLN", entry="bill"))
        for shop, charge in ((1, 3_000_000), (2, 250_000))
    ]  # fmt: skip
    journal.converter.write("made", [SegmentFrame(BILL.name, BILL.names, rows)])
    journal.archive.note_stored_until(clock.now_ms() + 1_000 * DAY_S * 1_000)
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    edge = Edge("https://dsp.example")
    async with running_api(database, valkey, clock, archive=journal.archive, edge=edge) as api:
        for name in ("shoes", "hats"):
            await make_shop(api, name)
        made = Sending(api, post, clock, journal, tmp_path / "files")
        made.redis_url = valkey
        async with made.caller:
            yield made
        await made.desk.close()
    journal.close()


async def saved(owner: ApiCaller, **more: Any) -> int:  # noqa: ANN401 - as a test asks
    answer = await owner.post("/v1/reports/saved", {"name": "Spend", "request": QUESTION, **more})
    assert answer.status == 201, answer.body
    return int(answer.body["id"])


async def test_a_report_is_saved_changed_run_and_forgotten(sending: Sending) -> None:
    owner = await sending.api.caller()
    number = await saved(owner, advertiser_id=1)
    ran = await owner.post(f"/v1/reports/saved/{number}/run")
    assert ran.body["rows"] == [[1, "PLN", 1, "3.00"]]
    changed = {"name": "Impressions", "request": QUESTION | {"measures": ["impressions"]}, "advertiser_id": 2}
    answer = await owner.call("PUT", f"/v1/reports/saved/{number}", changed)
    assert (answer.body["name"], answer.body["advertiser_id"]) == ("Impressions", 2)
    assert [one["id"] for one in (await owner.get("/v1/reports/saved")).body["items"]] == [number]
    assert (await owner.call("DELETE", f"/v1/reports/saved/{number}")).status == 204
    assert (await owner.get(f"/v1/reports/saved/{number}")).status == 404


async def test_nobody_sees_or_sends_reports_of_others(sending: Sending) -> None:
    owner, mine = await sending.api.caller(), await sending.api.caller("read", "trade", advertisers=(2,))
    other, everything = await saved(owner, advertiser_id=1), await saved(owner)
    for number in (other, everything):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/run"), ("GET", "/links"), ("POST", "/links")):
            assert (
                await mine.call(method, f"/v1/reports/saved/{number}{path}", {} if method == "POST" else None)
            ).status == 404
    assert (await mine.get("/v1/reports/saved")).body["items"] == []
    for advertiser in (1, None):
        draft = {"name": "x", "request": QUESTION, "advertiser_id": advertiser}
        assert (await mine.post("/v1/reports/saved", draft)).status == 422
        asked = {"address": "a@b.example", "advertiser_id": advertiser}
        assert (await mine.post("/v1/reports/recipients", asked)).status == 404
    reader = await sending.api.caller("read", advertisers=(2,))
    assert (await reader.post("/v1/reports/saved", {"name": "x", "request": QUESTION})).status == 403


async def test_a_link_shows_one_report_of_one_advertiser_until_it_ends(sending: Sending) -> None:
    owner = await sending.api.caller()
    number = await saved(owner)
    assert (await owner.post(f"/v1/reports/saved/{number}/links", {})).status == 422  # of which advertiser?
    made = await owner.post(f"/v1/reports/saved/{number}/links", {"advertiser_id": 2, "days": 7})
    path, client = made.body["path"], sending.api.client
    assert len(path.removeprefix("/shared/")) == 22
    async with client.get(path) as page:
        text = await page.text()
        assert page.status == 200
        assert "noindex" in page.headers["X-Robots-Tag"]
        assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "0.25" in text
    assert "3.00" not in text
    async with client.get(path, params={"format": "csv"}) as page:
        assert (await page.text()).splitlines()[1].startswith("2,")
    listed = (await owner.get(f"/v1/reports/saved/{number}/links")).body["items"]
    assert "path" not in listed[0] or listed[0]["path"] == ""
    second = (await owner.post(f"/v1/reports/saved/{number}/links", {"advertiser_id": 2})).body
    assert (await owner.call("DELETE", f"/v1/reports/saved/{number}/links/{second['id']}")).status == 204
    sending.clock.advance(7 * DAY_S)
    for gone in (path, second["path"], "/shared/" + "a" * 22):
        async with client.get(gone) as page:
            assert page.status == 404


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("pl-PL,en;q=0.5", ["<th scope=\"col\">Linia</th>", "Wyświetlenia", "Wydano", "0,25\xa0zł"]),
        ("de,en;q=0.5", ["<th scope=\"col\">Line item</th>", "Impressions", "Spent", "PLN0.25"]),
    ],
)  # fmt: skip
async def test_a_shared_report_is_in_the_language_of_the_browser(
    sending: Sending, language: str, said: list[str]
) -> None:
    owner, client, wanted = await sending.api.caller(), sending.api.client, {"Accept-Language": language}
    number = await saved(owner)
    path = (await owner.post(f"/v1/reports/saved/{number}/links", {"advertiser_id": 2})).body["path"]
    async with client.get(path, headers=wanted) as page:
        text = await page.text()
        assert page.headers["Vary"] == "Accept-Language"
        assert "script" not in page.headers["Content-Security-Policy"]
    assert f'<html lang="{language[:2] if language.startswith("pl") else "en"}">' in text
    assert [one for one in said if one not in text] == []
    assert "<script" not in text


@pytest.mark.parametrize(
    ("language", "asks", "comes", "gone"),
    [
        ("pl", "Tak, chcę dostawać raporty", "Raporty będą przychodzić na adres ada@b.example.", "Nic tu nie ma"),
        ("en", "Yes, send me reports", "Reports will come to ada@b.example.", "Nothing here"),
    ],
)
async def test_who_is_asked_by_mail_reads_his_own_language(
    sending: Sending, language: str, asks: str, comes: str, gone: str
) -> None:
    owner, client, wanted = await sending.api.caller(), sending.api.client, {"Accept-Language": language}
    await owner.post("/v1/reports/recipients", {"address": "ada@b.example", "advertiser_id": 1})
    await sending.loop.step()
    (path,) = re.findall(r"https://dsp.example(/confirm/\S+)", str(sending.post.box.mails.pop().get_payload()))
    async with client.get(path, headers=wanted) as page:
        assert asks in await page.text()
    async with client.post(path, headers=wanted) as page:
        assert comes in await page.text()
    for other in ("/confirm/nothing", "/shared/nothing"):
        async with client.request("POST" if "confirm" in other else "GET", other, headers=wanted) as page:
            assert (page.status, gone in await page.text()) == (404, True)


async def test_a_link_is_a_file_with_a_name_and_rests_when_it_is_asked_for_too_often(sending: Sending) -> None:
    owner, client = await sending.api.caller(), sending.api.client
    number = await saved(owner, advertiser_id=1)
    path = (await owner.post(f"/v1/reports/saved/{number}/links", {})).body["path"]
    for _ in range(SHOWN_A_MINUTE):
        async with client.get(path, params={"format": "csv"}) as page:
            assert page.headers["Content-Disposition"] == 'attachment; filename="report.csv"'
    async with client.get(path) as page:
        assert (page.status, page.headers["Retry-After"]) == (429, "2")
        assert "noindex" in page.headers["X-Robots-Tag"]
    sending.clock.advance(2)
    async with client.get(path) as page:
        assert page.status == 200


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"advertiser_id": 2**63}, "/advertiser_id"),
        ({"name": "Spend\nBcc: eve@evil.example"}, "/name"),
        ({"name": "Spend\0"}, "/name"),
        ({"request": QUESTION | {"currency": "XXX"}}, "/request/currency"),
        ({"request": QUESTION | {"since": "2020-01-01"}}, "/since"),
    ],
)
async def test_what_could_never_be_made_is_not_saved(sending: Sending, more: dict[str, Any], pointer: str) -> None:
    owner = await sending.api.caller()
    answer = await owner.post("/v1/reports/saved", {"name": "Spend", "request": QUESTION} | more)
    assert (answer.status, [fault["pointer"] for fault in answer.body["errors"]]) == (422, [pointer])
    assert (await owner.get("/v1/reports/saved")).body["items"] == []


async def test_what_one_advertiser_may_not_see_is_not_shared(sending: Sending) -> None:
    owner = await sending.api.caller()
    number = await saved(owner, request={"measures": ["requests"]})
    assert (await owner.post(f"/v1/reports/saved/{number}/links", {"advertiser_id": 1})).status == 422
    assert (await owner.get(f"/v1/reports/saved/{number}/links")).body["items"] == []


async def test_a_scheduled_report_is_mailed_once_to_who_has_agreed(sending: Sending) -> None:
    owner, box = await sending.api.caller(), sending.post.box
    await sending.agreed(owner, "ann@shoes.example", 1)
    schedule = {"every": "day", "by": "mail", "to": ["ann@shoes.example", "bob@shoes.example"]}
    await saved(owner, advertiser_id=1, schedule=schedule)
    assert await sending.schedule.step() == 0
    sending.clock.advance(DAY_S)
    assert await sending.schedule.step() == 2
    assert await sending.schedule.step() == 0
    assert await sending.loop.step() == 1  # Bob has not agreed
    (mail,) = box.mails
    assert mail["To"] == "ann@shoes.example"
    (attached,) = [part for part in mail.walk() if part.get_filename()]
    assert attached.get_filename() == "report.xlsx"
    body = attached.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.startswith(b"PK")
    found = (await owner.get("/v1/reports/deliveries")).body["items"]
    assert {(one["target"], one["state"]) for one in found} >= {
        ("ann@shoes.example", "sent"), ("bob@shoes.example", "waiting"),
    }  # fmt: skip


async def test_a_scheduled_report_waits_for_the_last_of_its_day(sending: Sending) -> None:
    owner = await sending.api.caller()
    await saved(owner, advertiser_id=1, schedule={"every": "day", "by": "file", "hour": 0})
    sending.clock.advance(DAY_S)
    midnight_ms = sending.clock.now_ms() // (DAY_S * 1_000) * DAY_S * 1_000
    for stored_ms, made in ((midnight_ms - 1, 0), (midnight_ms, 1)):
        sending.journal.archive.note_stored_until(stored_ms + HAND_ON_MS)
        assert await sending.schedule.step() == made


async def test_what_a_server_refuses_is_tried_again_and_then_set_aside(sending: Sending) -> None:
    owner, box = await sending.api.caller(), sending.post.box
    await sending.agreed(owner, "ann@shoes.example", 1)
    box.refusing = "451 later"
    subject = "Spend\r\nBcc: evil@example.com"
    delivery = OutboxItem(
        once="x", advertiser_id=1, channel="mail", target="ann@shoes.example", subject=subject, text="t"
    )
    assert await sending.outbox.add(delivery)
    assert not await sending.outbox.add(delivery)
    for minutes in (0, *RETRY_MINUTES):
        sending.clock.advance(minutes * 60)
        assert await sending.loop.step() == 0
    sending.clock.advance(10 * DAY_S)
    box.refusing = ""
    assert await sending.loop.step() == 0
    (dead,) = (await owner.get("/v1/reports/deliveries?state=dead")).body["items"]
    assert "451" in dead["error"]
    assert (await owner.post(f"/v1/reports/deliveries/{dead['id']}/send-again")).status == 204
    assert await sending.loop.step() == 1
    assert (box.mails[-1]["Subject"], box.mails[-1]["Bcc"]) == ("Spend Bcc: evil@example.com", None)


async def test_what_was_set_aside_is_kept_for_a_month_and_then_forgotten(sending: Sending) -> None:
    owner = await sending.api.caller()
    lost = OutboxItem(once="lost", advertiser_id=1, channel="mail", target="bob@shoes.example", subject="s", text="t")
    assert await sending.outbox.add(lost)
    for minutes in (0, *RETRY_MINUTES):  # Bob has not agreed
        sending.clock.advance(minutes * 60)
        assert await sending.loop.step() == 0
    for days, left in ((KEPT_DAYS - 1, 1), (2, 0)):
        sending.clock.advance(days * DAY_S)
        await sending.loop.step()
        assert len((await owner.get("/v1/reports/deliveries?state=dead")).body["items"]) == left


async def test_what_is_wanted_again_and_again_is_sent_once_however_long_that_lasts(sending: Sending) -> None:
    owner, box = await sending.api.caller(), sending.post.box
    await sending.agreed(owner, "ann@shoes.example", 1)
    note = OutboxItem(once="note", advertiser_id=1, channel="mail", target="ann@shoes.example", subject="s", text="t")
    assert await sending.outbox.add(note)
    for _day in range(2 * KEPT_DAYS):
        await sending.loop.step()
        sending.clock.advance(DAY_S + 1)
        assert not await sending.outbox.add(note)
    assert len(box.mails) == 1


async def test_a_server_whose_certificate_does_not_hold_gets_nothing(sending: Sending) -> None:
    sending.loop._sender = MailSender(sending.post.settings)  # which trusts the machine's authorities alone
    owner = await sending.api.caller()
    await owner.post("/v1/reports/recipients", {"address": "ann@shoes.example", "advertiser_id": 1})
    assert await sending.loop.step() == 0
    assert sending.post.box.mails == []
    (waiting,) = (await owner.get("/v1/reports/deliveries?state=waiting")).body["items"]
    assert "certificate" in waiting["error"].lower()


class Receiver:
    """A shop's server; `status` is what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, Mapping[str, str]]] = []
        self.status = 200
        app = web.Application()
        app.router.add_post("/in", self._receive)
        self.server = TestServer(app)

    async def _receive(self, request: web.Request) -> web.Response:
        self.got.append((await request.read(), request.headers.copy()))
        return web.Response(status=self.status)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/in"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    async with made.server:
        yield made


async def test_reports_go_to_webhooks_and_into_files(sending: Sending, receiver: Receiver) -> None:
    owner = await sending.api.caller()
    await saved(owner, advertiser_id=1, schedule={"every": "day", "by": "webhook", "to": [receiver.url]})
    await saved(owner, advertiser_id=1, schedule={"every": "day", "by": "file"})
    sending.clock.advance(DAY_S)
    assert await sending.schedule.step() == 2
    assert await sending.loop.step() == 2
    ((body, headers),) = receiver.got
    assert b'"3.00"' in body
    assert "Grosz-Signature" not in headers  # nobody said with what
    (file,) = sending.folder.iterdir()
    assert b'"3.00"' in file.read_bytes()


async def test_what_would_be_ignored_is_refused(sending: Sending) -> None:
    owner = await sending.api.caller()
    draft = {"name": "Spend", "advertiser_id": 1, "request": QUESTION}
    schedule = {"every": "day", "by": "file", "to": ["../../etc"]}
    refused = await owner.post("/v1/reports/saved", draft | {"schedule": schedule})
    assert (refused.status, refused.body["errors"][0]["pointer"]) == (422, "/schedule/to")
    refused = await owner.get("/v1/reports/deliveries?state=lost")
    assert (refused.status, refused.body["errors"][0]["pointer"]) == (422, "/state")


async def test_reports_that_cannot_be_made_do_not_stand_in_the_way_of_others(sending: Sending) -> None:
    owner, database = await sending.api.caller(), sending.api.store.database
    async with database.write() as connection:
        await connection.execute(sa.insert(tables.fx_rates).values(currency="JPY", rate_micros=25_000))
    for _ in range(25):
        await saved(
            owner, advertiser_id=1, schedule={"every": "day", "by": "file"}, request=QUESTION | {"currency": "JPY"}
        )
    async with database.write() as connection:  # nobody says any more what a zloty is worth in yen
        await connection.execute(sa.delete(tables.fx_rates).where(tables.fx_rates.c.currency == "JPY"))
    await saved(owner, advertiser_id=1, schedule={"every": "day", "by": "file", "hour": 8})
    sending.clock.advance(2 * DAY_S)
    assert await sending.schedule.step() == 1


async def test_a_call_is_signed_with_the_secret_of_the_advertiser_s_webhook(
    sending: Sending, receiver: Receiver
) -> None:
    owner = await sending.api.caller()
    for advertiser, secret in ((2, "0123456789abcdef-hats"), (1, "0123456789abcdef-shoes")):
        hook = {"advertiser_id": advertiser, "name": "in", "url": receiver.url, "secret": secret}
        await owner.made("/v1/webhooks", hook)
    schedule = {"every": "day", "by": "webhook", "to": [receiver.url]}
    await saved(owner, advertiser_id=1, schedule=schedule)
    sending.clock.advance(DAY_S)
    await sending.schedule.step()
    receiver.status = 500
    assert await sending.loop.step() == 0
    receiver.status = 204
    sending.clock.advance(RETRY_MINUTES[0] * 60)
    assert await sending.loop.step() == 1
    (first, before), (second, after) = receiver.got
    assert first == second
    assert before["Grosz-Delivery"] == after["Grosz-Delivery"]
    assert before["Grosz-Signature"] != after["Grosz-Signature"]
    assert after["Grosz-Signature"] == signature("0123456789abcdef-shoes", second, sending.clock.now_ms() // 1000)
    assert await sending.outbox.secret(ALL_SHOPS, receiver.url) == "0123456789abcdef-hats"
    assert await sending.outbox.secret(1, receiver.url + "/else") == ""


async def test_a_call_that_nobody_takes_is_set_aside_and_made_again_on_demand(
    sending: Sending, receiver: Receiver
) -> None:
    owner = await sending.api.caller()
    await saved(owner, advertiser_id=1, schedule={"every": "day", "by": "webhook", "to": [receiver.url]})
    sending.clock.advance(DAY_S)
    await sending.schedule.step()
    receiver.status = 503
    for minutes in (0, *RETRY_MINUTES):
        sending.clock.advance(minutes * 60)
        assert await sending.loop.step() == 0
    assert len(receiver.got) == 1 + len(RETRY_MINUTES)
    (dead,) = (await owner.get("/v1/reports/deliveries?state=dead")).body["items"]
    assert (dead["channel"], dead["error"]) == ("webhook", "answered 503")
    receiver.status = 200
    assert (await owner.post(f"/v1/reports/deliveries/{dead['id']}/send-again")).status == 204
    assert await sending.loop.step() == 1


async def test_an_advertiser_is_told_once_and_not_at_night(sending: Sending) -> None:
    owner, box = await sending.api.caller(), sending.post.box
    await sending.agreed(owner, "ann@shoes.example", 1)
    hook = {"address": "https://shoes.example/told", "advertiser_id": 1}
    assert (await owner.post("/v1/reports/recipients", hook)).status == 202
    store, now_ms = sending.api.store, sending.clock.now_ms()
    async with store.database.write() as connection:
        await connection.execute(sa.insert(tables.approvals).values(
            creative_id=1, exchange_id=5, advertiser_id=1, creative_version=1, state="rejected", reason="=too loud",
            reference="", changed_ms=now_ms, attempts=0, problem="", revision=0,
        ))  # fmt: skip
    night = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).replace(hour=23, minute=30)
    sending.clock.advance(night.timestamp() - now_ms / 1000)
    redis = await PipelinedRedis.open(sending.redis_url, clock=SystemClock())
    profiles = ProfileStore(redis, sending.clock)
    products = ProductDesk(redis, profiles, RedisSettings(url=sending.redis_url), sending.clock)
    notifier = Notifier(
        store, sending.outbox, sending.desk, products, TagHealth(profiles), MailSettings(), sending.clock
    )  # fmt: skip
    assert [await notifier.step(), await notifier.step()] == [2, 0]
    await redis.close()
    assert await sending.loop.step() == 0
    sending.clock.advance(8 * 3600)
    await sending.loop.step()
    (mail,) = box.mails
    assert mail["Subject"] == "shoes: creative 1 was rejected"
    assert "=too loud" in str(mail.get_payload())
    states = {one["target"]: one["state"] for one in (await owner.get("/v1/reports/deliveries")).body["items"]}
    assert states["https://shoes.example/told"] == "waiting"  # nobody answers there


async def test_a_schedule_that_makes_no_sense_is_refused(sending: Sending) -> None:
    owner = await sending.api.caller()
    for schedule in (
        {"every": "day", "by": "mail", "to": []},
        {"every": "day", "by": "mail", "to": ["a@b\r\nBcc: c@d"]},
        {"every": "day", "by": "webhook", "to": ["ftp://x.example/"]},
        {"every": "day", "by": "webhook", "to": []},
        {"every": "hour", "by": "file"},
        {"every": "day", "by": "file", "hour": 24},
    ):
        draft = {"name": "x", "request": QUESTION, "advertiser_id": 1, "schedule": schedule}
        assert (await owner.post("/v1/reports/saved", draft)).status == 422, schedule
    draft = {"name": "x", "request": QUESTION, "advertiser_id": 99}
    assert (await owner.post("/v1/reports/saved", draft)).codes == {"/advertiser_id": "unknown"}
