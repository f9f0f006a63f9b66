"""Whether a native bid is what its page asked for: read from its JSON as the page reads it (Native 1.2)."""

from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from loadtest.judging.violation import Violation
from loadtest.traffic.facts import AssetFacts, NativeFacts, mapping, objects, text, texts, whole

IMPRESSION: Final = 1


def check_native(page: NativeFacts, markup: object) -> Iterator[Violation]:
    """What is wrong with the markup of a native bid."""
    try:
        root = mapping(orjson.loads(markup) if isinstance(markup, str) else markup)
    except ValueError:
        yield Violation("native-json", "the markup is not JSON")
        return
    if page.is_wrapped != ("native" in root):
        yield Violation("native-json", "the outer member native is missing, or was not asked for")
    native = mapping(root.get("native")) or root
    if not text(mapping(native.get("link")).get("url")).startswith("http"):
        yield Violation("native-link", "a click leads nowhere")
    yield from _assets(page, native)
    yield from _trackers(page, native)


def _assets(page: NativeFacts, native: Mapping[str, object]) -> Iterator[Violation]:
    answered = {whole(asset.get("id")): asset for asset in objects(native.get("assets"))}
    for number in answered.keys() - page.assets.keys():
        yield Violation("native-asset", f"asset {number} was not asked for")
    for number, wanted in page.assets.items():
        asset = answered.get(number)
        if asset is None:
            if wanted.required:
                yield Violation("native-asset", f"asset {number} is required and missing")
        elif (fault := _fault_of(wanted, mapping(asset.get(wanted.kind)))) is not None:
            yield Violation("native-asset", f"asset {number} {fault}")


def _fault_of(wanted: AssetFacts, asset: Mapping[str, object]) -> str | None:
    if wanted.kind == "img":
        if not text(asset.get("url")).startswith(("http", "data:image/")):
            return "has no picture"
        if whole(asset.get("w")) < wanted.least[0] or whole(asset.get("h")) < wanted.least[1]:
            return f"is smaller than {wanted.least[0]}x{wanted.least[1]}"
        return None
    shown = text(asset.get("text" if wanted.kind == "title" else "value"))
    if not shown:
        return "has no text"
    return f"has {len(shown)} characters of {wanted.length}" if 0 < wanted.length < len(shown) else None


def _trackers(page: NativeFacts, native: Mapping[str, object]) -> Iterator[Violation]:
    events = [(whole(each.get("event")), whole(each.get("method"))) for each in objects(native.get("eventtrackers"))]
    for event, method in events:
        if (event, method) not in page.trackers:
            yield Violation("native-tracker", f"the page calls nothing of event {event} by method {method}")
    if not any(event == IMPRESSION for event, _method in events) and not texts(native.get("imptrackers")):
        yield Violation("native-tracker", "nothing counts the impression")
