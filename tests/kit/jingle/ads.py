"""The half of the ads: from an offer to markup."""

from collections.abc import Iterator

from core.errors import Fault
from core.model import Creative
from creatives.formats.base import Ad, AdFormat
from creatives.formats.offer import Offer, Shape
from creatives.macros import Tracker, impression_url

NAME = "jingle"


class JingleOffer(Offer, frozen=True, gc=False):
    """An offer for a jingle, with the volume that it is played at."""

    volume: int = 100


class Jingle(Ad, frozen=True):
    """A rendered jingle, with its length."""

    seconds: int = 0


def shapes(creative: Creative) -> Iterator[Shape]:
    yield (NAME, creative.width)


def check(creative: Creative) -> list[Fault]:
    return [] if creative.width else [Fault("/width", "no_length", "a jingle has a length")]


def render(creative: Creative, offer: Offer, tracker: Tracker) -> Jingle:
    volume = offer.volume if isinstance(offer, JingleOffer) else 100
    markup = f"<jingle volume={volume} heard={impression_url(tracker)}>"
    return Jingle(creative, markup, secure=True, seconds=creative.width)


def admits(ad: Ad, offer: Offer) -> bool:
    return not offer.mimes or "audio/jingle" in offer.mimes


def variant(offer: Offer) -> int:
    return offer.volume if isinstance(offer, JingleOffer) else 100


FORMAT = AdFormat(name=NAME, shapes=shapes, check=check, render=render, admits=admits, variant=variant)
