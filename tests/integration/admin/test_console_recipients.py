"""Who may be written to: asked in the console, by a mail in the language of who asks, and removed there."""

import re
from collections.abc import AsyncIterator
from email.header import decode_header, make_header
from pathlib import Path
from typing import NamedTuple

import pytest

from admin.mail.outbox import Outbox, OutboxLoop
from admin.mail.sending import MailSender
from core.clock import ManualClock
from core.network.headers import Edge
from core.telemetry.metrics import Telemetry
from segments.audiences.callout import Caller
from tests.integration.admin.conftest import make_shop
from tests.kit.api import Api, running_api
from tests.kit.console import person
from tests.kit.mail_server import Post

SHOWN_AT = "/reports/saved"


class Mailing(NamedTuple):
    """An API with two shops, a mail server, and the loop that sends to it."""

    api: Api
    post: Post
    loop: OutboxLoop


@pytest.fixture
async def mailing(valkey: str, clock: ManualClock, tmp_path: Path, post: Post) -> AsyncIterator[Mailing]:
    url, edge = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}", Edge("https://dsp.example")
    async with running_api(url, valkey, clock, edge=edge) as api:
        for name in ("shoes", "hats"):
            await make_shop(api, name)
        database, sender = api.store.database, MailSender(post.settings, post.trusted)
        outbox, caller = Outbox(database, clock), Caller(allow_private=True)
        yield Mailing(api, post, OutboxLoop(outbox, database, sender, caller, None, Telemetry()))


@pytest.mark.parametrize(
    ("language", "subject", "begins", "ends", "waits"),
    [
        ("pl", "Czy chcesz dostawać raporty e-mailem?", "Ktoś chce wysyłać raporty na adres ada@b.example.",
         "kolejny e-mail nie przyjdzie.", "jeszcze nie"),
        ("en", "Do you want reports by mail?", "Somebody wants to send reports to ada@b.example.",
         "no other mail will come.", "not yet"),
    ],
)  # fmt: skip
async def test_an_address_is_asked_in_the_language_of_who_asks(
    mailing: Mailing, language: str, subject: str, begins: str, ends: str, waits: str
) -> None:
    browser = await person(mailing.api, "read", "trade", advertisers=(1,))
    browser.headers["Accept-Language"] = language
    form = {"csrf": await browser.csrf(), "address": "ada@b.example", "advertiser_id": "1"}
    assert (await browser.post(SHOWN_AT, form | {"action": "ask"})).status == 303
    await mailing.loop.step()
    mail = mailing.post.box.mails.pop()
    content = mail.get_payload(decode=True)
    assert isinstance(content, bytes)
    text = content.decode().strip()
    assert str(make_header(decode_header(mail["Subject"]))) == subject
    assert (text.startswith(begins), text.endswith(ends)) == (True, True), text
    (path,) = re.findall(r"https://dsp.example(/confirm/\S+)", text)
    assert waits in (await browser.get(SHOWN_AT)).text
    async with mailing.api.client.post(path) as page:
        assert page.status == 200
    assert waits not in (await browser.get(SHOWN_AT)).text
    assert (await browser.post(SHOWN_AT, form | {"action": "forget"})).status == 303
    assert "ada@b.example" not in (await browser.get(SHOWN_AT)).text


async def test_only_traders_ask_and_only_about_their_own_advertisers(mailing: Mailing) -> None:
    browser = await person(mailing.api, "read", "trade", advertisers=(1,))
    form = {"csrf": await browser.csrf(), "address": "ada@b.example", "advertiser_id": "2", "action": "ask"}
    for change, status in (({}, 404), ({"advertiser_id": ""}, 404), ({"address": "ada", "advertiser_id": "1"}, 422)):
        assert (await browser.post(SHOWN_AT, form | change)).status == status
    assert (await browser.post(SHOWN_AT, form | {"csrf": "x"})).status == 403
    reader = await person(mailing.api, "read", advertisers=(1,), email="reader@szpilka.example")
    assert 'value="ask"' not in (await reader.get(SHOWN_AT)).text
    assert (await reader.post(SHOWN_AT, form | {"csrf": await reader.csrf()})).status == 403
    assert await mailing.loop.step() == 0
