"""Mails as they are sent. What comes from people, names of shops and reports, cannot become a header."""

import re
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from core.errors import Fault, InputError

# One address, as mail servers take it: no display name, no comment, no line break.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
MAX_SUBJECT_CHARS: Final = 150


def checked_address(text: str, pointer: str = "/address") -> str:
    """The address. Raises InputError for what is none."""
    if not _ADDRESS.fullmatch(text) or ".." in text:
        raise InputError("the input is not valid", faults=[Fault(pointer, "address", "is no mail address")])
    return text


def one_line(text: str) -> str:
    """A text as it may stand in a header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_SUBJECT_CHARS]


def mail(
    sender: str, to: str, subject: str, text: str, attachment: bytes | None = None, ending: str = "", kind: str = ""
) -> EmailMessage:
    """A mail to one recipient. Raises InputError for addresses that are none."""
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"] = checked_address(sender, "/sender"), checked_address(to)
    made["Subject"] = one_line(subject)
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text)
    if attachment is not None:
        main, _, sub = (kind or "application/octet-stream").partition("/")
        made.add_attachment(attachment, maintype=main, subtype=sub, filename=f"report.{ending}")
    return made
