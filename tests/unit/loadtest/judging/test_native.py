"""Native markup is judged against what the page asked for; each rule is broken once."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from loadtest.judging.native import check_native
from loadtest.traffic.facts import NativeFacts, facts_of
from tests.kit.openrtb import NATIVE_REQUEST, raw_request

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


def page(request: object) -> NativeFacts | None:
    return facts_of(raw_request(imp=[{"id": "1", "native": {"request": request}}])).impressions["1"].native


def kinds(change: Callable[[Json], object] = lambda _answer: None) -> list[str]:
    answer, wanted = copy.deepcopy(ANSWER), page(json.dumps(NATIVE_REQUEST))
    change(answer)
    assert wanted is not None
    return [fault.kind for fault in check_native(wanted, json.dumps(answer))]


def test_a_right_answer_has_no_fault() -> None:
    assert kinds() == []
    wrapped = page({"native": NATIVE_REQUEST})
    assert wrapped is not None
    assert [*check_native(wrapped, {"native": ANSWER})] == []
    assert [fault.kind for fault in check_native(wrapped, ANSWER)] == ["native-json"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda answer: answer["assets"].pop(0), "native-asset"),
        (lambda answer: answer["assets"].append({"id": 9}), "native-asset"),
        (lambda answer: answer["assets"][0].update(title={"text": "x" * 26}), "native-asset"),
        (lambda answer: answer["assets"][0].update(title={}), "native-asset"),
        (lambda answer: answer["assets"][1]["img"].update(h=149), "native-asset"),
        (lambda answer: answer["assets"][1]["img"].update(url=""), "native-asset"),
        (lambda answer: answer["link"].clear(), "native-link"),
        (lambda answer: answer["eventtrackers"].clear(), "native-tracker"),
        (lambda answer: answer["eventtrackers"].append({"event": 2, "method": 1}), "native-tracker"),
    ],
)
def test_a_broken_rule_is_named(change: Callable[[Json], object], kind: str) -> None:
    assert kinds(change) == [kind]


def test_what_is_no_json_is_named_and_a_request_that_cannot_be_read_is_not_judged() -> None:
    wanted = page(NATIVE_REQUEST)
    assert wanted is not None
    assert [fault.kind for fault in check_native(wanted, "<a>")] == ["native-json"]
    assert page("{") is None
