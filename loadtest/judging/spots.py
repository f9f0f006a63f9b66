"""Whether a video or audio bid is what its player asked for: read from its VAST as a player reads it."""

import re
import xml.parsers.expat
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from loadtest.judging.violation import Violation
from loadtest.traffic.facts import SpotFacts, listed, text, whole

# VAST versions by the number of an inline document in `protocols`.
_VERSIONS: Final = {2: "2", 3: "3", 7: "4.0", 11: "4.1", 13: "4.2"}
_TIME: Final = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)(\.\d{3})?")
_EVENTS: Final = frozenset({"start", "firstQuartile", "midpoint", "thirdQuartile", "complete"})
_SKIPPABLE: Final = 16
_OTHER_NAMES: Final = {"audio/mp3": "audio/mpeg"}  # what requests call a type, and what ads do


class SpotBid(NamedTuple):
    """The members of a bid that matter here, of whatever type they came in."""

    adm: object
    apis: object
    attr: object
    dur: object
    protocol: object


class _Vast:
    """The parts of a VAST document that a player looks at."""

    def __init__(self, markup: str) -> None:
        """Raises ExpatError for a text that is no XML, and ValueError for a document type."""
        self.version = ""
        self.texts: dict[str, list[str]] = {}
        self.mimes: list[str] = []
        self.events: set[str] = set()
        self.empty: list[str] = []
        self.skippable = False
        self._path: list[list[Any]] = []  # name, text, whether it has children
        parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refuse
        parser.Parse(markup.encode("utf-8", "replace"), True)

    def _refuse(self, *_declared: object) -> None:
        raise ValueError("a document type")

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        if self._path:
            self._path[-1][2] = True
        self._path.append([name, "", False])
        if name == "VAST":
            self.version = attributes.get("version", "")
        elif name == "MediaFile":
            self.mimes.append(attributes.get("type", "").lower())
        elif name == "Tracking":
            self.events.add(attributes.get("event", ""))
        elif name == "Linear":
            self.skippable = "skipoffset" in attributes

    def _text(self, part: str) -> None:
        self._path[-1][1] += part

    def _end(self, _tag: str) -> None:
        name, content, has_children = self._path.pop()
        self.texts.setdefault(name, []).append(content)
        if not has_children and not content.strip():
            self.empty.append(name)


def check_spot(spot: SpotFacts, bid: SpotBid) -> Iterator[Violation]:
    """What is wrong with a bid of a spot."""
    try:
        vast = _Vast(text(bid.adm))
    except (xml.parsers.expat.ExpatError, ValueError) as error:
        yield Violation("vast", f"the markup is no VAST: {error}")
        return
    yield from _document(vast)
    yield from _player(spot, bid, vast)
    yield from _length(spot, bid, vast)


def _document(vast: _Vast) -> Iterator[Violation]:
    for name in ("Impression", "Error", "MediaFile", "Duration"):
        if not vast.texts.get(name):
            yield Violation("vast", f"the VAST has no {name}")
    if vast.empty:
        yield Violation("vast", f"the VAST has an empty {vast.empty[0]}")
    if not vast.events >= _EVENTS:
        yield Violation("vast", f"nobody is told of {sorted(_EVENTS - vast.events)}")
    if any(url != url.strip() for name in ("MediaFile", "Impression", "Tracking") for url in vast.texts.get(name, ())):
        yield Violation("vast", "an address has white space around it")


def _player(spot: SpotFacts, bid: SpotBid, vast: _Vast) -> Iterator[Violation]:
    protocol = whole(bid.protocol)
    version = _VERSIONS.get(protocol)
    if version is None or not vast.version.startswith(version):
        yield Violation("vast-version", f"version {vast.version} is called protocol {protocol}")
    if spot.protocols and protocol not in spot.protocols:
        yield Violation("vast-version", f"protocol {protocol} was not offered: {sorted(spot.protocols)}")
    offered = {_OTHER_NAMES.get(mime, mime) for mime in spot.mimes}
    if any(offered.isdisjoint((mime, f"{mime.partition('/')[0]}/*", "*/*")) for mime in vast.mimes):
        yield Violation("media-type", f"the file types {sorted(vast.mimes)} were not all offered: {sorted(spot.mimes)}")
    attributes = set(map(whole, listed(bid.attr)))
    if attributes & spot.blocked_attributes:
        yield Violation("blocked-attribute", f"attributes {sorted(attributes & spot.blocked_attributes)} are blocked")
    if vast.skippable != (_SKIPPABLE in attributes):
        yield Violation("vast", "skipoffset and attribute 16 do not agree")
    if not set(map(whole, listed(bid.apis))) <= spot.frameworks:
        yield Violation("framework", f"the frameworks {bid.apis} were not all offered: {sorted(spot.frameworks)}")


def _length(spot: SpotFacts, bid: SpotBid, vast: _Vast) -> Iterator[Violation]:
    time = _TIME.fullmatch(vast.texts.get("Duration", [""])[0])
    if time is None:
        yield Violation("duration", "the spot has no readable length")
        return
    length = 3600 * int(time[1]) + 60 * int(time[2]) + int(time[3]) + float(time[4] or 0)
    told = whole(bid.dur)
    if not told - 1 < length <= told:
        yield Violation("duration", f"a spot of {length} s is said to have {told}")
    if spot.exact:
        if told not in spot.exact:
            yield Violation("duration", f"{told} s is none of {sorted(spot.exact)}")
    elif length < spot.least or (spot.most and length > spot.most):
        yield Violation("duration", f"{length} s is not between {spot.least} and {spot.most}")
