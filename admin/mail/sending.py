"""Handing a mail to the mail server of the settings."""

import ssl
from email.message import EmailMessage
from typing import Final

from core.config import MailSettings
from core.errors import UnavailableError

TIMEOUT_S: Final = 30.0


class MailSender:
    """Sends mails one by one. `trusted` is a file with the certificates that the server's must hold against."""

    def __init__(self, settings: MailSettings, trusted: str | None = None) -> None:
        self._settings, self._trusted = settings, trusted

    @property
    def is_on(self) -> bool:
        return bool(self._settings.host and self._settings.sender)

    @property
    def sender(self) -> str:
        return self._settings.sender

    async def send(self, message: EmailMessage) -> None:
        """Send one mail. Raises UnavailableError where the server does not take it."""
        try:
            import aiosmtplib
        except ImportError as error:
            raise UnavailableError("mails need aiosmtplib, which is missing", hint="install grosz[mail]") from error
        settings = self._settings
        private = settings.tls != "none"
        context = ssl.create_default_context(cafile=self._trusted) if private else None
        try:
            await aiosmtplib.send(
                message, hostname=settings.host, port=settings.port, timeout=TIMEOUT_S, tls_context=context,
                use_tls=settings.tls == "tls", start_tls=settings.tls == "starttls",
                username=(settings.user or None) if private else None,
                password=(settings.password or None) if private else None,
            )  # fmt: skip
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise UnavailableError(f"the mail server did not take it: {error}") from error
