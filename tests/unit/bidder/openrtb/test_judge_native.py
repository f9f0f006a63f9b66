"""Each rule of native markup is broken once in an answer that was right."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from bidder.openrtb.judge_native import faults_of_native
from bidder.openrtb.types import Native
from tests.kit.openrtb import NATIVE_REQUEST

Json = dict[str, Any]

ANSWER: Json = {
    "ver": "1.2",
    "link": {"url": "https://track.example/t/click/x"},
    "assets": [
        {"id": 1, "title": {"text": "Szpilki"}},
        {"id": 2, "img": {"url": "https://cdn.example/a.png", "w": 1200, "h": 627}},
        {"id": 3, "data": {"value": "Szpilka"}},
    ],
    "eventtrackers": [{"event": 1, "method": 1, "url": "https://track.example/t/imp/x"}],
}


def faults(change: Callable[[Json], object] = lambda _answer: None, request: object = None) -> list[str]:
    answer = copy.deepcopy(ANSWER)
    change(answer)
    native = Native(request=json.dumps(NATIVE_REQUEST if request is None else request))
    return list(faults_of_native(native, json.dumps(answer)))


def test_a_right_answer_has_no_fault() -> None:
    assert faults() == []
    assert list(faults_of_native(Native(request=NATIVE_REQUEST), ANSWER)) == []
    wrapped = Native(request={"native": NATIVE_REQUEST})
    assert list(faults_of_native(wrapped, {"native": ANSWER})) == []
    unwrapped = Native(assets=NATIVE_REQUEST["assets"], eventtrackers=NATIVE_REQUEST["eventtrackers"])
    assert list(faults_of_native(unwrapped, ANSWER)) == []
    assert faults(lambda answer: answer["assets"].pop()) == [], "the last asset may be missing"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda answer: answer["assets"].pop(0), "asset 1 is required and missing"),
        (lambda answer: answer["assets"].append({"id": 9, "title": {"text": "x"}}), "asset 9 was not asked for"),
        (lambda answer: answer["assets"].append(answer["assets"][0]), "an asset is answered twice"),
        (lambda answer: answer["assets"][0].update(title={"text": "x" * 26}), "asset 1 has 26 characters of 25"),
        (lambda answer: answer["assets"][0].update(title={"text": ""}), "asset 1 has no text"),
        (lambda answer: answer["assets"][0].pop("title"), "asset 1 is of another kind"),
        (lambda answer: answer["assets"][1]["img"].update(w=299), "asset 2 is too small: w is 299"),
        (lambda answer: answer["assets"][1]["img"].update(url="a.png"), "asset 2 has no picture"),
        (lambda answer: answer["link"].clear(), "a click leads nowhere"),
        (lambda answer: answer["eventtrackers"].clear(), "nothing counts the impression"),
        (
            lambda answer: answer["eventtrackers"].append({"event": 2, "method": 1, "url": "https://x"}),
            "the page calls no tracker of event 2 by 1",
        ),
    ],
)
def test_a_broken_rule_is_told(change: Callable[[Json], object], fault: str) -> None:
    assert faults(change) == [fault]


def test_of_assets_of_one_id_the_first_counts_and_a_length_below_one_is_none() -> None:
    again = [{"id": 1, "data": {"type": 1}}, {"id": 4, "data": {"type": 2, "len": -1}}]
    request = NATIVE_REQUEST | {"assets": [*NATIVE_REQUEST["assets"], *again]}
    assert faults(lambda answer: answer["assets"].append({"id": 4, "data": {"value": "long"}}), request) == []


def test_what_live_traffic_writes_in_another_way_is_read() -> None:
    title, picture, _text = NATIVE_REQUEST["assets"]
    assets = [None, {**title, "id": "1", "title": {"len": "25.0"}}, picture, {"id": 3, "required": "0", "data": {}}]
    trackers = [None, {"event": "1", "methods": "1"}]
    request = {"native": None, "assets": assets, "eventtrackers": trackers}
    assert faults(lambda answer: answer["assets"].pop(), request) == []
    assert (
        faults(lambda answer: answer["assets"].pop(), request | {"eventtrackers": [{"event": 1, "methods": 1}]}) == []
    )


def test_the_outer_member_is_there_where_the_request_has_it() -> None:
    assert faults(request={"native": NATIVE_REQUEST}) == ["the outer member is missing"]


@pytest.mark.parametrize("markup", ["<a>", "[]", '"{}"'])
def test_what_is_no_object_is_told(markup: str) -> None:
    assert len(list(faults_of_native(Native(request=NATIVE_REQUEST), markup))) == 1
