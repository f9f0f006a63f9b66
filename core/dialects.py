"""What is known of each exchange dialect: its data, without any behaviour.

A *dialect* is the way in which one exchange speaks OpenRTB: which auctions it holds, what it bills on, how its price
macro is written, what its bids must say. Three parts are joined by the dialect's name: its data here, how requests are
read and answers written in `bidder/dialects/NAME.py`, how its notices are read in `pacing/notices/dialects.py`. A test
holds the names together. Columns of `core.model.Exchange` that are not None override the data for one exchange.

`docs/dialects.md` is written from this table by `scripts/make-dialects`: every fact that differs from `generic` names
its public source; one without a source is called *assumed*.
"""

import functools

import msgspec

from core.model import BillingEvent, Exchange, NoBidStyle, PriceEncryption

GENERIC = "generic"
ASSUMED = "assumed"


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One way to speak OpenRTB."""

    name: str
    title: str = ""
    """What its users call it."""

    first_price: bool | None = None
    """Whether a bid is charged as it stands; None: as `at` of each request or deal says."""
    no_bid_style: NoBidStyle = NoBidStyle.NO_CONTENT
    """How the exchange wants to hear "no"."""
    price_encryption: PriceEncryption = PriceEncryption.NONE
    """How prices in notices are encrypted."""
    price_macro: str = "${AUCTION_PRICE}"
    """What the exchange replaces by the clearing price."""
    billing_event: BillingEvent = BillingEvent.BILL
    """Which notice makes a bid billable: `bill` (burl), `win` (nurl) or `impression` (our own pixel)."""

    sources: dict[str, str] = {}
    """Where each member that differs from `generic` is publicly said, by the member's name; ASSUMED where nowhere."""


OVERRIDES = ("first_price", "no_bid_style", "price_encryption", "price_macro", "billing_event")
"""Members of a dialect that are also columns of an exchange; None there means: as the dialect says."""

DIALECTS: dict[str, Dialect] = {each.name: each for each in (Dialect(name=GENERIC, title="OpenRTB 2.x"),)}


@functools.lru_cache(maxsize=1024)
def spoken_by(exchange: Exchange) -> Dialect:
    """The dialect of an exchange, with the exchange's own columns in the place of the dialect's.

    A dialect that this version does not know is read as the generic one, for the notices of bids that a later version
    has made: what is published has all columns (`spelled_out`). Nobody bids in it (`bidder.dialects.table`).
    """
    dialect = DIALECTS.get(exchange.dialect, DIALECTS[GENERIC])
    own = {name: getattr(exchange, name) for name in OVERRIDES}
    return msgspec.structs.replace(dialect, **{name: value for name, value in own.items() if value is not None})


def spelled_out(exchange: Exchange) -> Exchange:
    """The exchange with its dialect's data in every column that it leaves to the dialect.

    What is published is spelled out, so that a process of the version before, to which these columns are never None,
    reads it too.
    """
    dialect = spoken_by(exchange)
    return msgspec.structs.replace(exchange, **{name: getattr(dialect, name) for name in OVERRIDES})
