"""Mails: what people write cannot become a header, and addresses are addresses."""

import pytest

from admin.mail.message import checked_address, mail, one_line
from core.errors import InputError


@pytest.mark.parametrize(
    "address",
    ["", "a", "a@", "@b", "a@b\r\nBcc: c@d", "a b@c", "A <a@b>", "a@b,c@d", "a@b;c", "a..b@c", "a@b\n", "a@-b", "ä@b"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError):
        checked_address(address)


def test_addresses_are_taken_as_they_are() -> None:
    assert checked_address("ann+reports@shop.example") == "ann+reports@shop.example"


def test_a_subject_cannot_become_another_header() -> None:
    made = mail("grosz@dsp.example", "ann@shop.example", "Shoes\r\nBcc: evil@example.com", "body")
    assert made["Bcc"] is None
    assert bytes(made).count(b"Bcc") == 1
    assert b"\nBcc" not in bytes(made)
    assert one_line("a\x00\u2028b") == "a b"
    assert len(one_line("x" * 500)) == 150


def test_a_report_is_attached() -> None:
    made = mail("grosz@dsp.example", "ann@shop.example", "Shoes", "body", b"\x00\x01", "xlsx", "application/zip")
    (part,) = made.iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("report.xlsx", b"\x00\x01")
