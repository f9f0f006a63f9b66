"""Which of the languages that we have somebody's browser prefers (RFC 9110 section 12.5.4)."""

from collections.abc import Collection
from typing import Final

# No browser sends a longer header.
_MAX_CHARS: Final = 500


def preferred_language(accepted: str, offered: Collection[str], otherwise: str = "en") -> str:
    """The first of `offered` (two letters each) that an Accept-Language header asks for."""
    wishes = []
    for part in accepted[:_MAX_CHARS].split(","):
        tag, _, weight = part.partition(";")
        name, _, text = weight.partition("=")
        quality = _quality(text.strip()) if name.strip().lower() == "q" else 1.0
        wishes.append((quality, tag.strip().lower().split("-")[0]))
    for quality, tag in sorted(wishes, key=lambda wish: -wish[0]):
        if tag in offered and quality > 0:
            return tag
    return otherwise


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
