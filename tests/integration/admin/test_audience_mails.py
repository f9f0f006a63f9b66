"""Audience hooks by mail: from events of visitors to a real mail server, one mail an hour, with nobody named."""

import datetime
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin.mail.outbox import Outbox, OutboxLoop
from admin.mail.sending import MailSender
from admin.reports.audience_mails import AudienceMailer
from core.clock import ManualClock
from core.config import MailSettings
from core.ids import UserId, new_user_id
from core.keys import WEBHOOK_BODIES, WEBHOOK_DEAD, WEBHOOK_MAILED, WEBHOOK_QUEUE
from core.network.headers import Edge
from core.telemetry.metrics import Telemetry
from segments.audiences.callout import Caller
from segments.audiences.due import pseudonym
from segments.audiences.hooks import DueEntries, HookTarget, WebhookSender
from segments.facts.event import Event, Kind
from segments.identity.persons import Identities
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, running_api
from tests.kit.mail_server import Post
from tests.kit.profiles import PARTITIONS, EventRig, event_rig

ANNA = "anna@shoes.example"
NOON = datetime.datetime(2026, 11, 17, 12, tzinfo=datetime.UTC)
HOUR_S = 3_600


class Mailing:
    """A shop with a hook by mail on everybody who comes, the worker that hears of them, and the loops that send."""

    def __init__(self, api: Api, shop: Shop, rig: EventRig, clock: ManualClock, post: Post, caller: Caller) -> None:
        self.api, self.shop, self.rig, self.clock, self.post = api, shop, rig, clock, post
        database = api.store.database
        self.outbox = Outbox(database, clock)
        self.telemetry = Telemetry()
        self.loop = OutboxLoop(
            self.outbox, database, MailSender(post.settings, post.trusted), caller, None, self.telemetry
        )
        self.mailer = AudienceMailer(
            api.store, rig.store, self.outbox, MailSettings(), clock, self.telemetry, "https://dsp.example"
        )
        self._caller = caller

    async def publish(self) -> None:
        """What the publisher and the follower do."""
        found = await self.api.store.catalogue(self.clock.now_ms())
        self.rig.directory.replace(found)
        targets = {hook.id: HookTarget(hook.id, hook.advertiser_id, hook.url, hook.secret) for hook in found.webhooks}
        self.sender = WebhookSender(self.rig.store, self._caller, targets.get, self.clock, self.rig.worker_metrics)

    async def come(self, count: int) -> list[UserId]:
        """So many new visitors, of whom the worker has told what it is to tell."""
        users = [new_user_id() for _ in range(count)]
        for user in users:
            await self.rig.send(Event(Kind.PAGE_VIEW, 1, user, self.clock.now_ms()))
        await self.rig.settle()
        self.clock.advance(2)
        due = DueEntries(self.rig.store, self.rig.leases, self.rig.directory, self.clock)
        await self.rig.leases.balance()
        assert sum([await due.step(partition) for partition in range(PARTITIONS)]) == count
        assert await self.sender.step() == count
        return users

    async def mails(self) -> list[str]:
        """The texts that a look brings to the mail server."""
        await self.mailer.step()
        self.post.box.mails.clear()
        await self.loop.step()
        return [f"{mail['Subject']}\n{mail.get_payload()}" for mail in self.post.box.mails]

    async def agree(self, advertiser_id: int = 1) -> None:
        caller = self.shop.caller if advertiser_id else await self.api.caller()  # one of them may ask for all shops
        asked = await caller.post("/v1/reports/recipients", {"address": ANNA, "advertiser_id": advertiser_id or None})
        assert asked.status == 202, asked.body
        await self.loop.step()
        (path,) = re.findall(r"https://dsp.example(/confirm/\S+)", str(self.post.box.mails.pop().get_payload()))
        async with self.api.client.post(path) as page:
            assert page.status == 200


@pytest.fixture
async def mailing(valkey: str, tmp_path: Path, post: Post) -> AsyncIterator[Mailing]:
    clock = ManualClock(round(NOON.timestamp() * 1000))
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with (
        running_api(database, valkey, clock, edge=Edge("https://dsp.example")) as api,
        event_rig(valkey, clock) as rig,
        Caller(allow_private=True) as caller,
    ):
        shop = await make_shop(api, "shoes")
        hook = await shop.caller.made("/v1/webhooks", {"advertiser_id": 1, "name": "To Anna", "mail": ANNA})
        segment = {"advertiser_id": 1, "name": "Everybody", "rule": "everyone", "webhook_id": hook["id"]}
        await shop.caller.made("/v1/segments", segment)
        made = Mailing(api, shop, rig, clock, post, caller)
        await made.publish()
        yield made


