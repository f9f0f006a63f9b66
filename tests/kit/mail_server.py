"""A mail server of aiosmtpd on this machine, which takes mails in TLS alone."""

import ssl
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from core.config import MailSettings
from tests.kit.fixtures import find_free_port
from tests.kit.tls import make_certificate


class Mailbox:
    """Keeps the mails that an aiosmtpd server has taken; with `refusing` set, that is answered instead."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.refusing = ""

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refusing:
            return self.refusing
        assert session.ssl is not None, "a mail came without TLS"
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


class Post:
    """A mail server with STARTTLS on this machine, and the settings that name it."""

    def __init__(self, folder: Path) -> None:
        certificate, key = make_certificate(folder)
        self.trusted, self.box = str(certificate), Mailbox()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self.port = find_free_port()
        self.server = Controller(
            self.box, hostname="localhost", port=self.port, tls_context=context, require_starttls=True, ready_timeout=60
        )
        self.settings = MailSettings(host="localhost", port=self.port, sender="grosz@dsp.example")
