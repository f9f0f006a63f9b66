"""Asking an address whether it wants reports, and what was sent: for the API and for the command line."""

from collections.abc import Callable
from typing import Final

from admin.mail.outbox import ALL_SHOPS, CONFIRMATION, Outbox, OutboxItem
from admin.reports.saved import RecipientRequest, SavedReportDesk
from core.errors import InputError

SUBJECT: Final = "Do you want reports by mail?"
QUESTION: Final = (
    "Somebody wants to send reports to {address}.\n\nIf you want them, open this page and agree:\n{link}\n\n"
    "Otherwise do nothing: no other mail will come.\n"
)


async def invite(
    saved: SavedReportDesk,
    outbox: Outbox,
    public_url: str,
    asked: RecipientRequest,
    mine: frozenset[int] | None,
    translated: Callable[[str], str] = str,
) -> None:
    """Note an address and send it the mail that asks; a URL is not asked. Raises InputError, NotFoundError.

    `public_url` is where the owner of the address reaches the page to agree on; `translated` gives SUBJECT and QUESTION
    in the language of the mail.
    """
    if not public_url and not asked.address.startswith(("http://", "https://")):
        raise InputError("nobody can be asked: the mail needs a link to here", hint="set admin.public_url")
    token = await saved.ask_recipient(asked, mine)
    if not token:
        return
    text = translated(QUESTION).replace("{link}", f"{public_url.rstrip('/')}/confirm/{token}")
    await outbox.add(
        OutboxItem(
            once=f"{CONFIRMATION}{token[:8]}:{asked.address}",
            advertiser_id=asked.advertiser_id or ALL_SHOPS,
            channel="mail",
            target=asked.address,
            subject=translated(SUBJECT),
            text=text.replace("{address}", asked.address),
        )
    )
