"""Whether native markup keeps to the request that it answers, as the publisher's page will read it.

By rules of its own, like `bidder.openrtb.judge`, which asks it: nothing here is shared with what made the markup.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bidder.openrtb.types import Native

Json = Mapping[str, Any]

_TEXTS: Final = ("title", "data")


def faults_of_native(native: Native, markup: object) -> Iterator[str]:
    """What is wrong with the markup of a native ad, each as a sentence."""
    try:
        answer = json.loads(markup) if isinstance(markup, str) else markup
        asked = json.loads(native.request) if isinstance(native.request, str) else native.request
    except ValueError as error:
        yield f"the markup is no JSON: {error}"
        return
    if asked is None:
        asked = {"assets": native.assets, "eventtrackers": native.eventtrackers}
    if not isinstance(answer, dict) or not isinstance(asked, dict):
        yield "the markup is no object"
        return
    if asked.get("native") is not None:
        asked = asked["native"]
        if "native" not in answer:
            yield "the outer member is missing"
    answer = answer.get("native", answer)
    if not str((answer.get("link") or {}).get("url", "")).startswith(("https://", "http://")):
        yield "a click leads nowhere"
    yield from _assets(asked, answer)
    yield from _trackers(asked, answer)


def _assets(asked: Json, answer: Json) -> Iterator[str]:
    listed = [each for each in asked.get("assets") or () if each is not None and each.get("id") is not None]
    wanted = {_number(each["id"]): each for each in reversed(listed)}  # of one id the first
    given = {each.get("id"): each for each in answer.get("assets", ())}
    if len(given) < len(answer.get("assets", ())):
        yield "an asset is answered twice"
    for number in given.keys() - wanted.keys():
        yield f"asset {number} was not asked for"
    for number, asset in wanted.items():
        if number in given:
            yield from _asset(number, asset, given[number])
        elif _number(asset.get("required")):
            yield f"asset {number} is required and missing"


def _asset(number: int, asked: Json, given: Json) -> Iterator[str]:
    kind = next((name for name in ("title", "img", "data") if asked.get(name) is not None), None)
    if kind is None or not given.get(kind):
        yield f"asset {number} is of another kind"
        return
    rules, found = asked[kind], given[kind]
    if kind in _TEXTS:
        text = found.get("text" if kind == "title" else "value")
        if not text:
            yield f"asset {number} has no text"
        elif 0 < _number(rules.get("len")) < len(text):
            yield f"asset {number} has {len(text)} characters of {rules['len']}"
        return
    if not str(found.get("url", "")).startswith(("https://", "http://", "data:image/")):
        yield f"asset {number} has no picture"
    for name in ("w", "h"):
        if found.get(name, 0) < _number(rules.get(f"{name}min")):
            yield f"asset {number} is too small: {name} is {found.get(name)}"


def _trackers(asked: Json, answer: Json) -> Iterator[str]:
    offered = {
        (_number(each.get("event")), _number(method))
        for each in asked.get("eventtrackers") or ()
        if each is not None
        for method in _listed(each.get("methods"))
    }
    for tracker in answer.get("eventtrackers", ()):
        if (tracker.get("event"), tracker.get("method")) not in offered:
            yield f"the page calls no tracker of event {tracker.get('event')} by {tracker.get('method')}"
    urls = [tracker.get("url") for tracker in answer.get("eventtrackers", ()) if tracker.get("event") == 1]
    if not [*urls, *answer.get("imptrackers", ())]:
        yield "nothing counts the impression"


def _listed(value: object) -> list[object]:
    """A list, of which some pages send the only value instead."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _number(value: object) -> int:
    """A number, which some pages send as a text; 0 where there is none."""
    return int(float(str(int(value) if isinstance(value, bool) else value or 0)))
