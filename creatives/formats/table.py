"""All formats of ads by name. A new format is a module beside this one and an entry here (CONTRIBUTING.md)."""

from core.errors import Fault
from core.model import Creative, Format
from creatives.formats import audio, banner, native, video
from creatives.formats.base import AdFormat
from creatives.templates.library import check_template

FORMATS: dict[str, AdFormat] = {each.name: each for each in (banner.FORMAT, native.FORMAT, video.FORMAT, audio.FORMAT)}


_MEMBERS = tuple(each.value for each in Format if each.value in Creative.__struct_fields__)
"""Members of a creative that belong to one format; each has the format's name."""


def is_known(creative: Creative) -> bool:
    """Whether the creative's format is one that ads can be made of here."""
    return creative.format in FORMATS


def check_creative(creative: Creative) -> list[Fault]:
    """What would keep a creative from being served; pointers are relative to it. None for unknown formats."""
    known = FORMATS.get(creative.format)
    if known is None:
        return []
    wrong = [
        Fault(f"/{name}", "other_format", f"the creative is a {creative.format}", f"set format to {name}, or remove it")
        for name in _MEMBERS
        if name != creative.format and getattr(creative, name) is not None
    ]
    return wrong + known.check(creative) + check_template(creative)