async def test_one_mail_an_hour_counts_who_entered_and_names_nobody(mailing: Mailing) -> None:
    await mailing.agree()
    users = await mailing.come(3)
    (text,) = await mailing.mails()
    assert text.startswith("shoes: 3 visitors entered your audiences\n")
    assert "3 visitors entered segment 1, Everybody." in text
    assert "https://dsp.example/segments/1" in text
    assert not [one for user in users for one in (user, pseudonym(1, user)) if one in text]
    await mailing.come(1)
    assert await mailing.mails() == [], "an hour has not passed"
    await mailing.come(1)
    mailing.clock.advance(HOUR_S)
    (text,) = await mailing.mails()
    assert text.startswith("shoes: 2 visitors entered your audiences\n")
    mailing.clock.advance(HOUR_S)
    assert await mailing.mails() == [], "nobody came"
    left = [("ZCARD", WEBHOOK_QUEUE), ("HLEN", WEBHOOK_BODIES), ("XLEN", WEBHOOK_DEAD), ("SCARD", WEBHOOK_MAILED)]
    assert await mailing.rig.store.commands(left) == [0, 0, 0, 0]
    told = [one for one in mailing.telemetry.families() if one.name == "grosz_audience_mail_visitors_total"]
    assert "5" in repr(told)


async def test_nothing_goes_to_an_address_that_has_not_agreed(mailing: Mailing) -> None:
    read = await mailing.shop.caller.get("/v1/webhooks/1")
    assert [one["code"] for one in read.body["warnings"]] == ["not_agreed"]
    await mailing.come(2)
    assert await mailing.mails() == []
    await mailing.agree()
    assert (await mailing.shop.caller.get("/v1/webhooks/1")).body["warnings"] == []
    mailing.clock.advance(HOUR_S)
    assert await mailing.mails() == [], "those who came before are not told of"
    await mailing.come(1)
    assert len(await mailing.mails()) == 1
    stopped = await mailing.shop.caller.post("/v1/reports/recipients/forget", {"address": ANNA, "advertiser_id": 1})
    assert stopped.status == 204, stopped.body
    await mailing.come(1)
    mailing.clock.advance(HOUR_S)
    assert await mailing.mails() == []


async def test_a_warning_does_not_tell_whether_an_address_has_agreed_to_mails_of_all_shops(mailing: Mailing) -> None:
    before = (await mailing.shop.caller.get("/v1/webhooks/1")).body["warnings"]
    await mailing.agree(advertiser_id=0)
    assert (await mailing.shop.caller.get("/v1/webhooks/1")).body["warnings"] == before
    await mailing.come(1)
    assert len(await mailing.mails()) == 1, "who wants the mails of all gets them"


async def test_who_is_erased_before_the_mail_is_not_counted(mailing: Mailing) -> None:
    await mailing.agree()
    forgotten, *_ = await mailing.come(3)
    await Identities(mailing.rig.store, mailing.rig.sizes, mailing.clock).forget(forgotten, "test")
    (text,) = await mailing.mails()
    assert text.startswith("shoes: 2 visitors")
    mailing.clock.advance(HOUR_S)
    (forgotten,) = await mailing.come(1)
    await Identities(mailing.rig.store, mailing.rig.sizes, mailing.clock).forget(forgotten, "test")
    assert await mailing.mails() == []
    assert await mailing.rig.store.commands([("SCARD", WEBHOOK_MAILED)]) == [0]


async def test_at_night_visitors_are_counted_for_one_mail_in_the_morning(mailing: Mailing) -> None:
    await mailing.agree()
    mailing.clock.advance(9 * HOUR_S)  # 22:00 in Warsaw
    for _ in range(3):
        await mailing.come(1)
        assert await mailing.mails() == []
        mailing.clock.advance(HOUR_S)
    mailing.clock.advance(6 * HOUR_S)
    (text,) = await mailing.mails()
    assert text.startswith("shoes: 3 visitors")


async def test_a_paused_hook_sends_nothing_and_a_failing_server_is_tried_again(mailing: Mailing) -> None:
    await mailing.agree()
    await mailing.come(1)
    mailing.post.box.refusing = "451 later"
    assert await mailing.mails() == []
    mailing.post.box.refusing = ""
    mailing.clock.advance(61)
    assert len(await mailing.mails()) == 1, "the same mail, by the outbox"
    await mailing.come(1)
    await mailing.shop.caller.patch("/v1/webhooks/1", {"status": "paused"})
    mailing.clock.advance(HOUR_S)
    assert await mailing.mails() == []


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"mail": "no address"}, "/mail"),
        ({"mail": "anna@shoes.example\r\nBcc: all@x.example"}, "/mail"),
        ({"mail": "<anna@shoes.example>"}, "/mail"),
        ({"mail": ANNA, "url": "https://shoes.example/hook"}, "/mail"),
        ({}, "/url"),
    ],
)
async def test_a_hook_is_told_at_one_place_that_exists(shop: Shop, members: dict[str, str], pointer: str) -> None:
    answer = await shop.caller.post("/v1/webhooks", {"advertiser_id": 1, "name": "Hook", **members})
    assert answer.status == 422, answer.body
    assert list(answer.codes) == [pointer]
