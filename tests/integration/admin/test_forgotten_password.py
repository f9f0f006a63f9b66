"""A forgotten password is set by a mailed link: once, by whoever reads the mailbox; nobody learns who is known."""

import asyncio
import queue
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from admin.api.password_mail import MAIL_LINK_MS
from admin.mail.sending import MailSender
from core.clock import ManualClock
from core.config import MailSettings
from core.network.headers import Edge
from tests.kit.api import Api, running_api
from tests.kit.console import PASSWORD, Browser, person

ADDRESS = "ada@szpilka.example"
NEW = "a longer battery staple"
URL = "https://grosz.szpilka.example"


class Mailbox:
    """What a mail server has taken: (recipient, text)."""

    def __init__(self) -> None:
        self.mails: queue.Queue[tuple[str, str]] = queue.Queue()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        body = message_from_bytes(envelope.content).get_payload(decode=True)
        assert isinstance(body, bytes)
        self.mails.put((envelope.rcpt_tos[0], body.decode()))
        return "250 OK"

    async def next(self) -> tuple[str, str]:
        return await asyncio.to_thread(self.mails.get, timeout=30)


@pytest.fixture
def mailbox(free_port: int) -> tuple[Mailbox, int]:
    return Mailbox(), free_port


@pytest.fixture
async def api(tmp_path: Path, valkey: str, clock: ManualClock, mailbox: tuple[Mailbox, int]) -> AsyncIterator[Api]:
    box, port = mailbox
    server = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=60)
    server.start()
    settings = MailSettings(host="127.0.0.1", port=port, tls="none", sender="grosz@szpilka.example")
    url = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with running_api(url, valkey, clock, edge=Edge(URL), mailer=MailSender(settings)) as running:
        yield running
    server.stop()


async def ask(api: Api, address: str) -> tuple[int, str]:
    answer = await Browser(api.client).post("/password/forgotten", {"email": address})
    return answer.status, answer.text


async def test_whoever_reads_the_mailbox_sets_a_new_password_once(api: Api, mailbox: tuple[Mailbox, int]) -> None:
    before = await person(api)
    assert (await ask(api, ADDRESS.upper()))[0] == 200
    recipient, text = await mailbox[0].next()
    assert recipient == ADDRESS
    link = text.split("an hour: ")[1].split()[0]
    assert link.startswith(f"{URL}/password?token=")
    path, stranger = link.removeprefix(URL), Browser(api.client)
    assert (await stranger.fill(path, {"password": NEW})).headers["Location"] == "/login"
    assert (await before.get("/account")).headers["Location"].startswith("/login")
    answers = [await stranger.post("/login", {"email": ADDRESS, "password": one}) for one in (PASSWORD, NEW)]
    assert [one.status for one in answers] == [401, 303]
    assert (await stranger.get(path)).status == 410


async def test_the_mail_is_in_the_language_of_who_asks(api: Api, mailbox: tuple[Mailbox, int]) -> None:
    await person(api)
    browser = Browser(api.client)
    browser.headers["Accept-Language"] = "pl"
    assert (await browser.post("/password/forgotten", {"email": ADDRESS})).status == 200
    _recipient, text = await mailbox[0].next()
    assert f"{URL}/password?token=" in text
    assert "nowe hasło" in text


async def test_the_same_is_said_of_addresses_that_are_not_known(api: Api, mailbox: tuple[Mailbox, int]) -> None:
    await person(api)
    unknown, known = await ask(api, "eve@evil.example"), await ask(api, ADDRESS)
    assert unknown == known
    assert (await mailbox[0].next())[0] == ADDRESS
    assert mailbox[0].mails.empty()


async def test_a_mailbox_is_not_filled_and_clients_are_held_back(
    api: Api, mailbox: tuple[Mailbox, int], clock: ManualClock
) -> None:
    await person(api)
    statuses = [(await ask(api, ADDRESS))[0] for _ in range(40)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    await mailbox[0].next()
    clock.advance(61)
    assert (await ask(api, ADDRESS))[0] == 200
    await mailbox[0].next()
    assert mailbox[0].mails.empty()


async def test_a_mailed_link_ends_after_an_hour(api: Api, mailbox: tuple[Mailbox, int], clock: ManualClock) -> None:
    await person(api)
    await ask(api, ADDRESS)
    path = (await mailbox[0].next())[1].split(URL)[1].split()[0]
    clock.advance(MAIL_LINK_MS / 1000 + 1)
    assert (await Browser(api.client).get(path)).status == 410


@pytest.mark.parametrize("address", ["", "ada", "a@b\r\nBcc: eve@evil.example", "x" * 400 + "@b.example"])
async def test_what_is_no_address_is_refused(api: Api, address: str) -> None:
    assert (await ask(api, address))[0] == 422


async def test_without_a_mail_server_the_page_says_whom_to_ask(tmp_path: Path, valkey: str, clock: ManualClock) -> None:
    async with running_api(f"sqlite+aiosqlite:///{tmp_path / 'other.sqlite'}", valkey, clock) as plain:
        browser = Browser(plain.client)
        assert "/password/forgotten" not in (await browser.get("/login")).text.replace('name="next"', "")
        assert "Ask an administrator" in (await browser.get("/password/forgotten")).text
