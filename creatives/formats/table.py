"""All formats of ads by name. A new format is a module beside this one and an entry here (CONTRIBUTING.md)."""

from core.errors import Fault
from core.model import Creative
from creatives.formats import audio, banner, video
from creatives.formats.base import AdFormat

FORMATS: dict[str, AdFormat] = {each.name: each for each in (banner.FORMAT, video.FORMAT, audio.FORMAT)}


def is_known(creative: Creative) -> bool:
    """Whether there is anything that makes an ad of the creative."""
    return creative.format in FORMATS


def check_creative(creative: Creative) -> list[Fault]:
    """What would keep a creative from being served; pointers are relative to it. Nothing is known of other formats."""
    known = FORMATS.get(creative.format)
    return known.check(creative) if known is not None else []
