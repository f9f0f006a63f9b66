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


READERS: dict[str, NoticeReader] = {GENERIC: NoticeReader()}
"""By the names of `core.dialects`."""


def reader_of(exchange: Exchange | None) -> NoticeReader:
    """What reads an exchange's notices. Never fails: a dialect of a later version is read as the generic one."""
    return READERS.get(exchange.dialect if exchange is not None else GENERIC, READERS[GENERIC])
