"""Whether a video or audio bid keeps to what the player asked for: read from its VAST, by rules of its own."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bidder.openrtb.types import Audio, Video
from bidder.openrtb.violation import Violation
from creatives.formats.offer import takes_mime

_PROTOCOLS: Final = {"2.0": 2, "3.0": 3, "4.0": 7, "4.1": 11, "4.2": 13}
_CLOCK: Final = re.compile(r"^(\d{2}):([0-5]\d):([0-5]\d)(?:\.(\d{3}))?$")
_SKIPPABLE: Final = 16


def faults_of_spot(spot: Video | Audio, bid: Mapping[str, Any]) -> Iterator[Violation]:
    """What is wrong with the markup of a bid of a spot, and with what the bid says of it."""
    markup = bid.get("adm", "")
    if "<!DOCTYPE" in markup or "<!ENTITY" in markup:
        yield Violation("vast", "it declares a document type")
        return
    try:
        root = ElementTree.fromstring(markup)  # noqa: S314 - our own markup, and no document type
    except ElementTree.ParseError as error:
        yield Violation("vast", f"it is no XML: {error}")
        return
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    if not {"InLine", "Impression", "Linear", "MediaFile"} <= names:
        yield Violation("vast", "an inline linear ad with an impression is missing")
    if any(not len(element) and not (element.text or "").strip() for element in root.iter()):
        yield Violation("vast", "an element is empty")
    yield from _version(spot, bid, root)
    yield from _length(spot, bid, root)
    yield from _files(spot, root)
    linear = next((each for each in root.iter() if each.tag.endswith("Linear")), None)
    if linear is not None and ("skipoffset" in linear.attrib) != (_SKIPPABLE in bid.get("attr", ())):
        yield Violation("vast", "the markup and attribute 16 do not agree on whether it can be skipped")


def _version(spot: Video | Audio, bid: Mapping[str, Any], root: ElementTree.Element) -> Iterator[Violation]:
    written = _PROTOCOLS.get(root.get("version", ""))
    if written is None or written != bid.get("protocol"):
        yield Violation("vast", f"VAST {root.get('version')} is sent as protocol {bid.get('protocol')}")
    if spot.protocols is not None and written not in spot.protocols:
        yield Violation("protocol", f"VAST {root.get('version')} is not offered")


def _length(spot: Video | Audio, bid: Mapping[str, Any], root: ElementTree.Element) -> Iterator[Violation]:
    text = next((each.text or "" for each in root.iter() if each.tag.endswith("Duration")), "")
    clock = _CLOCK.match(text)
    if clock is None:
        yield Violation("duration", f"{text!r} is no duration")
        return
    hours, minutes, seconds, rest = (int(part or 0) for part in clock.groups())
    length = 3_600 * hours + 60 * minutes + seconds + rest / 1_000
    if bid.get("dur") != -int(-length // 1):
        yield Violation("duration", f"{length} s are sent as {bid.get('dur')}")
    exact = [each for each in spot.rqddurs or () if each > 0]
    if exact:
        if bid.get("dur") not in exact:
            yield Violation("duration", f"{bid.get('dur')} s where {exact} are required")
        return
    if spot.minduration and length < spot.minduration:
        yield Violation("duration", f"{length} s are below {spot.minduration}")
    extended = spot.maxextended or 0
    if spot.maxduration and spot.maxduration > 0 and extended >= 0 and length > spot.maxduration + extended:
        yield Violation("duration", f"{length} s are above {spot.maxduration}")


def _files(spot: Video | Audio, root: ElementTree.Element) -> Iterator[Violation]:
    for file in (each for each in root.iter() if each.tag.endswith("MediaFile")):
        if not takes_mime(spot.mimes, file.get("type", "")):
            yield Violation("mime", f"{file.get('type')} is not played")
        rate = int(file.get("bitrate", "0"))
        if rate and ((spot.minbitrate or 0) > rate or 0 < (spot.maxbitrate or 0) < rate):
            yield Violation("bitrate", f"{rate} kbit/s are not offered")
