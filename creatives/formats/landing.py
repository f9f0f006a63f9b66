"""What every creative that can be clicked must have, whatever its format; one check for all formats."""

import urllib.parse
from typing import Final

from core.errors import Fault
from core.model import Creative
from creatives.macros import TOKEN

# Browsers, proxies and exchanges take URLs of 2 kB; the tracker's address and the token need up to 250 of them.
MAX_LANDING_CHARS: Final = 1_800

_TEXTS: Final = ("html", "frame_url", "image_url", "alt_text", "landing_url", "sample_url", "privacy_url")


def check_landing(creative: Creative) -> list[Fault]:
    """Faults of the landing page, and of texts that would be taken for the place of the token."""
    faults = [
        Fault(f"/{name}", "reserved", f"'{TOKEN}' is reserved", "remove it")
        for name in _TEXTS
        if TOKEN in getattr(creative, name)
    ]
    if not is_web_address(creative.landing_url):
        faults.append(
            Fault("/landing_url", "not_a_url", "the landing page is not a web address", "start it with https://")
        )
    encoded = len(urllib.parse.quote(creative.landing_url, safe=""))
    if encoded > MAX_LANDING_CHARS:
        message = f"the landing page has {encoded} characters when percent-encoded, as the click URL carries it"
        faults.append(Fault("/landing_url", "too_long", message, f"at most {MAX_LANDING_CHARS}"))
    return faults


def is_web_address(url: str) -> bool:
    """Whether a browser can be led there: by http or https, and to some host."""
    try:
        return url.startswith(("https://", "http://")) and bool(urllib.parse.urlsplit(url).hostname)
    except ValueError:
        return False
