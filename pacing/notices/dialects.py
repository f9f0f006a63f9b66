"""How notices of each dialect are read: the third part of a dialect, beside `core.dialects` and `bidder/dialects`."""

from collections.abc import Callable

import msgspec

from core.dialects import GENERIC, spoken_by
from core.model import Exchange
from core.money import CpmMicros
from pacing.notices.prices import decrypt_price, keys_of


class NoticeReader(msgspec.Struct, frozen=True):
    """What is special about the notices of one dialect."""

    read_price: Callable[[str, Exchange], CpmMicros]
    """CPM micros of the text in the place of a price. Raises PriceError for anything that is not a price."""


def read_by_settings(text: str, exchange: Exchange) -> CpmMicros:
    """A plain or encrypted price, as the exchange and its dialect say."""
    return decrypt_price(text, spoken_by(exchange).price_encryption, keys_of(exchange))


READERS: dict[str, NoticeReader] = {GENERIC: NoticeReader(read_by_settings)}
"""By the names of `core.dialects`."""


def reader_of(exchange: Exchange) -> NoticeReader:
    """Who reads an exchange's notices. Never fails: a dialect of a later version is read as the generic one."""
    return READERS.get(exchange.dialect, READERS[GENERIC])
