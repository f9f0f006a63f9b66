"""All dialects that bids are put in, by name, and who speaks for an exchange."""

from bidder.dialects.bidswitch import BidSwitch
from bidder.dialects.generic import Speaker
from bidder.dialects.google import Google
from bidder.dialects.xandr import Xandr
from core.dialects import GENERIC
from core.errors import CatalogueError
from core.model import Exchange

SPEAKERS: dict[str, type[Speaker]] = {
    GENERIC: Speaker,
    "google": Google,
    "xandr": Xandr,
    "pubmatic": Speaker,
    "index": Speaker,
    "magnite": Speaker,
    "bidswitch": BidSwitch,
    "smaato": Speaker,
    "openx": Speaker,
}
"""By the names of `core.dialects`; a dialect that its data describes wholly is spoken by `Speaker` itself."""

# A process serves a handful of exchanges; each new catalogue may have each of them anew.
MAX_REMEMBERED = 1_024

_known: dict[int, Speaker] = {}


def speaker_of(exchange: Exchange) -> Speaker:
    """The speaker of an exchange, made once. Raises CatalogueError for a dialect that this version does not know.

    Remembered by identity, since hashing the settings of an exchange costs more than a look-up may; the speaker holds
    its exchange, so no other object can take the identity over.
    """
    speaker = _known.get(id(exchange))
    if speaker is None:
        if exchange.dialect not in SPEAKERS:
            raise CatalogueError(
                f"exchange {exchange.key} speaks dialect '{exchange.dialect}', which this version does not know",
                hint="run admin and bidders of the same version",
            )
        if len(_known) >= MAX_REMEMBERED:
            _known.clear()
        speaker = _known[id(exchange)] = SPEAKERS[exchange.dialect](exchange)
    return speaker
