"""An image's query becomes an event; what it says of the visitor's wishes is never lost."""

import json
from typing import Any

import pytest
from multidict import MultiDict

from segments.events.privacy import signals_of
from segments.events.web import row_of_query


@pytest.mark.parametrize(
    "pairs",
    [
        [("gdpr", "0"), ("gdpr", "1")],
        [("gdpr", "1"), ("gdpr", "0")],
        [("gdpr", "1"), ("d", {"event": "page_view", "gdpr": 0})],
        [("gdpr", "0"), ("d", {"event": "page_view", "gdpr": 1})],
    ],
)
def test_a_wish_that_an_image_says_twice_is_the_one_that_refuses(pairs: list[tuple[str, Any]]) -> None:
    said = [(name, json.dumps(value) if name == "d" else value) for name, value in pairs]
    row = row_of_query(MultiDict([("event", "page_view"), *said]))
    assert row["event"] == "page_view"
    assert signals_of(row).gdpr is True


def test_what_an_event_says_besides_is_its_own() -> None:
    event = {"event": "view_item", "items": [{"item_id": "a"}], "url": "https://shop.example/a"}
    row = row_of_query(MultiDict([("event", "page_view"), ("url", "https://shop.example/b"), ("d", json.dumps(event))]))
    assert row == event
