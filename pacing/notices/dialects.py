"""How notices of each dialect are read: the third part of a dialect, beside `core.dialects` and `bidder/dialects`."""

from collections.abc import Callable

import msgspec

from core.dialects import GENERIC
from core.model import Exchange, PriceEncryption
from core.money import CpmMicros
from pacing.notices.prices import PriceKeys, decrypt_price


class NoticeReader(msgspec.Struct, frozen=True):
    """What is special about the notices of one dialect."""

    read_price: Callable[[str, PriceEncryption, PriceKeys], CpmMicros] = decrypt_price
    """CPM micros of the text in the place of a price. Raises PriceError for anything that is not a price."""


_AS_SAID = NoticeReader()

READERS: dict[str, NoticeReader] = {
    GENERIC: _AS_SAID,
    "google": _AS_SAID,
    "xandr": _AS_SAID,
    "pubmatic": _AS_SAID,
    "index": _AS_SAID,
    "magnite": _AS_SAID,
    "bidswitch": _AS_SAID,
    "smaato": _AS_SAID,
    "openx": _AS_SAID,
}
"""Readers by the dialects' names. All of these write prices in one of the forms of `pacing.notices.prices`."""


def reader_of(exchange: Exchange | None) -> NoticeReader:
    """The reader of an exchange's notices. Never fails: a dialect of a later version is read as the generic one."""
    return READERS.get(exchange.dialect if exchange is not None else GENERIC, READERS[GENERIC])
