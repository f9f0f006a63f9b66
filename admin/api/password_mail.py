"""A link for a new password by mail: for whoever has forgotten it, without an administrator.

What is answered is the same for addresses that are known and that are not, and as soon: the mail is made and sent
behind the answer. The link names the address of the settings, never the one that a request claims to have come to.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web

from admin.access.limits import RateLimiter
from admin.api.authentication import Authentication
from admin.api.password_links import PasswordLinkDesk
from admin.mail.message import mail
from admin.mail.sending import MailSender
from admin.store.accounts import AccountStore, address_digest
from core.clock import Clock
from core.errors import GroszError

# The person waits for the mail and opens it at once; an older link may lie in a mailbox that is lost later.
MAIL_LINK_MS: Final = 3_600_000
# Mails to one address, whoever asks for them: more would let a stranger fill a mailbox.
MAILS_A_MINUTE: Final = 1
# Mails that are on their way at once; a mail server that hangs must not collect tasks without end.
MAX_WAITING: Final = 50

log = logging.getLogger("grosz.mail")


class PasswordMail:
    """Mails links for a new password. Without a mail server or an address of the console it sends none."""

    def __init__(
        self,
        links: PasswordLinkDesk,
        accounts: AccountStore,
        authentication: Authentication,
        sender: MailSender | None,
        public_url: str,
        clock: Clock,
    ) -> None:
        self._links, self._accounts, self._authentication = links, accounts, authentication
        self._sender, self._public_url = sender, public_url.rstrip("/")
        self._limiter = RateLimiter(clock)
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def is_on(self) -> bool:
        """Whether mails can be sent."""
        return self._sender is not None and self._sender.is_on and bool(self._public_url)

    def ask(self, request: web.Request, address: str, subject: str, text: Callable[[str], str]) -> None:
        """Send a link to the user who has this address, if there is one; `text` makes the mail from the link.

        Counts against the client as a wrong secret does. Raises ApiError 429 after too many.
        """
        self._authentication.refuse_guesser(request)
        self._authentication.count_failure(request)
        _, wait_s = self._limiter.take(address_digest(address).hex(), MAILS_A_MINUTE)
        if wait_s or not self.is_on or len(self._waiting) >= MAX_WAITING:
            return
        task = asyncio.create_task(self._send(address, subject, text))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _send(self, address: str, subject: str, text: Callable[[str], str]) -> None:
        try:
            login = await self._accounts.find_login(address)
            if login is None or self._sender is None:
                return
            token = await self._links.make_by_mail(login.user.id, MAIL_LINK_MS)
            link = f"{self._public_url}/password?token={token}"
            await self._sender.send(mail(self._sender.sender, login.user.email, subject, text(link)))
        except GroszError as error:
            log.warning("a link for a new password is not sent: %s", error.message)
