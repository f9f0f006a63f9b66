"""Colours of ads, so that every text can be read: contrast as WCAG 2.2 section 1.4.3 has it."""

import re
from typing import Final

LEAST_CONTRAST: Final = 4.5
"""AA, for text of any size."""

COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable_on(background: str) -> str:
    """White or black, whichever can be read better."""
    return max("#ffffff", "#000000", key=lambda colour: contrast(colour, background))


def legible(colour: str, background: str) -> str:
    """`colour`, or the nearest darker or lighter one of its hue that can be read on `background`."""
    goal = readable_on(background)
    for step in range(21):
        mixed = _mixed(colour, goal, step / 20)
        if contrast(mixed, background) >= LEAST_CONTRAST:
            return mixed
    return goal


def _mixed(colour: str, other: str, share: float) -> str:
    return "#" + "".join(
        f"{round(one * (1 - share) + two * share):02x}" for one, two in zip(_parts(colour), _parts(other), strict=True)
    )


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if (part := each / 255) <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for each in _parts(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
