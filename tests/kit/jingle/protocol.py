"""The half of the protocol: from `imp.audio` to an offer, and from a jingle to the members of a bid."""

from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.types import Imp
from core.errors import Fault
from creatives.formats.base import Ad
from tests.kit.jingle.ads import NAME, Jingle, JingleOffer


def read(imp: Imp) -> JingleOffer | Fault | None:
    audio = imp.audio
    if audio is None:
        return None
    if not audio.maxduration:
        return Fault("/audio", "no_length", "says not how long a jingle may be")
    lengths = tuple((NAME, seconds) for seconds in range(audio.maxduration, (audio.minduration or 1) - 1, -1))
    return JingleOffer(NAME, lengths, mimes=audio.mimes, volume=50 if imp.instl else 100)


def write(ad: Ad) -> dict[str, object]:
    return {"mtype": 3, "dur": ad.seconds if isinstance(ad, Jingle) else 0}


CODEC = FormatCodec(name=NAME, member="audio", read=read, write=write)
