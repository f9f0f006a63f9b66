"""All formats that impressions are read in, by name. A new one is a module beside this one and an entry here."""

from bidder.openrtb.formats import audio, banner, native, video
from bidder.openrtb.formats.base import FormatCodec

CODECS: dict[str, FormatCodec] = {each.name: each for each in (banner.CODEC, native.CODEC, video.CODEC, audio.CODEC)}
